# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag of a data set, played to a subscriber: every cloud and its truth arrive as they were written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (the `bags` extra)")
rclpy = pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")

from nuscenes_makers import make_nuscenes  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from ros_process import PATIENCE_S, Process, own_network  # noqa: E402, F401
from sensor_msgs.msg import PointCloud2  # noqa: E402

from srkd.io.bags import BagReader  # noqa: E402
from srkd_train.__main__ import main  # noqa: E402

TOPICS = ("/points", "/points/labels")


def test_a_scene_is_played_as_it_was_written(tmp_path: Path) -> None:
    make_nuscenes(tmp_path, scenes=("scene-0001",))
    assert main(["to_bag", "nuscenes", str(tmp_path), str(tmp_path / "bag")]) == 0
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("ear", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    heard: dict[str, list[Any]] = {topic: [] for topic in TOPICS}
    held: list[Any] = [
        node.create_subscription(PointCloud2, topic, heard[topic].append, QoSProfile(depth=20)) for topic in TOPICS
    ]
    arguments = (str(tmp_path / "bag"), "--wait-subscribers", str(len(held)), "--log", str(tmp_path / "sent.json"))
    player = Process(tmp_path / "replay.log", "srkd_ros.replay", *arguments)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while player.process.poll() is None:
            assert time.monotonic() < deadline, player.said()
            executor.spin_once(timeout_sec=0.05)
        for _ in range(20):
            executor.spin_once(timeout_sec=0.01)
    finally:
        player.end()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    assert player.process.returncode == 0, player.said()
    with BagReader(tmp_path / "bag") as reader:
        written = {
            topic: [deserialize_message(message.raw, PointCloud2) for message in reader.messages([topic])]
            for topic in TOPICS
        }
        times_ns = [message.time_ns for message in reader.messages(["/points"])]
    assert heard == written and [len(written[topic]) for topic in TOPICS] == [3, 2]
    sent = [json.loads(line) for line in (tmp_path / "sent.json").read_text().splitlines()]
    assert [each["stamp_ns"] for each in sent if each["topic"] == "/points"] == times_ns
