# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which voxels lie in which octant of the voxels of the next stage: what a strided sparse convolution sums."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from srkd.indexing import bounds

OCTANTS = 8


def octant_slots(coord: Tensor, parent: Tensor) -> Tensor:
    """Where each voxel's place is among those of all parents.

    Args:
        coord: (N, 3) integer voxel coordinates.
        parent: (N,) int32 row of the voxel twice as large that contains each.

    Returns:
        (N,) int32: ``parent * 8 + octant``, all different; octant ``(a * 2 + b) * 2 + c`` is that at
        ``2 * parent's coord + (a, b, c)`` (the tap order of the public weights).
    """
    x, y, z = (coord & 1).unbind(1)
    return parent * OCTANTS + (x * 4 + y * 2 + z)


@dataclass(frozen=True)
class Children:
    """The voxels of a stage, grouped by octant and grouped by parent."""

    order: Tensor
    """(N,) int32: the rows, by octant."""
    parent: Tensor
    """(N,) int32: their parents."""
    sizes: tuple[int, ...]
    """Number of rows in each octant."""
    place: Tensor
    """(N,) int32: where each row stands in ``order``; a parent's rows are side by side."""
    starts: Tensor
    """(M,) int32: where each parent's group starts in ``place``."""

    @staticmethod
    def from_slots(slots: Tensor, count: int) -> Children:
        """The groups of rows with the given :func:`octant_slots` under ``count`` parents, each of which has one."""
        parent = slots >> 3
        octant, order = torch.sort((slots & 7).to(torch.uint8), stable=True)
        number = torch.arange(order.shape[0], dtype=torch.int32, device=slots.device)
        return Children(
            order=order.to(torch.int32),
            parent=parent.index_select(0, order),
            sizes=tuple(torch.bincount(octant, minlength=OCTANTS).tolist()),
            place=torch.empty_like(number).scatter_(0, order, number),
            starts=bounds(torch.bincount(parent, minlength=count))[:-1],
        )
