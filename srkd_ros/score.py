# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `score`: holds live labels against ground truth that is published beside them.

    ros2 run srkd_ros score [--labels /segment/output/points] [--truth /points/labels] [--count N] [--output score.json]

Clouds are paired by stamp. Class names come from the node's ~/model_info, or from --scheme; where the ground truth says
its own (/points/label_scheme, as `to_bag` writes it), they must be the same. It prints `matched TOPIC` when a publisher
is there and the score so far now and then, publishes it on ~/report, and prints the table at the end: on SIGINT or
SIGTERM, after --count clouds, when nothing has come for --idle-s, or, with --until-over, when the bag with the truth
has been played.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from srkd_ros.command_line import EXIT_FAILED, EXIT_OK, OneLineParser, positive
from srkd_ros.ros_session import RosSession, run_tool

if TYPE_CHECKING:
    from srkd.score import Score
    from srkd_ros.scorer import Scorer

_CLOSE_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Scores until it is time to stop. Returns 0, or 1 where nothing could be scored or an argument cannot be used."""
    return run_tool(_parser(), _score, arguments)


def _score(args: argparse.Namespace, session: RosSession) -> int:
    names = _scheme_names(args.scheme)
    with session.ros():
        from srkd_ros.scorer import Scorer

        with closing(Scorer(args, names)) as scorer:
            session.stop.announce(lambda: time.sleep(_CLOSE_S))
            scorer.run(session.stop)
            return _report(scorer, args)


def _report(scorer: Scorer, args: argparse.Namespace) -> int:
    """Prints the table, writes the file; the exit status.

    Raises:
        SrkdError: the labels have classes that the scheme has not.
        OSError: the file cannot be written.
    """
    from srkd_ros.scorer import say

    tally = scorer.tally
    if not tally.clouds:
        what = tally.left_out() or "no cloud came"
        sys.stderr.write(f"score: nothing to score: {what}{scorer.why()}\n")
        return EXIT_FAILED
    if scorer.class_names is None:
        sys.stderr.write(f"score: no class names on {args.model_info}: give --model-info or --scheme\n")
        return EXIT_FAILED
    score = tally.score(scorer.class_names)
    say(f"\n{score.to_markdown()}\n\n{tally.clouds} clouds scored.")
    if left_out := scorer.left_out():
        say(f"Not scored: {left_out}.")
    if args.output is not None:
        _write(args.output, score, tally.to_dict())
    return EXIT_OK


def _scheme_names(scheme: str | None) -> tuple[str, ...] | None:
    from srkd.labels import get_scheme

    return None if scheme is None else get_scheme(scheme).class_names


def _write(path: str, score: Score, counted: dict[str, int]) -> None:
    from srkd.io.atomic import write_atomic

    text = json.dumps({**score.to_dict(), **counted}, indent=2, allow_nan=False)
    write_atomic(path, [f"{text}\n".encode()])


def _parser() -> OneLineParser:
    parser = OneLineParser("score", description="Holds live labels against ground truth, cloud by cloud.")
    parser.add_argument("--labels", default="/segment/output/points", metavar="TOPIC", help="labelled clouds")
    parser.add_argument("--truth", default="/points/labels", metavar="TOPIC", help="clouds with the true class_id")
    parser.add_argument("--model-info", default="/segment/model_info", metavar="TOPIC", help="where class names are")
    parser.add_argument("--scheme", help="class names of this scheme instead: nuscenes, ..., or a YAML file")
    parser.add_argument("--reliability", choices=("reliable", "best_effort"), default="reliable")
    parser.add_argument(
        "--buffer", type=_whole, default=100, metavar="N", help="clouds that may wait for their partner"
    )
    parser.add_argument("--every-s", type=positive, default=5.0, metavar="S", help="time between two lines")
    parser.add_argument("--count", type=_whole, metavar="N", help="end after N pairs of clouds")
    parser.add_argument("--idle-s", type=positive, metavar="S", help="end when nothing has come for so long")
    parser.add_argument(
        "--until-over",
        action="store_true",
        help="end when the truth's publisher has gone, and all its clouds have labels or nothing has come for 5 s"
        " (or --idle-s)",
    )
    parser.add_argument("--output", metavar="FILE", help="also write the figures as JSON")
    return parser


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}, expected at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
