# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node in a process of its own is sent messages of real bags; its labels against the offline ones, bitwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from real_data import real_data

from srkd.architectures import build_network
from srkd.checkpoint import Header, save_checkpoint
from srkd.input_spec import InputSpec
from srkd.intensity import match_intensity
from srkd.io.pointcloud2 import decode, read_fields
from srkd.labels import get_scheme
from srkd.segmenter import Segmenter
from srkd_ros.transport import use_large_cloud_profile

rclpy = pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
rclpy_executors = pytest.importorskip("rclpy.executors")
rclpy_qos = pytest.importorskip("rclpy.qos")
sensor_msgs = pytest.importorskip("sensor_msgs.msg")

DOMAIN = 1 + os.getpid() % 100  # one domain a test process, so that two never hear each other
PATIENCE_S = 60.0
BAGS = ("velodyne_vlp16_xyzirt22", "ouster_os1_128_organized48", "autoware_xyzircaedt32_vlp16_1msg")


@pytest.fixture(scope="module", autouse=True)
def private_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """This process and those it starts: own domain, this machine only, one thread, logs out of the home folder."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        patch.setenv("OMP_NUM_THREADS", "1")
        for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
            patch.setenv(name, "")
        use_large_cloud_profile()
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nano student with fresh weights."""
    scheme = get_scheme("nuscenes")
    torch.manual_seed(0)
    network = build_network("student-nano", scheme.num_classes, 4)
    spec = InputSpec(voxel_size_m=0.2, intensity="divide_255")
    path = tmp_path_factory.mktemp("model") / "nano.safetensors"
    save_checkpoint(path, network, Header.of(network, "student-nano", spec, scheme))
    return path


class Node:
    """`srkd_ros.segment_node` in a process of its own."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("wb") as file:
            command = [sys.executable, "-m", "srkd_ros.segment_node", "--ros-args", "-r", "~/input/points:=/points"]
            self.process = subprocess.Popen([*command, *arguments], stdout=file, stderr=subprocess.STDOUT)

    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{text!r} not in:\n{self.said()}"
            time.sleep(0.05)

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_S)


class Sensor:
    """This process as the driver and the reader of the labels."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("sensor", context=self.context)
        driver_qos = rclpy_qos.QoSProfile(depth=1, reliability=rclpy_qos.ReliabilityPolicy.BEST_EFFORT)
        self.publisher = self.node.create_publisher(sensor_msgs.PointCloud2, "/points", driver_qos)
        self.replies: list[Any] = []
        self.subscription = self.node.create_subscription(
            sensor_msgs.PointCloud2, "/segment/output/points", self.replies.append, 10
        )
        self.executor = rclpy_executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def wait_for_node(self, node: Node) -> None:
        """Sends empty clouds until one comes back: discovery is done in both directions."""
        self.replies.clear()
        deadline = time.monotonic() + PATIENCE_S
        while not self.replies:
            assert node.process.poll() is None, node.said()
            assert time.monotonic() < deadline, "the node was not discovered"
            self.publisher.publish(made_cloud(0))
            self.executor.spin_once(timeout_sec=0.2)

    def ask(self, message: Any, stamp: tuple[int, int]) -> Any:
        """Publishes a message, or its serialised bytes, once and returns the reply with its stamp."""
        self.publisher.publish(message)
        deadline = time.monotonic() + PATIENCE_S
        while not (self.replies and stamp_of(self.replies[-1]) == stamp):
            assert time.monotonic() < deadline, "no labels came back"
            self.executor.spin_once(timeout_sec=0.05)
        return self.replies[-1]

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def sensor() -> Iterator[Sensor]:
    made = Sensor()
    yield made
    made.close()


@pytest.fixture
def node(checkpoint: Path, tmp_path: Path) -> Iterator[Node]:
    started = Node(tmp_path / "node.log", "-p", f"checkpoint:={checkpoint}")
    yield started
    started.process.kill()
    started.process.wait()


@pytest.fixture(scope="module")
def offline(checkpoint: Path) -> Segmenter:
    return Segmenter.load(checkpoint)


def messages_of(bag: str) -> list[tuple[bytes, Any]]:
    """The clouds of a bag: (serialised, deserialised without ROS)."""
    highlevel = pytest.importorskip("rosbags.highlevel", reason="needs rosbags (the `bags` extra)")
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    with highlevel.AnyReader([real_data("bags", bag)], default_typestore=store) as reader:
        return [(bytes(raw), reader.deserialize(raw, link.msgtype)) for link, _, raw in reader.messages()]


def stamp_of(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def assert_labels_are_the_offline_ones(reply: Any, source: Any, offline: Segmenter) -> None:
    decoded = decode(source)
    labels = offline(match_intensity(decoded.cloud, offline.header.input)[0])
    assert (stamp_of(reply), reply.header.frame_id) == (stamp_of(source), source.header.frame_id)
    assert (reply.height, reply.width, reply.point_step) == (source.height, source.width, 24)
    assert reply.row_step * reply.height == len(reply.data) == 24 * len(decoded.cloud)
    columns = read_fields(reply, ["x", "y", "z", "class_id", "probability", "entropy"])
    for index, axis in enumerate("xyz"):
        np.testing.assert_array_equal(columns[axis], decoded.cloud.xyz[:, index])
    np.testing.assert_array_equal(columns["class_id"], labels.class_id)
    np.testing.assert_array_equal(columns["probability"], labels.probability)
    np.testing.assert_array_equal(columns["entropy"], labels.entropy)


def made_cloud(count: int, *, stamp_s: int = 0) -> Any:
    """A message of x y z intensity, 16 bytes a point, within 20 m."""
    points = np.random.default_rng(0).uniform(-20, 20, (count, 4)).astype("<f4")
    points[:, 3] = np.abs(points[:, 3])
    message = sensor_msgs.PointCloud2(height=1, width=count, point_step=16, row_step=16 * count)
    for index, name in enumerate(("x", "y", "z", "intensity")):
        field = sensor_msgs.PointField(name=name, offset=4 * index, datatype=sensor_msgs.PointField.FLOAT32, count=1)
        message.fields.append(field)
    message.header.frame_id = "lidar"
    message.header.stamp.sec = stamp_s
    message.data.frombytes(points.tobytes())
    return message


@pytest.mark.parametrize("bag", BAGS)
def test_labels_of_a_real_bag_are_the_offline_ones(bag: str, node: Node, sensor: Sensor, offline: Segmenter) -> None:
    messages = messages_of(bag)
    sensor.wait_for_node(node)
    for raw, source in messages[:2]:
        reply = sensor.ask(raw, stamp_of(source))
        assert_labels_are_the_offline_ones(reply, source, offline)
        assert len(set(read_fields(reply, ["class_id"])["class_id"].tolist()) - {255}) > 1


def test_bad_clouds_are_warnings_and_the_node_goes_on(node: Node, sensor: Sensor, offline: Segmenter) -> None:
    sensor.wait_for_node(node)
    truncated = made_cloud(100)
    truncated.data = truncated.data[:-1]
    sensor.publisher.publish(truncated)
    node.wait_for("cloud rejected: ")
    lacking = made_cloud(100)
    lacking.fields = lacking.fields[1:]  # no x
    sensor.publisher.publish(lacking)
    time.sleep(0.2)
    dark = made_cloud(50, stamp_s=50)
    dark.fields = dark.fields[:3]  # no intensity: taken as 0, and said
    for good in (made_cloud(1, stamp_s=1), made_cloud(3000, stamp_s=3000), dark):
        assert_labels_are_the_offline_ones(sensor.ask(good, stamp_of(good)), good, offline)
    node.wait_for("no intensity")
    assert node.said().count("cloud rejected: ") == 1, "throttled: one warning in 5 s"
    assert "Traceback" not in node.said()
    assert node.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_status_0(number: signal.Signals, node: Node) -> None:
    node.wait_for("labels 16 classes of nuscenes")
    assert node.stop(number) == 0
    assert "Traceback" not in node.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_in_the_middle_of_a_cloud_end_it_with_status_0(
    number: signal.Signals, node: Node, sensor: Sensor
) -> None:
    sensor.wait_for_node(node)
    sensor.publisher.publish(made_cloud(20_000))
    time.sleep(0.3)
    assert node.stop(number) == 0
    assert "Traceback" not in node.said()


@pytest.mark.parametrize(
    ("parameter", "named"),
    [
        ("checkpoint:=missing.safetensors", "missing.safetensors"),
        ("checkpoint:=5", "'5'"),
        ("checkpoint", "-p checkpoint"),
    ],
)
def test_an_unusable_parameter_is_one_line_and_status_1(parameter: str, named: str, tmp_path: Path) -> None:
    node = Node(tmp_path / "node.log", "-p", parameter)
    assert node.process.wait(timeout=PATIENCE_S) == 1
    said = [line for line in node.said().splitlines() if not line.startswith("[ERROR]")]  # rcl logs on its own
    assert len(said) == 1, node.said()
    assert said[0].startswith("segment: ")
    assert named in said[0]
