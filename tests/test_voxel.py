# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Voxelization against a dictionary of cells."""

import math

import pytest
import torch

from srkd.curves import z_code
from srkd.errors import CloudError
from srkd.voxel import voxelize


def cloud(seed: int = 0, count: int = 3000) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)) * torch.tensor([3.0, 2.0, 0.5])


def cells_of(xyz: torch.Tensor, size: float) -> list[tuple[int, ...]]:
    cells = [tuple(math.floor(value / size) for value in point) for point in xyz.to(torch.float64).tolist()]
    low = [min(cell[axis] for cell in cells) for axis in range(3)]
    return [tuple(cell[axis] - low[axis] for axis in range(3)) for cell in cells]


def test_cells_rows_and_first_points_equal_a_dictionary() -> None:
    xyz = cloud()
    found = voxelize(xyz, 0.3)
    expected = cells_of(xyz, 0.3)
    first: dict[tuple[int, ...], int] = {}
    for number, cell in enumerate(expected):
        first.setdefault(cell, number)
    grid = [tuple(cell) for cell in found.grid_coord.tolist()]
    assert found.grid_coord.dtype == torch.int32 and found.inverse.dtype == found.point.dtype == torch.int64
    assert len(grid) == len(set(grid)) == len(first)
    assert [grid[row] for row in found.inverse.tolist()] == expected
    assert [first[cell] for cell in grid] == found.point.tolist()


def test_voxels_come_sorted_by_z_code_from_zero() -> None:
    found = voxelize(cloud(1), 0.2)
    assert (z_code(found.grid_coord).diff() > 0).all()
    assert found.grid_coord.amin(dim=0).tolist() == [0, 0, 0]


def test_a_random_point_of_each_voxel_and_each_of_them_some_day() -> None:
    xyz = cloud(2, 200)
    plain = voxelize(xyz, 1.0)
    seen: set[int] = set()
    for seed in range(60):
        found = voxelize(xyz, 1.0, pick=torch.Generator().manual_seed(seed))
        assert torch.equal(found.inverse, plain.inverse) and torch.equal(found.grid_coord, plain.grid_coord)
        assert torch.equal(found.inverse[found.point], torch.arange(len(found.point)))
        seen.update(found.point.tolist())
    assert len(seen) > 190


def test_a_pick_is_uniform() -> None:
    draws = [
        int(voxelize(torch.zeros(4, 3), 1.0, pick=torch.Generator().manual_seed(seed)).point) for seed in range(800)
    ]
    assert all(abs(draws.count(point) - 200) < 60 for point in range(4))


def test_clouds_of_one_lattice_agree_on_borders() -> None:
    xyz = cloud(3)
    origin = torch.floor(xyz.double() / 0.25).amin(dim=0).to(torch.int64)
    whole, part = voxelize(xyz, 0.25, origin=origin), voxelize(xyz[500:900], 0.25, origin=origin)
    assert torch.equal(part.grid_coord[part.inverse], whole.grid_coord[whole.inverse[500:900]])
    assert torch.equal(whole.grid_coord, voxelize(xyz, 0.25).grid_coord)


def test_negative_coordinates_round_down() -> None:
    assert voxelize(torch.tensor([[-0.01, 0, 0], [0.01, 0, 0]]), 1.0).grid_coord.tolist() == [[0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "no point"),
        ([[0.0, 0, 0], [7000, 0, 0]], "spans voxels 0 to 70000 "),
        ([[0.0, 0, 0], [1e30, 0, 0]], "spans voxels"),
        ([[0.0, 0, 0], [-1e30, 0, 1e30]], "spans voxels"),
        ([[0.0, 0, 0], [math.nan, 0, 0]], "spans voxels"),
        ([[0.0, 0, 0], [math.inf, 0, 0]], "spans voxels"),
        ([[math.nan, math.nan, math.nan]] * 2, "spans voxels nan to nan"),
    ],
)
def test_what_does_not_fit_the_lattice_is_refused(points: list[list[float]], message: str) -> None:
    with pytest.raises(CloudError, match=message):
        voxelize(torch.tensor(points).reshape(-1, 3), 0.1)


def test_a_point_below_the_origin_is_refused() -> None:
    with pytest.raises(CloudError, match="spans voxels -1 to"):
        voxelize(torch.zeros(1, 3), 0.1, origin=torch.tensor([1, 0, 0]))


def test_the_widest_cloud_that_fits() -> None:
    assert voxelize(torch.tensor([[0.0, 0, 0], [65535.0, 0, 0]]), 1.0).grid_coord[:, 0].tolist() == [0, 65535]
