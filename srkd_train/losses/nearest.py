# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which rows of two clouds belong together: the nearest point within a radius, and the same cell of the lattice.

Points are sorted once by the Morton codes of small cells, in which the cells of every coarser level are runs of rows.
A ball lies within the 2 x 2 x 2 cells around its centre whose edge is its diameter, so eight searches find all that can
be in it. Most points have a neighbour much nearer than the radius: the search starts with small balls, and only those
that found nothing in theirs go on to balls twice as wide, up to the radius. Never across clouds: the cloud is the
leading part of every code.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from srkd.curves import z_code
from srkd.errors import ConfigError
from srkd.indexing import bounds, owners, places, ranges
from srkd_train.losses.cells import Lattice, Runs
from srkd_train.losses.numerics import spans
from srkd_train.losses.sorting import first_place, sort_keys

_CANDIDATES = 1 << 20
"""Distances taken at a time: bounds memory."""


@dataclass(frozen=True, eq=False)
class Nearest:
    """For every query its nearest point."""

    index: Tensor
    """(N,) int64 row of the point, -1 where none is within the radius."""
    distance_m: Tensor
    """(N,) metres, infinite where none is."""


def nearest(
    query: Tensor,
    points: Tensor,
    *,
    query_offsets: Tensor | Sequence[int],
    point_offsets: Tensor | Sequence[int],
    radius_m: float,
) -> Nearest:
    """The nearest point of the same cloud within a radius, for every query.

    Exact but for squared distances that differ by less than float32 can tell; of equally near points the first.

    Args:
        query: (N, 3) metres.
        points: (M, 3) metres.
        query_offsets: (B,) per cloud the row after its last query, rising to N.
        point_offsets: the same of the points, rising to M.
        radius_m: a point at just this distance counts.

    Raises:
        ConfigError: shapes or offsets do not fit, a coordinate is not finite, or the radius is not positive.
    """
    if not 0 < radius_m < float("inf"):
        raise ConfigError(f"nearest: radius {radius_m} m, give a positive number")
    query, points = query.detach(), points.detach()
    clouds, point_clouds = _clouds(query, points, query_offsets, point_offsets)
    index = torch.full((len(query),), -1, dtype=torch.int64, device=query.device)
    distance = query.new_full((len(query),), torch.inf, dtype=torch.promote_types(query.dtype, torch.float32))
    if len(query) == 0 or len(points) == 0:
        return Nearest(index, distance)
    lattice = Lattice.around(query, points, len(query_offsets), radius_m)
    runs = Runs.of(points, point_clouds, lattice)
    half = lattice.halves(query)
    # Neighbours among queries search the same cells: in the order of the curve those are still in the cache
    waiting = sort_keys((clouds << 3 * lattice.depth) | z_code(half >> 1), lattice.codes)[1]
    for level in range(runs.first_level(), lattice.levels + 1):
        found = _search(query, points, half, clouds, waiting, runs, level)
        away = torch.linalg.vector_norm(
            query.index_select(0, waiting).to(distance) - points.index_select(0, found.clamp(min=0)).to(distance), dim=1
        ).masked_fill_(found < 0, torch.inf)
        done = away <= min(lattice.reach_m(level), radius_m)
        index[waiting[done]] = found[done]
        distance[waiting[done]] = away[done]
        waiting = waiting[~done]
        if len(waiting) == 0:
            break
    return Nearest(index, distance)


def join(
    student_coord: Tensor,
    teacher_coord: Tensor,
    *,
    student_offsets: Tensor | Sequence[int],
    teacher_offsets: Tensor | Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Rows of the student and of the teacher that are the same cell of the same cloud.

    Args:
        student_coord: (N, 3) integer cells of any stage, of one lattice with the teacher's.
        teacher_coord: (M, 3) integer cells; of equal ones the first counts.
        student_offsets: (B,) per cloud the row after its last one, rising to N.
        teacher_offsets: the same of the teacher, rising to M.

    Returns:
        Two of (P,) int64; the student's rows rise.

    Raises:
        ConfigError: shapes or offsets do not fit, or the clouds lie too far apart for 63 bits.
    """
    ours, theirs = _clouds(student_coord, teacher_coord, student_offsets, teacher_offsets)
    if len(ours) == 0 or len(theirs) == 0:
        return ours[:0], theirs[:0]
    low = torch.minimum(student_coord.amin(0), teacher_coord.amin(0)).long()
    high = torch.maximum(student_coord.amax(0), teacher_coord.amax(0)).long()
    wide, deep, tall = (high - low + 1).tolist()
    cells = wide * deep * tall * len(student_offsets)
    if cells >= 2**63:
        raise ConfigError(f"join: clouds span {wide} x {deep} x {tall} cells, give coordinates of one lattice")

    def key(coord: Tensor, cloud: Tensor) -> Tensor:
        x, y, z = (coord.long() - low).unbind(1)
        return ((cloud * wide + x) * deep + y) * tall + z

    keys, rows = sort_keys(key(teacher_coord, theirs), cells)
    sought = key(student_coord, ours)
    place = first_place(keys, sought).clamp_(max=len(keys) - 1)
    matched = places(keys.index_select(0, place) == sought)
    return matched, rows.index_select(0, place.index_select(0, matched))


def _search(
    query: Tensor, points: Tensor, half: Tensor, clouds: Tensor, waiting: Tensor, runs: Runs, level: int
) -> Tensor:
    """(W,) int64: nearest point of each waiting query in its 2 x 2 x 2 cells of a level, -1 where they are empty."""
    cells, starts = runs.cells(level)
    base = (half.index_select(0, waiting) - 2**level) >> (level + 1)
    cloud = clouds.index_select(0, waiting) << 3 * (runs.lattice.depth - level)
    begin = torch.zeros((len(waiting), 8), dtype=torch.int32, device=query.device)
    size = torch.zeros_like(begin)
    for number, corner in enumerate(np.ndindex(2, 2, 2)):
        sought = cloud | z_code(base + base.new_tensor(corner))
        place = first_place(cells, sought).clamp_(max=len(cells) - 1)
        hit = cells.index_select(0, place) == sought
        begin[:, number] = starts.index_select(0, place)
        size[:, number] = (starts.index_select(0, place + 1) - begin[:, number]) * hit
    best = torch.full((len(waiting),), -1, dtype=torch.int64, device=query.device)
    for part in _parts(size.sum(1)):
        best[part] = _nearest_of(query, points, waiting[part], begin[part], size[part], runs.row)
    return best


def _parts(counts: Tensor) -> Iterator[slice]:
    """Runs of rows of about `_CANDIDATES` candidates, of one row at least."""
    total = counts.cumsum(0)
    start = 0
    while start < len(counts):
        before = int(total[start - 1]) if start else 0
        end = max(int(torch.searchsorted(total, before + _CANDIDATES, right=True)), start + 1)
        yield slice(start, end)
        start = end


def _nearest_of(query: Tensor, points: Tensor, asking: Tensor, begin: Tensor, size: Tensor, row: Tensor) -> Tensor:
    """(W,) int64: nearest among the candidates of each asking query, given as (W, 8) runs of `row`; -1 for none."""
    bound = bounds(size.view(-1))
    run = owners(bound, int(bound[-1]))
    candidate = row.index_select(0, ranges(begin.view(-1), bound, run))
    owner = (run >> 3).long()
    away = query.index_select(0, asking).index_select(0, owner) - points.index_select(0, candidate)
    squared = away.square_().sum(1, dtype=torch.float32)
    # A float32 that is not negative orders as its bits do: distance first, then row
    rank = (squared.view(torch.int32).long() << 32) | candidate
    least = torch.full((len(asking),), torch.iinfo(torch.int64).max, dtype=torch.int64, device=query.device)
    least.scatter_reduce_(0, owner, rank, "amin")
    return torch.where(least == torch.iinfo(torch.int64).max, -1, least & 0xFFFFFFFF)


def _clouds(
    ours: Tensor, theirs: Tensor, our_offsets: Tensor | Sequence[int], their_offsets: Tensor | Sequence[int]
) -> tuple[Tensor, Tensor]:
    """(N,) and (M,) int64: the cloud of each row."""
    if ours.ndim != 2 or theirs.ndim != 2 or ours.shape[1] != 3 or theirs.shape[1] != 3:
        raise ConfigError(f"coordinates {tuple(ours.shape)} and {tuple(theirs.shape)}: give (N, 3) and (M, 3)")
    parts = spans(our_offsets, len(ours)), spans(their_offsets, len(theirs))
    if len(parts[0]) != len(parts[1]):
        raise ConfigError(f"{len(parts[0])} clouds against {len(parts[1])}: give the same clouds")
    sizes = [torch.tensor([end - start for start, end in part], dtype=torch.int64) for part in parts]
    return tuple(torch.repeat_interleave(size).to(ours.device) for size in sizes)  # type: ignore[return-value]
