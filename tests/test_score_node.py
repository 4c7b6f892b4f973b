# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `score` in a process of its own: made clouds in over DDS, the table and the file out."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ros_process = pytest.importorskip("ros_process", reason="needs rclpy and the compiled messages")

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from ros_process import own_network  # noqa: E402, F401
from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from srkd_ros.msg import ModelInfo, ScoreReport  # noqa: E402

NAMES = ["road", "car", "pole"]


class Source:
    """This process as the node and the bag that `score` listens to."""

    def __init__(self, reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE) -> None:
        self.peer = ros_process.Peer()
        node, qos = self.peer.node, QoSProfile(depth=10, reliability=reliability)
        self.labels = node.create_publisher(PointCloud2, "/segment/output/points", qos)
        self.truth = node.create_publisher(PointCloud2, "/points/labels", qos)
        self.say(ModelInfo, "/segment/model_info", class_names=NAMES)

    def say(self, kind: Any, topic: str, **values: Any) -> None:
        """A latched message."""
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.peer.node.create_publisher(kind, topic, latched).publish(kind(**values))

    def wait_for_score(self) -> None:
        publishers = (self.labels, self.truth)
        self.peer.spin_until(lambda: all(each.get_subscription_count() for each in publishers), "score's subscriptions")
        time.sleep(0.5)  # its side of the match, and the class names

    def send(self, publisher: Any, stamp_s: int, class_id: Any) -> None:
        rows = np.zeros(len(class_id), [("xyz", "<f4", 3), ("class_id", "u1")])
        rows["class_id"] = class_id
        message = PointCloud2(height=1, width=len(rows), point_step=13, row_step=13 * len(rows))
        message.header.stamp.sec = stamp_s
        message.fields = [PointField(name="class_id", offset=12, datatype=PointField.UINT8, count=1)] + [
            PointField(name=axis, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, axis in enumerate("xyz")
        ]
        message.data.frombytes(rows.tobytes())
        publisher.publish(message)


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    made.peer.close()


def start(tmp_path: Path, *arguments: str) -> Any:
    process = ros_process.Process(tmp_path / "score.log", "srkd_ros.score", *arguments)
    process.wait_for("scoring /segment/output/points")
    return process


def test_clouds_are_paired_by_stamp_and_scored(source: Source, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    truth = random.choice([0, 1, 2, 255], (4, 30_000)).astype(np.uint8)
    found = random.choice([0, 1, 2], (4, 30_000)).astype(np.uint8)
    process = start(tmp_path, "--count", "4", "--output", str(tmp_path / "score.json"), "--every-s", "0.2")
    try:
        source.wait_for_score()
        source.send(source.labels, 99, [0])  # never gets its truth
        for stamp in range(4):
            source.send(source.truth, stamp, truth[stamp])
        for stamp in (2, 0, 1, 3):
            time.sleep(0.3)
            source.send(source.labels, stamp, found[stamp])
        assert process.process.wait(timeout=ros_process.PATIENCE_S) == 0, process.said()
    finally:
        process.end()
    written = json.loads((tmp_path / "score.json").read_text())
    iou = [
        ((truth == c) & (found == c)).sum() / (((truth == c) | (found == c)) & (truth != 255)).sum() for c in range(3)
    ]
    assert written["miou"] == pytest.approx(np.mean(iou))
    assert list(written["iou"]) == NAMES
    assert (written["clouds"], written["labels_without_truth"], written["truth_without_labels"]) == (4, 1, 0)
    assert "| pole |" in process.said() and "mIoU" in process.said()
    assert "1 labelled clouds without truth" in process.said()


@pytest.mark.parametrize(("labelled", "idle"), [((1, 2, 3), "50"), ((1, 3), "2")])
def test_it_ends_when_the_truth_has_been_played(
    labelled: tuple[int, ...], idle: str, source: Source, tmp_path: Path
) -> None:
    """At once where all of it has labels, else when none have come for a while."""
    process = start(tmp_path, "--until-over", "--idle-s", idle, "--output", str(tmp_path / "score.json"))
    try:
        source.wait_for_score()
        for stamp in (1, 2, 3):
            source.send(source.truth, stamp, [0, 1])
        for stamp in labelled[:-1]:
            source.send(source.labels, stamp, [0, 1])
        process.wait_for("matched /points/labels")
        time.sleep(1.0)
        assert process.process.poll() is None, "the truth may go on"
        source.truth.wait_for_all_acked()
        source.peer.node.destroy_publisher(source.truth)
        time.sleep(0.2)
        source.send(source.labels, labelled[-1], [0, 0])
        start_s = time.monotonic()
        assert process.process.wait(timeout=ros_process.PATIENCE_S) == 0, process.said()
        assert time.monotonic() - start_s < 10
    finally:
        process.end()
    written = json.loads((tmp_path / "score.json").read_text())
    assert (written["clouds"], written["truth_without_labels"]) == (len(labelled), 3 - len(labelled))
    assert written["confusion"][1] == [1, len(labelled) - 1, 0]


def test_without_truth_it_waits_for_its_beginning(source: Source, tmp_path: Path) -> None:
    source.peer.node.destroy_publisher(source.truth)
    process = start(tmp_path, "--until-over", "--idle-s", "0.1")
    try:
        process.wait_for("matched /segment/output/points")
        time.sleep(1.0)
        assert process.process.poll() is None
        assert process.stop(signal.SIGINT)[0] == 1
    finally:
        process.end()


def test_the_score_so_far_is_published(source: Source, tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        source.wait_for_score()
        source.send(source.labels, 2, [0])
        source.send(source.labels, 1, [0, 1, 1, 1])
        source.send(source.truth, 1, [0, 0, 1, 255])
        process.wait_for("matched /points/labels")
        time.sleep(0.5)
        heard: list[Any] = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        source.peer.node.create_subscription(ScoreReport, "/score/report", heard.append, latched)
        source.peer.spin_until(lambda: heard, "the report of late")
        source.send(source.truth, 2, [0])
        source.peer.spin_until(lambda: heard[-1].clouds == 2, "the second cloud")
    finally:
        process.end()
    first, last = heard[0], heard[-1]
    assert (first.header.stamp.sec, first.clouds, first.points, first.labels_without_truth) == (1, 1, 3, 1)
    assert list(first.class_names) == NAMES
    np.testing.assert_allclose(first.iou, [1 / 2, 1 / 2, np.nan])
    assert (first.miou, first.accuracy) == (0.5, pytest.approx(2 / 3))
    np.testing.assert_allclose(last.iou, [2 / 3, 1 / 2, np.nan], rtol=1e-6)
    assert (last.header.stamp.sec, last.points, last.labels_without_truth) == (2, 4, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_table(number: signal.Signals, source: Source, tmp_path: Path) -> None:
    process = start(tmp_path, "--scheme", "street", "--every-s", "0.2")
    try:
        source.wait_for_score()
        source.send(source.truth, 1, [0, 1, 6])
        source.send(source.labels, 1, [0, 1, 7])
        process.wait_for("1 clouds, mIoU")
        status, seconds = process.stop(number)
    finally:
        process.end()
    assert status == 0 and seconds < 5
    assert "| sidewalk | 100.0 |" in process.said() and "Traceback" not in process.said()


def test_silence_and_missing_names_are_one_line_each(source: Source, tmp_path: Path) -> None:
    process = start(tmp_path, "--idle-s", "0.5")
    try:
        assert process.process.wait(timeout=ros_process.PATIENCE_S) == 1
    finally:
        process.end()
    assert "nothing to score: no cloud came" in process.said()

    process = start(tmp_path, "--count", "1", "--model-info", "/nobody/model_info")
    try:
        source.wait_for_score()
        source.send(source.truth, 1, [0])
        source.send(source.labels, 1, [0])
        assert process.process.wait(timeout=ros_process.PATIENCE_S) == 1
    finally:
        process.end()
    assert "no class names on /nobody/model_info: give --model-info or --scheme" in process.said()


def test_labels_of_another_scheme_than_the_truth_are_refused(source: Source, tmp_path: Path) -> None:
    source.say(String, "/points/label_scheme", data="street")
    for arguments, named in (((), "(road, car, pole)"), (("--scheme", "nuscenes"), "(barrier, bicycle, ")):
        process = start(tmp_path, *arguments)
        try:
            assert process.process.wait(timeout=ros_process.PATIENCE_S) == 1
        finally:
            process.end()
        assert f"score: the labels' classes {named}" in process.said()
        assert "not those of /points/labels (road, sidewalk, " in process.said() and "Traceback" not in process.said()


@pytest.mark.parametrize(("scheme", "complaints"), [("street", 0), ("my own", 1)])
def test_labels_of_the_same_or_an_unknown_scheme_are_scored(
    scheme: str, complaints: int, source: Source, tmp_path: Path
) -> None:
    source.say(String, "/points/label_scheme", data=scheme)
    process = start(tmp_path, "--scheme", "street", "--count", "1")
    try:
        source.wait_for_score()
        source.send(source.truth, 1, [0])
        source.send(source.labels, 1, [0])
        assert process.process.wait(timeout=ros_process.PATIENCE_S) == 0, process.said()
    finally:
        process.end()
    assert process.said().count(f"/points/label_scheme: '{scheme}' is unknown here") == complaints


def test_an_incompatible_publisher_is_named_with_the_argument_to_change(tmp_path: Path) -> None:
    source = Source(ReliabilityPolicy.BEST_EFFORT)
    process = start(tmp_path)
    try:
        process.wait_for("a publisher of /segment/output/points is best_effort: give --reliability best_effort")
    finally:
        process.end()
        source.peer.close()
