# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes that follow objects through a sequence: which objects move, where they are, which points are theirs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from srkd_train.data.accumulate.timeline import Frame, Pose
from srkd_train.data.box import Box
from srkd_train.data.sample import Sample

_MOVED_M = 1.0
"""An object moves if its boxes stray farther than this from the first: annotators shift those of parked cars, too."""
_MARGIN_M = 0.1
"""Boxes are drawn tightly; points this far outside still belong to them."""


class Tracks:
    """The moving objects of a sequence, numbered from 1 on.

    Args:
        boxes: of all objects and times, in any order.
    """

    def __init__(self, boxes: Iterable[Box]) -> None:
        by_key: dict[str, list[Box]] = {}
        for box in boxes:
            by_key.setdefault(box.key, []).append(box)
        tracks = [sorted(by_key[key], key=lambda box: box.time_us) for key in sorted(by_key)]
        self._tracks = dict(enumerate(filter(_strays, tracks), start=1))
        self._times = {number: [box.time_us for box in track] for number, track in self._tracks.items()}

    def at(self, time_us: int) -> dict[int, Pose]:
        """Pose of the objects at a time, between its boxes interpolated; none before its first and after its last."""
        found = {}
        for number, track in self._tracks.items():
            times = self._times[number]
            if times[0] <= time_us <= times[-1]:
                after = min(bisect_right(times, time_us), len(times) - 1)
                before, behind = track[after - 1], track[after]
                share = (time_us - before.time_us) / max(behind.time_us - before.time_us, 1)
                found[number] = _between(before.pose, behind.pose, share)
        return found

    def frame(self, sample: Sample, time_us: int) -> Frame:
        """A frame at a time with the points that are in boxes of moving objects."""
        poses = self.at(time_us)
        return Frame(sample, self.members(sample, poses), poses)

    def members(self, sample: Sample, poses: Mapping[int, Pose]) -> npt.NDArray[np.int64]:
        """(N,) number of the object whose box holds a point, 0 for none."""
        assert sample.pose is not None
        found = np.zeros(len(sample.cloud), np.int64)
        for number, pose in poses.items():
            half = self._tracks[number][0].size_m / 2 + _MARGIN_M
            into = np.linalg.inv(pose) @ sample.pose
            reach = float(np.linalg.norm(half))
            middle = np.linalg.inv(sample.pose) @ pose[:, 3]
            near = np.flatnonzero((np.abs(sample.cloud.xyz - middle[:3]) <= reach).all(1))
            inside = np.abs(sample.cloud.xyz[near] @ into[:3, :3].T + into[:3, 3]) <= half
            found[near[inside.all(1)]] = number
        return found


def _strays(track: list[Box]) -> bool:
    places = np.array([box.pose[:3, 3] for box in track])
    return bool((np.linalg.norm(places - places[0], axis=1) > _MOVED_M).any())


def _between(before: Pose, after: Pose, share: float) -> Pose:
    """Between two poses: places in proportion, rotations along the chord, which is near the arc for small turns."""
    if share <= 0 or share >= 1:
        return before if share <= 0 else after
    pose = (1 - share) * before + share * after
    left, _, right = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = left @ right
    return pose
