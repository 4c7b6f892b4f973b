# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The teacher node in a process of its own, over real DDS; this process plays the driver and the student."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing_bench import add_up
from ros_process import Peer, Process, made_cloud, own_network, ros_arguments, running, stamp_of  # noqa: F401
from sensor_msgs.msg import PointCloud2

from srkd.io.pointcloud2 import read_fields
from srkd.labels import get_scheme
from srkd.segmenter import Segmenter
from srkd_ros.frame import FrameOptions, LabelledFrame, label_frame
from srkd_ros.messages import labelled_message
from srkd_ros.model import BUNDLED
from srkd_ros.msg import ComparisonReport, ModelInfo, SegmentationReport

CLASSES = 12
REMAPS = {
    "input/points": "/points",
    "input/labels": "/segment/output/points",
    "input/report": "/segment/report",
    "input/model_info": "/segment/model_info",
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    parameters = {"device": "cpu", "buffer_frames": 3, "window_frames": 2, "diagnostics_period_s": 0.1}
    with running(tmp_path_factory.mktemp("node") / "node.log", "srkd_ros.teacher", parameters, REMAPS) as process:
        yield process


class Student(Peer):
    """The driver and the student, and who listens to the teacher."""

    def __init__(self) -> None:
        super().__init__("teacher")
        self.out = self.node.create_publisher(PointCloud2, "/segment/output/points", 5)
        self.report = self.node.create_publisher(SegmentationReport, "/segment/report", 5)
        self.comparisons: list[Any] = []
        self.disagreements: list[Any] = []
        self.listen(ComparisonReport, "comparison", self.comparisons)
        self.listen(PointCloud2, "output/disagreement", self.disagreements)

    def compared(self, cloud: Any, labels: Any, *, labels_first: bool = False) -> Any:
        """The comparison of this pair."""
        for message in (labels, cloud) if labels_first else (cloud, labels):
            (self.out if message is labels else self.publisher).publish(message)
            self.spin(0.05)
        self.spin_until(
            lambda: self.comparisons and stamp_of(self.comparisons[-1]) == stamp_of(cloud), "the comparison"
        )
        return self.comparisons[-1]

    def wait_until_heard(self) -> None:
        stamp = 10_000
        while not self.comparisons:
            stamp += 1
            self.out.publish(labelled_message(*empty(stamp)))
            self.publisher.publish(empty(stamp)[0])
            self.spin(0.2)
            assert stamp < 10_200
        self.spin(0.3)


@pytest.fixture(scope="module")
def student(node: Process) -> Iterator[Student]:
    node.wait_for("teacher is active")
    made = Student()
    made.wait_until_heard()
    yield made
    made.close()


@pytest.fixture(scope="module")
def networks() -> dict[str, Segmenter]:
    return {name: Segmenter.load(BUNDLED / f"{name}-nano.safetensors", device="cpu") for name in ("student", "teacher")}


def empty(stamp_s: int) -> Any:
    cloud = made_cloud(0, stamp_s=stamp_s)
    frame = label_frame(cloud, Segmenter.load(BUNDLED / "student-nano.safetensors", device="cpu"), FrameOptions())
    return cloud, frame.decoded, frame.labels


def frame_of(cloud: Any, network: Segmenter) -> LabelledFrame:
    return label_frame(cloud, network, FrameOptions())


def test_reports_are_those_of_counting_by_hand(student: Student, networks: dict[str, Segmenter]) -> None:
    clouds = [made_cloud(400 + 100 * number, stamp_s=number) for number in (1, 2, 3)]
    np.frombuffer(clouds[1].data, "<f4")[0] = np.nan
    matrices = []
    for number, cloud in enumerate(clouds):
        seen, taught = frame_of(cloud, networks["student"]), frame_of(cloud, networks["teacher"])
        report = SegmentationReport(header=cloud.header, total_ms=12.5 + number)
        student.report.publish(report)
        message = labelled_message(cloud, seen.decoded, seen.labels)
        found = student.compared(cloud, message, labels_first=number % 2 == 1)
        matrix = np.zeros((CLASSES, CLASSES), np.int64)
        for teacher_id, student_id in zip(taught.labels.class_id, seen.labels.class_id, strict=True):
            if teacher_id < 255 and student_id < 255:
                matrix[teacher_id, student_id] += 1
        matrices.append(matrix)
        assert found.num_points == matrix.sum() == len(cloud.data) // 16 - (number == 1)
        assert found.agreement == pytest.approx(np.trace(matrix) / matrix.sum())
        assert found.confusion.tolist() == matrix.ravel().tolist()
        assert add_up(found)
        kept = (seen.labels.class_id < 255) & (taught.labels.class_id < 255)
        bins = np.minimum((seen.labels.probability[kept].astype(float) * 15).astype(int), 14)
        assert found.calibration_count.tolist() == np.bincount(bins, minlength=15).tolist()
        window = sum(matrices[-2:])
        assert list(found.window_confusion) == window.ravel().tolist()
        assert found.window_frames == min(2, number + 1) or number == 0  # the first follows the empty clouds
        hit, union = np.diag(window), window.sum(0) + window.sum(1) - np.diag(window)
        wanted = [float(h / u) if u else math.nan for h, u in zip(hit, union, strict=True)]
        np.testing.assert_allclose(found.window_iou, wanted, rtol=1e-6)
        assert found.student_ms == 12.5 + number
        assert found.teacher_ms > 0
        assert math.isnan(found.mean_kl)

        student.spin_until(lambda cloud=cloud: stamp_of(student.disagreements[-1]) == stamp_of(cloud), "disagreement")
        columns = read_fields(student.disagreements[-1], ["x", "student_id", "teacher_id", "rgb"])
        differ = (seen.labels.class_id != taught.labels.class_id) & (taught.labels.class_id < 255)
        np.testing.assert_array_equal(columns["x"], seen.decoded.cloud.xyz[differ, 0])
        np.testing.assert_array_equal(columns["student_id"], seen.labels.class_id[differ])
        np.testing.assert_array_equal(columns["teacher_id"], taught.labels.class_id[differ])
        colors = get_scheme("street").colors
        wanted_rgb = [colors[class_id] for class_id in taught.labels.class_id[differ]]
        packed = columns["rgb"].view("<u4").tolist()
        assert [(value >> 16, value >> 8 & 255, value & 255) for value in packed] == wanted_rgb


def test_what_never_matches_is_counted_and_forgotten(student: Student, networks: dict[str, Segmenter]) -> None:
    cloud = made_cloud(50, stamp_s=50)
    message = labelled_message(cloud, *_decoded_and_labels(cloud, networks))
    before = student.compared(cloud, message)
    for number in range(60, 70):
        student.publisher.publish(made_cloud(10, stamp_s=number))
        student.spin(0.03)
    late = made_cloud(10, stamp_s=60)
    student.out.publish(labelled_message(late, *_decoded_and_labels(late, networks)))
    student.spin(0.1)
    cloud = made_cloud(50, stamp_s=51)
    after = student.compared(cloud, labelled_message(cloud, *_decoded_and_labels(cloud, networks)))
    assert after.compared == before.compared + 1, "the cloud of stamp 60 had left the buffer"
    assert 7 <= after.unmatched - before.unmatched <= 9, "10 clouds, of which the 3 newest wait still"


def _decoded_and_labels(cloud: Any, networks: dict[str, Segmenter]) -> tuple[Any, Any]:
    frame = frame_of(cloud, networks["student"])
    return frame.decoded, frame.labels


def test_labels_that_do_not_fit_are_rejected_and_the_next_pair_is_compared(
    student: Student, node: Process, networks: dict[str, Segmenter]
) -> None:
    short, cloud = made_cloud(10, stamp_s=80), made_cloud(20, stamp_s=80)
    student.out.publish(labelled_message(short, *_decoded_and_labels(short, networks)))
    student.publisher.publish(cloud)
    node.wait_for("pair rejected: labels: 10 for 20 points")
    student.out.publish(made_cloud(5, stamp_s=81))
    student.publisher.publish(made_cloud(5, stamp_s=81))
    node.wait_for("field 'class_id': missing")
    student.spin(0.2)
    cloud = made_cloud(20, stamp_s=82)
    assert student.compared(cloud, labelled_message(cloud, *_decoded_and_labels(cloud, networks))).num_points == 20


def test_it_says_who_it_is_and_how_it_does(student: Student, node: Process) -> None:
    student.spin_until(lambda: student.infos, "the teacher's ModelInfo")
    assert (student.infos[-1].role, student.infos[-1].name) == ("teacher", "teacher-nano.safetensors")
    assert student.set(input_timeout_s=0.3) == ""
    status = student.status(lambda status: "no cloud on /segment/output/points" in status.message, "the silence")
    assert status.level == b"\x01"
    status = student.status(lambda status: status.name == "teacher: agreement", "the other status")
    values = {value.key: value.value for value in status.values}
    last = student.comparisons[-1]
    assert (values["compared"], values["teacher"]) == (str(last.compared), "teacher-nano.safetensors")
    assert int(values["clouds"]) + int(values["labels"]) == 2 * int(values["matched"]) + int(values["unmatched"]) + int(
        values["waiting"]
    )


def test_another_label_scheme_is_refused_and_a_signal_ends_it(student: Student, node: Process) -> None:
    from rclpy.qos import DurabilityPolicy, QoSProfile

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    info = student.node.create_publisher(ModelInfo, "/segment/model_info", latched)
    info.publish(ModelInfo(class_names=["sky"]))
    student.spin(0.5)
    for stamp in (90, 91):
        cloud, decoded, labels = empty(stamp)
        student.publisher.publish(cloud)
        student.out.publish(labelled_message(cloud, decoded, labels))
        student.spin(0.2)
    node.wait_for("the student's classes, unnamed (sky), are not the teacher's, street (")
    student.node.destroy_publisher(info)
    assert node.stop(signal.SIGTERM) == (0, pytest.approx(0, abs=2.0))


def test_a_teacher_that_is_killed_comes_back_and_counts_anew(
    student: Student, networks: dict[str, Segmenter], tmp_path: Path
) -> None:
    """The student goes on meanwhile, from the same clouds again: its bag is in a loop."""

    def turn() -> None:
        for stamp in (101, 102, 103):
            cloud = made_cloud(20, stamp_s=stamp)
            student.publisher.publish(cloud)
            student.out.publish(labelled_message(cloud, *_decoded_and_labels(cloud, networks)))
            student.spin(0.05)

    parameters = {"device": "cpu", "teacher_niceness": 5}
    for life in range(2):
        process = Process(tmp_path / f"{life}.log", "srkd_ros.teacher", *ros_arguments(parameters, REMAPS))
        try:
            process.wait_for("teacher is active")
            student.comparisons.clear()
            deadline = time.monotonic() + 60
            while len(student.comparisons) < 4:
                turn()
                assert time.monotonic() < deadline, process.said()
            first = student.comparisons[0]
            assert (first.compared, first.window_frames) == (1, 1)
            assert all(add_up(report) for report in student.comparisons)
            process.process.kill()
            process.process.wait(timeout=10)
        finally:
            process.end()
        turn()
