# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of a node that labels each cloud together with those before it."""

from __future__ import annotations

import argparse

from srkd_ros.parameter import Parameter

DENSIFY = (
    Parameter(
        "num_past_frames",
        0,
        "Past clouds, moved to where the sensor is now, with which each cloud is labelled, for networks trained on such"
        " clouds; 0: none, nothing is kept. Only the newest cloud's labels are published.",
        "activate",
        0,
        50,
    ),
    Parameter(
        "past_frame_step",
        1,
        "Only every so many-th past cloud is used; step x num_past_frames clouds are kept.",
        "activate",
        1,
        20,
    ),
    Parameter(
        "max_past_age_s",
        3.0,
        "Past clouds that are older than the newest by more than this are left out.",
        "activate",
        0.01,
        60.0,
    ),
    Parameter(
        "past_voxel_m",
        0.0,
        "Past clouds are thinned to a point a voxel of this edge; 0: they are not.",
        "activate",
        0.0,
        2.0,
    ),
    Parameter(
        "motion_source",
        "odometry",
        "How the sensor's motion is known: nav_msgs/Odometry on ~/input/odometry, or TF where tf2_ros is installed.",
        "activate",
        choices=("odometry", "tf"),
    ),
    Parameter(
        "sensor_pose",
        "0 0 0 0 0 0",
        "Where the sensor is on the body that the odometry is of: x y z in metres, roll pitch yaw in radians.",
        "activate",
    ),
    Parameter(
        "fixed_frame_id",
        "odom",
        "With motion_source tf: the frame that stands still.",
        "activate",
    ),
    Parameter(
        "max_pose_wait_ms",
        50.0,
        "A cloud waits for a pose of its stamp or later until it has been here for so long, then it is labelled without"
        " past clouds; poses are not guessed.",
        "at once",
        0.0,
        1000.0,
    ),
)
"""Of the node `segment`."""

OFFLINE = tuple(each for each in DENSIFY if each.name not in ("motion_source", "fixed_frame_id"))
"""Of the program `label_bag`, which knows odometry only."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `OFFLINE`, and the topic of the odometry."""
    group = parser.add_argument_group("past clouds")
    for each in OFFLINE:
        name = "--" + each.name.replace("_", "-")
        group.add_argument(name, type=type(each.default), default=each.default, metavar="X", help=each.description)
    group.add_argument("--odometry", default="/odom", metavar="TOPIC", help="of nav_msgs/Odometry; default: /odom")
