# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recipe of a training sample's augmentation: which changes, in which order, by which draws."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal

from numpy.random import Generator

from srkd.errors import ConfigError
from srkd_train.data.crops import crop, crop_voxels
from srkd_train.data.indoor_transforms import center, contrast, elastic, speckle, tint
from srkd_train.data.sample import Sample
from srkd_train.data.steps import Step, chance
from srkd_train.data.transforms import dropout, flip, gain, jitter, lean, rotate_z, scale, tilt


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
        for step in self.steps(voxel_size_m):
            sample = step.change(sample, rng, None)
        return sample

    def pair(
        self, raw: Sample, dense: Sample, rng: Generator, own: Generator, *, voxel_size_m: float | None = None
    ) -> tuple[Sample, Sample]:
        """One augmented copy of two clouds of the same place, which still lie in one another.

        The first becomes what a call makes of it alone. The second is moved, stretched and coloured by the very same
        draws, and cropped to the ball that the first was cropped to; what is drawn point by point is its own.

        Args:
            raw: usable points with labels.
            dense: the same of the other cloud.
            rng: draws everything but what is drawn for single points of `dense`.
            own: draws that.
            voxel_size_m: edge of the voxels that `max_voxels` counts in `raw`.

        Raises:
            ValueError, CloudError: as in a call.
        """
        for step in self.steps(voxel_size_m):
            if step.by_point:
                raw, dense = step.change(raw, rng, None), step.change(dense, own, None)
            else:
                again = copy.deepcopy(rng)
                raw, dense = step.change(raw, rng, None), step.change(dense, again, raw)
        return raw, dense

    def steps(self, voxel_size_m: float | None) -> Iterator[Step]:
        """What is done to a cloud, in order."""
        if self.center:
            yield Step(lambda sample, rng, like: center(sample, like=like))
        yield Step(chance(self.dropout_p, partial(dropout, ratio=self.dropout_ratio)), by_point=True)
        yield Step(chance(self.rotate_p, rotate_z))
        yield Step(chance(self.tilt_p, partial(tilt, max_deg=self.tilt_max_deg)))
        if self.lean_p > 0:
            axes: tuple[Literal["x", "y"], ...] = ("x", "y")
            for axis in axes:
                yield Step(chance(self.lean_p, partial(lean, axis=axis, max_deg=self.lean_max_deg)))
        yield Step(chance(None, partial(scale, low=self.scale_low, high=self.scale_high)))
        yield Step(chance(None, partial(flip, probability=self.flip_p)))
        if self.jitter_sigma_m > 0:
            shake = partial(jitter, sigma_m=self.jitter_sigma_m, clip_m=self.jitter_clip_m)
            yield Step(chance(None, shake), by_point=True)
        if self.elastic_p > 0:
            yield Step(self._bend)
        yield Step(chance(self.gain_p, gain))
        if self.contrast_p > 0:
            yield Step(
                lambda sample, rng, like: contrast(sample, rng, like=like) if rng.random() < self.contrast_p else sample
            )
        if self.tint_p > 0:
            yield Step(chance(self.tint_p, partial(tint, ratio=self.tint_ratio)))
        if self.speckle_p > 0:
            yield Step(chance(self.speckle_p, partial(speckle, sigma=self.speckle_sigma)), by_point=True)
        yield from self._crops(voxel_size_m)
        if self.center:
            # Whole voxels, or the points of the kept voxels would fall into others, and more of them.
            yield Step(lambda sample, rng, like: center(sample, z=False, step_m=voxel_size_m, like=like))

    def _crops(self, voxel_size_m: float | None) -> Iterator[Step]:
        points, voxels = self.max_points, self.max_voxels
        if points is not None:
            yield Step(lambda sample, rng, like: crop(sample, rng, max_points=points, like=like))
        if voxels is not None:
            if voxel_size_m is None:
                raise ValueError("max_voxels is set: give voxel_size_m")
            edge = voxel_size_m
            yield Step(
                lambda sample, rng, like: crop_voxels(sample, rng, voxel_size_m=edge, max_voxels=voxels, like=like)
            )

    def _bend(self, sample: Sample, rng: Generator, like: Sample | None) -> Sample:
        if rng.random() >= self.elastic_p:
            return sample
        for spacing_m, size_m in self.elastic_m:
            again = copy.deepcopy(rng)
            sample = elastic(sample, rng, spacing_m=spacing_m, size_m=size_m, like=like)
            if like is not None:  # the next pass starts from where the other cloud then is
                like = elastic(like, again, spacing_m=spacing_m, size_m=size_m)
        return sample
