# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd bench-teacher`: what a teacher beside the student costs it over DDS, and a soak of both."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from srkd.checkpoint import read_header
from srkd.device import resolve_device
from srkd.errors import ConfigError
from srkd.io.atomic import write_atomic
from srkd.progress import Progress
from srkd_train.cli import EXIT_FAILED, EXIT_OK, checkpoint_path, make_parser
from srkd_train.demo_offline import SEED, SENSOR
from srkd_train.live.drive_bag import DRIVE_RATE_HZ, write_drive
from srkd_train.live.environment import free_domain, require_ros
from srkd_train.live.processes import ended_like_ctrl_c
from srkd_train.live.session import FrameProgress, Plan
from srkd_train.live.teacher_bench import SOAK_HZ, SOAK_S, cases, figures_of, markdown, met, verdict
from srkd_train.live.teacher_session import Setting, run_with_teacher
from srkd_train.machine import describe_machine

TEACHER = "teacher-nano"


def main(argv: list[str]) -> int:
    """`srkd bench-teacher [--output JSON]`; 1 where a bar is not met."""
    parser = make_parser(
        "bench-teacher",
        "Replays a simulated drive to the bundled student, alone and with the bundled teacher beside it: on another"
        " core, on the same two cores, in the same process; then to both at 10 Hz for three minutes. Let nothing else"
        " run meanwhile. Needs Linux and two cores.",
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of a timed run, at 5 Hz")
    parser.add_argument("--soak-seconds", type=float, default=SOAK_S, help="of the soak, at 10 Hz")
    parser.add_argument("--runs", type=int, default=3, help="of each timed setting, in turn")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1 ...")
    parser.add_argument("--seed", type=int, default=SEED, help="which street")
    parser.add_argument("--output", default=None, help="also write the figures as JSON")
    args = parser.parse_args(argv)
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cpus) < 2:
        raise ConfigError(f"bench-teacher: {len(cpus)} CPUs may be used here, give it two, and Linux")
    if min(args.seconds, args.soak_seconds) < 1 or args.runs < 1:
        raise ConfigError(
            f"--seconds {args.seconds:g} --soak-seconds {args.soak_seconds:g} --runs {args.runs}: give at least 1"
        )
    require_ros()
    figures = _run(args, cpus)
    figures["command"] = " ".join(["srkd bench-teacher", *argv])
    sys.stdout.write(markdown(figures))
    if args.output is not None:
        write_atomic(args.output, [(json.dumps(figures, indent=2, allow_nan=False) + "\n").encode()])
    return EXIT_OK if met(figures["bars"]) else EXIT_FAILED


def _run(args: Any, cpus: list[int]) -> dict[str, Any]:
    student, teacher = checkpoint_path(None), checkpoint_path(TEACHER)
    device = resolve_device(args.device)
    settings = cases(cpus)
    domain_id = free_domain()
    with ended_like_ctrl_c(), tempfile.TemporaryDirectory(prefix="srkd_bench_") as scratch_name:
        scratch = Path(scratch_name)
        drives = {}
        for rate_hz, seconds in ((settings.beside.rate_hz, args.seconds), (SOAK_HZ, args.soak_seconds)):
            frames = round(seconds * rate_hz)
            progress = Progress(frames, "simulating: frame")
            points = write_drive(scratch / f"drive_{rate_hz:g}", args.seed, SENSOR, frames, progress.step)
            progress.close()
            drives[rate_hz] = (scratch / f"drive_{rate_hz:g}", frames, points)
        runs: dict[str, list[dict[str, Any]]] = {}
        for number, setting in [*((n, each) for n in range(args.runs) for each in settings.timed), (0, settings.soak)]:
            sys.stderr.write(f"{setting.name}, run {number + 1}\n")
            bag, frames, _ = drives[setting.rate_hz]
            plan = Plan(bag, frames, student, str(device), rate=setting.rate_hz / DRIVE_RATE_HZ)
            runs.setdefault(setting.name, []).append(_run_once(plan, setting, scratch / "run", domain_id))
    _, frames, points = drives[settings.soak.rate_hz]
    return {
        "student": _described(student),
        "teacher": _described(teacher),
        "drive": {"seed": args.seed, "sensor": SENSOR, "points_per_frame": round(points / frames)},
        "bars": verdict(runs, settings),
        "cases": [
            {"name": each.name, "rate_hz": each.rate_hz, "runs": runs[each.name]}
            for each in (*settings.timed, settings.soak)
        ],
        "machine": describe_machine(device),
    }


def _described(path: Path) -> dict[str, str]:
    return {"name": path.name, "weights_sha256": read_header(path).weights_sha256}


def _run_once(plan: Plan, setting: Setting, folder: Path, domain_id: int) -> dict[str, Any]:
    with FrameProgress(plan.frames) as progress:
        watched = run_with_teacher(plan, setting, folder, domain_id, progress.show)
    shutil.rmtree(folder)
    return figures_of(watched)
