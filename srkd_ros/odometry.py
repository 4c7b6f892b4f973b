# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the sensor was, by nav_msgs/Odometry: of rclpy or of a bag, for nothing but its attributes is looked at."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from srkd.io.bags import stamp_ns
from srkd_ros.motion import Floats, Track

KEEP_S = 30.0
"""For how long poses are kept beyond the age of the oldest cloud: so late may the newest cloud be worked on."""


class Poses(Protocol):
    """Where a sensor was. Told by callbacks, asked by a worker.

    Attributes:
        epoch: as of `Track`.
    """

    @property
    def epoch(self) -> int: ...

    def at(self, epoch: int, frame_id: str, stamps_ns: Sequence[int]) -> list[Floats | None]:
        """(4, 4) at each stamp, sensor to one frame that stands still; None where unknown, as all are of another epoch.

        Args:
            epoch: that all are to be of.
            frame_id: of the sensor.
            stamps_ns: nanoseconds.
        """

    def wait(self, frame_id: str, stamp_ns: int, deadline_s: float) -> None:
        """Waits until the pose at a stamp is known, at most until `time.monotonic()` is `deadline_s`."""

    def forget(self) -> None:
        """Begins a new epoch."""

    def note(self, frame_id: str) -> str | None:
        """What is assumed of clouds of a frame, in a line, or None."""


class OdometryPoses:
    """`Poses` of a sensor that is fixed to the body that the odometry is of."""

    def __init__(self, sensor_pose: Floats, keep_s: float, on_odd: Callable[[str], None] = lambda text: None) -> None:
        """
        Args:
            sensor_pose: (4, 4), sensor to body.
            keep_s: see `Track`.
            on_odd: told what is wrong with a pose, in a line.
        """
        self._sensor_pose = sensor_pose
        self._on_odd = on_odd
        self._track = Track(keep_s)
        self._frames: tuple[str, str] | None = None
        self._changed = threading.Condition()
        self._count = 0
        self._in_vain = -1

    @property
    def epoch(self) -> int:
        """As of `Track`."""
        return self._track.epoch

    def receive(self, message: Any) -> None:
        """The subscription's callback."""
        pose = message.pose.pose
        position = [getattr(pose.position, axis) for axis in "xyz"]
        quaternion = [getattr(pose.orientation, axis) for axis in "xyzw"]
        frames = message.header.frame_id, message.child_frame_id
        odd = None
        with self._changed:
            if self._frames not in (None, frames):
                self._track.forget()
                odd = "its frames are others than before"
            self._frames = frames
            odd = self._track.add(stamp_ns(message), position, quaternion) or odd
            self._count += 1
            self._changed.notify_all()
        if odd is not None:
            self._on_odd(f"odometry: a pose of {frames[1] or 'the body'} in {frames[0] or 'no frame'}: {odd}")

    def knows(self, stamp_ns: int) -> bool:
        """Whether no pose that is still to come can say more about a stamp."""
        newest_ns = self._track.newest_ns
        return newest_ns is not None and newest_ns >= stamp_ns

    def at(self, epoch: int, frame_id: str, stamps_ns: Sequence[int]) -> list[Floats | None]:
        """See `Poses`."""
        with self._changed:
            if epoch != self._track.epoch:
                return [None] * len(stamps_ns)
            poses = [self._track.at(stamp) for stamp in stamps_ns]
        return [None if pose is None else pose @ self._sensor_pose for pose in poses]

    def wait(self, frame_id: str, stamp_ns: int, deadline_s: float) -> None:
        """See `Poses`; where the last wait was in vain and nothing has come since, there is none."""
        with self._changed:
            if self._in_vain == self._count:
                return
            epoch = self._track.epoch
            enough = self._changed.wait_for(
                lambda: self._track.epoch != epoch or self.knows(stamp_ns), max(0.0, deadline_s - time.monotonic())
            )
            if not enough:
                self._in_vain = self._count

    def forget(self) -> None:
        """See `Poses`."""
        with self._changed:
            self._track.forget()
            self._frames = None
            self._changed.notify_all()

    def note(self, frame_id: str) -> str | None:
        """See `Poses`."""
        frames = self._frames
        if frames is None or frames[1] == frame_id or not np.array_equal(self._sensor_pose, np.eye(4)):
            return None
        return (
            f"odometry is of {frames[1]!r}, clouds are of {frame_id!r}, and sensor_pose is zero: both are taken for the"
            " same place"
        )
