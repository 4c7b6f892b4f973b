# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Voxelization: from points to the occupied cells of a lattice, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from srkd.curves import MAX_DEPTH, z_code
from srkd.errors import CloudError
from srkd.indexing import places


@dataclass(frozen=True)
class Voxels:
    """The occupied voxels of one cloud, sorted by z-code."""

    grid_coord: Tensor
    """(M, 3) int32 voxel coordinates, the smallest of each axis 0 (unless an origin was given)."""
    inverse: Tensor
    """(N,) int64: the voxel of each point."""
    point: Tensor
    """(M,) int64: the point that stands for each voxel."""


def voxelize(
    xyz: Tensor,
    voxel_size_m: float,
    *,
    origin: Tensor | None = None,
    pick: torch.Generator | None = None,
) -> Voxels:
    """Finds the occupied voxels of a cloud.

    Args:
        xyz: (N, 3) finite coordinates in metres, N >= 1; any device.
        voxel_size_m: edge of a voxel.
        origin: (3,) integer lattice cell that becomes (0, 0, 0), for clouds that share a lattice; by default the
            smallest cell of each axis. Coordinates are rounded down to the lattice first and the origin is subtracted
            after, so clouds of different extent agree on voxel borders.
        pick: draws the point that stands for a voxel (training); by default the first one in input order.

    Raises:
        CloudError: no point, an extent of more than 2**16 voxels, a point below the given origin or not finite.
    """
    if xyz.shape[0] == 0:
        raise CloudError("no point to voxelize: filter out empty clouds before")
    # Floating point up to the check: what is not finite or huge must not wrap around.
    cell = torch.floor(xyz.to(torch.float64) / voxel_size_m)
    place = cell - (cell.amin(dim=0) if origin is None else origin.to(cell))
    low, high = float(place.min()), float(place.max())
    if not (low >= 0 and high < 2**MAX_DEPTH):
        raise CloudError(
            f"the cloud spans voxels {low:.15g} to {high:.15g} of {voxel_size_m} m, the lattice holds 0 to"
            f" {2**MAX_DEPTH - 1}: set a smaller range or larger voxels"
        )
    grid = place.to(torch.int64)
    code = z_code(grid)
    code, by_code = torch.sort(code.to(torch.int32) if high < 2**10 else code, stable=True)  # 30 bits sort faster
    opens = torch.ones_like(code, dtype=torch.bool)
    opens[1:] = code[1:] != code[:-1]
    voxel = torch.cumsum(opens, 0) - 1
    inverse = torch.empty_like(voxel).scatter_(0, by_code, voxel)
    first = places(opens)
    if pick is not None:
        ends = torch.cat([first[1:], first.new_tensor([code.shape[0]])])
        draw = torch.rand(first.shape[0], generator=pick, dtype=torch.float64).to(first.device)
        first = first + (draw * (ends - first)).to(torch.int64)
    point = by_code[first]
    return Voxels(grid[point].to(torch.int32), inverse, point)


def reach_m(voxel_size_m: float) -> float:
    """Points farther away on an axis than this would not fit the lattice of 2**16 voxels."""
    return (2 ** (MAX_DEPTH - 1) - 1) * voxel_size_m


def within_reach(xyz: npt.NDArray[np.float32], voxel_size_m: float) -> npt.NDArray[np.bool_]:
    """Which of the (N, 3) points lie nearer than `reach_m` on every axis."""
    x, y, z = np.abs(np.ascontiguousarray(xyz.T)) < reach_m(voxel_size_m)
    return np.asarray(x & y & z)
