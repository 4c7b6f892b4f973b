# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Crops of a sample: the points, or the voxels, nearest to a random one.

With `like`, another cloud of the same place, the ball is drawn in that one, and what comes back are the points of the
sample in it: up to the farthest point that is kept of the other.
"""

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from srkd.labels import IGNORE
from srkd.voxel import voxelize
from srkd_train.data.sample import Sample, select


def crop(sample: Sample, rng: Generator, *, max_points: int, like: Sample | None = None) -> Sample:
    """Keep the `max_points` points nearest to a random labelled one, in input order; smaller clouds are unchanged.

    Args:
        sample: a cloud.
        rng: draws the point.
        max_points: number of points to keep.
        like: the cloud that it is drawn in, and that has the number.
    """
    leader = sample if like is None else like
    xyz = leader.cloud.xyz
    if len(xyz) <= max_points:
        return sample
    finite = np.isfinite(xyz).all(1)
    candidates = np.flatnonzero(finite & (leader.label != IGNORE))
    candidates = candidates if len(candidates) else np.flatnonzero(finite)
    if not len(candidates):
        return select(sample, np.arange(min(max_points, len(sample.cloud))))
    middle = xyz[rng.choice(candidates)]
    distance = np.where(finite, ((xyz - middle) ** 2).sum(1), np.inf)
    kept = np.sort(np.argpartition(distance, max_points)[:max_points])
    return select(sample, kept) if like is None else _within(sample, middle, xyz[kept])


def crop_voxels(
    sample: Sample, rng: Generator, *, voxel_size_m: float, max_voxels: int, like: Sample | None = None
) -> Sample:
    """Keep the points of the `max_voxels` voxels nearest to a random one, in input order.

    Distances are between the first points of voxels. Smaller clouds are unchanged. All points of a kept voxel stay, so
    that which of them stands for it is still to be drawn.

    Args:
        sample: a cloud of usable points.
        rng: draws the voxel.
        voxel_size_m: edge of a voxel.
        max_voxels: number of voxels to keep.
        like: the cloud that the voxel is drawn in, and that has the number.
    """
    xyz = (sample if like is None else like).cloud.xyz
    if len(xyz) <= max_voxels:
        return sample
    voxels = voxelize(torch.from_numpy(xyz), voxel_size_m)
    first = xyz[voxels.point.numpy()]
    if len(first) <= max_voxels:
        return sample
    middle = first[rng.integers(len(first))]
    distance = ((first - middle) ** 2).sum(1)
    near = np.zeros(len(first), bool)
    near[np.argpartition(distance, max_voxels)[:max_voxels]] = True
    kept = near[voxels.inverse.numpy()]
    return select(sample, kept) if like is None else _within(sample, middle, xyz[kept])


def _within(sample: Sample, middle: NDArray[np.float32], kept: NDArray[np.float32]) -> Sample:
    """The points of the sample that are no farther from a point (3,) than the farthest of others (K, 3)."""
    with np.errstate(invalid="ignore", over="ignore"):
        farthest = np.nanmax(((kept - middle) ** 2).sum(1))
        return select(sample, ((sample.cloud.xyz - middle) ** 2).sum(1) <= farthest)
