# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a cloud through the node, without DDS: stand-ins for topics and, for some faults, the network."""

from __future__ import annotations

import gc
import math
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
pytest.importorskip("srkd_ros.msg", reason="needs the compiled messages (make setup)")

from srkd_ros import activity as module
from srkd_ros.counts import Counts
from srkd_ros.fault_log import FaultLog
from srkd_ros.frame import FrameMemoryError, label_frame
from srkd_ros.labelling import Labelling
from srkd_ros.model import Model, ModelRequest, load_model
from srkd_ros.parameters import SEGMENT
from srkd_ros.vitals import Vitals
from srkd_ros.worker import Worker


class Topic:
    """A publisher that keeps what it is given."""

    def __init__(self, subscribers: int = 0) -> None:
        self.subscribers = subscribers
        self.sent: list[Any] = []
        self.publish = self.sent.append

    def get_subscription_count(self) -> int:
        return self.subscribers


class Bench:
    """A `Labelling` with all that it needs."""

    def __init__(self, model: Model) -> None:
        self.topics = {name: Topic() for name in ("points", "colored", "filtered", "report")}
        self.topics["points"].subscribers = 1
        wanted = lambda: any(topic.subscribers for topic in self.topics.values())  # noqa: E731
        self.parameters: dict[str, Any] = {parameter.name: parameter.default for parameter in SEGMENT}
        self.said: list[str] = []
        self.fatal: list[str] = []
        self.now_ns = 0
        node = SimpleNamespace(
            parameters=self.parameters,
            vitals=Vitals(),
            faults=FaultLog(self.said.append),
            now_ns=lambda: self.now_ns,
            fail=self.fatal.append,
        )
        outputs: Any = SimpleNamespace(**self.topics, wanted=wanted)
        self.labelling = Labelling(model, outputs, node)

    def counts(self) -> Counts:
        return self.labelling.counter.read()

    def send(self, message: Any) -> None:
        """Waits until it has an outcome."""
        self.labelling.receive(message)
        deadline = time.monotonic() + 30
        while self.counts().in_work:
            assert time.monotonic() < deadline
            time.sleep(0.001)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(ModelRequest("student-nano", "", "cpu", "auto", "torch"))


@pytest.fixture
def bench(model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(module, "warm_up", lambda segmenter, frames: 0.0)
    made = Bench(model)
    made.labelling.start()
    yield made
    assert made.labelling.stop(30)


def cloud(count: int = 50, *, stamp_s: int = 0) -> Any:
    from ros_process import made_cloud

    return made_cloud(count, stamp_s=stamp_s)


def failing(error: Exception, *, times: int = 1) -> Callable[..., Any]:
    left = [error] * times

    def label(*arguments: Any) -> Any:
        if left:
            raise left.pop()
        return label_frame(*arguments)

    return label


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (FrameMemoryError("frame of 1 x 50 points: out of memory on cpu"), "dropped", "cloud dropped: frame of 1"),
        (ZeroDivisionError("a bug"), "rejected", "please report this: ZeroDivisionError: a bug\nTraceback"),
        (RuntimeError("shapes differ"), "rejected", "please report this: RuntimeError: shapes differ\nTraceback"),
    ],
)
def test_a_failing_frame_is_counted_and_said_once_and_the_next_is_labelled(
    error: Exception, outcome: str, said: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "label_frame", failing(error, times=3))
    for _ in range(3):
        bench.send(cloud())
    bench.send(cloud(stamp_s=4))
    assert bench.counts() == Counts(received=4, labelled=1).plus(outcome).plus(outcome).plus(outcome)
    assert [message.header.stamp.sec for message in bench.topics["points"].sent] == [4]
    assert [said in line for line in bench.said] == [True]
    assert bench.fatal == []


@pytest.mark.parametrize("kind", ["AcceleratorError", "RuntimeError"])
def test_an_error_that_spoils_the_gpu_is_fatal(kind: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    error_type = getattr(torch, kind, RuntimeError)
    try:
        error = error_type("CUDA error: an illegal memory access was encountered")
    except TypeError:
        pytest.skip("this torch makes such errors itself only")
    monkeypatch.setattr(module, "label_frame", failing(error))
    bench.send(cloud())
    assert len(bench.fatal) == 1
    assert "illegal memory access" in bench.fatal[0]


def test_nothing_is_labelled_without_a_subscriber_and_each_topic_counts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.topics["points"].subscribers = 0
    with monkeypatch.context() as patch:
        patch.setattr(module, "label_frame", failing(AssertionError("labelled for nobody")))
        bench.send(cloud())
    assert bench.counts() == Counts(received=1, skipped=1)
    for name, topic in bench.topics.items():
        topic.subscribers = 1
        bench.send(cloud())
        topic.subscribers = 0
        assert len(topic.sent) >= 1, name
    assert bench.counts() == Counts(received=5, skipped=1, labelled=4)
    assert {name: len(topic.sent) for name, topic in bench.topics.items()} == {
        "points": 4,
        "colored": 1,
        "filtered": 1,
        "report": 4,
    }


@pytest.mark.parametrize(
    ("age_s", "outcome", "age_ms"),
    [
        (0.4, "labelled", 400.0),
        (0.6, "dropped", None),
        (-0.1, "labelled", math.nan),
        (7200, "labelled", math.nan),
    ],
)
def test_stale_clouds_are_dropped_but_not_those_of_another_clock(
    age_s: float, outcome: str, age_ms: float | None, bench: Bench
) -> None:
    bench.parameters["max_age_ms"] = 500.0
    bench.now_ns = 10_000 * 10**9 + int(age_s * 1e9)
    bench.send(cloud(stamp_s=10_000))
    assert bench.counts() == Counts(received=1).plus(outcome)
    ages = [report.age_ms for report in bench.topics["report"].sent]
    assert ages == ([] if age_ms is None else [pytest.approx(age_ms, nan_ok=True)])


def test_every_cloud_is_accounted_for_under_load(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clouds come faster than they are labelled, some are bad, subscribers come and go; readings always add up."""
    chance = random.Random(0)

    def label(*arguments: Any) -> Any:
        time.sleep(chance.choice((0, 0.001, 0.003)))
        if chance.random() < 0.2:
            raise FrameMemoryError("out of memory")
        return label_frame(*arguments)

    monkeypatch.setattr(module, "label_frame", label)
    good, bad, wrong = cloud(5), cloud(5), []
    bad.data = bad.data[:-1]
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            if not 0 <= bench.counts().in_work <= 3:  # the third has just arrived and replaces the second
                wrong.append(bench.counts())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(500):
        bench.topics["points"].subscribers = int(chance.random() < 0.8)
        bench.labelling.receive(bad if chance.random() < 0.2 else good)
        time.sleep(chance.choice((0, 0, 0.002)))
    assert bench.labelling.stop(30)
    stop.set()
    watcher.join()
    bench.labelling.receive(good)
    counts = bench.counts()
    assert wrong == []
    assert (counts.received, counts.in_work) == (501, 0)
    assert min(counts.labelled, counts.dropped, counts.rejected, counts.skipped) > 0
    assert len(bench.topics["report"].sent) == len(bench.topics["points"].sent) == counts.labelled


def test_a_stopped_worker_leaves_no_circle_that_would_keep_the_network() -> None:
    class Owner:
        def __init__(self) -> None:
            self.worker: Worker[int] = Worker(handle=self.handle, prepare=lambda: None)

        def handle(self, item: int) -> None:
            raise AssertionError

    owner = Owner()
    owner.worker.start()
    assert owner.worker.stop(10) == (None, True)
    gone = weakref.ref(owner)
    gc.disable()  # what gc.freeze has put aside is never collected either
    try:
        del owner
        assert gone() is None
    finally:
        gc.enable()


def test_a_network_is_replaced_between_clouds(bench: Bench, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Any] = []

    def label(message: Any, segmenter: Any, options: Any) -> Any:
        used.append(segmenter)
        bench.labelling.model = other
        return label_frame(message, segmenter, options)

    other = Model(load_model(ModelRequest("teacher-nano", "", "cpu", "auto", "torch")).segmenter, model.path, 0.0)
    monkeypatch.setattr(module, "label_frame", label)
    bench.send(cloud())
    bench.send(cloud())
    assert used == [model.segmenter, other.segmenter]
    assert bench.counts() == Counts(received=2, labelled=2)
