# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a node's parameters to its past clouds, and the topics that tell how the sensor moves."""

from __future__ import annotations

from dataclasses import fields

from srkd.errors import ConfigError
from srkd_ros.command_line import message_class
from srkd_ros.model_node import ModelNode
from srkd_ros.motion import parse_pose
from srkd_ros.odometry import KEEP_S, OdometryPoses, Poses
from srkd_ros.past_frames import PastFrames, PastOptions
from srkd_ros.tf_poses import TfPoses

ODOMETRY = "~/input/odometry"
_DEPTH = 100
"""Of the queue of poses: some tenths of a second of the fastest, for they come while a callback is at work."""


def listen_to_motion(node: ModelNode) -> PastFrames:
    """Subscribes until deactivation to what `motion_source` says.

    Raises:
        ConfigError: the messages, or tf2_ros, are not installed, or a topic cannot be opened.
    """
    values, told = node.parameters, node.faults.report
    options = PastOptions(**{each.name: values[each.name] for each in fields(PastOptions)})
    keep_s = options.max_past_age_s + KEEP_S
    poses: Poses
    if values["motion_source"] == "tf":
        poses = TfPoses(values["fixed_frame_id"], keep_s, told)
        kind = message_class("tf2_msgs/msg/TFMessage")
        node.listen(kind, "/tf_static", poses.receive_static, _DEPTH, latched=True, on_lost=_ignore)
        node.listen(kind, "/tf", poses.receive, _DEPTH, on_lost=_ignore)
    else:
        kind = message_class("nav_msgs/msg/Odometry")
        if kind is None:
            raise ConfigError(
                "num_past_frames needs the messages nav_msgs for odometry, which are not installed here: install"
                " ros-nav-msgs (pip) or nav_msgs (a ROS distribution), or set it to 0"
            )
        poses = OdometryPoses(parse_pose(values["sensor_pose"]), keep_s, told)
        node.listen(kind, ODOMETRY, poses.receive, _DEPTH, on_lost=_ignore)
    return PastFrames(options, poses, told)


def _ignore(count: int) -> None:
    """A pose that is lost lies between others."""
