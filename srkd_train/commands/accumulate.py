# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd prepare accumulate`: dense clouds, frames of a sequence brought together, for a teacher or its score."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from srkd.errors import ConfigError
from srkd.progress import Progress
from srkd_train.cli import EXIT_FAILED, EXIT_OK, Parser, make_parser
from srkd_train.commands.verify import listed
from srkd_train.config import DataConfig, DistillConfig
from srkd_train.data.accumulate.build import build, once
from srkd_train.data.accumulate.config import Accumulation
from srkd_train.data.accumulate.folder import close_folder, open_folder, settings_of
from srkd_train.data.accumulate.scenes import SEQUENCES, find_scenes
from srkd_train.data.catalog import final_part, training_part, validation_part
from srkd_train.options import parse

PROG = "srkd prepare accumulate"
PARTS = {"train": training_part, "val": validation_part, "final": final_part}
"""Which clouds: to train on, to choose weights by, and of the score in a checkpoint's header."""


def main(argv: Sequence[str]) -> int:
    """`srkd prepare accumulate [DATA] --data.root DIR --out DIR ...`; 1 where a cloud could not be made."""
    own, data = split_words(argv)
    args = _parser().parse_args(own)
    if args.num_workers < 0:
        raise ConfigError(f"--num-workers {args.num_workers}: give 0 or more processes")
    given = data_config(args, data)
    config = accumulation(args)
    parts = [PARTS[name](given) for name in ([args.part] if args.part in PARTS else PARTS)]
    scheme = parts[0].clouds.scheme
    config.class_ids(scheme)
    scenes = [scene for part in parts for scene in find_scenes(part.clouds, config)]
    folder = Path(args.out)
    settings = settings_of(config, given.name, scheme, given.root)
    open_folder(folder, settings)
    unique = once(scenes)
    progress = Progress(sum(len(scene.targets) for scene in unique), "accumulated")
    found = build(unique, folder, config, scheme, num_workers=args.num_workers, progress=progress)
    progress.close()
    described = "; ".join(dict.fromkeys(part.described for part in parts))
    sys.stdout.write(f"{described}\n{found.made:,} clouds made, {len(found.names) - found.made:,} were there")
    if found.made:
        sys.stdout.write(
            f"; {found.own_points / found.made:,.0f} points became {found.points / found.made:,.0f} a cloud"
        )
    if found.made and found.points == found.own_points:
        sys.stdout.write("; NO CLOUD GOT A POINT: frames without labels have no points of --classes (--labelled-only)")
    sys.stdout.write(f"\n{listed(found.problems)}")
    if found.problems:
        sys.stdout.write(f"{folder} is unfinished: the same command goes on with it\n")
        return EXIT_FAILED
    close_folder(folder, settings, found.names)
    sys.stdout.write(f"Dense clouds: {folder}\n")
    return EXIT_OK


def _parser() -> Parser:
    parser = make_parser(
        "prepare accumulate",
        "Brings frames of a sequence together: each cloud gets the points of the frames around it, in its own"
        " coordinates, and is kept in DIR/NAME.npz. Goes on where it was stopped, and never mixes settings in a folder."
        " Which clouds: --config FILE of a run, or --data.KEY VALUE of its data section, as in `srkd distill`.",
    )
    usual = {each.name: each.default for each in fields(Accumulation)}
    parser.add_argument("data", nargs="?", choices=SEQUENCES, help="data set, or --data.name, or that of --config")
    parser.add_argument("--root", help="folder of the data set, the same as --data.root")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the dense clouds")
    parser.add_argument(
        "--part", default="all", choices=(*PARTS, "all"), help="train, val, final (street: held out), or all (default)"
    )
    parser.add_argument("--window", type=int, help="frames to add on either side, instead of --past and --future")
    parser.add_argument("--past", type=int, help=f"earlier frames to add (default: {usual['past']})")
    parser.add_argument("--future", type=int, help=f"later frames to add (default: {usual['future']})")
    parser.add_argument("--every", type=int, default=usual["every"], help="take every n-th frame (default: 1)")
    parser.add_argument(
        "--labelled-only", action="store_true", help="nuScenes, Waymo: no frames between those with labels"
    )
    parser.add_argument("--classes", nargs="+", help="add points of these classes only, by the frames' labels")
    parser.add_argument(
        "--moving",
        choices=("align", "drop", "keep"),
        help="points of moving objects: moved with them (default), left out, or left where they were seen",
    )
    parser.add_argument(
        "--by-pose", action="store_true", help="look at poses alone, not at labels, instances or boxes (--moving keep)"
    )
    parser.add_argument(
        "--clip", nargs=6, type=float, metavar=("X0", "Y0", "Z0", "X1", "Y1", "Z1"), help="add only inside this box, m"
    )
    parser.add_argument(
        "--cell", type=float, default=usual["cell_m"], help="one added point a cell of this edge, m; 0 for all points"
    )
    parser.add_argument(
        "--near", type=float, default=usual["near_m"], help="leave out what was seen closer, m: the vehicle itself"
    )
    parser.add_argument("--num-workers", type=int, default=1, help="processes that make clouds (default: 1)")
    return parser


def split_words(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line in two: the words of this command, and `--config FILE` and `--data.KEY VALUE` of a run."""
    own: list[str] = []
    data: list[str] = []
    words = own
    for word in argv:
        if word.startswith("--"):
            words = data if word.startswith(("--data.", "--config=")) or word == "--config" else own
            words.append(word)
            if "=" in word:
                words = own
        else:
            words.append(word)
            # An option of a run takes one value; words behind it are ours again.
            if words is data:
                words = own
    return own, data


def data_config(args: Any, words: Sequence[str]) -> DataConfig:
    """The data section that a command line means.

    Raises:
        ConfigError: a key or value does not fit, or the data set has no sequences.
    """
    name = [] if args.data is None else ["--data.name", args.data]
    root = [] if args.root is None else ["--data.root", args.root]
    found = parse([*words, *name, *root, "--out", "-"], DistillConfig, prog=PROG, about="").data
    if found.name not in SEQUENCES:
        raise ConfigError(f"data.name={found.name} has no sequences with poses, give {' | '.join(SEQUENCES)}")
    if found.name == "street" and found.root is not None:
        raise ConfigError(f"data.root={found.root}: streets have no root, say which data set it is, e.g. semantickitti")
    return found


def accumulation(args: Any) -> Accumulation:
    """What a command line says about frames.

    Raises:
        ConfigError: a value does not fit, or contradicts another one.
    """
    if args.window is not None and (args.past is not None or args.future is not None):
        raise ConfigError(f"--window {args.window} with --past or --future: give one or the other")
    usual = Accumulation()
    past = usual.past if args.past is None else args.past
    future = usual.future if args.future is None else args.future
    return Accumulation(
        past=past if args.window is None else args.window,
        future=future if args.window is None else args.window,
        every=args.every,
        labelled_only=args.labelled_only,
        classes=None if args.classes is None else tuple(args.classes),
        moving=args.moving or ("keep" if args.by_pose else usual.moving),
        by_pose=args.by_pose,
        clip_m=None if args.clip is None else tuple(args.clip),
        cell_m=args.cell or None,
        near_m=args.near,
    )
