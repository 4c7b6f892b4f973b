# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training augmentation: functions of a sample and an explicit random generator, and the recipe that chains them.

Every function returns a new sample and leaves its input alone. Functions that move points turn normals along and drop
the pose, which would no longer describe the cloud; select frames by pose before augmenting. What only rooms need is in
`indoor_transforms`.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from srkd.errors import ConfigError
from srkd.labels import IGNORE
from srkd.voxel import voxelize
from srkd_train.data.indoor_transforms import center, contrast, elastic, speckle, tint
from srkd_train.data.sample import Sample


def rotate_z(sample: Sample, rng: Generator, *, max_deg: float = 180.0) -> Sample:
    """Turn about the vertical axis by an angle uniform in [-max_deg, max_deg]."""
    return _turn(sample, _rotation(2, np.deg2rad(rng.uniform(-max_deg, max_deg))))


def lean(sample: Sample, rng: Generator, *, axis: Literal["x", "y"], max_deg: float) -> Sample:
    """Turn about one horizontal axis by an angle uniform in [-max_deg, max_deg]."""
    return _turn(sample, _rotation("xy".index(axis), np.deg2rad(rng.uniform(-max_deg, max_deg))))


def tilt(sample: Sample, rng: Generator, *, max_deg: float) -> Sample:
    """Turn about x, then about y, each by an angle uniform in [-max_deg, max_deg] (a mount that is not level)."""
    roll, pitch = np.deg2rad(rng.uniform(-max_deg, max_deg, size=2))
    return _turn(sample, _rotation(1, pitch) @ _rotation(0, roll))


def scale(sample: Sample, rng: Generator, *, low: float = 0.9, high: float = 1.1) -> Sample:
    """Multiply every coordinate by one factor uniform in [low, high]."""
    xyz = sample.cloud.xyz * np.float32(rng.uniform(low, high))
    return replace(sample, cloud=replace(sample.cloud, xyz=xyz), pose=None)


def flip(sample: Sample, rng: Generator, *, probability: float = 0.5) -> Sample:
    """Mirror x and, independently, y, each with the given probability."""
    signs = np.where(rng.random(2) < probability, -1.0, 1.0)
    return sample if signs.min() > 0 else _turn(sample, np.diag([*signs, 1.0]))


def jitter(sample: Sample, rng: Generator, *, sigma_m: float = 0.005, clip_m: float = 0.02) -> Sample:
    """Add Gaussian noise of `sigma_m`, clipped to `clip_m`, to every coordinate."""
    noise = rng.standard_normal((len(sample.cloud), 3), dtype=np.float32) * np.float32(sigma_m)
    xyz = sample.cloud.xyz + noise.clip(-clip_m, clip_m)
    return replace(sample, cloud=replace(sample.cloud, xyz=xyz), pose=None)


def dropout(sample: Sample, rng: Generator, *, ratio: float = 0.2) -> Sample:
    """Remove each point with probability `ratio`; at least one point stays."""
    keep = rng.random(len(sample.cloud)) >= ratio
    if len(keep):
        keep[rng.integers(len(keep))] = True
    return select(sample, keep)


def gain(sample: Sample, rng: Generator, *, low: float = 0.8, high: float = 1.25) -> Sample:
    """Multiply the intensity by one log-uniform factor (two sensors of a make differ by as much); no-op without one."""
    factor = np.float32(np.exp(rng.uniform(np.log(low), np.log(high))))
    if sample.cloud.intensity is None:
        return sample
    return replace(sample, cloud=replace(sample.cloud, intensity=sample.cloud.intensity * factor))


def crop(sample: Sample, rng: Generator, *, max_points: int) -> Sample:
    """Keep the `max_points` points nearest to a random labelled one, in input order; smaller clouds are unchanged."""
    xyz = sample.cloud.xyz
    if len(xyz) <= max_points:
        return sample
    finite = np.isfinite(xyz).all(1)
    candidates = np.flatnonzero(finite & (sample.label != IGNORE))
    candidates = candidates if len(candidates) else np.flatnonzero(finite)
    if not len(candidates):
        return select(sample, np.arange(max_points))
    distance = ((xyz - xyz[rng.choice(candidates)]) ** 2).sum(1)
    distance = np.where(finite, distance, np.inf)
    return select(sample, np.sort(np.argpartition(distance, max_points)[:max_points]))


def crop_voxels(sample: Sample, rng: Generator, *, voxel_size_m: float, max_voxels: int) -> Sample:
    """Keep the points of the `max_voxels` voxels nearest to a random one, in input order.

    Distances are between the first points of voxels. Smaller clouds are unchanged. All points of a kept voxel stay, so
    that which of them stands for it is still to be drawn.

    Args:
        sample: a cloud of usable points.
        rng: draws the voxel.
        voxel_size_m: edge of a voxel.
        max_voxels: number of voxels to keep.
    """
    if len(sample.cloud) <= max_voxels:
        return sample
    voxels = voxelize(torch.from_numpy(sample.cloud.xyz), voxel_size_m)
    first = sample.cloud.xyz[voxels.point.numpy()]
    if len(first) <= max_voxels:
        return sample
    distance = ((first - first[rng.integers(len(first))]) ** 2).sum(1)
    kept = np.zeros(len(first), bool)
    kept[np.argpartition(distance, max_voxels)[:max_voxels]] = True
    return select(sample, kept[voxels.inverse.numpy()])


def select(sample: Sample, index: NDArray[np.bool_] | NDArray[np.integer]) -> Sample:
    """The points of a mask (N,) or an index (M,), with every column and the label; the pose stays true."""
    instance = None if sample.instance is None else sample.instance[index]
    return replace(sample, cloud=sample.cloud.select(index), label=sample.label[index], instance=instance)


@dataclass(frozen=True)
class Augment:
    """The augmentation of one training sample; the defaults are the public nuScenes recipe of PTv3 and SRKD.

    The order is fixed: center, dropout, rotation, tilt, lean, scale, flip, jitter, elastic, gain, contrast, tint,
    speckle, crop by points, crop by voxels, center again (x and y). Clouds without colours keep none.
    """

    center: bool = False
    """Move the middle of the floor plan and the lowest point to the origin first, and the middle again after crops."""
    rotate_p: float = 0.5
    """Probability of a turn about z by any angle."""
    tilt_p: float = 0.0
    """Probability of a tilt."""
    tilt_max_deg: float = 3.0
    """Largest tilt about x and about y, degrees."""
    lean_p: float = 0.0
    """Probability of a turn about x, and of one about y, each drawn for itself."""
    lean_max_deg: float = 180 / 64
    """Largest such turn, degrees."""
    scale_low: float = 0.9
    """Smallest size factor."""
    scale_high: float = 1.1
    """Largest size factor."""
    flip_p: float = 0.5
    """Probability of mirroring x, and of mirroring y."""
    jitter_sigma_m: float = 0.005
    """Standard deviation of the coordinate noise, metres; 0 for none."""
    jitter_clip_m: float = 0.02
    """Largest coordinate noise, metres."""
    elastic_p: float = 0.0
    """Probability of an elastic distortion; for rooms."""
    elastic_m: tuple[tuple[float, float], ...] = ((0.2, 0.4), (0.8, 1.6))
    """Its passes: spacing of the noise and size of the shift before smoothing, metres."""
    dropout_p: float = 0.0
    """Probability of thinning the cloud."""
    dropout_ratio: float = 0.2
    """Share of points removed when it is thinned."""
    gain_p: float = 0.0
    """Probability of an intensity gain of 0.8 to 1.25."""
    contrast_p: float = 0.0
    """Probability of stretching colours towards the full range."""
    tint_p: float = 0.0
    """Probability of one shift of all colours."""
    tint_ratio: float = 0.05
    """Largest shift, as a share of the full range."""
    speckle_p: float = 0.0
    """Probability of colour noise at every point."""
    speckle_sigma: float = 0.05
    """Its standard deviation, as a share of the full range."""
    max_points: int | None = None
    """Crop to this many points around a random one; null for whole clouds."""
    max_voxels: int | None = None
    """Crop to this many voxels around a random one; null for whole clouds."""

    def __post_init__(self) -> None:
        shares = ("dropout_ratio", "tint_ratio", "speckle_sigma")
        for name in (*(field.name for field in fields(self) if field.name.endswith("_p")), *shares):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} is no probability, give a number from 0 to 1")
        if not 0 < self.scale_low <= self.scale_high:
            raise ConfigError(
                f"scale_low={self.scale_low} and scale_high={self.scale_high} span no range, give 0 < low <= high"
            )
        for pair in self.elastic_m:
            if min(pair) <= 0:
                raise ConfigError(f"elastic_m={list(pair)} distorts nothing, give positive [spacing, size] in metres")
        for name in ("max_points", "max_voxels"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} keeps nothing, give a positive number or null")

    def __call__(self, sample: Sample, rng: Generator, *, voxel_size_m: float | None = None) -> Sample:
        """One augmented copy; equal generators give equal copies.

        Args:
            sample: usable points with labels.
            rng: draws everything.
            voxel_size_m: edge of the voxels that `max_voxels` counts.

        Raises:
            ValueError: `max_voxels` is set and the voxel size is not given.
            CloudError: the cloud is too large for an elastic distortion.
        """
        if self.center:
            sample = center(sample)
        if rng.random() < self.dropout_p:
            sample = dropout(sample, rng, ratio=self.dropout_ratio)
        if rng.random() < self.rotate_p:
            sample = rotate_z(sample, rng)
        if rng.random() < self.tilt_p:
            sample = tilt(sample, rng, max_deg=self.tilt_max_deg)
        sample = self._lean(sample, rng)
        sample = scale(sample, rng, low=self.scale_low, high=self.scale_high)
        sample = flip(sample, rng, probability=self.flip_p)
        if self.jitter_sigma_m > 0:
            sample = jitter(sample, rng, sigma_m=self.jitter_sigma_m, clip_m=self.jitter_clip_m)
        if self.elastic_p > 0 and rng.random() < self.elastic_p:
            for spacing_m, size_m in self.elastic_m:
                sample = elastic(sample, rng, spacing_m=spacing_m, size_m=size_m)
        if rng.random() < self.gain_p:
            sample = gain(sample, rng)
        sample = self._recolor(sample, rng)
        if self.max_points is not None:
            sample = crop(sample, rng, max_points=self.max_points)
        if self.max_voxels is not None:
            if voxel_size_m is None:
                raise ValueError("max_voxels is set: give voxel_size_m")
            sample = crop_voxels(sample, rng, voxel_size_m=voxel_size_m, max_voxels=self.max_voxels)
        # Whole voxels, or the points of the kept voxels would fall into others, and more of them.
        return center(sample, z=False, step_m=voxel_size_m) if self.center else sample

    def _lean(self, sample: Sample, rng: Generator) -> Sample:
        axes: tuple[Literal["x", "y"], ...] = ("x", "y")
        for axis in axes:
            if self.lean_p > 0 and rng.random() < self.lean_p:
                sample = lean(sample, rng, axis=axis, max_deg=self.lean_max_deg)
        return sample

    def _recolor(self, sample: Sample, rng: Generator) -> Sample:
        if self.contrast_p > 0 and rng.random() < self.contrast_p:
            sample = contrast(sample, rng)
        if self.tint_p > 0 and rng.random() < self.tint_p:
            sample = tint(sample, rng, ratio=self.tint_ratio)
        if self.speckle_p > 0 and rng.random() < self.speckle_p:
            sample = speckle(sample, rng, sigma=self.speckle_sigma)
        return sample


def _rotation(axis: int, angle_rad: float) -> NDArray[np.float64]:
    matrix = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    sign = -1.0 if axis == 1 else 1.0
    matrix[i, i] = matrix[j, j] = np.cos(angle_rad)
    matrix[i, j], matrix[j, i] = -sign * np.sin(angle_rad), sign * np.sin(angle_rad)
    return matrix


def _turn(sample: Sample, matrix: NDArray[np.float64]) -> Sample:
    """Apply an orthogonal matrix (3, 3) to points and normals."""
    turn = matrix.astype(np.float32)
    cloud = sample.cloud
    normal = None if cloud.normal is None else cloud.normal @ turn.T
    return replace(sample, cloud=replace(cloud, xyz=cloud.xyz @ turn.T, normal=normal), pose=None)
