# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a body was at any time between the poses that are known of it: plain functions and a bounded memory."""

from __future__ import annotations

import math
import operator
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from srkd.errors import ConfigError

Floats = npt.NDArray[np.float64]

MAX_GAP_S = 0.5
"""Between poses farther apart than this nothing is interpolated."""
MAX_SPEED_M_PER_S, MAX_TURN_RAD_PER_S = 100.0, 6.3
"""What moves or turns faster has not moved but was placed anew, e.g. by a localisation that has found itself."""
_SLACK_M, _SLACK_RAD = 0.3, 0.1
_LATE_S = 0.2
"""Poses that are older than the newest by no more than this come late; older ones come from a clock that went back."""
_MAX_POSES = 20_000


def slerp(first: Floats, second: Floats, share: float) -> Floats:
    """The rotation a share of the way from one to another, at a constant rate along the shorter way.

    Source: Shoemake 1985, "Animating rotation with quaternion curves".

    Args:
        first, second: (4,) unit quaternions x y z w.
        share: from 0 to 1.
    """
    cosine = float(first @ second)
    if cosine < 0:
        second, cosine = -second, -cosine
    angle = float(np.arccos(min(cosine, 1.0)))
    if angle < 1e-6:
        mixed = first + share * (second - first)
    else:
        mixed = np.sin((1 - share) * angle) * first + np.sin(share * angle) * second
    return np.asarray(mixed / np.linalg.norm(mixed))


def matrix(position: Floats, quaternion: Floats) -> Floats:
    """(4, 4) of a position (3,) and a unit quaternion (4,) x y z w: takes coordinates of the body to those outside."""
    x, y, z, w = quaternion
    made = np.eye(4)
    made[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    made[:3, 3] = position
    return made


def relative(now: Floats, past: Floats) -> Floats:
    """(4, 4) that takes coordinates of `past` to those of `now`, both (4, 4) to one frame that stands still."""
    turned = now[:3, :3].T
    made = np.eye(4)
    made[:3, :3] = turned @ past[:3, :3]
    # The difference first: positions in a map may be of millions of metres.
    made[:3, 3] = turned @ (past[:3, 3] - now[:3, 3])
    return made


def plausible(motion: Floats, seconds: float) -> bool:
    """Whether a body can have moved so, (4, 4), in this time."""
    moved_m = float(np.linalg.norm(motion[:3, 3]))
    turned_rad = float(np.arccos(np.clip((np.trace(motion[:3, :3]) - 1) / 2, -1, 1)))
    return _possible(moved_m, turned_rad, seconds)


def _possible(moved_m: float, turned_rad: float, seconds: float) -> bool:
    return moved_m <= MAX_SPEED_M_PER_S * seconds + _SLACK_M and turned_rad <= MAX_TURN_RAD_PER_S * seconds + _SLACK_RAD


def parse_pose(text: str, name: str = "sensor_pose") -> Floats:
    """(4, 4) of "x y z roll pitch yaw": metres and radians, turned about the fixed axes x, y, z in this order.

    Raises:
        ConfigError: it is not six finite numbers.
    """
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != 6 or not np.isfinite(numbers).all():
        raise ConfigError(f"{name}: {text!r}, expected six numbers: x y z in metres, roll pitch yaw in radians")
    halves = 0.5 * np.array(numbers[3:])
    (cr, cp, cy), (sr, sp, sy) = np.cos(halves), np.sin(halves)
    quaternion = np.array(
        [
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
            cr * cp * cy + sr * sp * sy,
        ]
    )
    return matrix(np.array(numbers[:3]), quaternion)


class Track:
    """The last poses of one body in one frame that stands still, by rising stamp.

    Attributes:
        epoch: grows whenever all is forgotten: what was known before does not go with what comes after.
    """

    def __init__(self, keep_s: float) -> None:
        """Takes for how long poses are kept, at least."""
        self.epoch = 0
        self._keep_ns = round(keep_s * 1e9)
        self._stamps_ns: list[int] = []
        self._poses: list[tuple[list[float], list[float]]] = []

    @property
    def newest_ns(self) -> int | None:
        """The stamp of the newest pose; None where there is none."""
        return self._stamps_ns[-1] if self._stamps_ns else None

    def forget(self) -> None:
        """Begins anew."""
        self.epoch += 1
        self._stamps_ns.clear()
        self._poses.clear()

    def add(self, stamp_ns: int, position: Sequence[float], quaternion: Sequence[float]) -> str | None:
        """Adds a pose. Where the body cannot have come from the last one to it, all before is forgotten.

        Args:
            stamp_ns: nanoseconds.
            position: x y z, metres.
            quaternion: x y z w.

        Returns:
            What was odd about it, in words without numbers, or None.
        """
        place, length = [float(value) for value in position], math.hypot(*quaternion)
        if not (all(map(math.isfinite, place)) and abs(length - 1) < 0.01):  # false for NaN, too
            return "it is not finite, or its quaternion is not of length 1"
        turn = [float(value) / length for value in quaternion]
        odd = None
        if self._stamps_ns:
            step_s = (stamp_ns - self._stamps_ns[-1]) * 1e-9
            if -_LATE_S <= step_s <= 0:
                return None if step_s == 0 else "it is older than the one before"
            if step_s < 0:
                odd = "its clock went back"
            elif self._jumps(place, turn, step_s):
                odd = "it jumped"
            if odd is not None:
                self.forget()
        self._stamps_ns.append(stamp_ns)
        self._poses.append((place, turn))
        self._trim(stamp_ns)
        return odd

    def at(self, stamp_ns: int) -> Floats | None:
        """(4, 4), body to the frame that stands still, between the poses before and after; None where none is known.
        Nothing is ever guessed beyond the newest pose."""
        after = bisect_left(self._stamps_ns, stamp_ns)
        if after == len(self._stamps_ns):
            return None
        if self._stamps_ns[after] == stamp_ns:
            return matrix(*map(np.array, self._poses[after]))
        if after == 0:
            return None
        span_ns = self._stamps_ns[after] - self._stamps_ns[after - 1]
        if span_ns > MAX_GAP_S * 1e9:
            return None
        share = (stamp_ns - self._stamps_ns[after - 1]) / span_ns
        (place, turn), (next_place, next_turn) = (map(np.array, pose) for pose in self._poses[after - 1 : after + 1])
        return matrix(place + share * (next_place - place), slerp(turn, next_turn, share))

    def _jumps(self, place: list[float], turn: list[float], step_s: float) -> bool:
        last_place, last_turn = self._poses[-1]
        cosine = abs(sum(map(operator.mul, turn, last_turn)))
        return not _possible(math.dist(place, last_place), 2 * math.acos(min(cosine, 1.0)), step_s)

    def _trim(self, newest_ns: int) -> None:
        """Not at every pose, for all that is left moves up."""
        if newest_ns - self._stamps_ns[0] > 2 * self._keep_ns:
            cut = bisect_left(self._stamps_ns, newest_ns - self._keep_ns)
        elif len(self._stamps_ns) > 2 * _MAX_POSES:
            cut = len(self._stamps_ns) - _MAX_POSES
        else:
            return
        del self._stamps_ns[:cut], self._poses[:cut]
