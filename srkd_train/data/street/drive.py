# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drives through a street: consecutive labelled scans with poses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from srkd.cloud import Cloud
from srkd.errors import ConfigError
from srkd_train.data.sample import Sample
from srkd_train.data.street.config import FRAME_PERIOD_S, LidarConfig, StreetConfig, get_sensor
from srkd_train.data.street.lidar import Scene, scan
from srkd_train.data.street.materials import BICYCLE, BUS, CAR, PEDESTRIAN, TRUCK
from srkd_train.data.street.streams import stream
from srkd_train.data.street.street import build_street

_THINGS = (CAR, TRUCK, BUS, BICYCLE, PEDESTRIAN)


def sample_name(seed: int, lidar: LidarConfig, frame: int) -> str:
    return f"street{seed:05d}/{lidar.name}/{frame:04d}"


class Drive:
    """Scans of one street, frame by frame, in any order: each frame depends on its number alone."""

    def __init__(self, seed: int, config: StreetConfig = StreetConfig()) -> None:  # noqa: B008
        self.street = build_street(seed, config)
        self._static = Scene(self.street.static, self.street.static_reflectance)

    def check_frame(self, frame: int) -> None:
        """Raises ConfigError if ``frame`` is not part of the drive."""
        if not 0 <= frame < self.street.num_frames:
            raise ConfigError(
                f"frame is {frame}, but the drive through street {self.street.seed} has {self.street.num_frames} "
                "frames: ask for fewer or give StreetConfig a larger length_m"
            )

    def frame(self, lidar: LidarConfig, frame: int) -> Sample:
        """The scan taken at ``frame`` * 0.1 s.

        Raises:
            ConfigError: if the drive ends before.
        """
        self.check_frame(frame)
        time_s = frame * FRAME_PERIOD_S
        pose = self.street.sensor_pose(time_s)
        scenes = (self._static, Scene(*self.street.moving(time_s)))
        result = scan(scenes, pose, lidar, stream(self.street.seed, "scan", lidar.name, frame))
        cloud = Cloud(result.xyz, intensity=result.intensity, ring=result.ring)
        instance = np.where(np.isin(result.label, _THINGS), result.instance, 0).astype(np.uint32)
        return Sample(cloud, result.label, sample_name(self.street.seed, lidar, frame), pose, instance)


def drive(
    seed: int,
    sensor: str | LidarConfig,
    num_frames: int,
    *,
    config: StreetConfig = StreetConfig(),  # noqa: B008
    step: int = 1,
) -> Iterator[Sample]:
    """``num_frames`` scans of the street of ``seed``: consecutive ones at 10 Hz, or every ``step``-th.

    Raises:
        ConfigError: for an unknown sensor, or if the street is too short for that many frames.
    """
    lidar = get_sensor(sensor) if isinstance(sensor, str) else sensor
    way = Drive(seed, config)
    way.check_frame(max(num_frames - 1, 0) * step)
    for frame in range(num_frames):
        yield way.frame(lidar, frame * step)
