# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parts behind /diagnostics and the log, each alone, with a clock that the tests turn."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import pytest

from srkd_ros.counts import OUTCOMES, Counter, Counts
from srkd_ros.diagnostics import ERROR, OK, WARN, Health, Limits, judge
from srkd_ros.fault_log import FaultLog
from srkd_ros.latest import Latest
from srkd_ros.vitals import Vitals
from srkd_ros.worker import Worker


class Time:
    """A clock."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def vitals(time: Time) -> Vitals:
    return Vitals(time)


def health_of(vitals: Vitals, **changes: object) -> Health:
    health = Health(
        state="active",
        failure="",
        model="m.safetensors",
        device="cpu",
        precision="fp32",
        input_name="~/input/points",
        input_topic="/points",
        publishers=1,
        unheard=(),
        unserved=(),
        counts=Counts(),
        reading=vitals.read(),
        limits=Limits(input_timeout_s=2.0, latency_warn_ms=100.0, latency_error_ms=1000.0),
    )
    return replace(health, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("slow_ms", "level"), [(99.0, OK), (101.0, WARN), (1001.0, ERROR)])
def test_the_95th_percentile_decides(slow_ms: float, level: int, vitals: Vitals) -> None:
    for index in range(100):
        vitals.labelled(slow_ms if index < 10 else 1.0, 0.0, ())
    assert judge(health_of(vitals)).level == level
    vitals.reset()
    for index in range(100):
        vitals.labelled(slow_ms if index < 4 else 1.0, 0.0, ())
    assert judge(health_of(vitals)).level == OK, "4 of 100 are no 95th percentile"


def test_what_is_older_than_the_window_is_forgotten(time: Time, vitals: Vitals) -> None:
    for _ in range(50):
        vitals.arrived()
        vitals.labelled(5000.0, 7.0, ("a note",))
        vitals.fault("rejected", "no x")
        vitals.lost(2)
        time.now_s += 0.1
    reading = vitals.read()
    assert reading.input_hz == pytest.approx(10)
    assert reading.latency_ms == (5000.0, 5000.0, 5000.0)
    assert (reading.rejected, reading.lost, reading.age_ms, reading.notes) == (50, 100, 7.0, ("a note",))
    time.now_s += 11
    reading = vitals.read()
    assert (reading.input_hz, reading.output_hz, reading.rejected, reading.lost) == (0, 0, 0, 0)
    assert all(math.isnan(value) for value in reading.latency_ms)
    assert reading.silence_s == pytest.approx(11.1)
    assert reading.last_reject == "no x"


def test_silence_says_what_to_check(time: Time, vitals: Vitals) -> None:
    time.now_s += 1.9
    assert judge(health_of(vitals)).level == OK
    time.now_s += 0.2
    for changes, words in (
        ({"publishers": 0}, "nobody publishes there: remap"),
        ({"publishers": 1}, "FASTDDS_DEFAULT_PROFILES_FILE"),
        ({"publishers": 1}, "input_reliability"),
        ({"publishers": 2, "counts": Counts(received=3)}, "check that the driver still sends"),
        ({"unheard": ("publisher /d does not match",)}, "see what does not match"),
    ):
        status = judge(health_of(vitals, **changes))
        assert (status.level, words in status.message) == (WARN, True), status.message
    assert judge(health_of(vitals, state="inactive")).level == OK


def test_findings_are_told_and_the_worst_is_the_level(vitals: Vitals) -> None:
    vitals.fault("rejected", "field 'x': missing")
    vitals.fault("memory", "frame of 1 x 9 points: out of memory")
    vitals.lost(3)
    status = judge(health_of(vitals, unheard=("publisher /d does not match",), unserved=("subscriber /r does not",)))
    assert status.level == WARN
    for words in ("/d does not match", "/r does not", "1 clouds rejected", "field 'x'", "3 clouds lost", "dropped"):
        assert words in status.message
    vitals.labelled(5000.0, 0.0, ())
    status = judge(health_of(vitals))
    assert (status.level, "latency p95 5000 ms" in status.message) == (ERROR, True)


def test_keys_are_fixed_whatever_the_state(vitals: Vitals) -> None:
    first = judge(health_of(vitals))
    vitals.arrived()
    vitals.labelled(1.0, math.nan, ("note",))
    for other in (
        judge(health_of(vitals)),
        judge(health_of(vitals, state="unconfigured", failure="no file", model="", device="")),
    ):
        assert list(other.values) == list(first.values)
        assert all(isinstance(value, str) for value in other.values.values())
    assert (other.level, other.message) == (ERROR, "unconfigured: no file")


def test_each_kind_of_fault_is_said_once_then_every_30_seconds(time: Time) -> None:
    said: list[str] = []
    log = FaultLog(said.append, time)
    for size in range(10):
        log.report(f"{size} bytes, expected {size + 1}.5")
        time.now_s += 1
    log.report("field 'x': missing")
    assert said == ["0 bytes, expected 1.5", "field 'x': missing"]
    time.now_s += 21
    log.report("7 bytes, expected 8.5")
    assert said[2:] == ["7 bytes, expected 8.5 (and 9 times since this was last said)"]
    time.now_s += 31
    log.report("7 bytes, expected 8.5")
    assert said[3:] == ["7 bytes, expected 8.5"]


def test_endless_kinds_of_faults_neither_flood_the_log_nor_the_memory(time: Time) -> None:
    said: list[str] = []
    log = FaultLog(said.append, time)
    for index in range(5000):
        log.report("fault " + "x" * index)
    assert len(said) == 65
    assert len(log._seen) == 65


def test_the_newest_item_wins() -> None:
    place: Latest[int] = Latest()
    assert place.put(1) is None
    assert place.put(2) == 1
    assert place.take() == 2
    assert place.put(3) is None
    assert place.close() == 3
    assert place.put(4) == 4
    assert place.take() is None


def test_counts_add_up_whatever_threads_do() -> None:
    counter = Counter()
    wrong: list[Counts] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            counts = counter.read()
            if not 0 <= counts.in_work <= 4:
                wrong.append(counts)

    def work(outcome: str) -> None:
        for _ in range(2000):
            counter.add("received")
            counter.add(outcome)

    threads = [threading.Thread(target=work, args=(outcome,)) for outcome in OUTCOMES]
    watcher = threading.Thread(target=watch)
    for thread in (*threads, watcher):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    assert (wrong, counter.read()) == ([], Counts(8000, 2000, 2000, 2000, 2000))


def test_a_worker_takes_the_newest_and_hands_back_what_is_left() -> None:
    begun, go, done = threading.Event(), threading.Event(), []

    def handle(item: int) -> None:
        begun.set()
        go.wait(10)
        done.append(item)

    worker = Worker(handle, lambda: done.append(0))
    worker.start()
    assert done == [0], "prepared before start returns"
    worker.inbox.put(1)
    assert begun.wait(10)
    assert worker.inbox.put(2) is None
    assert worker.inbox.put(3) == 2
    assert worker.stop(0.01) == (3, False), "1 is still at work"
    go.set()
    assert worker.stop(10) == (None, True)
    assert done == [0, 1]
