# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Student and teacher in one process, without DDS: what they share, what is measured, and who goes first."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
pytest.importorskip("srkd_ros.msg", reason="needs the compiled messages (make setup)")

import torch
from comparing_bench import Bench, add_up
from ros_process import made_cloud
from test_labelling import Bench as StudentBench

from srkd.plan_build import build_plan
from srkd.segmenter import Segmenter, View
from srkd_ros import activity as module
from srkd_ros import courtesy as courtesy_module
from srkd_ros import frame as frame_module
from srkd_ros.comparing_frames import ComparingFrames, ObservedLabelling
from srkd_ros.counts import Counts
from srkd_ros.frame import FrameOptions, label_frame
from srkd_ros.model import Model, ModelRequest, load_model


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    threads = torch.get_num_threads()
    loaded = {
        name: load_model(ModelRequest(f"{name}-nano", "", "cpu", "fp32", "torch")) for name in ("student", "teacher")
    }
    torch.set_num_threads(threads)
    return loaded


class Twin:
    """Both activities, with stand-ins for topics."""

    def __init__(self, models: dict[str, Model]) -> None:
        self.teacher = Bench(ComparingFrames, models["teacher"])
        self.student = StudentBench(models["student"])
        made: Any = self.student.labelling
        self.student.labelling = ObservedLabelling(models["student"], made._outputs, made._node, self.teacher.comparing)

    def send(self, message: Any) -> None:
        self.student.send(message)
        self.teacher.settle()


@pytest.fixture
def twin(models: dict[str, Model], monkeypatch: pytest.MonkeyPatch) -> Iterator[Twin]:
    monkeypatch.setattr(module, "warm_up", lambda segmenter, frames: 0.0)
    made = Twin(models)
    made.teacher.comparing.start()
    made.student.labelling.start()
    yield made
    assert made.student.labelling.stop(30)
    assert made.teacher.comparing.stop(30)


def log_probability(message: Any, model: Model) -> np.ndarray:
    """(N, K) by the plain way: a plan of its own, and each point's voxel looked up."""
    segmenter, inference = model.segmenter, label_frame(message, model.segmenter, FrameOptions()).inference
    view = inference.view
    assert view is not None
    plan = build_plan(view.voxels.grid_coord, [len(view.voxels.grid_coord)], segmenter.network.plan_spec, lists=True)
    logits = segmenter.logits(view.inputs, plan).double()
    found = np.full((message.width, logits.shape[1]), np.nan)
    found[view.index] = torch.log_softmax(logits, dim=1)[view.voxels.inverse].numpy()
    return found


def test_a_report_is_that_of_both_networks_apart(twin: Twin, models: dict[str, Model]) -> None:
    message = made_cloud(600, stamp_s=3)
    np.frombuffer(message.data, "<f4")[0] = np.nan
    twin.send(message)
    student, teacher = (log_probability(message, models[name]) for name in ("student", "teacher"))
    both = ~np.isnan(student[:, 0])
    assert both.sum() == 599
    report = twin.teacher.reports[0]
    divergence = (np.exp(teacher) * (teacher - student)).sum(axis=1)[both]
    assert report.mean_kl == pytest.approx(divergence.mean(), rel=1e-4)
    assert report.window_mean_kl == report.mean_kl > 0
    same = teacher.argmax(axis=1)[both] == student.argmax(axis=1)[both]
    assert report.agreement == pytest.approx(same.mean(), abs=2 / 599)
    stated = np.exp(student.max(axis=1)[both])
    bins = np.minimum((stated * 15).astype(int), 14)
    assert np.abs(report.calibration_count - np.bincount(bins, minlength=15)).sum() <= 2, "rounding at a border"
    assert (report.header.stamp.sec, report.student_ms > 0, report.teacher_ms > 0) == (3, True, True)
    assert add_up(report) and (report.clouds, report.matched, report.compared) == (1, 1, 1)


def test_cloud_voxels_and_plan_are_shared(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    decode, look = frame_module.decode, Segmenter._look
    monkeypatch.setattr(frame_module, "decode", lambda *a, **k: calls.append("decode") or decode(*a, **k))
    monkeypatch.setattr(Segmenter, "_look", lambda *a: calls.append("look") or look(*a))
    twin.send(made_cloud(300))
    assert (calls, len(twin.teacher.reports)) == (["decode", "look"], 1)


def test_another_input_spec_is_looked_at_anew(models: dict[str, Model]) -> None:
    message, student, teacher = made_cloud(300), models["student"].segmenter, models["teacher"].segmenter
    seen = label_frame(message, student, FrameOptions())
    apart = label_frame(message, teacher, FrameOptions())
    shared = label_frame(message, teacher, FrameOptions(), seen)
    assert seen.inference.view is not None and shared.inference.view is not None
    assert shared.inference.view.voxels is seen.inference.view.voxels
    assert shared.decoded is seen.decoded
    np.testing.assert_array_equal(shared.labels.class_id, apart.labels.class_id)
    np.testing.assert_allclose(shared.labels.probability, apart.labels.probability, atol=1e-5)
    view = seen.inference.view
    other = View(replace(view.spec, voxel_size_m=0.2), view.index, view.voxels, view.inputs, view.plan)
    cloud = seen.decoded.cloud
    found = teacher.infer(cloud, other)
    assert found.view is not None and found.view.voxels is not view.voxels
    np.testing.assert_array_equal(found.labels.class_id, apart.labels.class_id)


def test_labels_are_out_before_the_teacher_and_never_wait_for_it(
    twin: Twin, models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, opened = threading.Event(), threading.Event()

    def label(message: Any, segmenter: Any, *rest: Any) -> Any:
        if segmenter is models["teacher"].segmenter:
            entered.set()
            assert opened.wait(30)
        return label_frame(message, segmenter, *rest)

    monkeypatch.setattr(module, "label_frame", label)
    for stamp in range(5):
        twin.student.send(made_cloud(50, stamp_s=stamp))
        assert entered.wait(30)
    assert [labels.header.stamp.sec for labels in twin.student.topics["points"].sent] == [0, 1, 2, 3, 4]
    assert [report.labelled for report in twin.student.topics["report"].sent] == [1, 2, 3, 4, 5]
    assert twin.teacher.reports == []
    opened.set()
    twin.teacher.settle()
    assert [report.header.stamp.sec for report in twin.teacher.reports] == [0, 4]
    assert twin.teacher.comparing.counter.read() == Counts(5, labelled=2, dropped=3)
    assert all(add_up(report) for report in twin.teacher.reports)


def test_a_cloud_is_passed_by_where_the_next_one_waits(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    first = threading.Event()

    def label(*arguments: Any) -> Any:
        assert first.wait(30)
        return label_frame(*arguments)

    monkeypatch.setattr(module, "label_frame", label)
    twin.student.labelling.receive(made_cloud(50, stamp_s=1))
    deadline = time.monotonic() + 30
    while twin.student.labelling._worker.inbox.waits:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    twin.student.labelling.receive(made_cloud(50, stamp_s=2))
    first.set()
    while twin.student.counts().in_work:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    twin.teacher.settle()
    assert [report.header.stamp.sec for report in twin.teacher.reports] == [2]
    assert twin.teacher.comparing.counter.read() == Counts(2, labelled=1, skipped=1)


def test_the_teacher_pauses_while_the_student_works(
    twin: Twin, models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are held at work at once; the teacher's network does not run on until the student is done."""
    network, entered, go = models["teacher"].segmenter.network, threading.Event(), threading.Event()
    ran: list[str] = []

    def logits(*arguments: Any, plain: Any = network.forward) -> Any:
        ran.append("teacher")
        return plain(*arguments)

    def label(message: Any, segmenter: Any, *rest: Any) -> Any:
        if segmenter is models["student"].segmenter and message.header.stamp.sec == 2:
            entered.set()
            assert go.wait(30)
            ran.append("student")
        elif segmenter is models["teacher"].segmenter:
            assert entered.wait(30)
        return label_frame(message, segmenter, *rest)

    monkeypatch.setattr(module, "label_frame", label)
    monkeypatch.setattr(courtesy_module, "_PATIENCE_S", 30.0)
    monkeypatch.setattr(network, "forward", logits)
    twin.student.send(made_cloud(50, stamp_s=1))
    twin.student.labelling.receive(made_cloud(50, stamp_s=2))
    time.sleep(0.3)
    assert ran == []
    go.set()
    deadline = time.monotonic() + 30
    while twin.student.counts().in_work or len(twin.teacher.reports) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert ran[:2] == ["student", "teacher"]


def test_a_teacher_is_given_back_as_it_was(models: dict[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "warm_up", lambda segmenter, frames: 0.0)
    made = Twin(models).teacher.comparing
    made.start()
    hooks = [len(each._forward_pre_hooks) for each in models["teacher"].segmenter.network.modules()]
    assert made.stop(30) and set(hooks) == {1}
    assert not any(each._forward_pre_hooks for each in models["teacher"].segmenter.network.modules())


def test_a_teacher_that_fails_leaves_the_student_alone(
    twin: Twin, models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    def label(message: Any, segmenter: Any, *rest: Any) -> Any:
        if segmenter is models["teacher"].segmenter:
            raise MemoryError
        return label_frame(message, segmenter, *rest)

    monkeypatch.setattr(module, "label_frame", label)
    twin.send(made_cloud(50))
    assert twin.student.counts() == Counts(1, labelled=1)
    assert twin.teacher.comparing.counter.read() == Counts(1, dropped=1)
    assert twin.teacher.said == ["pair dropped: out of memory"]


def test_the_teachers_threads_are_its_own(models: dict[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch counts threads by thread, and a new thread takes the number that was set last."""
    monkeypatch.setattr(module, "warm_up", lambda segmenter, frames: 0.0)
    before, numbers = torch.get_num_threads(), {}

    def label(message: Any, segmenter: Any, *rest: Any) -> Any:
        numbers[segmenter is models["teacher"].segmenter] = torch.get_num_threads()
        return label_frame(message, segmenter, *rest)

    monkeypatch.setattr(module, "label_frame", label)
    made = Twin(models)
    made.teacher.comparing.start()
    try:
        torch.set_num_threads(2)
        made.student.labelling.start()
        made.send(made_cloud(20))
    finally:
        torch.set_num_threads(before)
        assert made.student.labelling.stop(30) and made.teacher.comparing.stop(30)
    assert numbers == {True: 1, False: 2}


def test_an_empty_cloud_has_no_figures(twin: Twin) -> None:
    twin.send(made_cloud(0))
    report = twin.teacher.reports[0]
    assert (report.num_points, sum(report.confusion), sum(report.calibration_count)) == (0, 0, 0)
    assert all(math.isnan(value) for value in (report.agreement, report.mean_kl, report.calibration_error))
