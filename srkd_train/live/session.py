# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One live run: a bag is replayed to the real node over DDS, and what the node publishes is recorded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from srkd.progress import Progress
from srkd_train.live.environment import child_environment
from srkd_train.live.processes import Child, Family, ProcessError

POINTS = "/points"
TRUTH = "/points/labels"
LABELS = "/segment/output/points"
REPORT = "/segment/report"
MODEL_INFO = "/segment/model_info"
SCHEME = "/points/label_scheme"
_START_S = 90.0
_QUIET_S = 3.0
_PATIENCE_S = 30.0
_POLL_S = 0.2


@dataclass(frozen=True)
class Plan:
    """What is run.

    Args:
        bag: rosbag2 with clouds on `POINTS`.
        frames: how many clouds it has.
        checkpoint: model file.
        device, precision: of the node, see `Segmenter.load`.
        rate: of the replay; 1 is the bag's own pace.
        period_s: between two clouds at rate 1.
        scored: whether `score` holds the labels against the truth while they come; the bag has it on `TRUTH`, and the
            name of its classes on `SCHEME`.
    """

    bag: Path
    frames: int
    checkpoint: Path
    device: str = "auto"
    precision: str = "fp32"
    rate: float = 1.0
    period_s: float = 0.1
    scored: bool = False

    @property
    def topics(self) -> tuple[str, ...]:
        """What is replayed."""
        return (POINTS, TRUTH, SCHEME) if self.scored else (POINTS,)

    @property
    def duration_s(self) -> float:
        """How long the replay takes."""
        return self.frames * self.period_s / self.rate


@dataclass(frozen=True)
class Session:
    """What a run left in its folder."""

    recorded: Path
    """Bag of labels, reports and model information."""
    sent_log: Path
    """The replayer's log: a line a cloud with the time just before it was published."""
    received_log: Path
    """The recorder's log: a line a message with the time at which it came."""
    node_said: str
    """What the node wrote."""
    score: Path | None = None
    """What `score` wrote; None where there was nothing to score."""


def run_session(
    plan: Plan,
    folder: Path,
    domain_id: int,
    on_frame: Callable[[int], None] = lambda labelled: None,
    *,
    cpus: frozenset[int] | None = None,
) -> Session:
    """Runs node, recorder, replayer and, where that is asked for, `score`, and ends them.

    The replay begins when the node is active and the others have found it. The recording ends when every cloud has
    come back, or nothing more comes.

    Args:
        plan: what is run.
        folder: an empty folder for all that the processes write.
        domain_id: ROS domain of the run.
        on_frame: is called now and then with the number of labelled clouds so far.
        cpus: the processes may use these only; None: all that this process may use.

    Raises:
        ProcessError: a process failed, or took too long; none is left behind.
    """
    session_log = folder / "ros_log"
    session_log.mkdir(parents=True)
    sent_log, received_log, recorded = folder / "sent.jsonl", folder / "received.jsonl", folder / "recorded"
    parameters = folder / "node.yaml"
    parameters.write_text(_parameters(plan))
    with Family(folder, child_environment(domain_id, session_log)) as family, confined(cpus):
        node = family.start(
            "segment",
            "srkd_ros.segment",
            ["--ros-args", "-r", f"~/input/points:={POINTS}", "--params-file", str(parameters)],
        )
        recorder = family.start(
            "record", "srkd_ros.record", [str(recorded), LABELS, REPORT, MODEL_INFO, "--log", str(received_log)]
        )
        score = _start_score(family, plan, folder) if plan.scored else None
        node.wait_for("segment is active", _START_S)
        recorder.wait_for(f"matched {LABELS}", _START_S)
        recorder.wait_for(f"matched {REPORT}", _START_S)
        if score is not None:
            score.wait_for(f"matched {LABELS}", _START_S)
        replay = family.start(
            "replay",
            "srkd_ros.replay",
            [str(plan.bag), "--topics", *plan.topics, "--rate", str(plan.rate)]
            + ["--wait-subscribers", str(len(plan.topics))]
            + ["--log", str(sent_log)],
        )
        labels = LineCount(received_log, LABELS)
        deadline = time.monotonic() + _START_S + plan.duration_s
        while replay.running:
            for child in (node, recorder):
                if not child.running:
                    child.finish(0)
                    raise ProcessError(f"{child.name} ended before the replay did")
            if score is not None and not score.running:
                score.finish(0)
            if time.monotonic() > deadline:
                raise ProcessError(f"replay of {plan.duration_s:.0f} s still runs after {_START_S:.0f} s more")
            on_frame(labels.update())
            time.sleep(_POLL_S)
        replay.finish(0)
        _wait_for_the_rest(plan.frames, labels, LineCount(received_log, REPORT), on_frame)
        scored = None if score is None or not labels.count else _end_score(score, folder)
        for child in (recorder, node):
            status = child.stop()
            if status:
                raise ProcessError(f"{child.name} ended with status {status} when told to stop")
        return Session(recorded, sent_log, received_log, node.said(), scored)


class FrameProgress:
    """Progress of a live run, from its first frame on: what comes before would spoil the estimate."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._progress: Progress | None = None

    def __enter__(self) -> FrameProgress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.close()

    def show(self, labelled: int) -> None:
        """So many frames have come back."""
        if labelled and self._progress is None:
            self._progress = Progress(self._frames, "  labelled", done=labelled)
        while self._progress is not None and self._progress.done < labelled:
            self._progress.step()


class LineCount:
    """Counts the lines of a growing log that are about one topic, reading only what is new."""

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._part = f"{json.dumps(topic)}".encode()
        self._offset = 0
        self.count = 0

    def update(self) -> int:
        """Reads on; the number of whole lines so far."""
        if self._path.exists():
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                new = stream.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._offset += len(whole)
            self.count += sum(self._part in line for line in whole.splitlines())
        return self.count


@contextmanager
def confined(cpus: frozenset[int] | None) -> Iterator[None]:
    """Processes started inside may use these CPUs only."""
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _wait_for_the_rest(frames: int, labels: LineCount, reports: LineCount, on_frame: Callable[[int], None]) -> None:
    last_new = time.monotonic()
    last_seen = (-1, -1)
    deadline = last_new + _PATIENCE_S
    while time.monotonic() < min(last_new + _QUIET_S, deadline):
        seen = (labels.update(), reports.update())
        on_frame(seen[0])
        if min(seen) >= frames:
            return
        if seen != last_seen:
            last_seen, last_new = seen, time.monotonic()
        time.sleep(_POLL_S)


def _start_score(family: Family, plan: Plan, folder: Path) -> Child:
    arguments = ["--labels", LABELS, "--truth", TRUTH, "--model-info", MODEL_INFO]
    arguments += ["--count", str(plan.frames), "--output", str(folder / "score.json")]
    return family.start("score", "srkd_ros.score", arguments)


def _end_score(score: Child, folder: Path) -> Path:
    """Waits until it has written its file, which it does by itself once it has scored every cloud."""
    if score.running:
        with suppress(ProcessError):
            score.finish(_QUIET_S)
    score.stop()
    score.finish(0)
    return folder / "score.json"


def _parameters(plan: Plan) -> str:
    """A parameter file; JSON's quoted strings are YAML's, so any path is a string."""
    values = {"checkpoint": str(plan.checkpoint.resolve()), "device": plan.device, "precision": plan.precision}
    lines = [f"    {name}: {json.dumps(value)}" for name, value in values.items()]
    return "\n".join(["/**:", "  ros__parameters:", *lines, ""])
