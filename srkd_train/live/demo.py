# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live demo, step by step: make a drive, run it live, run it offline, compare, draw, report.

The steps follow each other, so that nothing but the node, the replayer, the recorder and `score` runs during the live
part.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from srkd.checkpoint import read_header
from srkd.device import resolve_device
from srkd.io.bags import PREDICTED_SUFFIX
from srkd.progress import Progress
from srkd_train.demo_offline import SENSOR, DemoOptions, check_scheme
from srkd_train.live.compare import LiveScore, agreement, read_labels, read_messages, read_score
from srkd_train.live.drive_bag import DRIVE_RATE_HZ, write_drive, write_labelled
from srkd_train.live.environment import child_environment, free_domain
from srkd_train.live.outcome import Outcome, join, read_log
from srkd_train.live.outputs import BAG, METRICS, PAGE, staged
from srkd_train.live.page import render_page
from srkd_train.live.pictures import draw_frames
from srkd_train.live.processes import Family, ended_like_ctrl_c
from srkd_train.live.results import Results, facts, make_metrics, summary
from srkd_train.live.session import LABELS, POINTS, REPORT, FrameProgress, Plan, Session, run_session
from srkd_train.machine import describe_machine

_PICTURES = 3
_OFFLINE_S_PER_FRAME, _OFFLINE_START_S = 30.0, 120.0
"""Far more than a frame takes: only a process that hangs is ended."""


@dataclass
class _Steps:
    """Says on standard error what is being done, and keeps how long it took."""

    total: int
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, key: str, text: str) -> Iterator[None]:
        sys.stderr.write(f"[{len(self.seconds) + 1}/{self.total}] {text}\n")
        sys.stderr.flush()
        start = time.monotonic()
        yield
        self.seconds[key] = round(time.monotonic() - start, 2)


def live_demo(options: DemoOptions, *, domain_id: int | None = None) -> bool:
    """Makes the demo and leaves its results in `options.output`.

    Args:
        options: what to do.
        domain_id: ROS domain; default: a free one.

    Returns:
        Whether every frame came back, with the labels of the offline run.

    Raises:
        SrkdError: it cannot be made: unusable checkpoint or folder, or a process failed. Nothing is left behind.
    """
    device = resolve_device(options.device)
    header = read_header(options.checkpoint)
    check_scheme(options.checkpoint, header)
    steps = _Steps(5)
    domain_id = free_domain() if domain_id is None else domain_id
    with (
        ended_like_ctrl_c(),
        staged(options.output) as stage,
        tempfile.TemporaryDirectory(prefix="srkd_demo_") as scratch_name,
    ):
        scratch = Path(scratch_name)
        bag, offline_bag = scratch / "drive", scratch / "offline"
        with steps.step("drive", f"simulating a drive of {options.frames / DRIVE_RATE_HZ:g} s, 32 beams"):
            progress = Progress(options.frames, "  frame")
            points = write_drive(bag, options.seed, SENSOR, options.frames, progress.step)
            progress.close()
        with steps.step(
            "live", f"live: node, replay at {DRIVE_RATE_HZ:g} Hz, recorder and score, ROS domain {domain_id}"
        ):
            session = _live(options, str(device), bag, scratch / "live", domain_id)
        with steps.step("offline", "offline: the same network on the same clouds, without transport"):
            _label_offline(options, str(device), bag, offline_bag, scratch, domain_id)
        with steps.step("compare", "comparing"):
            live = read_labels(session.recorded, LABELS)
            results = Results(
                _outcome(session),
                agreement(live, read_labels(offline_bag, POINTS + PREDICTED_SUFFIX)),
                _live_score(session, header.scheme.class_names),
            )
        metrics = make_metrics(options, header, points, DRIVE_RATE_HZ, results, describe_machine(device))
        with steps.step("report", "drawing and writing"):
            write_labelled(stage / BAG, bag, session.recorded, results.outcome.latency_ns)
            pictures = list(draw_frames(bag, live, header.scheme, _PICTURES, scratch))
            colors = dict(zip(header.scheme.class_names, header.scheme.colors, strict=True))
            page = render_page(metrics, results.outcome, pictures, colors, facts(metrics))
            (stage / PAGE).write_text(page, encoding="utf-8")
        metrics["took_s"] = steps.seconds
        (stage / METRICS).write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    sys.stdout.write(summary(options.output, metrics, results.live.score))
    return bool(metrics["passed"])


def _live(options: DemoOptions, device: str, bag: Path, folder: Path, domain_id: int) -> Session:
    plan = Plan(bag, options.frames, options.checkpoint, device, options.precision, scored=True)
    sys.stderr.write("  starting the node, the recorder and the score\n")
    with FrameProgress(options.frames) as progress:
        return run_session(plan, folder, domain_id, progress.show)


def _label_offline(options: DemoOptions, device: str, bag: Path, labelled: Path, scratch: Path, domain_id: int) -> None:
    arguments = [str(bag), str(labelled), "--checkpoint", str(options.checkpoint.resolve()), "--topics", POINTS]
    arguments += ["--device", device, "--precision", options.precision]
    with Family(scratch, child_environment(domain_id, scratch)) as family:
        child = family.start("label_bag", "srkd_ros.label_bag", arguments, on_terminal=sys.stderr.isatty())
        child.finish(_OFFLINE_START_S + _OFFLINE_S_PER_FRAME * options.frames)


def _live_score(session: Session, class_names: Sequence[str]) -> LiveScore:
    return LiveScore.none(class_names) if session.score is None else read_score(session.score)


def _outcome(session: Session) -> Outcome:
    return join(
        read_log(session.sent_log, POINTS, "publish_ns"),
        read_log(session.received_log, LABELS, "receive_ns"),
        read_messages(session.recorded, REPORT),
    )
