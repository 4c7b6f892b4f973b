# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses in a bag: odometry, and the tree of frames that RViz needs to draw a cloud in its map.

The definitions of nav_msgs and tf2_msgs come with the package rosbags, so that neither needs to be installed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from srkd.io.bags import BagWriter, TopicQos, make_header
from srkd_train.poses import Floats, quaternion

MAP_FRAME = "map"
ODOMETRY_TOPIC, TF_TOPIC, STATIC_TF_TOPIC = "/odom", "/tf", "/tf_static"
ODOMETRY_TYPE, TF_TYPE = "nav_msgs/msg/Odometry", "tf2_msgs/msg/TFMessage"
_TF_QOS = TopicQos(depth=100)
_STATIC_QOS = TopicQos(durability="transient_local", depth=1)
_UNKNOWN = np.zeros(36)


def odometry_message(stamp_ns: int, body: str, pose: Floats, linear: Floats, angular: Floats) -> Any:
    """nav_msgs/Odometry of a body in the map, its velocity as the body sees it, both of unknown covariance.

    Args:
        stamp_ns: since the epoch.
        body: frame of the body.
        pose: (4, 4), body to map.
        linear: (3,) m/s.
        angular: (3,) rad/s.
    """
    place = SimpleNamespace(position=_xyz(pose[:3, 3]), orientation=_xyzw(pose))
    twist = SimpleNamespace(linear=_xyz(linear), angular=_xyz(angular))
    return SimpleNamespace(
        header=make_header(stamp_ns, MAP_FRAME),
        child_frame_id=body,
        pose=SimpleNamespace(pose=place, covariance=_UNKNOWN),
        twist=SimpleNamespace(twist=twist, covariance=_UNKNOWN),
    )


def transform_message(stamp_ns: int, parent: str, child: str, pose: Floats) -> Any:
    """tf2_msgs/TFMessage of one transform; `pose` is (4, 4), child to parent."""
    transform = SimpleNamespace(translation=_xyz(pose[:3, 3]), rotation=_xyzw(pose))
    header = make_header(stamp_ns, parent)
    return SimpleNamespace(transforms=[SimpleNamespace(header=header, child_frame_id=child, transform=transform)])


def write_mount(writer: BagWriter, stamp_ns: int, vehicle: str, sensor: str, mount: Floats) -> None:
    """Writes the place of a sensor on its vehicle, (4, 4) sensor to vehicle, latched."""
    writer.add_topic(STATIC_TF_TOPIC, TF_TYPE, qos=_STATIC_QOS)
    message = transform_message(stamp_ns, vehicle, sensor, mount)
    writer.write_message(STATIC_TF_TOPIC, TF_TYPE, stamp_ns, message)


def write_pose(writer: BagWriter, stamp_ns: int, body: str, pose: Floats, linear: Floats, angular: Floats) -> None:
    """Writes where a body is in the map, as odometry and as a transform; arguments as of `odometry_message`."""
    writer.add_topic(TF_TOPIC, TF_TYPE, qos=_TF_QOS)
    writer.write_message(TF_TOPIC, TF_TYPE, stamp_ns, transform_message(stamp_ns, MAP_FRAME, body, pose))
    message = odometry_message(stamp_ns, body, pose, linear, angular)
    writer.write_message(ODOMETRY_TOPIC, ODOMETRY_TYPE, stamp_ns, message)


def _xyz(values: Floats) -> Any:
    x, y, z = map(float, values)
    return SimpleNamespace(x=x, y=y, z=z)


def _xyzw(pose: Floats) -> Any:
    x, y, z, w = map(float, quaternion(pose[:3, :3]))
    return SimpleNamespace(x=x, y=y, z=z, w=w)
