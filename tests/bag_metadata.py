# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags that are nothing but their metadata, for what looks no further."""

from __future__ import annotations

from pathlib import Path

import yaml

TYPES = {"/label_scheme": "std_msgs/msg/String", "/odom": "nav_msgs/msg/Odometry", "/tf": "tf2_msgs/msg/TFMessage"}


def make_bag(folder: Path, *topics: str) -> Path:
    """A bag with these topics and /tf; their types follow from how their names end, clouds else."""
    folder.mkdir()
    types = {name: TYPES.get(name[name.rindex("/") :], "sensor_msgs/msg/PointCloud2") for name in (*topics, "/tf")}
    entries = [{"topic_metadata": {"name": name, "type": kind}} for name, kind in types.items()]
    text = yaml.safe_dump({"rosbag2_bagfile_information": {"topics_with_message_count": entries}})
    (folder / "metadata.yaml").write_text(text)
    return folder
