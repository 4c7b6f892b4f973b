# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a teacher records of its disagreement with the student, in either way of comparing and as a node."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
pytest.importorskip("srkd_ros.msg", reason="needs the compiled messages (make setup)")
pytest.importorskip("rosbags", reason="needs rosbags (the extra bags)")

from comparing_bench import Bench, cloud, labels_of, model, scheme, teach
from disputed_clouds import bags, read
from ros_process import Process, made_cloud, own_network, ros_arguments  # noqa: F401
from test_teacher_node import REMAPS, Student

from srkd.errors import ConfigError
from srkd.io.bags import BagReader
from srkd.io.pointcloud2 import Decoded, decode
from srkd.segmenter import Labels
from srkd_ros import activity as module
from srkd_ros import disagreement_recorder
from srkd_ros.comparing import Pair
from srkd_ros.comparing_frames import ComparingFrames
from srkd_ros.comparing_topics import ComparingTopics
from srkd_ros.messages import labelled_message
from srkd_ros.msg import ModelInfo
from srkd_ros.student import Student as StudentNetwork

RECORD = {"record_worst_of": 1, "record_disagreement_min": 0.25, "record_min_free_mib": 0}


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A teacher that reads its labels off the cloud."""
    monkeypatch.setattr(module, "warm_up", lambda segmenter, frames: 0.0)
    monkeypatch.setattr(module, "label_frame", teach)
    made = model()
    made.path = Path("/models/big.safetensors")
    made.segmenter.network = SimpleNamespace(modules=lambda: ())
    return made


def contents(folder: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for bag in bags(folder):
        for topic, _, message in read(bag):
            found.setdefault(topic, []).append(message)
    return found


def class_ids(message: Any, step: int) -> list[int]:
    return np.frombuffer(message.data.tobytes(), np.uint8).reshape(-1, step)[:, 12].tolist()


def test_pairs_of_messages_on_which_both_differ_are_recorded(network: Any, tmp_path: Path) -> None:
    bench = Bench(ComparingTopics, network, **RECORD, record_dir=str(tmp_path / "bags"))
    bench.comparing.start()
    bench.comparing.record("/lidar_top")
    bench.comparing.receive_model_info(ModelInfo(class_names=["ground", "car", "tree"], scheme="made"))
    taught = [0, 1, 2, 255]
    for stamp, said in ((1, [0, 1, 2, 0]), (2, [0, 1, 1, 0]), (3, [1, 2, 0, 255]), (4, [255] * 4)):
        message = cloud(taught, stamp_s=stamp)
        bench.pair(message, labels_of(message, said))
    assert bench.comparing.stop(30)
    found = contents(tmp_path / "bags")
    assert [message.header.stamp.sec for message in found["/lidar_top"]] == [2, 3], "1 agrees, of 4 nothing is known"
    assert [class_ids(message, 24) for message in found["/lidar_top/predicted"]] == [[0, 1, 1, 0], [1, 2, 0, 255]]
    assert [class_ids(message, 16) for message in found["/lidar_top/teacher"]] == [taught, taught]
    assert {message.data for message in found["/lidar_top/predicted/label_scheme"]} == {"made"}
    counts = bench.comparing.recorded()
    assert (counts.offered, counts.recorded, counts.passed, counts.waiting) == (4, 2, 2, 0)
    assert len(bench.reports) == 4 and bench.said == []
    with BagReader(bags(tmp_path / "bags")[0]) as reader:
        assert reader.notes["srkd.source"] == "disagreement with big.safetensors, weights teacher"


def test_in_one_process_the_labels_are_those_that_the_student_publishes(network: Any, tmp_path: Path) -> None:
    bench = Bench(ComparingFrames, network, **RECORD, record_dir=str(tmp_path / "bags"))
    bench.comparing.start()
    bench.comparing.record("/points")
    message, said = cloud([0, 1, 2, 2]), cloud([0, 1, 0, 0])
    frame = teach(said)
    bench.comparing.receive(
        Pair(message, frame, StudentNetwork(scheme("a", "b", "c"), "w"), 1.0, time.monotonic()), busy=False
    )
    bench.settle()
    rejected = bench.said[:]
    bench.comparing.receive(Pair(message, frame, StudentNetwork(scheme(), "w"), 1.0, time.monotonic()), busy=False)
    bench.settle()
    assert bench.comparing.stop(30)
    assert len(rejected) == 1, "another scheme is refused, and not recorded"
    found = contents(tmp_path / "bags")
    assert len(found["/points"]) == 1
    (predicted,) = found["/points/predicted"]
    assert predicted.data.tobytes() == bytes(labelled_message(message, frame.decoded, frame.labels).data)
    assert class_ids(found["/points/teacher"][0], 16) == [0, 1, 2, 2]


def test_comparisons_go_on_where_nothing_can_be_recorded(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    bench = Bench(ComparingTopics, network, **RECORD, record_dir=str(tmp_path / "file" / "bags"))
    bench.comparing.start()
    bench.comparing.record("/points")
    for stamp in range(20):
        message = cloud([0, 1], stamp_s=stamp)
        bench.pair(message, labels_of(message, [1, 0]))
    start_s = time.monotonic()
    assert bench.comparing.stop(30)
    assert time.monotonic() - start_s < disagreement_recorder.RETRY_S
    assert len(bench.reports) == 20
    counts = bench.comparing.recorded()
    assert (counts.offered, counts.recorded, counts.failed + counts.dropped) == (20, 0, 20)
    assert [line for line in bench.said if "recording pauses for 10 s: " in line and "Not a directory" in line]


def test_nothing_is_recorded_unless_asked_for(network: Any) -> None:
    before = threading.enumerate()
    bench = Bench(ComparingTopics, network)
    bench.comparing.record("/points")
    assert threading.enumerate() == before
    bench = Bench(ComparingTopics, network, record_dir="here", record_file_mib=3, record_max_mib=4)
    with pytest.raises(ConfigError, match="at most half of record_max_mib"):
        bench.comparing.record("/points")


@pytest.fixture
def student() -> Iterator[Student]:
    made = Student()
    yield made
    made.close()


def test_what_a_node_has_recorded_outlives_kill_9(student: Student, tmp_path: Path) -> None:
    changes = {"record_dir": tmp_path / "bags", "record_disagreement_min": 0.0, "record_file_s": 1.0}
    parameters = {**RECORD, "device": "cpu", **changes}
    process = Process(tmp_path / "log", "srkd_ros.teacher", *ros_arguments(parameters, REMAPS))
    try:
        process.wait_for("teacher is active")
        deadline, stamp = time.monotonic() + 90, 0
        folder = tmp_path / "bags"
        while not folder.exists() or len(bags(folder)) < 2:
            assert time.monotonic() < deadline and process.process.poll() is None, process.said()
            stamp += 1
            message, decoded, labels = labelled(stamp)
            student.publisher.publish(message)
            student.out.publish(labelled_message(message, decoded, labels))
            student.spin(0.1)
        status = student.status(
            lambda status: (
                status.name == "teacher: agreement"
                and any(value.key == "recorded" and value.value != "0" for value in status.values)
            ),
            "what was recorded",
        )
        assert status.hardware_id == "cpu"
    finally:
        process.process.kill()
        process.process.wait()
    whole = bags(folder)
    assert len(whole) >= 2
    for bag in whole:
        topics = [topic for topic, _, _ in read(bag)]
        assert topics.count("/points") == topics.count("/points/predicted") == topics.count("/points/teacher") > 0


def labelled(stamp_s: int) -> tuple[Any, Decoded, Labels]:
    """A cloud with labels that nobody has given it."""
    message = made_cloud(30, stamp_s=stamp_s)
    ones = np.ones(30, np.float32)
    return message, decode(message), Labels(np.zeros(30, np.uint8), ones, ones)
