# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The teacher from outside, without DDS or a network: what comes in, in any order, is compared or counted."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
pytest.importorskip("srkd_ros.msg", reason="needs the compiled messages (make setup)")

from comparing_bench import NAMES, Bench, add_up, cloud, labels_of, model, teach

from srkd.errors import ConfigError
from srkd.io.pointcloud2 import read_fields
from srkd_ros import activity as module
from srkd_ros.agreement import Books
from srkd_ros.comparing_topics import ComparingTopics
from srkd_ros.counts import Counts
from srkd_ros.frame import FrameMemoryError
from srkd_ros.msg import ModelInfo, SegmentationReport
from srkd_ros.schedule import Schedule

Make = Callable[..., Bench]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Benches at work, with a teacher that reads its labels off the cloud."""
    monkeypatch.setattr(module, "warm_up", lambda segmenter, frames: 0.0)
    monkeypatch.setattr(module, "label_frame", teach)
    made: list[Bench] = []

    def start(*names: str, **parameters: Any) -> Bench:
        bench = Bench(ComparingTopics, model(*names), **parameters)
        bench.comparing.start()
        made.append(bench)
        return bench

    yield start
    for bench in made:
        assert bench.comparing.stop(30)


class Gate:
    """A teacher that says nothing until it may."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, *arguments: Any) -> Any:
        self.entered.release()
        assert self.opened.acquire(timeout=30)
        return teach(*arguments)


def info(*names: str, weights: str = "one") -> ModelInfo:
    return ModelInfo(class_names=list(names or NAMES), scheme="made", weights_sha256=weights)


def test_a_report_is_what_counting_by_hand_gives(make: Make) -> None:
    bench = make(window_frames=2)
    taught, said = [0, 0, 1, 2, 255, 1], [0, 1, 1, 2, 1, 255]
    probability = [0.95, 0.42, 1.0, 0.0, 0.5, 0.5]
    message = cloud(taught, stamp_s=1)
    bench.comparing.receive_report(SegmentationReport(header=message.header, total_ms=12.0))
    bench.pair(message, labels_of(message, said, probability))
    other = cloud([2, 2], stamp_s=2)
    bench.pair(other, labels_of(other, [2, 0], [0.97, 0.41]))
    first, second = bench.reports
    assert (first.num_points, first.agreement) == (4, 0.75)
    assert first.confusion.tolist() == [1, 1, 0, 0, 1, 0, 0, 0, 1]
    np.testing.assert_allclose(first.iou, [1 / 2, 1 / 2, 1.0])
    count = np.zeros(15, int)
    count[[14, 6, 0]] = [2, 1, 1]  # 0.95 and 1 lie in the last fifteenth, 0.42 in the seventh
    assert first.calibration_count.tolist() == count.tolist()
    assert [first.calibration_agreeing[k] for k in (14, 6, 0)] == [2, 0, 1]
    assert first.calibration_probability[14] == pytest.approx(0.975)
    assert math.isnan(first.calibration_probability[1])
    assert first.calibration_error == pytest.approx((2 * 0.025 + 0.42 + 1.0) / 4)
    assert (first.window_frames, first.window_points, first.student_ms) == (1, 4, 12.0)
    assert (second.num_points, second.agreement, second.window_points) == (2, 0.5, 6)
    assert second.window_confusion.tolist() == [1, 1, 0, 0, 1, 0, 1, 0, 2]
    assert second.window_agreement == pytest.approx(4 / 6)
    assert second.window_calibration_error == pytest.approx((0.42 + 0.41 + 1.0 + abs(3 - 2.92)) / 6)
    assert (second.window_student_ms, second.window_teacher_ms > 0) == (12.0, True)
    assert all(math.isnan(value) for value in (second.student_ms, second.mean_kl, second.window_mean_kl))
    shown = read_fields(bench.disagreement.sent[0], ["student_id", "teacher_id"])
    assert [shown[name].tolist() for name in ("student_id", "teacher_id")] == [[1], [0]]


def test_labels_without_probabilities_are_compared_too(make: Make) -> None:
    bench = make()
    message = cloud([0, 1])
    labels = labels_of(message, [0, 1])
    labels.fields = [field for field in labels.fields if field.name in ("x", "y", "z", "class_id")]
    bench.pair(message, labels)
    assert bench.said == [] and bench.reports[0].agreement == 1.0
    assert math.isnan(bench.reports[0].calibration_error)


def test_whatever_comes_in_the_books_add_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stamps that repeat and go back, labels of clouds never seen or of other clouds, a jumping clock, faults."""
    chance = random.Random(1)

    def label(*arguments: Any) -> Any:
        time.sleep(chance.choice((0, 0, 0.002)))
        if chance.random() < 0.1:
            raise FrameMemoryError("out of memory")
        return teach(*arguments)

    monkeypatch.setattr(module, "label_frame", label)
    bench = make(buffer_frames=3, compare_every_nth=2, teacher_busy_share=0.5, compare_within_s=0.01)
    sent = {"clouds": 0, "labels": 0}
    wrong: list[Books] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            books = bench.comparing.books()
            if books.clouds + books.labels != 2 * books.pairs.received + books.unmatched + books.waiting:
                wrong.append(books)
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(1500):
        size = chance.choice((3, 4))
        message = cloud([chance.randrange(3) for _ in range(size)], chance.randrange(8), chance.choice((0.0, 1.0)))
        if chance.random() < 0.5:
            sent["clouds"] += 1
            bench.comparing.receive_cloud(message)
        else:
            sent["labels"] += 1
            bench.comparing.receive_labels(labels_of(message, [chance.randrange(3) for _ in range(size)]))
        if chance.random() < 0.01:
            bench.comparing.forget()
        time.sleep(chance.choice((0, 0, 0.001)))
    assert bench.comparing.stop(30)
    ended.set()
    watcher.join()
    books = bench.comparing.books()
    assert wrong == []
    assert (books.clouds, books.labels) == (sent["clouds"], sent["labels"])
    assert (books.waiting, books.pairs.in_work) == (0, 0)
    assert books.clouds + books.labels == 2 * books.pairs.received + books.unmatched
    assert min(books.pairs.labelled, books.pairs.dropped, books.pairs.rejected, books.pairs.skipped) > 0
    assert all(add_up(report) for report in bench.reports)
    assert [report.compared for report in bench.reports] == list(range(1, books.pairs.labelled + 1))


def test_a_bag_in_a_loop_is_compared_again_and_again(make: Make) -> None:
    bench = make(buffer_frames=5)
    for _ in range(3):
        for stamp in (1, 2, 3, 4):
            message = cloud([0, 1], stamp)
            bench.pair(message, labels_of(message, [0, 1]))
        lost = cloud([0], 5)  # the student had no time for the last one
        bench.comparing.receive_cloud(lost)
    assert [report.header.stamp.sec for report in bench.reports] == [1, 2, 3, 4] * 3
    assert bench.comparing.books() == Books(Counts(12, 12), clouds=15, labels=12, unmatched=2, waiting=1)
    assert all(add_up(report) for report in bench.reports)


def test_labels_of_clouds_never_seen_are_counted_and_forgotten(make: Make) -> None:
    bench = make(buffer_frames=4)
    for stamp in range(10):
        message = cloud([0], stamp)
        bench.comparing.receive_labels(labels_of(message, [0]))
    books = bench.comparing.books()
    assert (books.pairs.received, books.unmatched, books.waiting) == (0, 6, 4)
    message = cloud([0], 9)
    bench.comparing.receive_cloud(message)
    bench.settle()
    assert bench.comparing.books() == Books(Counts(1, 1), clouds=1, labels=10, unmatched=6, waiting=3)


def test_the_same_stamp_on_other_points_is_no_pair(make: Make) -> None:
    """A driver without a clock: every stamp is 0."""
    bench = make()
    first, second = cloud([0, 1]), cloud([2, 2], shift_m=0.5)
    bench.comparing.receive_cloud(first)
    bench.comparing.receive_cloud(second)
    bench.comparing.receive_labels(labels_of(first, [0, 1]))
    bench.settle()
    assert bench.comparing.books() == Books(Counts(1, rejected=1), clouds=2, labels=1, unmatched=1, waiting=0)
    assert "another cloud with the same stamp" in bench.said[0]
    assert bench.reports == []
    holes = cloud([0, 1], stamp_s=1)
    np.frombuffer(holes.data, "<f4")[0] = np.nan
    bench.pair(holes, labels_of(holes, [255, 1]))
    assert bench.reports[0].agreement == 1.0, "points that are no numbers are the same points"


def test_a_teacher_ten_times_too_slow_compares_the_newest(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(module, "label_frame", gate)
    bench = make()
    for stamp in range(30):
        message = cloud([0], stamp)
        bench.comparing.receive_cloud(message)
        bench.comparing.receive_labels(labels_of(message, [0]))
        if stamp % 10 == 9:
            gate.opened.release()
        if stamp in (0, 9, 19, 29):
            assert gate.entered.acquire(timeout=30)
    gate.opened.release()
    bench.settle()
    assert [report.header.stamp.sec for report in bench.reports] == [0, 9, 19, 29]
    assert [report.skipped for report in bench.reports] == [8, 17, 26, 26]
    assert all(add_up(report) for report in bench.reports)
    assert bench.comparing.books() == Books(Counts(30, 4, dropped=26), clouds=30, labels=30)


def test_every_nth_cloud_is_compared(make: Make) -> None:
    bench = make(compare_every_nth=3)
    for stamp in range(8):
        message = cloud([0], stamp)
        bench.pair(message, labels_of(message, [0]))
    assert [report.header.stamp.sec for report in bench.reports] == [0, 3, 6]
    assert (bench.reports[-1].compared, bench.reports[-1].skipped) == (3, 4)


def test_the_share_of_time_is_kept_and_a_least_rate_goes_before_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def label(*arguments: Any) -> Any:
        now[0] += 0.5
        return teach(*arguments)

    monkeypatch.setattr(module, "label_frame", label)
    compared = {}
    for within_s in (0.0, 1.0):
        now[0] = 0.0
        bench = make(teacher_busy_share=0.1, compare_within_s=within_s)
        bench.comparing._schedule = Schedule(lambda: now[0])
        for stamp in range(100):
            message = cloud([0], stamp)
            bench.pair(message, labels_of(message, [0]))
            now[0] += 0.1
        compared[within_s] = len(bench.reports), now[0]
        assert all(add_up(report) for report in bench.reports)
    number, span_s = compared[0.0]
    assert 0.09 <= 0.5 * number / span_s <= 0.15, "the last one may have just ended"
    number, span_s = compared[1.0]
    assert span_s / number == pytest.approx(1.0, abs=0.15)


def test_another_student_starts_another_window(make: Make) -> None:
    bench = make()
    frames = []
    for weights in ("", "one", "one", "two", "two", "one"):
        if weights:
            bench.comparing.receive_model_info(info(weights=weights))
        message = cloud([0])
        bench.pair(message, labels_of(message, [0]))
        frames.append(bench.reports[-1].window_frames)
    assert frames == [1, 2, 3, 1, 2, 1]


def test_other_classes_are_refused_in_one_line_that_names_both(make: Make) -> None:
    bench = make()
    bench.comparing.receive_model_info(info("sky", "sea"))
    message = cloud([0])
    bench.pair(message, labels_of(message, [0]))
    assert bench.comparing.counter.read() == Counts(1, rejected=1)
    assert len(bench.said) == 1 and "\n" not in bench.said[0]
    for words in ("made (sky, sea)", "made (ground, car, tree)", "class_map"):
        assert words in bench.said[0]


def test_a_table_maps_the_students_classes(make: Make, tmp_path: Path) -> None:
    table = tmp_path / "map.yaml"
    table.write_text("road: ground\nverge: ground\nvan: car\nsky:\n")
    bench = make(class_map=str(table))
    message = cloud([0, 0, 1, 2, 1, 0], stamp_s=1)  # tree has no class of the student's
    bench.pair(message, labels_of(message, [0] * 6))
    assert "class_map needs the names of the student's classes" in bench.said[0]
    bench.comparing.receive_model_info(info("road", "verge", "van", "sky"))
    message = cloud([0, 0, 1, 2, 1, 0], stamp_s=2)
    bench.pair(message, labels_of(message, [0, 1, 2, 2, 3, 2]))
    report = bench.reports[0]
    assert report.confusion.tolist() == [2, 1, 0, 0, 1, 0, 0, 0, 0]
    assert sum(report.calibration_count) == report.num_points == 4
    assert read_fields(bench.disagreement.sent[0], ["student_id"])["student_id"].tolist() == [2]
    message = cloud([0], stamp_s=3)
    bench.pair(message, labels_of(message, [4]))
    assert "classes of 4 and above" in bench.said[-1]


def test_a_table_that_names_no_class_of_the_teacher_is_refused_at_once(tmp_path: Path) -> None:
    table = tmp_path / "map.yaml"
    table.write_text("road: gruond\n")
    with pytest.raises(ConfigError, match="class_map: gruond: no class of the teacher's scheme made"):
        Bench(ComparingTopics, model(), class_map=str(table))
