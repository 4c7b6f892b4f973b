# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which voxels a submanifold sparse convolution reads: neighbour tables, and the pair lists derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from srkd.indexing import bounds, owners, places


def neighbour_table(coord: Tensor, batch: Tensor, kernel: int) -> Tensor:
    """Rows of the voxels around every voxel, within its own cloud.

    Voxels are sorted by a linear key in which z runs fastest, so the voxels of a kernel's column lie side by side and
    one binary search finds them all. Taps mirror each other (if j is i's neighbour at one tap, i is j's at the
    mirrored one), so only the columns before the centre are searched.

    Args:
        coord: (N, 3) integer voxel coordinates >= 0, below 2**16 an axis.
        batch: (N,) cloud of each voxel; no voxel occurs twice in a cloud.
        kernel: odd edge length of the kernel in voxels.

    Returns:
        (N, kernel**3) int32. Column ``(a * kernel + b) * kernel + c`` holds the row of the voxel at
        ``coord + (a, b, c) - kernel // 2`` (the tap order of the public weights), or N where there is none.
    """
    count, reach, taps = coord.shape[0], kernel // 2, kernel**3
    device, half = coord.device, taps // 2
    spatial = coord.to(torch.int64) + reach
    size = spatial.amax(dim=0) + reach + 1 if count else spatial.new_ones(3)
    stride_x, stride_y = int(size[1] * size[2]), int(size[2])
    key = ((batch.to(torch.int64) * size[0] + spatial[:, 0]) * size[1] + spatial[:, 1]) * size[2] + spatial[:, 2]
    key, row = torch.sort(key)
    # Windows of one column: the keys from a place on, and their rows; past the end nothing matches.
    keys = torch.cat([key, key.new_full((kernel,), torch.iinfo(torch.int64).max)]).unfold(0, kernel, 1)
    rows = torch.nn.functional.pad(row.to(torch.int32), (0, kernel), value=count).unfold(0, kernel, 1)

    first_half = torch.empty((count, half + reach + 1), dtype=torch.int32, device=device)
    at = 0
    for dx in range(-reach, 1):
        for dy in range(-reach, reach + 1 if dx else 1):
            lowest = key + (dx * stride_x + dy * stride_y - reach)
            place = torch.searchsorted(key, lowest)
            tap = (keys[place] - lowest.unsqueeze(1)).clamp_(max=kernel)
            column = torch.full((count, kernel + 1), count, dtype=torch.int32, device=device)
            column.scatter_(1, tap, rows[place])
            first_half[:, at : at + kernel] = column[:, :kernel]
            at += kernel

    table = torch.full((count + 1, taps), count, dtype=torch.int32, device=device)
    table[row, :half] = first_half[:, :half]
    found = table[:count, :half].to(torch.int64)
    mirrored = found * taps + torch.arange(taps - 1, half, -1, device=device)
    own = torch.arange(count, dtype=torch.int32, device=device).unsqueeze(1).expand(-1, half)
    table.view(-1).scatter_(0, mirrored.reshape(-1), own.reshape(-1))
    table[:count, half] = own[:, 0] if half else torch.arange(count, dtype=torch.int32, device=device)
    return table[:count].contiguous()


@dataclass(frozen=True)
class PairLists:
    """The occupied entries of a neighbour table but for the centre, grouped by tap, and grouped by reading row."""

    reads: Tensor
    """(M,) int32: row that is read, by tap."""
    sizes: tuple[int, ...]
    """Number of pairs of each tap (the centre's is 0)."""
    message: Tensor
    """(M,) int32: number of each pair in the order by tap, grouped by reader."""
    starts: Tensor
    """(N,) int32: where each reader's group starts in ``message``."""

    @cached_property
    def reader(self) -> Tensor:
        """(M,) int32: row that reads, by tap (only a backward pass wants it)."""
        count = self.message.shape[0]
        by_row = owners(torch.nn.functional.pad(self.starts, (0, 1), value=count), count)
        return torch.empty_like(by_row).scatter_(0, self.message.to(torch.int64), by_row)

    @staticmethod
    def from_table(table: Tensor) -> PairLists:
        """Pair lists of a (N, taps) table."""
        return PairLists.from_entries(*table_entries(table), table.shape[1])

    @staticmethod
    def from_entries(read: Tensor, tap: Tensor, starts: Tensor, taps: int) -> PairLists:
        """Pair lists of the occupied entries of a table, as :func:`table_entries` gives them."""
        kept = places(tap != taps // 2)
        read, tap = read.index_select(0, kept), tap.index_select(0, kept)
        # Sorting bytes takes one pass of a radix sort.
        order = torch.sort(tap.to(torch.uint8) if taps <= 256 else tap, stable=True).indices
        number = torch.arange(order.shape[0], dtype=torch.int32, device=read.device)
        return PairLists(
            reads=read.index_select(0, order),
            sizes=tuple(torch.bincount(tap, minlength=taps).tolist()),
            message=torch.empty_like(number).scatter_(0, order, number),
            # Every row reads itself once, and that entry is gone.
            starts=starts[:-1] - torch.arange(starts.shape[0] - 1, dtype=torch.int32, device=read.device),
        )


def table_entries(table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Occupied entries of a (N, taps) neighbour table, row after row: read row and tap (M,), and where each row's
    entries start and end (N + 1,); all int32."""
    count, taps = table.shape
    occupied = table < count
    place = places(occupied.view(-1))
    return (
        table.view(-1).index_select(0, place),
        (place % taps).to(torch.int32),
        bounds(occupied.sum(dim=1)),
    )
