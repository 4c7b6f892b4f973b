# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Neighbour lists: the occupied entries of neighbour tables, found from the coarsest stage down without any search.

Voxels at most two apart lie in cells of the next stage that are at most one apart. So the neighbours of a voxel are
among the children of its parent's neighbours: a dozen candidates each on LiDAR, where a table has 27 or 125 entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from srkd.indexing import bounds, owners, places, ranges
from srkd.neighbours import PairLists, neighbour_table, table_entries

DERIVED_KERNELS = (1, 3, 5)
"""Kernels that reach no farther than the children of neighbouring cells."""

_ROWS = 1 << 14
"""Rows whose candidates are looked at together: bounds memory, and keeps them in the cache."""


@dataclass(frozen=True)
class NeighbourLists:
    """Which voxels every voxel reads, itself among them; grouped by reader, within it in no special order."""

    read: Tensor
    """(M,) int32: row that is read."""
    tap: Tensor
    """(M,) int32: column of the neighbour table."""
    starts: Tensor
    """(N + 1,) int32: reader i's entries are starts[i] to starts[i + 1]."""

    def table(self, kernel: int) -> Tensor:
        """The (N, kernel**3) int32 neighbour table (:func:`srkd.neighbours.neighbour_table`)."""
        count, taps = self.starts.shape[0] - 1, kernel**3
        table = torch.full((count, taps), count, dtype=torch.int32, device=self.read.device)
        reader = owners(self.starts, self.read.shape[0])
        table.view(-1).scatter_(0, reader.to(torch.int64).mul_(taps).add_(self.tap), self.read)
        return table

    def pairs(self, kernel: int) -> PairLists:
        """The same as pair lists."""
        return PairLists.from_entries(self.read, self.tap, self.starts, kernel**3)


def derive_lists(
    coords: Sequence[Tensor],
    batches: Sequence[Tensor],
    parents: Sequence[Tensor],
    heads: Sequence[Tensor],
    kernels: Iterable[tuple[int, int]],
) -> Mapping[tuple[int, int], NeighbourLists]:
    """Neighbour lists of the stages of a plan.

    Args:
        coords: (N_s, 3) integer coordinates of each stage, the children of a cell side by side.
        batches: (N_s,) cloud of each row.
        parents: (N_s,) row of stage s + 1, rising, for each stage but the last.
        heads: (N_{s + 1},) the first child, a row of stage s, of each row of stage s + 1.
        kernels: (stage, kernel edge) wanted.

    Returns:
        Lists by (stage, kernel edge).
    """
    wanted = set(kernels)
    found: dict[tuple[int, int], NeighbourLists] = {}
    last = len(coords) - 1
    finest = min((stage for stage, _ in wanted), default=last + 1)
    around: NeighbourLists | None = None
    for stage in range(last, finest - 1, -1):
        here = {kernel for at, kernel in wanted if at == stage}
        # The next finer stage is derived from the immediate surroundings in this one.
        sizes = here | {3} if stage > finest else here
        easy = sorted(size for size in sizes if around is not None and size in DERIVED_KERNELS)
        lists: dict[int, NeighbourLists] = {}
        if around is not None and easy:
            lists = _finer(around, coords[stage], parents[stage], heads[stage], easy)
        for size in sizes.difference(easy):
            lists[size] = NeighbourLists(*table_entries(neighbour_table(coords[stage], batches[stage], size)))
        found.update({(stage, size): lists[size] for size in here})
        around = lists.get(3)
    return found


def _finer(
    around: NeighbourLists, coord: Tensor, parent: Tensor, heads: Tensor, kernels: list[int]
) -> dict[int, NeighbourLists]:
    """Lists of a stage from those of kernel 3 of the next coarser one."""
    parent, device, count = parent.to(torch.int32), coord.device, coord.shape[0]
    heads = torch.nn.functional.pad(heads.to(torch.int32), (0, 1), value=count)
    # Of every cell: the children of its neighbours and its own, side by side.
    bound = bounds(heads.diff().index_select(0, around.read))
    candidate = ranges(heads.index_select(0, around.read), bound, owners(bound, int(bound[-1])))
    offset = bound.index_select(0, around.starts)
    begin, length = offset.index_select(0, parent), offset.diff().index_select(0, parent)
    # Candidates differ by -3 to 3 on each axis: base 8 keeps the differences apart.
    x, y, z = coord.to(torch.int32).unbind(1)
    key = x * 64 + y * 8 + z
    candidate_key = key.index_select(0, candidate)
    taps = [_taps(kernel).to(device) for kernel in kernels]

    parts: list[list[tuple[Tensor, ...]]] = [[] for _ in kernels]
    for block_begin, block_length, block_key in zip(
        begin.split(_ROWS), length.split(_ROWS), (key - 3 * (64 + 8 + 1)).split(_ROWS), strict=True
    ):
        bound = bounds(block_length)
        reader = owners(bound, int(bound[-1]))
        place = ranges(block_begin, bound, reader)
        difference = candidate_key.index_select(0, place).sub_(block_key.index_select(0, reader))
        for kernel, tap_of, part in zip(kernels, taps, parts, strict=True):
            tap = tap_of.index_select(0, difference)
            kept = places(tap < kernel**3)
            read = candidate.index_select(0, place.index_select(0, kept))
            sizes = torch.bincount(reader.index_select(0, kept), minlength=block_length.shape[0])
            part.append((read, tap.index_select(0, kept).to(torch.int32), sizes))
    return {
        kernel: NeighbourLists(read, tap, bounds(sizes))
        for kernel, part in zip(kernels, parts, strict=True)
        for read, tap, sizes in [tuple(torch.cat(column) for column in zip(*part, strict=True))]
    }


@lru_cache(maxsize=len(DERIVED_KERNELS))
def _taps(kernel: int) -> Tensor:
    """(512,) uint8: the tap of a difference in base 8 (each axis plus 3), kernel**3 where it lies outside."""
    number = torch.arange(512)
    offset = torch.stack([number >> 6, number >> 3 & 7, number & 7], dim=1) - 3 + kernel // 2
    inside = ((offset >= 0) & (offset < kernel)).all(dim=1)
    tap = (offset[:, 0] * kernel + offset[:, 1]) * kernel + offset[:, 2]
    return torch.where(inside, tap, kernel**3).to(torch.uint8)
