# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Student and teacher as processes of their own, and the student is killed and started again under the teacher."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparing_bench import add_up
from ros_process import Peer, Process, made_cloud, own_network, ros_arguments, running, stamp_of  # noqa: F401

from srkd_ros.msg import ComparisonReport

PERIOD_S = 0.15
PATIENCE_S = 90.0
BUFFER = 8
REMAPS = {
    "input/points": "/points",
    "input/labels": "/segment/output/points",
    "input/report": "/segment/report",
    "input/model_info": "/segment/model_info",
}


class Driver(Peer):
    """Sends clouds, each of another size so that labels of one are never those of another, and hears both nodes."""

    def __init__(self) -> None:
        super().__init__("segment")
        self.comparisons: list[Any] = []
        self.node.create_subscription(ComparisonReport, "/teacher/comparison", self.comparisons.append, 50)
        self.want_labels()
        self.sent = 0

    def send(self) -> int:
        """The stamp of a new cloud."""
        self.sent += 1
        self.publisher.publish(made_cloud(200 + self.sent % 50, stamp_s=self.sent))
        self.spin(PERIOD_S)
        return self.sent

    def send_until_compared(self, after: int) -> Any:
        """Goes on until a cloud of a stamp after this one is compared; that report."""
        deadline = time.monotonic() + PATIENCE_S
        while not (self.comparisons and stamp_of(self.comparisons[-1])[0] > after):
            assert time.monotonic() < deadline, "no comparison came"
            self.send()
        return self.comparisons[-1]


@pytest.fixture
def teacher(tmp_path: Path) -> Iterator[Process]:
    parameters = {"device": "cpu", "checkpoint": "teacher-nano", "buffer_frames": BUFFER}
    with running(tmp_path / "teacher.log", "srkd_ros.teacher", parameters, REMAPS) as process:
        process.wait_for("teacher is active")
        yield process


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver()
    yield made
    made.close()


def student(log: Path, checkpoint: str = "student-nano") -> Process:
    words = ros_arguments({"device": "cpu", "checkpoint": checkpoint}, {"input/points": "/points"})
    process = Process(log, "srkd_ros.segment", *words)
    process.wait_for("segment is active")
    return process


def test_a_student_that_is_killed_and_comes_back_is_compared_again(
    teacher: Process, driver: Driver, tmp_path: Path
) -> None:
    first = student(tmp_path / "first.log")
    try:
        driver.send_until_compared(0)
        for _ in range(5):
            driver.send()
    finally:
        first.process.kill()
        first.process.wait(timeout=10)
    driver.spin(2.0)  # what was in work
    before, killed_after = driver.comparisons[-1], driver.sent

    # Nobody labels these: all but the newest leave the teacher's buffer.
    for _ in range(BUFFER + 4):
        driver.send()
    assert driver.comparisons[-1] is before, "nothing is compared without a student"

    second = student(tmp_path / "second.log")
    try:
        returned_at = driver.sent
        after = driver.send_until_compared(returned_at)
        for _ in range(3):
            driver.send()
        driver.spin(2.0)
    finally:
        second.end()
    assert teacher.process.poll() is None and all(add_up(report) for report in driver.comparisons)
    stamps = [stamp_of(report)[0] for report in driver.comparisons]
    assert stamps == sorted(set(stamps)), "each cloud once, in order"
    assert not [stamp for stamp in stamps if killed_after < stamp <= returned_at], "clouds without labels"
    last = driver.comparisons[-1]
    counts = [report.compared for report in driver.comparisons]
    assert counts == list(range(counts[0], counts[0] + len(counts))), "it counts on through both lives"
    assert after.unmatched - before.unmatched >= returned_at - killed_after - BUFFER
    # Of the clouds that were sent while there was no student none can have been matched.
    assert last.matched <= last.clouds - (returned_at - killed_after) and last.labels <= last.clouds
    assert last.clouds <= driver.sent
    assert last.window_frames == last.compared, "the same network: the window goes on"


def test_another_network_in_the_restarted_student_begins_a_new_window(
    teacher: Process, driver: Driver, tmp_path: Path
) -> None:
    for life, checkpoint in enumerate(("student-nano", "teacher-nano")):
        process = student(tmp_path / f"{life}.log", checkpoint)
        try:
            report = driver.send_until_compared(driver.sent)
            deadline = time.monotonic() + PATIENCE_S
            while life and report.window_agreement < 1:
                assert time.monotonic() < deadline, (report.window_frames, report.window_agreement)
                report = driver.send_until_compared(driver.sent)
        finally:
            process.process.kill()
            process.process.wait(timeout=10)
    assert report.agreement == report.window_agreement == 1 and report.window_frames < report.compared
    assert add_up(report)
