# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd verify`: what a data set holds and what it lacks, on one page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from srkd.errors import ConfigError
from srkd.progress import Progress
from srkd_train.cli import EXIT_FAILED, EXIT_OK, Parser, make_parser, table
from srkd_train.config import cache_dir
from srkd_train.data.catalog import DATA_SPLITS
from srkd_train.data.missing import look
from srkd_train.data.order import spread_indices
from srkd_train.data.tally import Tally, tally

SHOWN = 20
"""Lines about what is missing; the rest is counted."""


def main(argv: list[str]) -> int:
    """`srkd verify DATA --data.root DIR [--split NAME ...] [--limit N | --all]`; 1 where something is missing."""
    parser = make_parser(
        "verify",
        "Counts the clouds and classes of a data set and names the files that are missing or damaged. Exit code 1 where"
        " there are some.",
    )
    add_data_arguments(parser)
    parser.add_argument("--split", nargs="+", help="splits to look at (default: train and val, held_out of street)")
    parser.add_argument("--limit", type=int, default=50, help="clouds to read a split, spread over it (default: 50)")
    parser.add_argument("--all", action="store_true", help="read every cloud")
    args = parser.parse_args(argv)
    if args.limit < 1 or args.workers < 0:
        raise ConfigError(f"--limit {args.limit}, --workers {args.workers}: give at least 1 cloud and 0 workers")
    splits = args.split or (("val", "held_out") if args.data == "street" else ("train", "val"))
    if args.sequences is not None:
        splits = (" ".join(args.sequences),)
    tallies: dict[str, Tally] = {}
    counts: dict[str, int] = {}
    problems: list[str] = []
    for split in splits:
        part, lacking = look(
            args.data,
            split,
            root=args.root,
            sequences=args.sequences,
            sensors=args.sensors,
            cache=cache_dir(args.cache_dir),
        )
        problems += lacking
        if part is None:
            continue
        indices = spread_indices(len(part.clouds), None if args.all else args.limit)
        progress = Progress(len(indices), f"read of {split}")
        tallies[split] = tally(part, indices, num_workers=args.workers, progress=progress)
        progress.close()
        counts[split] = len(part.clouds)
        problems += tallies[split].unreadable
    where = "" if args.root is None else f" in {Path(args.root)}"
    sys.stdout.write(f"{args.data}{where}\n\n{page(tallies, counts)}{listed(problems)}")
    return EXIT_FAILED if problems else EXIT_OK


def add_data_arguments(parser: Parser) -> None:
    """The data set and where it is."""
    parser.add_argument("data", choices=sorted(DATA_SPLITS.keys() - {"bag"}), help="data set")
    parser.add_argument("--data.root", dest="root", help="folder of the data set")
    parser.add_argument("--sequences", nargs="+", help="SemanticKITTI sequences instead of a split's")
    parser.add_argument("--sensors", nargs="+", help="street sensors (default: all)")
    parser.add_argument("--cache-dir", help="folder for generated streets (default: $SRKD_CACHE or ~/.cache/srkd)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read clouds (default: 1)")


def page(tallies: dict[str, Tally], counts: dict[str, int]) -> str:
    """Counts by split and the class histogram, as two tables; empty where nothing could be read."""
    if not tallies:
        return ""
    rows: list[tuple[object, ...]] = [("split", "clouds", "read", "points a cloud", "labelled %")]
    for split, found in tallies.items():
        sizes = found.cloud_points
        total, labelled = sum(sizes), int(found.class_points.sum())
        share = f"{100 * labelled / total:.1f}" if total else "-"
        span = f"{min(sizes):,} to {max(sizes):,}" if sizes else "-"
        rows.append((split, f"{counts[split]:,}", f"{len(sizes):,}", span, share))
    classes: list[tuple[object, ...]] = [("class", *(f"{split} %" for split in tallies))]
    for number, name in enumerate(next(iter(tallies.values())).scheme.class_names):
        classes.append((name, *(f"{100 * found.frequency[number]:.3f}" for found in tallies.values())))
    return f"{table(rows)}\n\n{table(classes)}\n\n"


def listed(problems: Sequence[str]) -> str:
    """What is missing, the first lines of it."""
    if not problems:
        return "Nothing is missing.\n"
    more = [f"and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
    lines = [*problems[:SHOWN], *more]
    return f"{len(problems):,} {'problem' if len(problems) == 1 else 'problems'}:\n" + "".join(
        f"  {x}\n" for x in lines
    )
