# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd demo`: a street drive is replayed to the real ROS 2 node, whose labels are recorded, scored and drawn."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from srkd.device import PRECISIONS
from srkd.errors import ConfigError
from srkd_train.cli import EXIT_FAILED, EXIT_OK, checkpoint_path, make_parser
from srkd_train.demo_offline import SEED, DemoOptions, offline_demo
from srkd_train.live.demo import live_demo
from srkd_train.live.environment import LARGEST_DOMAIN, NoRosError, require_ros

_FRAMES, _OFFLINE_FRAMES = 100, 20


def main(argv: list[str]) -> int:
    """`srkd demo [--output DIR] [--offline]`; 1 where the live run does not pass, 2 where it cannot be made."""
    parser = make_parser(
        "demo",
        "Needs no data and no GPU. ROS 2 comes with `make setup`; with --offline it is not needed, the drive is then"
        " labelled in this process, and where SRKD_DATA names a folder with semantickitti/ or nuscenes/ in it, a few"
        " real frames are as well.",
    )
    parser.add_argument("--output", default="demo_out", help="folder for the report, the figures and the labelled bag")
    parser.add_argument("--offline", action="store_true", help="without ROS: pictures and metrics.json only")
    parser.add_argument("--checkpoint", default=None, help="default: the bundled student-nano")
    parser.add_argument(
        "--frames", type=int, default=None, help=f"at 10 Hz; default {_FRAMES}, with --offline {_OFFLINE_FRAMES}"
    )
    parser.add_argument(
        "--seed", type=int, default=SEED, help="which street; those from 10000 on were never trained on"
    )
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1 ...")
    parser.add_argument(
        "--precision", default="fp32", choices=sorted(PRECISIONS), help="arithmetic (autocast below fp32)"
    )
    parser.add_argument(
        "--domain", type=int, default=None, help="ROS domain of the run; default: one that is free on this machine"
    )
    args = parser.parse_args(argv)
    options = _options(args)
    if args.offline:
        return offline_demo(options)
    try:
        require_ros()
    except NoRosError as error:
        sys.stderr.write(f"srkd demo: {error}; `srkd demo --offline` labels, scores and draws a drive without ROS\n")
        return EXIT_FAILED
    for name in ("trimesh", "embreex", "matplotlib"):  # wanted at the first step and at the last
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)
    return EXIT_OK if live_demo(options, domain_id=args.domain) else EXIT_FAILED


def _options(args: Any) -> DemoOptions:
    frames = args.frames if args.frames is not None else _OFFLINE_FRAMES if args.offline else _FRAMES
    if frames < 1:
        raise ConfigError(f"--frames {frames} makes no drive: give at least 1")
    if args.domain is not None and not 0 <= args.domain <= LARGEST_DOMAIN:
        raise ConfigError(f"--domain {args.domain}: give 0 to {LARGEST_DOMAIN}")
    return DemoOptions(
        output=Path(args.output),
        checkpoint=checkpoint_path(args.checkpoint),
        frames=frames,
        seed=args.seed,
        device=args.device,
        precision=args.precision,
    )
