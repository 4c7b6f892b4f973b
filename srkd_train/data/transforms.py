# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Changes of a training sample: functions of it and an explicit random generator; `augment` chains them.

Every function returns a new sample and leaves its input alone. Functions that move points turn normals along and drop
the pose, which would no longer describe the cloud; select frames by pose before augmenting. What only rooms need is in
`indoor_transforms`.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from srkd_train.data.sample import Sample, select


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
