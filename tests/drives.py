# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A sensor that is driven along an arc through points that stand still, and its odometry: closed forms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from bag_makers import cloud

from srkd.io.bags import make_header

SPEED_M_PER_S, TURN_RAD_PER_S = 10.0, 0.2
START_M = np.array([4.5e5, 5.4e6, 120.0])
"""In a map, coordinates are large."""


def turned(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """(3, 3) of turns about the fixed axes x, y, z in this order."""
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def rigid(turn: np.ndarray, place: Any) -> np.ndarray:
    made = np.eye(4)
    made[:3, :3], made[:3, 3] = turn, place
    return made


def body(seconds: float) -> np.ndarray:
    """(4, 4), body to map, on an arc."""
    yaw, radius_m = TURN_RAD_PER_S * seconds, SPEED_M_PER_S / TURN_RAD_PER_S
    return rigid(turned(0, 0, yaw), START_M + [radius_m * np.sin(yaw), radius_m * (1 - np.cos(yaw)), 0])


def odometry(stamp_ns: int, seconds: float, *, frame: str = "map", child: str = "lidar", **changes: Any) -> Any:
    """nav_msgs/Odometry of `body`; `changes` are of its position (x, y, z) or orientation (qx, qy, qz, qw)."""
    pose, half = body(seconds), TURN_RAD_PER_S * seconds / 2
    names = {"x": pose[0, 3], "y": pose[1, 3], "z": pose[2, 3], "qx": 0.0, "qy": 0.0}
    names |= {"qz": np.sin(half), "qw": np.cos(half), **changes}
    position = SimpleNamespace(**{axis: float(names[axis]) for axis in "xyz"})
    orientation = SimpleNamespace(**{axis: float(names[f"q{axis}"]) for axis in "xyzw"})
    unknown, still = np.zeros(36), SimpleNamespace(x=0.0, y=0.0, z=0.0)
    return SimpleNamespace(
        header=make_header(stamp_ns, frame),
        child_frame_id=child,
        pose=SimpleNamespace(pose=SimpleNamespace(position=position, orientation=orientation), covariance=unknown),
        twist=SimpleNamespace(twist=SimpleNamespace(linear=still, angular=still), covariance=unknown),
    )


def sweep(stamp_ns: int, seconds: float, *, count: int = 400, mount: np.ndarray | None = None) -> Any:
    """The same points of the world, as a sensor on the body sees them: x y z intensity."""
    world = np.random.default_rng(7).uniform(-20, 20, (count, 4))
    world[:, :3] += START_M
    sensor = body(seconds) if mount is None else body(seconds) @ mount
    seen = world.copy()
    seen[:, :3] = (world[:, :3] - sensor[:3, 3]) @ sensor[:3, :3]
    seen[:, 3] = np.abs(world[:, 3]) * 12
    return cloud(seen.astype("<f4"), stamp_ns)
