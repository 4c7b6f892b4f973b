# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drives through synthetic streets as timelines: 10 frames a second, and where everything that moves is, exactly."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from srkd_train.data.accumulate.timeline import Frame, Pose, Scene
from srkd_train.data.street.config import FRAME_PERIOD_S, LidarConfig, StreetConfig
from srkd_train.data.street.dataset import StreetDataset
from srkd_train.data.street.drive import Drive, sample_name


def street_scenes(clouds: StreetDataset, indices: Sequence[int]) -> list[Scene]:
    """A scene a street and sensor; those of a street are one group, because it takes a second to build."""
    targets: dict[tuple[int, LidarConfig], dict[int, int]] = {}
    for index in indices:
        seed, lidar, frame = clouds.place(index)
        targets.setdefault((seed, lidar), {})[frame] = index
    return [
        Scene(
            f"street{seed:05d}/{lidar.name}",
            tuple(sample_name(seed, lidar, frame) for frame in sorted(frames)),
            functools.partial(StreetTimeline, clouds, seed, lidar, frames),
            group=f"street{seed:05d}",
        )
        for (seed, lidar), frames in targets.items()
    ]


class StreetTimeline:
    """A drive by one sensor, as many frames as every drive has.

    Args:
        clouds: the data set, which may keep scans.
        seed: of the street.
        lidar: the sensor.
        known: index in the data set of the frames that it has.
    """

    def __init__(self, clouds: StreetDataset, seed: int, lidar: LidarConfig, known: dict[int, int]) -> None:
        self._clouds, self._seed, self._lidar, self._known = clouds, seed, lidar, known
        self.names = [sample_name(seed, lidar, frame) for frame in range(clouds.config.min_frames)]

    @property
    def drive(self) -> Drive:
        """The drive itself, kept until another one is wanted in this process."""
        return _drive(self._seed, self._clouds.config)

    def read(self, positions: Sequence[int]) -> Iterator[Frame]:
        """Frames of the data set as it has them, the others made."""
        drive = self.drive
        standing = int(drive.street.static.object_id.max(initial=-1)) + 1
        moves = np.array([0, *(bool(mover.along_mps or mover.across_mps) for mover in drive.street.movers)], bool)
        for position in positions:
            index = self._known.get(position)
            sample = drive.frame(self._lidar, position) if index is None else self._clouds[index]
            assert sample.instance is not None
            # Instances number the objects of the static scene from 1 on, then what moves.
            mover = np.maximum(sample.instance.astype(np.int64) - standing, 0)
            yield Frame(sample, np.where(moves[mover], mover, 0), mover_poses(drive, position * FRAME_PERIOD_S))


def mover_poses(drive: Drive, time_s: float) -> dict[int, Pose]:
    """Pose of everything that moves, numbered from 1, at one time: (4, 4) from the model to the world.

    Models lean with the street's grade, so the maps are affine.
    """
    layout, poses = drive.street.layout, {}
    for number, mover in enumerate(drive.street.movers, start=1):
        s, d = mover.at(time_s)
        yaw = float(layout.line.heading(s)) + mover.turn_rad
        cos, sin = np.cos(yaw), np.sin(yaw)
        pose = np.eye(4)
        pose[:2, :2] = (cos, -sin), (sin, cos)
        pose[2, 0] = float(layout.grade(s)) * np.cos(mover.turn_rad)
        pose[:3, 3] = layout.ground(s, d)
        poses[number] = pose
    return poses


@functools.lru_cache(maxsize=1)
def _drive(seed: int, config: StreetConfig) -> Drive:
    return Drive(seed, config)
