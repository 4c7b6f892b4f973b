# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segment node with past clouds, over real DDS: its labels are those of `label_bag` for the same messages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_makers import nano_checkpoint, read_clouds, run_module
from drives import odometry, sweep
from ros_process import Peer, Process, own_network, running, stamp_of  # noqa: F401

nav_msgs = pytest.importorskip("nav_msgs.msg", reason="needs nav_msgs (the `ros` extra, or a ROS distribution)")

from rclpy.serialization import deserialize_message  # noqa: E402

from srkd.io.bag_types import installed_store, serialize  # noqa: E402
from srkd.io.bags import CLOUD_TYPE, BagWriter, stamp_ns  # noqa: E402
from srkd.io.pointcloud2 import decode, read_fields  # noqa: E402
from srkd.segmenter import Segmenter  # noqa: E402
from srkd_ros.frame import FrameOptions, label_frame  # noqa: E402

ODOMETRY_TYPE = "nav_msgs/msg/Odometry"
T0 = 1_700_000_000 * 1_000_000_000
OPTIONS = {"num_past_frames": 2, "past_frame_step": 2, "sensor_pose": "1 0 1.8 0 0 0.5", "max_pose_wait_ms": 400.0}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano_checkpoint(tmp_path_factory.mktemp("model") / "nano.safetensors")


@pytest.fixture(scope="module")
def node(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    parameters = {"checkpoint": checkpoint, "device": "cpu", "diagnostics_period_s": 0.1, **OPTIONS}
    parameters["sensor_pose"] = f"'{OPTIONS['sensor_pose']}'"
    remaps = {"input/points": "/points", "input/odometry": "/odom"}
    with running(tmp_path_factory.mktemp("node") / "node.log", "srkd_ros.segment", parameters, remaps) as process:
        yield process


@pytest.fixture(scope="module")
def peer(node: Process) -> Iterator[Peer]:
    made = Peer()
    made.odometry = made.node.create_publisher(nav_msgs.Odometry, "/odom", 10)  # type: ignore[attr-defined]
    made.wait_for_node(node)
    made.spin_until(made.odometry.get_subscription_count, "the odometry's subscription")  # type: ignore[attr-defined]
    yield made
    made.close()


def raw(message: Any, kind: str) -> bytes:
    return serialize(installed_store(kind), kind, message)


def move(peer: Any, seconds: float, start_s: float, **changes: Any) -> bytes:
    message = raw(odometry(T0 + round((start_s + seconds) * 1e9), seconds, child="base_link", **changes), ODOMETRY_TYPE)
    peer.odometry.publish(deserialize_message(message, nav_msgs.Odometry))
    return message


def ask(peer: Peer, source: Any) -> Any:
    peer.labels.clear()
    return peer.ask(raw(source, CLOUD_TYPE), stamp_of(source))


def values(peer: Peer, key: str, wanted: str) -> Any:
    return peer.status(
        lambda status: {value.key: value.value for value in status.values}.get(key) == wanted, f"{key} of {wanted}"
    )


def test_live_labels_are_those_of_label_bag(peer: Peer, checkpoint: Path, tmp_path: Path) -> None:
    replies, sources = [], []
    with BagWriter(tmp_path / "bag") as writer:
        for number in range(7):
            seconds = 0.1 * number
            source = sweep(T0 + round((100 + seconds) * 1e9), seconds, count=600)
            time_ns = stamp_ns(source)
            for offset in (-0.03, 0.02):  # the cloud waits for the second
                writer.write("/odom", ODOMETRY_TYPE, time_ns + round(offset * 1e9), move(peer, seconds + offset, 100.0))
            writer.write_message("/points", CLOUD_TYPE, time_ns, source)
            peer.spin(0.05)
            replies.append(ask(peer, source))
            sources.append(source)
    values(peer, "past clouds used", "2")
    words = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", value)]
    ran = run_module("srkd_ros.label_bag", tmp_path / "bag", tmp_path / "out", "--checkpoint", checkpoint, *words)
    assert ran.returncode == 0, ran.stderr
    offline = read_clouds(tmp_path / "out", "/points/labels")
    assert len(offline) == len(replies)
    segmenter = Segmenter.load(checkpoint, device="cpu")
    for number, (live, found, source) in enumerate(zip(replies, offline, sources, strict=True)):
        assert (live.height, live.width, live.point_step) == (1, 600, 24)
        assert bytes(live.data) == found.data.tobytes(), number
        columns = read_fields(live, ["x", "y", "z", "probability"])
        np.testing.assert_array_equal(np.stack([columns[axis] for axis in "xyz"], 1), decode(source).cloud.xyz)
        alone = label_frame(source, segmenter, FrameOptions()).labels.probability
        assert np.array_equal(columns["probability"], alone) == (number < 2), "the first two have no past"


def test_silent_odometry_leaves_single_clouds_and_is_said(peer: Peer, checkpoint: Path) -> None:
    segmenter = Segmenter.load(checkpoint, device="cpu")
    for number in range(4):
        source = sweep(T0 + (200 + number // 10) * 10**9 + number * 10**8, 0.0, count=300)
        begin = time.monotonic()
        reply = ask(peer, source)
        assert time.monotonic() - begin < 20
        frame = label_frame(source, segmenter, FrameOptions())
        np.testing.assert_array_equal(read_fields(reply, ["probability"])["probability"], frame.labels.probability)
    status = peer.status(lambda status: "no pose at the stamp of the newest cloud" in status.message, "the silence")
    assert status.level == b"\x01"
    report = peer.reports[-1]
    assert report.received == report.labelled + report.dropped + report.rejected + report.skipped


def test_a_bag_that_begins_again_starts_alone_and_goes_on(peer: Peer, node: Process, checkpoint: Path) -> None:
    segmenter = Segmenter.load(checkpoint, device="cpu")
    for number in range(4):
        seconds = 0.1 * number
        move(peer, seconds, 50.0)
        peer.spin(0.1)
        source = sweep(T0 + round((50 + seconds) * 1e9), seconds, count=300)
        reply = ask(peer, source)
        alone = label_frame(source, segmenter, FrameOptions()).labels.probability
        if number < 2:
            np.testing.assert_array_equal(read_fields(reply, ["probability"])["probability"], alone)
    assert not np.array_equal(read_fields(reply, ["probability"])["probability"], alone)
    node.wait_for("past clouds are forgotten: the stamps of the clouds went back")


def test_parameters_of_the_past_are_refused_in_one_line(peer: Peer) -> None:
    for name, value, named in (
        ("num_past_frames", 3, "deactivate the node first"),
        ("sensor_pose", "1 2", "deactivate the node first"),
        ("max_pose_wait_ms", -1.0, "max_pose_wait_ms"),
    ):
        assert named in peer.set(**{name: value})
    assert peer.change_state("deactivate")
    assert "expected six numbers" in peer.set(sensor_pose="1 2")
    assert "odometry | tf" in peer.set(motion_source="wheels")
    if find_spec("tf2_ros") is None:
        assert peer.set(motion_source="tf") == ""
        assert not peer.change_state("activate")
        status = peer.status(lambda status: "tf2_ros" in status.message, "the reason")
        assert (status.level, "set it to odometry" in status.message) == (b"\x02", True)
    assert peer.set(num_past_frames=0, motion_source="odometry") == ""
    assert peer.change_state("activate")
    peer.spin_until(lambda: not peer.odometry.get_subscription_count(), "the end of it")  # type: ignore[attr-defined]
    values(peer, "past clouds wanted", "0")
