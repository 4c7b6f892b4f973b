# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of bags in which a teacher's labels lie beside the student's, as the disagreement recorder writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (the `bags` extra)")

from disputed_clouds import Made, made
from report_makers import Page

from srkd.io.bags import BagWriter, cloud_message, stamp_ns
from srkd.io.message_layout import Field
from srkd.io.pointcloud2 import read_fields
from srkd.labels import SCHEMES
from srkd_ros.disputed_cloud import DisputedCloud, bag_messages
from srkd_train.__main__ import main
from srkd_train.report.bag import read_bag
from srkd_train.report.taught import SharedClasses

FRAMES, POINTS = 5, 400
LABELS, TEACHER = "/lidar_top/predicted", "/lidar_top/teacher"


def without_probability(message: Any) -> Any:
    """The same labels of a student that states no probability."""
    columns = read_fields(message, ["x", "y", "z", "class_id"])
    rows = np.zeros(POINTS, [("xyz", "<f4", 3), ("class_id", "u1")])
    rows["xyz"], rows["class_id"] = np.stack([columns[axis] for axis in "xyz"], axis=1), columns["class_id"]
    fields = [Field(axis, 4 * place, 7) for place, axis in enumerate("xyz")] + [Field("class_id", 12, 2)]
    return cloud_message(message.header, 2, POINTS // 2, fields, 13, rows.tobytes())


def disputed_bag(
    path: Path, student: str, teacher: str, change: Callable[[Any], Any] = lambda message: message
) -> tuple[Path, list[Made]]:
    """A bag of clouds with both label sets; more points of later clouds are labelled alike."""
    clouds = []
    with BagWriter(path) as writer:
        writer.note("srkd.source", "disagreement with <big>")
        writer.note("srkd.disagreement", "0.100 to 0.900")
        for number in range(FRAMES):
            one = made(number, POINTS)
            columns = read_fields(one.student, ["class_id"])["class_id"].copy()
            alike = slice(0, 60 * number)
            taught = one.teacher.copy()
            taught[alike] = columns[alike]
            taught[-20:] = 255
            one = replace(one, teacher=taught)
            clouds.append(one)
            time_ns = stamp_ns(one.cloud) + 5_000_000
            disputed = DisputedCloud(one.cloud, change(one.student), taught, 0.5, time_ns, student)
            for topic, kind, raw, qos in bag_messages(disputed, "/lidar_top", teacher):
                writer.add_topic(topic, kind, qos=qos)
                writer.write(topic, kind, time_ns, raw)
    return path, clouds


def counted(clouds: list[Made], student: str, teacher: str) -> dict[tuple[str, str], int]:
    """Points by (teacher's class, student's class), point by point, where both schemes have both names."""
    names = [SCHEMES[name].class_names for name in (teacher, student)]
    both = set(names[0]) & set(names[1])
    found: dict[tuple[str, str], int] = {}
    for one in clouds:
        said = read_fields(one.student, ["class_id"])["class_id"]
        for pair in zip(one.teacher.tolist(), said.tolist(), strict=True):
            if 255 not in pair:
                key = names[0][pair[0]], names[1][pair[1]]
                if set(key) <= both:
                    found[key] = found.get(key, 0) + 1
    return found


def page_of(bag: Path, tmp_path: Path, *words: str) -> Page:
    out = tmp_path / "page.html"
    assert main(["report", str(bag), "--out", str(out), *words]) == 0
    return Page(out.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("student", "teacher"), [("street", "street"), ("nuscenes", "street"), ("street", "nuscenes")])
def test_the_figures_are_those_of_counting_names_point_by_point(student: str, teacher: str, tmp_path: Path) -> None:
    bag, clouds = disputed_bag(tmp_path / "bag", student, teacher)
    wanted = counted(clouds, student, teacher)
    score = read_bag(bag).agreement(LABELS)
    assert score is not None and score.class_names == SCHEMES[teacher].class_names
    index = {name: place for place, name in enumerate(score.class_names)}
    matrix = np.zeros_like(score.counts)
    for (taught, said), points in wanted.items():
        matrix[index[taught], index[said]] = points
    np.testing.assert_array_equal(score.counts, matrix)
    assert matrix.sum() > 0 and (matrix.sum() < FRAMES * (POINTS - 20)) == (student != teacher)

    page = page_of(bag, tmp_path, "--pictures", "0")
    share = f"{100 * np.trace(matrix) / matrix.sum():.1f}"
    assert f"Both give one class to {share} % of the points of {FRAMES} clouds." in page.text
    name = max(index, key=lambda each: matrix[index[each]].sum())
    hit, union = matrix[index[name], index[name]], matrix[index[name]].sum() + matrix[:, index[name]].sum()
    assert page.row(name)[1] == f"{100 * hit / (union - hit):.1f}"
    assert "no fair sample" in page.text and "0.100 to 0.900" in page.text and "disagreement with <big>" in page.text
    alone = set(SCHEMES[student].class_names) ^ set(SCHEMES[teacher].class_names)
    assert ("what only one of both has is left out" in page.text) == bool(alone)
    shown = {row[0] for row in page.rows if row}
    used = {SCHEMES[student].class_names[each] for each in range(12)}
    assert {each.replace("_", " ") for each in used} <= shown, "the student's classes have the student's names"


def test_frames_are_ranked_by_agreement_and_drawn_with_both(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    bag, clouds = disputed_bag(tmp_path / "bag", "street", "street")
    found = read_bag(bag)
    frames = {frame.stamp_ns // 10**9: frame for frame in found.labels[LABELS].frames.values()}
    for number, one in enumerate(clouds):
        said = read_fields(one.student, ["class_id"])["class_id"]
        known = one.teacher < 255
        assert frames[number].agreement == pytest.approx((said == one.teacher)[known].mean())
    page = page_of(bag, tmp_path, "--pictures", "2")
    stamps = [int(row[1].split(".")[0]) for row in page.rows if len(row) > 4 and row[0].endswith(" s")]
    assert stamps == [0, 1, 2, 3, 4], "the least agreement first"
    assert "least agreement with the teacher first" in page.text
    assert page.tags.count("img") == 2 * 3, "two of the worst and a middling one, from above and as the sensor sees it"
    assert not any("malformed" in line for line in page.words)


@pytest.mark.parametrize(("student", "compared"), [("my own", False), ("", True)])
def test_a_student_of_an_unknown_scheme_is_not_compared_and_a_silent_one_is_of_the_teachers(
    student: str, compared: bool, tmp_path: Path
) -> None:
    bag, _ = disputed_bag(tmp_path / "bag", student, "street")
    page = page_of(bag, tmp_path, "--pictures", "1")
    assert ("No class has the same name in both schemes" in page.text) is not compared
    assert ("class 11" in page.text) is not compared and "Traceback" not in page.text
    assert page.tags.count("img") == 4
    if not compared:
        assert "Both give one class" in page_of(bag, tmp_path, "--pictures", "0", "--scheme", "street").text


def test_labels_without_probability_are_a_students_too(tmp_path: Path) -> None:
    bag, clouds = disputed_bag(tmp_path / "bag", "street", "street", without_probability)
    found = read_bag(bag)
    assert (found.topics.labels, found.topics.truth) == ((LABELS,), ())
    score = found.agreement(LABELS)
    assert score is not None and score.counts.sum() == sum(counted(clouds, "street", "street").values())
    page = page_of(bag, tmp_path, "--pictures", "1")
    assert "Calibration" not in page.text and page.tags.count("img") == 4


def test_shared_classes_by_hand() -> None:
    def scheme(*names: str) -> Any:
        return SimpleNamespace(class_names=names, colors=tuple((10 * place, 0, 0) for place in range(len(names))))

    shared = SharedClasses.of(scheme("car", "sky", "tree"), scheme("tree", "car", "road"))
    assert shared.student[:4].tolist() == [1, 255, 0, 255]
    assert shared.teacher[:4].tolist() == [0, 1, 255, 255]
    assert shared.drawn[:4].tolist() == [1, 3, 0, 255]
    assert shared.scheme.class_names == ("tree", "car", "road", "sky") and shared.left_out == ("sky", "road")
    assert not SharedClasses.of(scheme("a"), scheme("b")).any
