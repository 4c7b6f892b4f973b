# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Super-voxels: the cylindrical regions in which affinities are measured, how they are drawn, and their sub-voxels.

SRKD's Eq. 3 after PVKD (Hou et al. 2022). Left open by the paper: the size and number of the super-voxels, the
number of points, what the "current class" of a mixed super-voxel is, and anything indoors. Settled here: PVKD's
4 x 6 x 4 rings, sectors and layers, 4 super-voxels of 800 points or 600 sub-voxels [M]; rarity as a mean over the
labelled points of a super-voxel; indoors the same cylinder over the cloud's own extent. The constant 1 / N_v of
Eq. 3 cancels in the probabilities and is left out, also where the weights scale affinities.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srkd.errors import ConfigError
from srkd_train.losses.numerics import at_least_float32, spans
from srkd_train.losses.rarity import class_share, common, rarity
from srkd_train.losses.sampling import draw_of_groups, one_a_cloud
from srkd_train.objective_config import SupervoxelConfig


@dataclass(frozen=True, eq=False)
class Regions:
    """The super-voxels of a batch, empty ones too, numbered cloud by cloud."""

    index: Tensor
    """(N,) int64 super-voxel of each point."""
    outer: Tensor
    """(R,) float32 distance of the outer contour from the axis over that of the cylinder: D / R in (0, 1]."""
    size: Tensor
    """(R,) int64 points."""
    clouds: tuple[tuple[int, int], ...]
    """(start, end) of the points of each cloud."""

    @property
    def per_cloud(self) -> int:
        """Super-voxels of one cloud."""
        return len(self.outer) // max(len(self.clouds), 1)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Super-voxels that were drawn, and points of them."""

    region: Tensor
    """(R,) int64 drawn super-voxels, rising."""
    clouds: tuple[int, ...]
    """Per cloud how many of them are its own."""
    weights: Tensor
    """(R,) float32: w of Eq. 3, rarity times D / R."""
    rows: Tensor
    """(M,) int64 drawn points, grouped by super-voxel, rising in each."""
    offsets: tuple[int, ...]
    """Per super-voxel the end of its points among `rows`."""


@dataclass(frozen=True, eq=False)
class SubVoxels:
    """Sub-voxels of drawn super-voxels and the points in them."""

    row: Tensor
    """(P,) int64 points."""
    slot: Tensor
    """(P,) int64 sub-voxel of each of those points, 0 to V - 1."""
    offsets: tuple[int, ...]
    """Per super-voxel the end of its sub-voxels, rising to V."""


def partition(xyz: Tensor, *, offsets: Tensor | Sequence[int], config: SupervoxelConfig) -> Regions:
    """Rings, sectors and layers around the vertical axis through the origin.

    Points outside the given radius and heights belong to the outermost ring and layer. Where a radius or heights are
    None the cloud's own extent stands for them, with the axis through the middle of its bounding box (which
    CenterShift makes the origin).

    Args:
        xyz: (N, 3) metres.
        offsets: (B,) per cloud the row after its last one, rising to N.
        config: number of bins and extent.

    Raises:
        ConfigError: the offsets do not fit.
    """
    clouds = spans(offsets, len(xyz))
    rings, sectors, layers = config.radius_bins, config.angle_bins, config.height_bins
    cells = rings * sectors * layers
    index = torch.empty(len(xyz), dtype=torch.int64, device=xyz.device)
    for number, (start, end) in enumerate(clouds):
        if end == start:
            continue
        x, y, z = at_least_float32(xyz[start:end]).unbind(1)
        if config.radius_m is None:
            x, y = (axis - (axis.amin() + axis.amax()) / 2 for axis in (x, y))
        distance = torch.hypot(x, y)
        radius = distance.amax() if config.radius_m is None else config.radius_m
        low, high = (z.amin(), z.amax()) if config.height_m is None else config.height_m
        ring = _bin(distance / radius, rings)
        sector = _bin(torch.atan2(y, x) / (2 * math.pi) + 0.5, sectors)
        layer = _bin((z - low) / (high - low), layers)
        index[start:end] = ((number * rings + ring) * sectors + sector) * layers + layer
    outer = (torch.arange(rings, device=xyz.device) + 1) / rings
    return Regions(
        index=index,
        outer=outer.repeat_interleave(sectors * layers).repeat(len(clouds)),
        size=torch.bincount(index, minlength=cells * len(clouds)),
        clouds=tuple(clouds),
    )


def draw(
    regions: Regions,
    *,
    label: Tensor,
    class_frequency: Tensor | None = None,
    config: SupervoxelConfig,
    generators: Sequence[torch.Generator],
) -> Drawn:
    """Draw super-voxels of every cloud without replacement with chances as w, and points of each at random.

    w = rarity * D / R (Eq. 3). Rarity of a super-voxel, by `config.rarity`: "srkd" the mean over its labelled points
    of 1 - (share of the point's class in the data set), where it has none that mean over its cloud; "pvkd"
    1 / (4 exp(-2 n) + 1) with n its points of classes that have less than 1 % of all; "none" 1. Super-voxels of fewer
    than two points are never drawn. With `config.pad_zero` what exceeds `config.points` is taken from frequent
    classes first, as PVKD does; without it any point is as likely as another.

    Args:
        regions: the partition.
        label: (N,) classes, 255 for none.
        class_frequency: (K,) points, or shares, of each class in the data set; None for each cloud's own.
        config: how many.
        generators: one for each cloud, on the CPU.

    Raises:
        ConfigError: there are not as many generators as clouds.
    """
    one_a_cloud(generators, len(regions.clouds))
    share = class_share(label, regions.clouds, class_frequency)
    weight = rarity(regions.index, share, regions.clouds, regions.per_cloud, config.rarity) * regions.outer
    chance, size = torch.stack([weight.double(), regions.size.double()]).cpu()
    chosen, taken = [], []
    for number, generator in enumerate(generators):
        own = slice(number * regions.per_cloud, (number + 1) * regions.per_cloud)
        likely = torch.where(size[own] >= 2, chance[own], 0)
        count = min(config.count, int((likely > 0).sum()))
        if count:
            chosen.append(torch.multinomial(likely, count, generator=generator).sort().values + own.start)
        taken.append(count)
    region = torch.cat(chosen) if chosen else torch.zeros(0, dtype=torch.int64)
    device = regions.index.device
    rows, slot = _members(regions, region.to(device))
    rank = common(share)[rows] if config.pad_zero else None
    kept, ends = draw_of_groups(slot, size[region].long(), taken, config.points, generators, rank)
    return Drawn(region.to(device), tuple(taken), weight[region.to(device)].float(), rows[kept], ends)


def draw_voxels(
    xyz: Tensor,
    regions: Regions,
    drawn: Drawn,
    *,
    voxel_size_m: float,
    config: SupervoxelConfig,
    generators: Sequence[torch.Generator],
    label: Tensor | None = None,
    class_frequency: Tensor | None = None,
) -> SubVoxels:
    """Divide the drawn super-voxels into cubes and draw up to `config.voxels` of them in each, all points of a cube.

    The networks here have no voxel head (each of their points is a voxel already), so a "voxel feature" is the mean
    of a cube's points, see `means`. The edge is `config.sub_voxel_m`, else five network voxels.

    Args:
        xyz: (N, 3) metres.
        regions: the partition.
        drawn: the drawn super-voxels; all their points are used, not only the drawn ones.
        voxel_size_m: edge of the networks' voxels.
        config: edge and how many.
        generators: one for each cloud, on the CPU.
        label: (N,) classes; needed with `config.pad_zero`, where cubes without a rare class are dropped first.
        class_frequency: as in `draw`.

    Raises:
        ConfigError: there are not as many generators as clouds, or no labels with `config.pad_zero`.
    """
    one_a_cloud(generators, len(regions.clouds))
    rows, slot = _members(regions, drawn.region)
    if len(rows) == 0:
        return SubVoxels(rows, rows, (0,) * len(drawn.region))
    cube = torch.floor(at_least_float32(xyz[rows]) / (config.sub_voxel_m or 5 * voxel_size_m)).long()
    cube -= cube.amin(0)
    wide, deep, high = (cube.amax(0) + 1).unbind()
    code = ((slot * wide + cube[:, 0]) * deep + cube[:, 1]) * high + cube[:, 2]
    code, member = torch.unique(code, return_inverse=True)
    region = code // (wide * deep * high)
    rank = None
    if config.pad_zero:
        if label is None:
            raise ConfigError("draw_voxels: pad_zero drops cubes of frequent classes first, give the labels")
        frequent = common(class_share(label, regions.clouds, class_frequency))[rows]
        rank = torch.ones_like(region).scatter_reduce_(0, member, frequent, "amin")
    sizes = torch.bincount(region, minlength=len(drawn.region)).cpu()
    kept, ends = draw_of_groups(region, sizes, drawn.clouds, config.voxels, generators, rank)
    number = torch.full_like(code, -1)
    number[kept] = torch.arange(len(kept), device=code.device)
    new = number[member]
    used = new >= 0
    return SubVoxels(rows[used], new[used], ends)


def means(features: Tensor, sub: SubVoxels) -> Tensor:
    """Mean features (V, d) of the points of each sub-voxel, from (N, d); at least float32."""
    voxels = sub.offsets[-1] if sub.offsets else 0
    total = at_least_float32(features).new_zeros(voxels, features.shape[1])
    count = torch.bincount(sub.slot, minlength=voxels)
    return total.index_add(0, sub.slot, at_least_float32(features.index_select(0, sub.row))) / count[:, None]


def _bin(fraction: Tensor, bins: int) -> Tensor:
    """(N,) 0 to 1 into 0 to bins - 1; beyond, and where an extent of zero left no number, the nearest one or 0."""
    return (fraction.nan_to_num(0) * bins).floor().clamp(0, bins - 1).long()


def _members(regions: Regions, region: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of all points of some super-voxels, rising, and the place of each one's super-voxel in `region`."""
    place = torch.full_like(regions.size, -1)
    place[region] = torch.arange(len(region), device=region.device)
    slot = place[regions.index]
    rows = (slot >= 0).nonzero().squeeze(1)
    return rows, slot[rows]
