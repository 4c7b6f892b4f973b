# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Neighbour lists found from the coarsest stage down, against a dictionary of voxels; plans that hold them."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import features_of, plan_of, small_cdsegnet, small_ptv3, voxels

from srkd import neighbour_lists
from srkd.nn.sparse_conv import subm_conv
from srkd.plan import GeometryPlan, PlanSpec
from srkd.plan_build import build_plan

KERNELS = (1, 3, 5, 7)


def spec(stages: int) -> PlanSpec:
    return PlanSpec(stages, frozenset((stage, kernel) for stage in range(stages) for kernel in KERNELS), frozenset())


def check(plan: GeometryPlan) -> None:
    for stage in range(plan.num_stages):
        rows = torch.cat([plan.batch(stage).unsqueeze(1), plan.coord(stage)], dim=1).tolist()
        number = {tuple(row): place for place, row in enumerate(rows)}
        for kernel in KERNELS:
            offsets = [np.array(tap) - kernel // 2 for tap in np.ndindex(kernel, kernel, kernel)]
            expected = [
                {
                    (tap, number[cloud, x + a, y + b, z + c])
                    for tap, (a, b, c) in enumerate(offsets)
                    if (cloud, x + a, y + b, z + c) in number
                }
                for cloud, x, y, z in rows
            ]
            lists = plan.lists(stage, kernel)
            assert lists is not None
            entries = list(zip(lists.tap.tolist(), lists.read.tolist(), strict=True))
            starts = lists.starts.tolist()
            found = [entries[a:b] for a, b in pairwise(starts)]
            assert [set(part) for part in found] == expected and sum(map(len, expected)) == len(entries)


@pytest.mark.parametrize("stages", [1, 2, 4])
@pytest.mark.parametrize("counts", [(1,), (150,), (60, 1, 90)], ids=str)
def test_lists_equal_a_dictionary(counts: tuple[int, ...], stages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour_lists, "_ROWS", 37)
    grid = torch.cat([voxels(count, seed, 11) for seed, count in enumerate(counts)])
    check(build_plan(grid, torch.tensor(counts).cumsum(0).tolist(), spec(stages), lists=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 12)] * 3), min_size=1, max_size=60, unique=True))
def test_any_small_cloud(cells: list[tuple[int, int, int]]) -> None:
    check(build_plan(torch.tensor(cells), [len(cells)], spec(3), lists=True))


def test_the_ends_of_the_lattice() -> None:
    edge = 2**16 - 1
    cells = [[0, 0, 0], [edge, edge, edge], [edge, edge, edge - 1], [0, edge, 0], [edge, 0, edge], [0, edge - 2, 1]]
    check(build_plan(torch.tensor(cells), [6], spec(3), lists=True))


def test_a_plan_of_lists_has_the_tables_and_pairs_of_a_plan_of_tables() -> None:
    grid = torch.cat([voxels(200, 0, 9), voxels(40, 1, 5)])
    tables, lists = (build_plan(grid, [200, 240], spec(3), lists=chosen) for chosen in (False, True))
    assert not any(name.startswith("neighbours/") for name in lists.tables)
    for plan in (lists, pickle.loads(pickle.dumps(lists))):
        for stage in range(3):
            for kernel in KERNELS:
                assert torch.equal(plan.neighbours(stage, kernel), tables.neighbours(stage, kernel))
                ours, theirs = plan.pairs(stage, kernel), tables.pairs(stage, kernel)
                assert ours.sizes == theirs.sizes and torch.equal(ours.starts, theirs.starts)
                assert torch.equal(ours.reads, theirs.reads) and torch.equal(ours.reader, theirs.reader)
                assert torch.equal(ours.message.sort().values, theirs.message.sort().values)
    with pytest.raises(KeyError, match=r"neighbours/0/9.*kernels"):
        lists.neighbours(0, 9)


@pytest.mark.parametrize("inputs", [3, 12], ids=["narrow", "wide"])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_convolution_by_lists_equals_one_by_tables(kernel: int, inputs: int) -> None:
    grid = torch.cat([voxels(150, 0, 7), voxels(30, 1, 7)])
    tables, lists = (build_plan(grid, [150, 180], spec(1), lists=chosen) for chosen in (False, True))
    features = torch.randn(180, inputs, dtype=torch.float64)
    weight = torch.randn(5, kernel, kernel, kernel, inputs, dtype=torch.float64, requires_grad=True)
    expected = subm_conv(features, weight, tables, 0)
    with torch.no_grad():
        torch.testing.assert_close(subm_conv(features, weight, lists, 0), expected, rtol=1e-12, atol=1e-12)
    found = subm_conv(features, weight, lists, 0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(out.square().sum(), weight)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["ptv3", "cdsegnet"])
def test_a_network_gives_the_same_logits_on_lists(kind: str) -> None:
    network = small_ptv3() if kind == "ptv3" else small_cdsegnet()
    clouds, features = [voxels(70, 0), voxels(9, 1)], features_of(79, 0)
    with torch.no_grad():
        expected = network(features, plan_of(clouds, network))
        torch.testing.assert_close(
            network(features, plan_of(clouds, network, lists=True)), expected, rtol=1e-5, atol=1e-5
        )
