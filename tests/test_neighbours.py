# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Neighbour tables against a dictionary of voxels, and the pair lists against the tables."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import voxels

from srkd.neighbours import PairLists, neighbour_table


def dictionary_table(coord: list[tuple[int, ...]], batch: list[int], kernel: int) -> list[list[int]]:
    row = {(cloud, *cell): number for number, (cloud, cell) in enumerate(zip(batch, coord, strict=True))}
    return [
        [
            row.get((cloud, x + a - kernel // 2, y + b - kernel // 2, z + c - kernel // 2), len(coord))
            for a, b, c in np.ndindex(kernel, kernel, kernel)
        ]
        for cloud, (x, y, z) in zip(batch, coord, strict=True)
    ]


def check(coord: torch.Tensor, batch: torch.Tensor, kernel: int) -> None:
    table = neighbour_table(coord, batch, kernel)
    assert table.dtype == torch.int32 and table.is_contiguous()
    cells = [tuple(cell) for cell in coord.tolist()]
    assert table.tolist() == dictionary_table(cells, batch.tolist(), kernel)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 40, 300])
def test_table_equals_a_dictionary(count: int, kernel: int) -> None:
    check(voxels(count, seed=count), torch.zeros(count, dtype=torch.int64), kernel)


@pytest.mark.parametrize("kernel", [3, 5])
def test_clouds_of_a_batch_do_not_see_each_other(kernel: int) -> None:
    cloud = voxels(120, seed=1)
    check(
        torch.cat([cloud, cloud, cloud[:50]]),
        torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor([120, 120, 50])),
        kernel,
    )


def test_the_ends_of_the_lattice() -> None:
    edge = 2**16 - 1
    coord = torch.tensor([[0, 0, 0], [edge, edge, edge], [edge, edge, edge - 1], [0, edge, 0], [edge, 0, edge]])
    check(torch.cat([coord, coord]), torch.tensor([0, 30_000]).repeat_interleave(5), 5)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), *[st.integers(0, 3)] * 3), min_size=1, max_size=60, unique=True),
    st.sampled_from([3, 5]),
)
def test_any_small_clouds(rows: list[tuple[int, int, int, int]], kernel: int) -> None:
    table = torch.tensor(rows)
    check(table[:, 1:], table[:, 0], kernel)


@pytest.mark.parametrize("count", [1, 7, 200])
def test_pair_lists_hold_every_occupied_entry_but_the_centre(count: int) -> None:
    table = neighbour_table(voxels(count, seed=3), torch.zeros(count, dtype=torch.int64), 3)
    pairs = PairLists.from_table(table)
    expected = [
        [(read, reader) for reader, read in enumerate(column) if read < count] if tap != 13 else []
        for tap, column in enumerate(table.t().tolist())
    ]
    assert list(pairs.sizes) == [len(column) for column in expected]
    found = list(zip(pairs.reads.tolist(), pairs.reader.tolist(), strict=True))
    assert found == [pair for column in expected for pair in column]
    ends = [*pairs.starts.tolist()[1:], len(found)]
    for reader, (start, end) in enumerate(zip(pairs.starts.tolist(), ends, strict=True)):
        own = pairs.message[start:end].tolist()
        assert own == [number for number, pair in enumerate(found) if pair[1] == reader]
