# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `score`: holds live labels against ground truth that is published beside them.

    ros2 run srkd_ros score [--labels /segment/output/points] [--truth /points/labels] [--count N] [--output score.json]

Clouds are paired by stamp. Class names come from the node's ~/model_info, or from --scheme; where the ground truth says
its own (/points/label_scheme, as `to_bag` writes it), they must be the same. The mIoU so far is printed now and then,
the table at the end: on SIGINT or SIGTERM, after --count clouds, or when nothing has come for --idle-s.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from srkd.errors import ConfigError
from srkd.io.bags import LABELS_SUFFIX, SCHEME_SUFFIX
from srkd_ros.command_line import EXIT_FAILED, EXIT_OK, OneLineParser, positive
from srkd_ros.ros_session import RosSession, run_tool
from srkd_ros.signals import StopSignal

if TYPE_CHECKING:
    from srkd.score import Score

_POLL_S = 0.1
_CLOUD_DEPTH = 20
_CLOSE_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Scores until it is time to stop. Returns 0, or 1 where nothing could be scored or an argument cannot be used."""
    return run_tool(_parser(), _score, arguments)


def _score(args: argparse.Namespace, session: RosSession) -> int:
    names = _scheme_names(args.scheme)
    with session.ros(), closing(Scorer(args, names)) as scorer:
        session.stop.announce(lambda: time.sleep(_CLOSE_S))
        scorer.run(session.stop)
        return scorer.report()


class Scorer:
    """A node that listens to labels, truth and the network's class names.

    Args:
        args: the command's.
        class_names: of a scheme that was asked for, or None.
    """

    def __init__(self, args: argparse.Namespace, class_names: tuple[str, ...] | None) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from sensor_msgs.msg import PointCloud2
        from std_msgs.msg import String

        from srkd_ros.tally import Tally

        self._args = args
        self._names = class_names
        self._scheme_topic = args.truth.removesuffix(LABELS_SUFFIX) + SCHEME_SUFFIX
        self._truth_names: tuple[str, ...] | None = None
        self._tally = Tally(args.buffer)
        self._last_s = time.monotonic()
        self._node = rclpy.create_node("score", start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        for topic, take in ((args.labels, self._tally.add_labels), (args.truth, self._tally.add_truth)):
            self._listen(PointCloud2, topic, take)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(String, self._scheme_topic, self._take_scheme, latched)
        if class_names is None:
            from srkd_ros.msg import ModelInfo

            self._node.create_subscription(ModelInfo, args.model_info, self._take_names, latched)

    def run(self, stop: StopSignal) -> None:
        """Listens until it is time to stop.

        Raises:
            ConfigError: labels and truth are of different schemes.
        """
        _say(f"scoring {self._args.labels} against {self._args.truth}")
        next_line_s = time.monotonic() + self._args.every_s
        while not (stop.requested or self._enough()):
            self._executor.spin_once(timeout_sec=_POLL_S)
            self._refuse_another_scheme()
            if time.monotonic() >= next_line_s:
                next_line_s = time.monotonic() + self._args.every_s
                _say(self._line())

    def report(self) -> int:
        """Prints the table, writes the file; the exit status.

        Raises:
            SrkdError: the labels have classes that the scheme has not.
            OSError: the file cannot be written.
        """
        if not self._tally.clouds:
            what = self._tally.left_out() or "no cloud came"
            sys.stderr.write(f"score: nothing to score: {what}{self._why()}\n")
            return EXIT_FAILED
        if self._names is None:
            sys.stderr.write(f"score: no class names on {self._args.model_info}: give --model-info or --scheme\n")
            return EXIT_FAILED
        score = self._tally.score(self._names)
        left_out = self._tally.left_out()
        _say(f"\n{score.to_markdown()}\n\n{self._tally.clouds} clouds scored.")
        if left_out:
            _say(f"Not scored: {left_out}{self._why()}.")
        if self._args.output is not None:
            _write(self._args.output, score, self._tally.to_dict())
        return EXIT_OK

    def close(self) -> None:
        """Leaves the network."""
        self._executor.shutdown(timeout_sec=0)
        self._node.destroy_node()

    def _listen(self, kind: Any, topic: str, take: Callable[[Any], None]) -> None:
        from rclpy.qos import QoSProfile, ReliabilityPolicy

        from srkd_ros.health import subscribe

        def receive(message: Any) -> None:
            self._last_s = time.monotonic()
            take(message)

        def complain() -> None:
            sys.stderr.write(f"score: a publisher of {topic} is best_effort: give --reliability best_effort\n")

        reliability = ReliabilityPolicy[self._args.reliability.upper()]
        qos = QoSProfile(depth=_CLOUD_DEPTH, reliability=reliability)
        subscribe(self._node, kind, topic, receive, qos, on_mismatch=complain, on_lost=lambda lost: None)

    def _take_names(self, message: Any) -> None:
        self._names = tuple(message.class_names)

    def _take_scheme(self, message: Any) -> None:
        from srkd.labels import SCHEMES

        scheme = SCHEMES.get(message.data)
        self._truth_names = None if scheme is None else scheme.class_names
        if scheme is None:
            sys.stderr.write(f"score: {self._scheme_topic}: {message.data!r} is unknown here: classes not compared\n")

    def _refuse_another_scheme(self) -> None:
        names, truth = self._names, self._truth_names
        if names is None or truth is None or names == truth:
            return
        raise ConfigError(
            f"the labels' classes ({', '.join(names)}) are not those of {self._args.truth} ({', '.join(truth)}):"
            " score labels of its scheme"
        )

    def _enough(self) -> bool:
        count, idle_s = self._args.count, self._args.idle_s
        return (count is not None and self._tally.clouds >= count) or (
            idle_s is not None and time.monotonic() - self._last_s > idle_s
        )

    def _line(self) -> str:
        """The score so far."""
        left_out = self._tally.left_out()
        parts = [f"{self._tally.clouds} clouds"]
        if self._names is None:
            parts.append(f"waiting for the class names on {self._args.model_info}")
        elif self._tally.clouds:
            score = self._tally.score(self._names)
            parts.append(f"mIoU {100 * score.miou:.1f} %, {100 * score.all_acc:.1f} % of points")
        return ", ".join([*parts, *([f"not scored: {left_out}"] if left_out else [])])

    def _why(self) -> str:
        return f" ({self._tally.last_fault})" if self._tally.last_fault else ""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


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
    parser.add_argument("--output", metavar="FILE", help="also write the figures as JSON")
    return parser


def _whole(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}, expected at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
