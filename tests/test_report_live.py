# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of what real nodes left: a drive is replayed to student and teacher, and all that they say is recorded."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("embreex", reason="needs embreex")
pytest.importorskip("matplotlib", reason="needs matplotlib")

from comparing_bench import add_up
from report_makers import Page
from ros_process import Process, own_network, ros_arguments  # noqa: F401
from test_teacher_node import REMAPS

from srkd.io.bags import BagReader
from srkd_train.__main__ import main
from srkd_train.demo_offline import SENSOR
from srkd_train.live.drive_bag import write_drive

FRAMES = 12
TOPICS = ("/points", "/points/labels", "/points/label_scheme", "/segment/output/points", "/segment/report")
QUIET_S = 3.0
TOPICS = (*TOPICS, "/segment/model_info", "/teacher/comparison", "/teacher/model_info")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bag `live` and the folder `disputed` of a disagreement recorder."""
    folder = tmp_path_factory.mktemp("run")
    write_drive(folder / "drive", 10000, SENSOR, FRAMES)
    record = {"record_dir": folder / "disputed", "record_disagreement_min": 0.0, "record_worst_of": 1}
    parameters = {"device": "cpu", **record, "record_min_free_mib": 0, "record_file_s": 600.0}
    processes: list[Process] = []

    def start(module: str, *words: str) -> Process:
        processes.append(Process(folder / f"{module}.log", f"srkd_ros.{module}", *words))
        return processes[-1]

    try:
        student = start("segment", *ros_arguments({"device": "cpu"}, {"input/points": "/points"}))
        teacher = start("teacher", *ros_arguments(parameters, REMAPS))
        recorder = start("record", str(folder / "live"), *TOPICS, "--log", str(folder / "live.jsonl"))
        student.wait_for("segment is active")
        teacher.wait_for("teacher is active")
        recorder.wait_for("matched /teacher/comparison")
        replay = start("replay", str(folder / "drive"), "--rate", "0.2", "--wait-subscribers", "2")
        assert replay.process.wait(timeout=120) == 0, replay.said()
        settle(folder / "live.jsonl")
        for process in (recorder, teacher, student):
            assert process.stop(signal.SIGINT)[0] == 0, process.said()
    finally:
        for process in processes:
            process.end()
    return folder


def settle(log: Path) -> None:
    """Until nothing has come for a while: the teacher may still be at work on the last pair."""
    size, since = -1, time.monotonic()
    while time.monotonic() < since + QUIET_S:
        if log.stat().st_size != size:
            size, since = log.stat().st_size, time.monotonic()
        time.sleep(0.1)


def comparisons(bag: Path) -> list[Any]:
    with BagReader(bag) as reader:
        return [reader.deserialize(message) for message in reader.messages(["/teacher/comparison"])]


def page_of(bag: Path, out: Path) -> Page:
    assert main(["report", str(bag), "--out", str(out), "--pictures", "1"]) == 0
    return Page(out.read_text(encoding="utf-8"))


def test_a_live_comparison_is_shown_as_the_teacher_reported_it(run: Path) -> None:
    reports = comparisons(run / "live")
    assert reports and all(add_up(report) for report in reports)
    page = page_of(run / "live", run / "live.html")
    confusion = sum(np.array(report.confusion).reshape(12, 12) for report in reports)
    assert f"Over all compared points: {100 * np.trace(confusion) / confusion.sum():.1f} %." in page.text
    with BagReader(run / "live") as reader:
        (info,) = (reader.deserialize(message) for message in reader.messages(["/teacher/model_info"]))
    union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    iou = {name: row[0] for row in page.rows if len(row) == 3 for name, row in [(row[0], row[1:])]}
    for name, hit, all_of in zip(info.class_names, np.diag(confusion), union, strict=True):
        assert not all_of or iou[name.replace("_", " ")] == f"{100 * hit / all_of:.1f}"
    for what in ("over the window", "clouds compared", "Confusion", "Calibration", "Agreement", "student", "teacher"):
        assert what in page.text
    times = [report.teacher_ms for report in reports if math.isfinite(report.teacher_ms)]
    assert times and page.row("teacher")[1] == f"{np.percentile(times, 50):.1f}"


def test_its_disagreement_bag_says_the_same_of_the_clouds_that_it_holds(run: Path) -> None:
    (bag,) = (path for path in (run / "disputed").iterdir() if not path.name.startswith("."))
    with BagReader(bag) as reader:
        stamps = {
            (reader.deserialize(message).header.stamp.sec, reader.deserialize(message).header.stamp.nanosec)
            for message in reader.messages(["/points/teacher"])
        }
    recorded = [
        report
        for report in comparisons(run / "live")
        if (report.header.stamp.sec, report.header.stamp.nanosec) in stamps
    ]
    assert len(recorded) == len(stamps) > 0
    confusion = sum(np.array(report.confusion).reshape(12, 12) for report in recorded)
    page = page_of(bag, run / "disputed.html")
    share = 100 * np.trace(confusion) / confusion.sum()
    assert f"Both give one class to {share:.1f} % of the points of {len(stamps)} clouds." in page.text
    assert "least agreement with the teacher first" in page.text and "no fair sample" in page.text
    assert "road" in page.text and "class 0" not in page.text
