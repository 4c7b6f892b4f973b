# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd bench-live`: latency and drops of the real node over DDS, at 10 and 5 Hz, on two cores and on one."""

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
from srkd_train.live.bench import BAR, CASES, Case, figures_of, markdown, summarize
from srkd_train.live.drive_bag import DRIVE_RATE_HZ, write_drive
from srkd_train.live.environment import free_domain, require_ros
from srkd_train.live.processes import ended_like_ctrl_c
from srkd_train.live.session import FrameProgress, Plan, run_session
from srkd_train.machine import describe_machine


def main(argv: list[str]) -> int:
    """`srkd bench-live [--output JSON]`; 1 where the bar is not met."""
    parser = make_parser(
        "bench-live",
        "Replays a simulated drive to the node and records its answers, several times. Let nothing else run meanwhile."
        f" The bar: in the best run at 10 Hz on two cores, p95 end to end at most {BAR.p95_ms:.0f} ms, no drops, and"
        f" {100 * BAR.labelled_share:.0f} % of the returns within {BAR.range_m:.0f} m labelled.",
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the drive, 10 clouds a second")
    parser.add_argument("--runs", type=int, default=3, help="at 10 Hz on two cores; the others are run once")
    parser.add_argument("--checkpoint", default=None, help="default: the bundled student-nano")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1 ...")
    parser.add_argument("--seed", type=int, default=SEED, help="which street")
    parser.add_argument("--output", default=None, help="also write the figures as JSON")
    args = parser.parse_args(argv)
    frames = round(args.seconds * DRIVE_RATE_HZ)
    if frames < 1 or args.runs < 1:
        raise ConfigError(f"--seconds {args.seconds:g} --runs {args.runs}: give at least 0.1 and 1")
    require_ros()
    figures = _run(args, frames)
    figures["command"] = " ".join(["srkd bench-live", *argv])
    sys.stdout.write(markdown(figures))
    if args.output is not None:
        write_atomic(args.output, [(json.dumps(figures, indent=2, allow_nan=False) + "\n").encode()])
    return EXIT_OK if figures["bar"]["met"] else EXIT_FAILED


def _run(args: Any, frames: int) -> dict[str, Any]:
    checkpoint, device = checkpoint_path(args.checkpoint), resolve_device(args.device)
    header = read_header(checkpoint)
    domain_id = free_domain()
    with ended_like_ctrl_c(), tempfile.TemporaryDirectory(prefix="srkd_bench_") as scratch_name:
        scratch = Path(scratch_name)
        progress = Progress(frames, "simulating: frame")
        points = write_drive(scratch / "drive", args.seed, SENSOR, frames, progress.step)
        progress.close()
        cases = []
        for case in CASES:
            runs = []
            for number in range(args.runs if case is CASES[0] else 1):
                sys.stderr.write(f"{case.name}, run {number + 1}\n")
                plan = Plan(scratch / "drive", frames, checkpoint, str(device), rate=case.rate_hz / DRIVE_RATE_HZ)
                runs.append(_run_once(plan, case, scratch / f"{case.key}_{number}", domain_id))
            cases.append({"rate_hz": case.rate_hz, "cores": case.cores, **summarize(runs)})
    return {
        "checkpoint": {"name": checkpoint.name, "weights_sha256": header.weights_sha256},
        "drive": {
            "seed": args.seed,
            "sensor": SENSOR,
            "frames": frames,
            "points_per_frame": round(points / frames),
        },
        "bar": BAR.verdict(cases[0]["best"]),
        "cases": cases,
        "machine": describe_machine(device),
    }


def _run_once(plan: Plan, case: Case, folder: Path, domain_id: int) -> dict[str, Any]:
    cpus = case.cpus(sorted(os.sched_getaffinity(0)))
    with FrameProgress(plan.frames) as progress:
        session = run_session(plan, folder, domain_id, progress.show, cpus=cpus)
    figures = figures_of(session, plan.bag)
    shutil.rmtree(folder)  # the labels of half a minute are 200 MB
    return figures
