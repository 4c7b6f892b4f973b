# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the points of another frame lie in a frame: moved by the sensor's pose, and by the objects that they are of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd_train.data.accumulate.timeline import Frame, Pose

Points = npt.NDArray[np.float64]

_MATCHED = 200
"""Points of an object that are matched with those of another frame, at most, on either side."""
_FEWEST = 10
"""An object of fewer points is left out: what it did between the frames is not known."""
_WORST_FIT_M = 0.3
_ROUNDS = 12


def into_frame(other: Frame, target: Frame, moving: str) -> tuple[Points, npt.NDArray[np.bool_]]:
    """The points of `other` in the coordinates of `target`.

    Args:
        other: a frame of the same timeline.
        target: where its points are wanted.
        moving: "keep" moves all by the poses alone; "drop" leaves moving objects out; "align" moves them with their
            poses where both frames know them, otherwise by :func:`shift_between` their points, and leaves those out
            that cannot be followed.

    Returns:
        (N, 3) float64 coordinates, and (N,) which of them are to be used.

    Raises:
        CloudError: moving objects are not to be kept where they were, and nothing tells what moves.
    """
    # World coordinates may be of the size of a country: poses are multiplied before points are.
    moved = apply(np.linalg.inv(target.pose) @ other.pose, other.sample.cloud.xyz)
    used = np.ones(len(moved), bool)
    if moving == "keep":
        return moved, used
    if other.moving is None:
        raise CloudError(
            f"{other.sample.name}: no boxes or instances tell what moves; add them to the data set, or give"
            " --moving keep"
        )
    for number in np.unique(other.moving[other.moving != 0]).tolist():
        rows = np.flatnonzero(other.moving == number)
        if moving == "drop" or number < 0:
            used[rows] = False
        elif number in other.objects and number in target.objects:
            motion = target.objects[number] @ np.linalg.inv(other.objects[number])
            place = np.linalg.inv(target.pose) @ motion @ other.pose
            moved[rows] = apply(place, other.sample.cloud.xyz[rows])
        else:
            shift = _followed(moved[rows], target, number)
            used[rows] = shift is not None
            moved[rows] += 0 if shift is None else shift
    return moved, used


def apply(transform: Pose, xyz: npt.NDArray[np.float32]) -> Points:
    """(N, 3) points under a (4, 4) affine map, float64."""
    return xyz.astype(np.float64) @ transform[:3, :3].T + transform[:3, 3]


def shift_between(points: Points, onto: Points) -> tuple[Points, float]:
    """The translation that lays one view of an object onto another one, and how well it does.

    Nearest neighbours from the bounding boxes' middles on (Besl and McKay 1992, translation alone: over the tenths of
    a second between frames an object turns little, and a partial view bounds a turn badly). Pairs beyond the median
    distance are passed over, for the views overlap in part.

    Args:
        points: (N, 3), N >= 1.
        onto: (M, 3), M >= 1.

    Returns:
        (3,) metres, and the median distance of the moved points to the other ones.
    """
    source, goal = _thinned(points), _thinned(onto)
    shift = (goal.min(0) + goal.max(0)) / 2 - (source.min(0) + source.max(0)) / 2
    for _ in range(_ROUNDS):
        away = goal[None] - (source + shift)[:, None]
        squared = np.einsum("ijk,ijk->ij", away, away)
        nearest = squared.argmin(1)
        distance = squared[np.arange(len(source)), nearest]
        close = distance <= np.median(distance)
        shift = shift + away[np.arange(len(source)), nearest][close].mean(0)
    return shift, _median_distance(source + shift, goal)


def _followed(points: Points, target: Frame, number: int) -> Points | None:
    """The shift of an object by its points in both frames, (3,); None where it cannot be told."""
    if target.moving is None:
        return None
    seen = np.flatnonzero(target.moving == number)
    if min(len(seen), len(points)) < _FEWEST:
        return None
    shift, fit_m = shift_between(points, target.sample.cloud.xyz[seen].astype(np.float64))
    return shift if fit_m <= _WORST_FIT_M else None


def _thinned(points: Points) -> Points:
    """At most so many points, spread over the rows."""
    return points[np.linspace(0, len(points) - 1, min(len(points), _MATCHED)).round().astype(int)]


def _median_distance(points: Points, onto: Points) -> float:
    away = np.linalg.norm(points[:, None] - onto[None], axis=2)
    return float(np.median(away.min(1)))
