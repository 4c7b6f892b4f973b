# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a sensor was, by TF. tf2_ros comes with ROS distributions, not with the wheels: imported when asked for."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from srkd.errors import ConfigError
from srkd.io.bags import stamp_ns
from srkd_ros.motion import Floats, matrix

_BACK_S = 1.0
"""A transform that is so much older than the last one of its frame comes from a clock that went back."""
_AUTHORITY = "srkd_ros"


class TfPoses:
    """`srkd_ros.odometry.Poses` of every frame that TF connects with the fixed one; tf2 keeps and interpolates."""

    def __init__(self, fixed_frame_id: str, keep_s: float, on_odd: Callable[[str], None] = lambda text: None) -> None:
        """
        Args:
            fixed_frame_id: the frame that stands still.
            keep_s: for how long transforms are kept.
            on_odd: told why they are forgotten, in a line.

        Raises:
            ConfigError: tf2_ros is not installed, or no frame is given.
        """
        if not fixed_frame_id:
            raise ConfigError("fixed_frame_id is empty: name a frame of TF that stands still, e.g. odom or map")
        try:
            tf2_ros = importlib.import_module("tf2_ros")
        except ImportError as error:
            raise ConfigError(
                f"motion_source: tf needs tf2_ros, which is not installed here ({error}): set it to odometry"
            ) from error
        from rclpy.duration import Duration
        from rclpy.time import Time

        self._fixed = fixed_frame_id
        self._time = Time
        self._buffer: Any = tf2_ros.Buffer(cache_time=Duration(seconds=keep_s))
        self._failure: type[Exception] = tf2_ros.TransformException
        self._on_odd = on_odd
        self._changed = threading.Condition()
        self._newest_ns: dict[str, int] = {}
        self._count = 0
        self._in_vain = -1
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """See `Poses`."""
        return self._epoch

    def receive(self, message: Any) -> None:
        """The callback of /tf."""
        back = False
        with self._changed:
            for transform in message.transforms:
                stamp, child = stamp_ns(transform), transform.child_frame_id
                if self._newest_ns.get(child, stamp) - stamp > _BACK_S * 1e9:
                    self._forget()
                    back = True
                self._newest_ns[child] = max(stamp, self._newest_ns.get(child, stamp))
                self._buffer.set_transform(transform, _AUTHORITY)
            self._count += 1
            self._changed.notify_all()
        if back:
            self._on_odd("tf: transforms are forgotten: their clock went back")

    def receive_static(self, message: Any) -> None:
        """The callback of /tf_static."""
        with self._changed:
            for transform in message.transforms:
                self._buffer.set_transform_static(transform, _AUTHORITY)
            self._count += 1
            self._changed.notify_all()

    def at(self, epoch: int, frame_id: str, stamps_ns: Sequence[int]) -> list[Floats | None]:
        """See `Poses`."""
        with self._changed:
            if epoch != self._epoch:
                return [None] * len(stamps_ns)
            return [self._pose(frame_id, stamp) for stamp in stamps_ns]

    def wait(self, frame_id: str, stamp_ns: int, deadline_s: float) -> None:
        """See `Poses`; where the last wait was in vain and nothing has come since, there is none."""
        with self._changed:
            if self._in_vain == self._count:
                return
            epoch, left_s = self._epoch, max(0.0, deadline_s - time.monotonic())
            known = lambda: self._epoch != epoch or self._pose(frame_id, stamp_ns) is not None  # noqa: E731
            if not self._changed.wait_for(known, left_s):
                self._in_vain = self._count

    def forget(self) -> None:
        """See `Poses`; where sensors are fixed stays known."""
        with self._changed:
            self._forget()
            self._changed.notify_all()

    def note(self, frame_id: str) -> str | None:
        """See `Poses`: nothing is assumed."""
        return None

    def _pose(self, frame_id: str, stamp_ns: int) -> Floats | None:
        if stamp_ns <= 0:  # tf2 takes 0 for the newest
            return None
        try:
            found = self._buffer.lookup_transform(self._fixed, frame_id, self._time(nanoseconds=stamp_ns)).transform
        except self._failure:
            return None
        place = np.array([getattr(found.translation, axis) for axis in "xyz"])
        turn = np.array([getattr(found.rotation, axis) for axis in "xyzw"])
        length = float(np.linalg.norm(turn))
        if not (np.isfinite(place).all() and abs(length - 1) < 0.01):
            return None
        return matrix(place, turn / length)

    def _forget(self) -> None:
        self._buffer.clear()
        self._newest_ns.clear()
        self._epoch += 1
