# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments of `replay`."""

from __future__ import annotations

import argparse

from srkd.errors import BagError, SrkdError
from srkd.io.bags import BagReader
from srkd_ros.command_line import OneLineParser, count, not_negative, positive

CLOCK_TOPIC = "/clock"


def make_parser() -> OneLineParser:
    """The parser of `replay`."""
    parser = OneLineParser("replay", description="Plays a rosbag2 (sqlite3 or mcap) without `ros2 bag`.")
    parser.add_argument("bag", help="folder of the bag, or its .mcap or .db3 file")
    parser.add_argument("--rate", type=positive, default=1.0, help="seconds of the bag a second")
    parser.add_argument("--loop", action="store_true", help="from the start again at the end; stamps jump back")
    parser.add_argument("--start-s", type=not_negative, default=0.0, metavar="S", help="seconds to skip")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="these only")
    parser.add_argument("--clock", type=positive, metavar="HZ", help="publish the bag's time on /clock, so often")
    parser.add_argument(
        "--remap", type=_renaming, nargs="+", action="extend", default=[], metavar="FROM:=TO", help="other topic names"
    )
    parser.add_argument("--reliability", choices=("reliable", "best_effort", "recorded"), default="recorded")
    parser.add_argument(
        "--wait-subscribers", type=count, default=0, metavar="N", help="begin with N subscriptions, all topics together"
    )
    parser.add_argument("--wait-s", type=positive, default=30.0, metavar="S", help="longest wait for them")
    parser.add_argument("--log", metavar="FILE", help="a line for each message: topic, stamp_ns, publish_ns (JSON)")
    return parser


def check_arguments(parser: OneLineParser, args: argparse.Namespace, reader: BagReader) -> tuple[str, ...]:
    """The topics to play; what was asked for and is not in the bag ends the process as a usage error.

    Raises:
        BagError: the bag is empty.
    """
    try:
        reader.check_topics(args.topics or ())
        reader.check_topics([source for source, _ in args.remap])
    except SrkdError as error:
        parser.error(str(error))
    if not any(topic.count for topic in reader.topics):
        raise BagError(f"{reader.path}: the bag is empty")
    if args.start_s * 1e9 > reader.duration_ns:
        parser.error(f"--start-s {args.start_s:g}: the bag has {reader.duration_ns / 1e9:.1f} s")
    names = args.topics or [topic.name for topic in reader.topics]
    return tuple(name for name in names if not (args.clock and name == CLOCK_TOPIC))


def _renaming(text: str) -> tuple[str, str]:
    source, _, target = text.partition(":=")
    if not source or not target:
        raise argparse.ArgumentTypeError(f"{text}, expected FROM:=TO")
    return source, target
