# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Augmentation of rooms: centring, elastic distortion, colours. The numbers of the public recipe are in config/.

Functions of a sample and an explicit generator as in `transforms`. Colours stay uint8: a shift or a noise is rounded to
one 255th of the range, far below the published standard deviation of one 20th. Clouds without colours are unchanged.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from srkd.errors import CloudError
from srkd_train.data.sample import Sample

MAX_NODES = 2**23
"""Largest lattice of noise, in nodes: 100 MB. A hall of 60 m x 60 m x 10 m at 0.2 m has 4.5 million."""


def center(sample: Sample, *, z: bool = True, step_m: float | None = None, like: Sample | None = None) -> Sample:
    """Move the middle of the bounding box in x and y to the origin and, with `z`, the lowest point to height 0.

    With `step_m` every shift is a whole multiple of it, which leaves the borders of such voxels where they are. With
    `like` box and lowest point are those of another cloud.
    """
    seen = (sample if like is None else like).cloud.xyz
    finite = seen[np.isfinite(seen).all(1)]
    if not len(finite):
        return sample
    low, high = finite.min(0).astype(np.float64), finite.max(0).astype(np.float64)
    shift = np.array([*((low + high) / 2)[:2], low[2] if z else 0.0])
    if step_m is not None:
        shift = np.rint(shift / step_m) * step_m
    xyz = (sample.cloud.xyz - shift).astype(np.float32)
    return replace(sample, cloud=replace(sample.cloud, xyz=xyz), pose=None)


def elastic(sample: Sample, rng: Generator, *, spacing_m: float, size_m: float, like: Sample | None = None) -> Sample:
    """Shift every point by smooth random noise: neighbours move together, walls and tables bend.

    Gaussian noise of standard deviation `size_m` at the nodes of a lattice is smoothed twice by a mean over 3 nodes
    along each axis, zero outside, and interpolated linearly. Normals are left as they are.

    Args:
        sample: a room; its not-finite points are not moved.
        rng: draws the noise.
        spacing_m: distance of the nodes.
        size_m: standard deviation of each component before smoothing, which leaves a ninth of it at a node.
        like: the cloud around which the lattice is laid; what lies outside moves as the lattice's edge does.

    Raises:
        CloudError: the lattice would have more than `MAX_NODES` nodes.
    """
    finite = np.isfinite(sample.cloud.xyz).all(1)
    seen = sample.cloud.xyz[finite] if like is None else like.cloud.xyz[np.isfinite(like.cloud.xyz).all(1)]
    if not len(seen):
        return sample
    xyz = sample.cloud.xyz.copy()
    points = xyz[finite].astype(np.float64)
    low = seen.min(0).astype(np.float64)
    extent_m = seen.max(0) - low
    # A node below the lowest point and one above the highest, so that every point has eight around it.
    nodes = np.floor(extent_m / spacing_m) + 3
    if nodes.prod() > MAX_NODES:
        raise CloudError(
            f"{sample.name}: {' x '.join(f'{side:.0f}' for side in extent_m)} m is too much for elastic noise every"
            f" {spacing_m} m, which is for rooms; set data.augment.elastic_p to 0"
        )
    noise = rng.standard_normal((*nodes.astype(int), 3), dtype=np.float32) * np.float32(size_m)
    for axis in (0, 1, 2, 0, 1, 2):
        noise = _mean_of_three(noise, axis)
    place = (points - low) / spacing_m + 1
    xyz[finite] += _interpolate(noise, place if like is None else place.clip(0, nodes - 1))
    return replace(sample, cloud=replace(sample.cloud, xyz=xyz), pose=None)


def contrast(sample: Sample, rng: Generator, *, like: Sample | None = None) -> Sample:
    """Stretch each colour channel to the full range and blend that with the original by a random share.

    With `like` what is stretched to the full range are the colours of another cloud.
    """
    color = sample.cloud.color
    seen = color if like is None else like.cloud.color
    share = np.float32(rng.random())
    if color is None or seen is None or not len(seen):
        return sample
    low = seen.min(0).astype(np.float32)
    span = seen.max(0) - low
    # A channel of one value has nothing to stretch.
    stretched = np.where(span > 0, (color - low) * (255 / np.maximum(span, 1)), color)
    return _recolored(sample, (1 - share) * color + share * stretched)


def tint(sample: Sample, rng: Generator, *, ratio: float) -> Sample:
    """Shift each colour channel by one number uniform in [-ratio, ratio] of the full range, clipped to it."""
    shift = rng.uniform(-ratio, ratio, 3).astype(np.float32) * np.float32(255)
    color = sample.cloud.color
    return sample if color is None else _recolored(sample, color + shift)


def speckle(sample: Sample, rng: Generator, *, sigma: float) -> Sample:
    """Add Gaussian noise of `sigma` times the full range to every colour, clipped to the range."""
    noise = rng.standard_normal((len(sample.cloud), 3), dtype=np.float32) * np.float32(sigma * 255)
    color = sample.cloud.color
    return sample if color is None else _recolored(sample, color + noise)


def _recolored(sample: Sample, color: npt.NDArray[np.floating]) -> Sample:
    rounded = np.rint(color).clip(0, 255).astype(np.uint8)
    return replace(sample, cloud=replace(sample.cloud, color=rounded))


def _mean_of_three(values: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    """Mean of each entry and its two neighbours along an axis, zero outside; the axis has 3 entries at least."""
    moved = np.moveaxis(values, axis, 0)
    total = moved.copy()
    total[1:] += moved[:-1]
    total[:-1] += moved[1:]
    return np.moveaxis(total / np.float32(3), 0, axis)


def _interpolate(values: npt.NDArray[np.float32], place: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Trilinear interpolation of (X, Y, Z, 3) values at (N, 3) places in nodes, (N, 3)."""
    shape = np.array(values.shape[:3])
    node = np.minimum(place.astype(np.int64), shape - 2)
    part = np.ascontiguousarray((place - node).T, np.float32)
    weight = np.stack([1 - part, part])
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    first = node @ strides
    flat = values.reshape(-1, 3)
    out = np.zeros((len(place), 3), np.float32)
    for corner in np.ndindex(2, 2, 2):
        i, j, k = corner
        out += (weight[i, 0] * weight[j, 1] * weight[k, 2])[:, None] * flat.take(first + strides @ corner, axis=0)
    return out
