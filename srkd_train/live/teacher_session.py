# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One live run with a teacher beside the student, or without one, each on cores of its own: what both reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from srkd_train.live.compare import read_messages
from srkd_train.live.environment import child_environment
from srkd_train.live.outcome import Outcome, join, read_log
from srkd_train.live.processes import Child, Family, ProcessError
from srkd_train.live.session import LABELS, MODEL_INFO, POINTS, REPORT, LineCount, Plan, confined

COMPARISON = "/comparison"
Teacher = Literal["none", "process", "inside"]
"""No teacher, one in a process of its own, or one in the student's process."""
_START_S = 90.0
_QUIET_S = 3.0
_PATIENCE_S = 30.0
_POLL_S = 0.2
_SAMPLE_S = 1.0


@dataclass(frozen=True)
class Setting:
    """Who runs where.

    Args:
        name: for people.
        rate_hz: clouds a second.
        teacher: where the teacher is.
        student: CPUs of the student.
        others: CPUs of all else, the teacher included where it has a process.
    """

    name: str
    rate_hz: float
    teacher: Teacher
    student: frozenset[int]
    others: frozenset[int]


@dataclass(frozen=True)
class Watched:
    """What came of a run."""

    outcome: Outcome
    comparisons: tuple[Any, ...]
    """The teacher's reports in order of arrival."""
    compared_ns: tuple[int, ...]
    """Their arrivals."""
    span_ns: tuple[int, int]
    """When the first and the last cloud were published."""
    memory_mib: Mapping[str, tuple[float, ...]]
    """Resident memory of each node, once a second from the first cloud to the last."""

    @property
    def longest_wait_s(self) -> float | None:
        """Longest time without a comparison, from the first cloud to the last; None without any."""
        first_ns, last_ns = self.span_ns
        marks = (first_ns, *self.compared_ns, max(last_ns, *self.compared_ns)) if self.compared_ns else ()
        return max(((b - a) / 1e9 for a, b in pairwise(marks)), default=None)


def run_with_teacher(
    plan: Plan, setting: Setting, folder: Path, domain_id: int, on_frame: Callable[[int], None] = lambda labelled: None
) -> Watched:
    """Replays a bag to the node, with a teacher where the setting has one, and ends all processes.

    Args:
        plan: bag, student's checkpoint and device, and the rate of the replay.
        setting: who runs where.
        folder: an empty folder for all that the processes write.
        domain_id: ROS domain of the run.
        on_frame: is called now and then with the number of labelled clouds so far.

    Raises:
        ProcessError: a process failed, or took too long; none is left behind.
        BagError: what was recorded cannot be read.
    """
    log, sent_log, received_log = folder / "ros_log", folder / "sent.jsonl", folder / "received.jsonl"
    log.mkdir(parents=True)
    recorded = folder / "recorded"
    with Family(folder, child_environment(domain_id, log)) as family:
        with confined(setting.student):
            nodes = [_student(family, plan, setting)]
        with confined(setting.others):
            if setting.teacher == "process":
                nodes.append(_teacher(family, plan))
            topics = [LABELS, REPORT, MODEL_INFO, COMPARISON]
            recorder = family.start("record", "srkd_ros.record", [str(recorded), *topics, "--log", str(received_log)])
            for node in nodes:
                node.wait_for("is active", _START_S)
            recorder.wait_for(f"matched {REPORT}", _START_S)
            if setting.teacher != "none":
                recorder.wait_for(f"matched {COMPARISON}", _START_S)
            words = [str(plan.bag), "--topics", POINTS, "--rate", str(plan.rate), "--log", str(sent_log)]
            listeners = str(2 if setting.teacher == "process" else 1)
            replay = family.start("replay", "srkd_ros.replay", [*words, "--wait-subscribers", listeners])
        memory = _follow(replay, [*nodes, recorder], plan, LineCount(received_log, LABELS), on_frame)
        replay.finish(0)
        _let_settle(received_log)
        for child in (recorder, *nodes):
            status = child.stop()
            if status:
                raise ProcessError(f"{child.name} ended with status {status} when told to stop")
    sent = read_log(sent_log, POINTS, "publish_ns")
    outcome = join(sent, read_log(received_log, LABELS, "receive_ns"), read_messages(recorded, REPORT))
    arrivals = sorted(read_log(received_log, COMPARISON, "receive_ns"), key=lambda pair: pair[1])
    reports = read_messages(recorded, COMPARISON)
    return Watched(
        outcome,
        tuple(reports[stamp] for stamp, _ in arrivals),
        tuple(time_ns for _, time_ns in arrivals),
        (sent[0][1], sent[-1][1]),
        memory,
    )


def _student(family: Family, plan: Plan, setting: Setting) -> Child:
    inside = setting.teacher == "inside"
    parameters = {"checkpoint": str(plan.checkpoint), "device": plan.device, "precision": plan.precision}
    remapped = {"~/input/points": POINTS, **({"~/comparison": COMPARISON} if inside else {})}
    module = "srkd_ros.segment_with_teacher" if inside else "srkd_ros.segment"
    return family.start("segment", module, _ros_arguments(parameters, remapped))


def _teacher(family: Family, plan: Plan) -> Child:
    remapped = {
        "~/input/points": POINTS,
        "~/input/labels": LABELS,
        "~/input/report": REPORT,
        "~/input/model_info": MODEL_INFO,
        "~/comparison": COMPARISON,
    }
    return family.start("teacher", "srkd_ros.teacher", _ros_arguments({"device": plan.device}, remapped))


def _ros_arguments(parameters: Mapping[str, str], remapped: Mapping[str, str]) -> list[str]:
    given = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    return ["--ros-args", *given, *(word for name, topic in remapped.items() for word in ("-r", f"{name}:={topic}"))]


def _follow(
    replay: Child, others: Sequence[Child], plan: Plan, labels: LineCount, on_frame: Callable[[int], None]
) -> dict[str, tuple[float, ...]]:
    """Until the replay has ended; the memory of the others from the first labelled cloud on."""
    samples: dict[str, list[float]] = {child.name: [] for child in others}
    deadline = time.monotonic() + _START_S + plan.duration_s
    due = None
    while replay.running:
        for child in others:
            if not child.running:
                child.finish(0)
                raise ProcessError(f"{child.name} ended before the replay did")
        if time.monotonic() > deadline:
            raise ProcessError(f"replay of {plan.duration_s:.0f} s still runs after {_START_S:.0f} s more")
        labelled = labels.update()
        on_frame(labelled)
        if labelled and (due is None or time.monotonic() >= due):
            due = (due or time.monotonic()) + _SAMPLE_S
            for child in others:
                samples[child.name] += _resident_mib(child.pid)
        time.sleep(_POLL_S)
    return {name: tuple(values) for name, values in samples.items()}


def _let_settle(received_log: Path) -> None:
    """Until nothing has come for a while: the teacher may still be at work."""
    deadline = time.monotonic() + _PATIENCE_S
    size, since = -1, time.monotonic()
    while time.monotonic() < min(since + _QUIET_S, deadline):
        if received_log.stat().st_size != size:
            size, since = received_log.stat().st_size, time.monotonic()
        time.sleep(_POLL_S)


def _resident_mib(pid: int) -> list[float]:
    """One value; none where the process has just ended, which is said elsewhere."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []
    return [round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmRSS:")]
