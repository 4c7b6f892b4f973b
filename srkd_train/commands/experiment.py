# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd experiment`: the studies of the paper and our own, one command each, every run done once."""

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from srkd.errors import BagError, ConfigError
from srkd.progress import clock
from srkd_train.cli import table
from srkd_train.experiments.cost import measure_cost, write_cost
from srkd_train.experiments.outcome import run_comparison
from srkd_train.experiments.pictures import draw_pictures
from srkd_train.experiments.pool import Pool, Stopped
from srkd_train.experiments.presets import PRESETS
from srkd_train.experiments.rows import COMPARISONS, gap
from srkd_train.experiments.run import ordered
from srkd_train.experiments.setup import Setup, read_setup
from srkd_train.records import without_folder

ABOUT = {
    **{name: comparison.about for name, comparison in COMPARISONS.items()},
    "cost": "time of training steps and of inference by stage (Tables 7, 8)",
    "pictures": "truth, baseline, student and teacher from above (Figure 4)",
}
"""Experiments, with a line each."""
_VALUES = {
    "noise": "standard deviations",
    "subsample": "shares",
    "batch-size": "clouds a step",
    "feature-dim": "widths",
    "cost": "batch sizes",
    "pictures": "numbers of clouds",
}


def main(argv: list[str]) -> int:
    """`srkd experiment NAME --config FILE [--preset P] [--seeds N ...] [--out DIR] [--jobs N] [--section.key value]`;
    the exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(_parser("NAME").format_help())
        return 0
    name = argv[0]
    if name not in ABOUT:
        near = difflib.get_close_matches(name, ABOUT, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"{name!r} is no experiment: {hint}give {' | '.join(ABOUT)}")
    args, words = _parser(name).parse_known_args(argv[1:])
    _check(name, args)
    if name == "shift" and any(word.startswith("--teacher.") for word in words):
        raise ConfigError("shift takes a teacher as it is, --teacher CHECKPOINT; leave --teacher.SECTION.KEY out")
    if name == "cost":
        cores = len(os.sched_getaffinity(0))
        words = ["--trainer.threads", str(cores), *words]
    setup = read_setup(
        args.config,
        words,
        preset=args.preset or ("none" if name == "cost" else None),
        seeds=args.seeds,
        values=None if args.values is None else tuple(args.values),
        alone=args.terms,
        without=args.leave_out,
        more_teachers=args.teachers,
    )
    folder = Path(args.out or ("benchmarks" if name == "cost" else "runs/experiments"))
    pool = Pool(folder / "runs", args.jobs)
    if args.list:
        sys.stdout.write(_listing(name, setup, pool))
        return 0
    command = without_folder(["srkd", "experiment", *argv])
    try:
        written = _perform(name, setup, pool, folder, args.repeats, command)
    except Stopped as stopped:
        sys.stdout.write(f"Stopped early: {stopped}. Go on with the same command.\n")
        return 0
    text = next((path.read_text(encoding="utf-8") for path in written if path.suffix == ".md"), "")
    sys.stdout.write(f"{text}\nWritten: {', '.join(map(str, written))}\n")
    return 0


def _perform(name: str, setup: Setup, pool: Pool, folder: Path, repeats: int, command: Sequence[str]) -> list[Path]:
    if name == "cost":
        return write_cost(measure_cost(setup, repeats=repeats, command=command), folder)
    if name == "pictures":
        return draw_pictures(setup, pool, folder, command=command)
    return run_comparison(name, COMPARISONS[name], setup, pool, command=command).write(folder, name)


def _listing(name: str, setup: Setup, pool: Pool) -> str:
    """Which runs there are, and which are done; nothing is started."""
    if name == "cost":
        raise ConfigError("--list: cost has no runs, leave it out")
    rows = gap(setup)[:3] if name == "pictures" else COMPARISONS[name].rows(setup)
    seeds = setup.seeds[:1] if name == "pictures" else setup.seeds
    lines: list[tuple[str, ...]] = [("run", "folder", "state", "minutes")]
    for run in ordered([row.runs[seed] for row in rows for seed in seeds]):
        try:
            place, result = pool.place(run), pool.result(run)
        except (BagError, ConfigError):  # what `prepare` is to write
            place, result = None, None
        where = "after its source" if place is None else place.path.name
        steps = 0 if place is None else place.step()
        state = "done" if result else f"step {steps} of {run.steps}" if steps else "to do"
        spent = clock(60 * place.minutes()) if place is not None and steps else "-"
        lines.append((run.label, where, state, spent))
    return table(lines, left=3) + "\n"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{' '.join(message.split())}; see srkd experiment --help")


def _parser(name: str) -> argparse.ArgumentParser:
    width = max(map(len, ABOUT))
    presets = "\n".join(f"  {key.ljust(width)}  {preset.about}" for key, preset in PRESETS.items())
    parser = _Parser(
        prog=f"srkd experiment {name}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Trains and scores what a study needs, each run once and for all, and writes one table (Markdown,\n"
        "JSON, plot). Ctrl-C and SIGTERM save every run; the same command goes on, on another day too.\n\n"
        + "\n".join(f"  {key.ljust(width)}  {text}" for key, text in ABOUT.items()),
        epilog=f"presets:\n{presets}\n\n"
        "Any key of `srkd distill` can follow, e.g. --trainer.max_steps 800, and wins over file and preset;\n"
        "--teacher.SECTION.KEY changes the teacher's own training, --teacher FILE takes a teacher as it is.\n"
        "Runs are known by their configuration, not by the version of this program: where it has changed what\n"
        "they come to, give another --out.",
    )
    parser.add_argument("--config", action="append", default=[], metavar="FILE", help="YAML file of `srkd distill`")
    parser.add_argument(
        "--preset", choices=list(PRESETS), help="size (default: study on streets, else none; none for cost)"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    parser.add_argument("--out", metavar="DIR", help="default: runs/experiments; benchmarks for cost")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (default: 1)")
    parser.add_argument(
        "--values", nargs="+", type=float, metavar="X", help="what is gone through instead of the default"
    )
    parser.add_argument("--terms", action="store_true", help="gap: also each term of distillation alone")
    parser.add_argument("--leave-out", action="store_true", help="gap: also the objective without each term")
    parser.add_argument(
        "--teachers", action="store_true", help="dynamic-size: also teachers of chosen classes, and of clipped clouds"
    )
    parser.add_argument(
        "--repeats", type=int, default=20, metavar="N", help="cost: steps and frames timed (default: 20)"
    )
    parser.add_argument("--list", action="store_true", help="only say which runs there are, and which are done")
    return parser


def _check(name: str, args: argparse.Namespace) -> None:
    if args.jobs < 1 or args.repeats < 1:
        raise ConfigError(f"--jobs {args.jobs}, --repeats {args.repeats}: give at least 1")
    if args.values is not None and name not in _VALUES:
        raise ConfigError(f"--values has no meaning for {name}, leave it out; it is for {', '.join(_VALUES)}")
    least = {"noise": 0.0, "pictures": 0.0}.get(name, 1.0)
    for value in args.values or ():
        if name == "subsample":
            fits = 0 < value <= 1
        else:
            fits = value >= least and (name == "noise" or value == int(value))
        if not fits:
            raise ConfigError(f"--values {value:g} is none of the {_VALUES[name]} that {name} can take")
    if (args.terms or args.leave_out) and name != "gap":
        raise ConfigError(f"--terms and --leave-out are for gap, leave them out for {name}")
    if args.teachers and name != "dynamic-size":
        raise ConfigError(f"--teachers is for dynamic-size, leave it out for {name}")
