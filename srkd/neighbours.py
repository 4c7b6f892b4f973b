# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which voxels a submanifold sparse convolution reads: neighbour tables, and the pair lists derived from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def neighbour_table(coord: Tensor, batch: Tensor, kernel: int) -> Tensor:
    """Rows of the voxels around every voxel, within its own cloud.

    Voxels are sorted by a linear key in which z runs fastest, so one binary search finds a whole column of the kernel: the
    hits of a column follow one another in the sorted keys.

    Args:
        coord: (N, 3) integer voxel coordinates >= 0, at most 2**16 an axis.
        batch: (N,) cloud of each voxel.
        kernel: odd edge length of the kernel in voxels.

    Returns:
        (N, kernel**3) int32. Column ``(a * kernel + b) * kernel + c`` holds the row of the voxel at
        ``coord + (a, b, c) - kernel // 2`` (the tap order of the public weights), or N where there is none.
    """
    count, reach = coord.shape[0], kernel // 2
    if count == 0:
        return torch.empty((0, kernel**3), dtype=torch.int32, device=coord.device)
    spatial = coord.to(torch.int64) + reach
    size = spatial.amax(dim=0) + reach + 1
    stride_x, stride_y = size[1] * size[2], size[2]
    key = ((batch.to(torch.int64) * size[0] + spatial[:, 0]) * size[1] + spatial[:, 1]) * size[2] + spatial[:, 2]
    key, row = torch.sort(key)
    row = torch.cat([row.to(torch.int32), row.new_tensor([count], dtype=torch.int32)])
    padded = torch.cat([key, key.new_tensor([torch.iinfo(torch.int64).max])])
    table = torch.empty((kernel**3, count), dtype=torch.int32, device=coord.device)
    tap = 0
    for dx in range(-reach, reach + 1):
        for dy in range(-reach, reach + 1):
            wanted = key + (dx * stride_x + dy * stride_y - reach)
            place = torch.searchsorted(key, wanted)
            for _ in range(kernel):
                hit = padded[place] == wanted
                table[tap] = row[torch.where(hit, place, count)]
                place = place + hit
                wanted = wanted + 1
                tap += 1
    back = torch.empty(count, dtype=torch.int64, device=coord.device)
    back[row[:-1].to(torch.int64)] = torch.arange(count, device=coord.device)
    return table[:, back].t().contiguous()


@dataclass(frozen=True)
class PairLists:
    """The occupied entries of a neighbour table, tap by tap.

    Taps come in mirrored pairs (if j is i's neighbour at one tap, i is j's at the mirrored one), so only the first half is
    kept; the centre tap is the identity.
    """

    near: tuple[Tensor, ...]
    """For each tap before the centre: (M,) int32 rows that read."""
    far: tuple[Tensor, ...]
    """For each tap before the centre: (M,) int32 rows that are read."""

    @staticmethod
    def from_table(table: Tensor) -> PairLists:
        """Pair lists of a (N, taps) table."""
        count, taps = table.shape
        half = taps // 2
        columns = table[:, :half].t().contiguous()
        occupied = columns < count
        sizes = occupied.sum(dim=1).tolist()
        reading = occupied.nonzero()[:, 1].to(torch.int32)
        return PairLists(reading.split(sizes), columns[occupied].split(sizes))
