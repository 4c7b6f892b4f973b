# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid motions: rotations as quaternions, and the velocity between two poses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def quaternion(rotation: Floats) -> Floats:
    """Unit quaternion x y z w, w not negative, of a (3, 3) rotation matrix, which may be off by rounding.

    The largest of the four is taken from its own square, so that no small number is divided by. Source: Shepperd 1978,
    "Quaternion from rotation matrix".
    """
    trace = float(np.trace(rotation))
    squares = np.array([*(2 * np.diag(rotation) - trace), trace])
    first = int(squares.argmax())
    if first == 3:
        found = np.array([*_skewed(rotation), 1 + trace])
    else:
        second, third = (first + 1) % 3, (first + 2) % 3
        found = np.empty(4)
        found[first] = 1 + squares[first]
        found[second] = rotation[first, second] + rotation[second, first]
        found[third] = rotation[first, third] + rotation[third, first]
        found[3] = rotation[third, second] - rotation[second, third]
    found /= np.linalg.norm(found)
    return -found if found[3] < 0 else found


def velocity(before: Floats, after: Floats, seconds: float) -> tuple[Floats, Floats]:
    """The constant velocity that takes a body from one pose to another, as seen from the body.

    Args:
        before: (4, 4), body to world.
        after: the same, later.
        seconds: the time between them; not above 0 gives no velocity.

    Returns:
        (3,) m/s and (3,) rad/s, the logarithm of the motion by the time.
    """
    if seconds <= 0:
        return np.zeros(3), np.zeros(3)
    motion = np.linalg.inv(before) @ after
    x, y, z, w = quaternion(motion[:3, :3])
    axis = np.array([x, y, z])
    sine = float(np.linalg.norm(axis))
    angle = 2 * float(np.arctan2(sine, w))
    turned = axis * (angle / sine if sine > 1e-12 else 2.0)
    cross = np.cross(np.eye(3), turned)
    bend = 1 / 12 if angle < 1e-4 else (1 - angle / 2 / np.tan(angle / 2)) / angle**2
    moved = (np.eye(3) - cross / 2 + bend * cross @ cross) @ motion[:3, 3]
    return moved / seconds, turned / seconds


def _skewed(rotation: Floats) -> Floats:
    return np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
