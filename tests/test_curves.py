# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Curve codes against scalar transforms written from their definitions, and what plans rely on: nesting, adjacency."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_curves import hilbert, naive_code

from srkd.curves import CURVES, MAX_DEPTH, curve_code, hilbert_code, swap_xy, z_code


def random_points(depth: int, count: int = 200) -> torch.Tensor:
    generator = torch.Generator().manual_seed(depth)
    corners = torch.cartesian_prod(*[torch.tensor([0, 2**depth - 1])] * 3)
    return torch.cat([corners, torch.randint(0, 2**depth, (count, 3), generator=generator)])


@pytest.mark.parametrize("depth", range(1, MAX_DEPTH + 1))
@pytest.mark.parametrize("curve", CURVES)
def test_codes_equal_the_scalar_transforms_at_every_depth(curve: str, depth: int) -> None:
    points = random_points(depth)
    expected = [naive_code(point, curve, depth) for point in points.tolist()]
    assert curve_code(z_code(points), curve, depth).tolist() == expected


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_hilbert_visits_every_voxel_once_by_steps_of_one_axis(depth: int) -> None:
    points = torch.cartesian_prod(*[torch.arange(2**depth)] * 3)
    code = hilbert_code(z_code(points), depth)
    assert torch.equal(code.sort().values, torch.arange(8**depth))
    step = points[code.argsort()].diff(dim=0).abs()
    assert torch.equal(step.sum(dim=1), torch.ones(8**depth - 1, dtype=torch.int64))


@pytest.mark.parametrize("curve", CURVES)
def test_a_cell_has_the_code_of_its_voxels_less_their_last_bits(curve: str) -> None:
    points = random_points(MAX_DEPTH, 500)
    code = curve_code(z_code(points), curve, MAX_DEPTH)
    for coarser in range(1, 5):
        cells = z_code(points >> coarser)
        assert torch.equal(curve_code(cells, curve, MAX_DEPTH - coarser), code >> 3 * coarser)


def test_x_is_the_most_significant_axis_of_the_z_order() -> None:
    assert z_code(torch.tensor([[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 2]])).tolist() == [1, 2, 4, 8]


def test_depths_equal_modulo_three_order_alike_and_others_do_not() -> None:
    points = torch.cartesian_prod(*[torch.arange(4)] * 3)
    order = {depth: hilbert_code(z_code(points), depth).argsort().tolist() for depth in range(2, 9)}
    assert order[2] == order[5] == order[8]
    assert order[3] != order[2] != order[4] != order[3]


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 2**MAX_DEPTH - 1)] * 3))
def test_swapping_axes_in_the_code_is_swapping_them_in_the_point(point: tuple[int, int, int]) -> None:
    x, y, z = point
    assert swap_xy(z_code(torch.tensor([point]))).item() == z_code(torch.tensor([(y, x, z)])).item()


def test_the_oracle_walks_the_first_cube_as_the_paper_does() -> None:
    corners = [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1), (1, 0, 0)]
    assert [hilbert(corner, 1) for corner in corners] == list(range(8))


def test_no_voxel_and_one_voxel() -> None:
    none = torch.empty(0, dtype=torch.int64)
    origin = torch.zeros(1, dtype=torch.int64)
    for curve in CURVES:
        assert curve_code(none, curve, 5).tolist() == [] and curve_code(origin, curve, 0).tolist() == [0]
