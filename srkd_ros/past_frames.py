# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The clouds before the newest one, kept in bounded memory and moved to where the sensor is now. Without ROS.

Which clouds go with a cloud is settled when it comes in, by the order of clouds alone: a node that is too slow for some
of them and a program that reads them all label the others alike.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from srkd.errors import CloudError, ConfigError
from srkd.intensity import POORER
from srkd.io.bags import stamp_ns
from srkd.io.pointcloud2 import Decoded, decode
from srkd_ros.counts import PastCounts
from srkd_ros.densify import measured, moved
from srkd_ros.frame import FrameOptions
from srkd_ros.motion import Floats, plausible, relative
from srkd_ros.odometry import Poses

NO_POSE = (
    f"no pose at the stamp of the newest cloud: labelled without past clouds, {POORER}; check that poses are published,"
    " in time and by the clock of the clouds (num_past_frames, motion_source, ~/input/odometry, max_pose_wait_ms)"
)
SOME_LACK_A_POSE = "some past clouds are left out: no pose at their stamps, or one that cannot be"


@dataclass(frozen=True)
class PastOptions:
    """Which past clouds are used; the fields are the parameters of these names.

    Raises:
        ConfigError: an option is out of range.
    """

    num_past_frames: int
    past_frame_step: int = 1
    max_past_age_s: float = 3.0
    past_voxel_m: float = 0.0

    def __post_init__(self) -> None:
        for name, least in (("num_past_frames", 1), ("past_frame_step", 1), ("past_voxel_m", 0)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name}: {getattr(self, name)!r}, expected at least {least}")
        if not self.max_past_age_s > 0:
            raise ConfigError(f"max_past_age_s: {self.max_past_age_s!r}, expected a number above 0")


@dataclass(eq=False)
class _Kept:
    """A cloud, as it came until it is first needed."""

    stamp_ns: int
    frame_id: str
    epoch: int
    message: Any
    points: Decoded | None = field(default=None)

    def read(self, options: FrameOptions, voxel_m: float) -> Decoded:
        """Its points. Of one thread.

        Raises:
            CloudError: it is malformed.
        """
        if self.points is None:
            decoded = decode(self.message, intensity_field=options.intensity_field, max_points=options.max_points)
            self.points = measured(decoded, voxel_m)
            self.message = None
        return self.points


class Moment(NamedTuple):
    """A cloud that has come in, and those that go with it, the newest of them first."""

    newest: _Kept
    past: tuple[_Kept, ...]


@dataclass(frozen=True, eq=False)
class Past:
    """The past clouds of a moment whose poses are known, with their motions."""

    notes: tuple[str, ...]
    _motions: tuple[tuple[_Kept, Floats], ...]
    _voxel_m: float
    _options: FrameOptions

    def __len__(self) -> int:
        return len(self._motions)

    def clouds(self) -> list[Decoded]:
        """The clouds in the coordinates of the newest; those that are malformed are left out."""
        found = []
        for kept, motion in self._motions:
            try:
                found.append(moved(kept.read(self._options, self._voxel_m), motion))
            except CloudError:  # said when it was the newest
                continue
        return found


class PastFrames:
    """Clouds enter in a callback, and are asked for in a worker."""

    def __init__(self, options: PastOptions, poses: Poses, on_odd: Callable[[str], None] = lambda text: None) -> None:
        """
        Args:
            options: which clouds are used.
            poses: of the sensor.
            on_odd: told why clouds are forgotten, in a line.
        """
        self._options = options
        self._poses = poses
        self._on_odd = on_odd
        self._lock = threading.Lock()
        self._kept: deque[_Kept] = deque(maxlen=options.num_past_frames * options.past_frame_step)
        self._counts = PastCounts(wanted=options.num_past_frames)

    def counts(self) -> PastCounts:
        """How it goes."""
        return replace(self._counts, forgotten=self._poses.epoch)

    def enter(self, message: Any, max_points: int) -> Moment:
        """A cloud comes in; never waits.

        Args:
            message: the cloud.
            max_points: clouds that claim more are not kept.
        """
        newest = _Kept(stamp_ns(message), str(message.header.frame_id), self._poses.epoch, message)
        with self._lock:
            odd = self._why_new(newest)
            if odd is not None:
                self._forget()
                newest.epoch = self._poses.epoch
            if self._kept and self._kept[-1].stamp_ns == newest.stamp_ns:  # sent twice
                self._kept.pop()
            step, oldest_ns = self._options.past_frame_step, newest.stamp_ns - self._options.max_past_age_s * 1e9
            while self._kept and self._kept[0].stamp_ns < oldest_ns:
                self._kept.popleft()
            past = [self._kept[-back] for back in range(step, len(self._kept) + 1, step)]
            if message.height * message.width <= max_points:
                self._kept.append(newest)
        if odd is not None:
            self._on_odd(f"past clouds are forgotten: {odd}")
        return Moment(newest, tuple(past))

    def forget(self) -> None:
        """Nothing from before goes with what comes now."""
        with self._lock:
            self._forget()

    def recall(self, moment: Moment, options: FrameOptions, deadline_s: float) -> Past:
        """The past clouds that go with a cloud: as many as their poses are known of, or none.

        Args:
            moment: what `enter` returned.
            options: how clouds are read.
            deadline_s: `time.monotonic()` until which the newest cloud's pose is waited for.
        """
        newest, past = moment
        same = [kept for kept in past if kept.epoch == newest.epoch == self._poses.epoch]
        if same:
            self._poses.wait(newest.frame_id, newest.stamp_ns, deadline_s)
        stamps_ns = [kept.stamp_ns for kept in (newest, *same)]
        now, *then = self._poses.at(newest.epoch, newest.frame_id, stamps_ns)
        motions = []
        for kept, pose in zip(same, then, strict=True):
            if now is not None and pose is not None:
                motion = relative(now, pose)
                if plausible(motion, (newest.stamp_ns - kept.stamp_ns) * 1e-9):
                    motions.append((kept, motion))
        notes = [self._poses.note(newest.frame_id)]
        if len(motions) < len(same):
            notes.append(NO_POSE if now is None else SOME_LACK_A_POSE)
        with self._lock:
            without = self._counts.without_pose + len(past) - len(motions)
            self._counts = replace(self._counts, used=len(motions), without_pose=without)
        noted = tuple(note for note in notes if note is not None)
        return Past(noted, tuple(motions), self._options.past_voxel_m, options)

    def _why_new(self, newest: _Kept) -> str | None:
        if not self._kept:
            return None
        last = self._kept[-1]
        if newest.frame_id != last.frame_id:
            return f"clouds are of {newest.frame_id!r}, and were of {last.frame_id!r}"
        return "the stamps of the clouds went back" if newest.stamp_ns < last.stamp_ns else None

    def _forget(self) -> None:
        self._kept.clear()
        self._poses.forget()
