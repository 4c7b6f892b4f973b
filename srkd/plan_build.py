# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Building a geometry plan from voxel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from srkd.curves import CURVES, MAX_DEPTH, curve_code, z_code
from srkd.errors import CloudError
from srkd.indexing import places
from srkd.neighbour_lists import derive_lists
from srkd.plan import GeometryPlan, PlanSpec

MAX_CLOUDS = 2**14
"""More would not fit into one int64 beside three axes."""


_Stage = tuple[Tensor, Tensor, Tensor, Tensor]
"""Coordinates, z-codes, clouds and cloud offsets of the rows of a stage."""


def build_plan(
    grid_coord: Tensor,
    ends: Sequence[int],
    spec: PlanSpec,
    *,
    depth: int | None = None,
    shuffle: torch.Generator | None = None,
    num_streams: int = 3,
    lists: bool = False,
) -> GeometryPlan:
    """The plan of a batch of voxelized clouds.

    Args:
        grid_coord: (N, 3) integer voxel coordinates >= 0, clouds one after another; any device.
        ends: for each cloud the row after its last one (increasing, the last is N).
        spec: the tables wanted.
        depth: bits an axis of the curves for every cloud; by default each cloud's own (bit length of its largest
            coordinate), so that its labels do not depend on its batch mates.
        shuffle: draws curve orders for ``num_streams`` streams (training augmentation); None: the fixed order. Wants a
            spec made by :meth:`PlanSpec.all_curves`.
        num_streams: how many networks' branches draw orders of their own.
        lists: hold neighbour lists instead of neighbour tables. A CPU reads lists, and tables are many times larger.

    Raises:
        CloudError: a coordinate below 0 or that ``depth`` (at most 16) bits do not hold, a voxel that occurs twice in
        a cloud,
            no voxel at all, ends that do not fit, or too many clouds.
    """
    count = grid_coord.shape[0]
    starts = [0, *ends]
    if count == 0 or starts[-1] != count or any(a > b for a, b in pairwise(starts)):
        raise CloudError(
            f"cloud ends {list(ends)} do not cut {count} voxels into clouds: give increasing ends up to {count} > 0"
        )
    if len(ends) > MAX_CLOUDS:
        raise CloudError(f"{len(ends)} clouds in one plan, at most {MAX_CLOUDS} fit its codes: use smaller batches")
    device = grid_coord.device
    coord = grid_coord.to(torch.int64)
    depths = _depths(coord, starts, depth)
    offsets = torch.tensor(starts, device=device)
    clouds = torch.arange(len(ends) + 1, device=device)
    batch = torch.repeat_interleave(offsets.diff(), output_size=count)

    tables: dict[str, Tensor] = {}
    z = z_code(coord)
    rank = (batch << (3 * MAX_DEPTH)) | z
    if not bool((rank[1:] > rank[:-1]).all()):
        rank, order = torch.sort(rank)
        twice = (rank[1:] == rank[:-1]).nonzero()
        if len(twice):
            place = coord[order[twice[0, 0]]].tolist()
            raise CloudError(f"voxel {place} occurs more than once in a cloud: give each occupied voxel once")
        tables["order"] = order
        tables["row"] = _inverse(order)
        coord, z = coord[order], z[order]
    stages = [(coord, z, batch, offsets)]
    parents, first_children = [], []
    for _ in range(1, spec.num_stages):
        z = z >> 3
        parent, heads = _cells(z, batch)
        coord, z, batch = coord.index_select(0, heads) >> 1, z.index_select(0, heads), batch.index_select(0, heads)
        offsets = torch.searchsorted(batch, clouds)
        stages.append((coord, z, batch, offsets))
        parents.append(parent)
        first_children.append(heads)
    for stage, (coord, _, batch, offsets) in enumerate(stages):
        tables |= {f"coord/{stage}": coord, f"offsets/{stage}": offsets, f"batch/{stage}": batch}
    tables |= {f"parent/{stage}": parent for stage, parent in enumerate(parents)}
    _add_neighbours(tables, stages, parents, first_children, spec, lists)
    _add_patches(tables, stages, parents, spec, depths)
    packed = {name: table.to(torch.int32).contiguous() for name, table in tables.items()}
    return GeometryPlan(packed, _draw_orders(shuffle, num_streams, spec.num_stages))


def _depths(coord: Tensor, starts: list[int], depth: int | None) -> list[int]:
    """Curve bits of each cloud; the edge where coordinates are checked."""
    if depth is not None and not 0 <= depth <= MAX_DEPTH:
        raise CloudError(f"curve depth is {depth}, expected 0 to {MAX_DEPTH} bits an axis")
    low = int(coord.min())
    if low < 0:
        raise CloudError(f"voxel coordinate {low} is negative: subtract each cloud's minimum")
    depths = []
    for start, end in pairwise(starts):
        largest = int(coord[start:end].max()) if end > start else 0
        needed = largest.bit_length()
        if needed > MAX_DEPTH or (depth is not None and needed > depth):
            limit = MAX_DEPTH if depth is None else depth
            raise CloudError(
                f"voxel coordinate {largest} needs {needed} bits, the limit is {limit}: crop the cloud or use larger"
                " voxels"
            )
        depths.append(needed if depth is None else depth)
    return depths


def _add_neighbours(
    tables: dict[str, Tensor],
    stages: list[_Stage],
    parents: list[Tensor],
    heads: list[Tensor],
    spec: PlanSpec,
    lists: bool,
) -> None:
    coords, _, batches, _ = zip(*stages, strict=True)
    kernels = [(stage, kernel) for stage, kernel in sorted(spec.kernels) if stage < len(stages)]
    for (stage, kernel), found in derive_lists(coords, batches, parents, heads, kernels).items():
        if lists:
            tables |= {f"{part}/{stage}/{kernel}": getattr(found, part) for part in ("read", "tap", "starts")}
        else:
            tables[f"neighbours/{stage}/{kernel}"] = found.table(kernel)


def _add_patches(
    tables: dict[str, Tensor], stages: list[_Stage], parents: list[Tensor], spec: PlanSpec, depths: list[int]
) -> None:
    walks: dict[str, Tensor] = {}
    for stage, (_, z, batch, offsets) in enumerate(stages):
        curves = {curve for at, curve, _ in spec.patches if at == stage}
        walks = {
            curve: _coarser(parents[stage - 1].index_select(0, walks[curve]))
            if curve in walks
            else _walk(z, batch, offsets, [max(0, bits - stage) for bits in depths], curve)
            for curve in CURVES
            if curve in curves or curve in walks
        }
        for size in sorted({size for at, _, size in spec.patches if at == stage}):
            places, slots, lengths = _patch_places(offsets, size)
            if lengths is not None:
                tables[f"length/{stage}/{size}"] = lengths
            for curve in (curve for curve in CURVES if (stage, curve, size) in spec.patches):
                name, walk = f"{stage}/{curve}/{size}", walks[curve]
                along_rows = curve == "z"  # rows are sorted by it
                tables[f"patch/{name}"] = places if along_rows else walk[places]
                tables[f"slot/{name}"] = slots if along_rows else torch.empty_like(slots).scatter_(0, walk, slots)


def _walk(z: Tensor, batch: Tensor, offsets: Tensor, depths: list[int], curve: str) -> Tensor:
    """Rows in the order in which a curve visits them, cloud after cloud."""
    if curve == "z":
        return torch.arange(z.shape[0], device=z.device)
    parts = zip(z.split(offsets.diff().tolist()), depths, strict=True)
    code = torch.cat([curve_code(part, curve, bits) for part, bits in parts])
    return torch.argsort((batch << (3 * MAX_DEPTH)) | code, stable=True)


def _cells(z: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of the next stage: (parent of each row, first row of each parent), from sorted cell codes."""
    opens = torch.ones_like(z, dtype=torch.bool)
    opens[1:] = (z[1:] != z[:-1]) | (batch[1:] != batch[:-1])
    return torch.cumsum(opens, 0) - 1, places(opens)


def _coarser(visited: Tensor) -> Tensor:
    """The walk over parents from the parents met on the walk over children: a curve leaves a cell only once."""
    keep = torch.ones_like(visited, dtype=torch.bool)
    keep[1:] = visited[1:] != visited[:-1]
    return visited[keep]


def _patch_places(offsets: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """How positions on a walk fill patches: (P, K) position at each place, (N,) place of each position, patch
    lengths (P,)."""
    counts = offsets.diff()
    width = min(size, int(counts.max()))
    patches = (counts + width - 1) // width
    first_patch = torch.cumsum(patches, 0) - patches
    owner = torch.repeat_interleave(patches)
    local = (torch.arange(owner.shape[0], device=offsets.device) - first_patch[owner]).unsqueeze(1) * width
    local = local + torch.arange(width, device=offsets.device)
    count = counts[owner].unsqueeze(1)
    inside = local < count
    borrowed = torch.where(count > width, local - width, 0)
    places = offsets[owner].unsqueeze(1) + torch.where(inside, local, borrowed)

    position = torch.arange(int(offsets[-1]), device=offsets.device)
    cloud = torch.repeat_interleave(counts)
    slots = first_patch[cloud] * width + position - offsets[cloud]
    lengths = torch.where(counts > width, width, counts)[owner]
    return places, slots, None if bool((lengths == width).all()) else lengths


def _inverse(order: Tensor) -> Tensor:
    return torch.empty_like(order).scatter_(0, order, torch.arange(order.shape[0], device=order.device))


def _draw_orders(
    generator: torch.Generator | None, num_streams: int, num_stages: int
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    if generator is None:
        return ()
    return tuple(
        tuple(tuple(torch.randperm(len(CURVES), generator=generator).tolist()) for _ in range(num_stages))
        for _ in range(num_streams)
    )
