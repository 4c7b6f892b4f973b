# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node of `score`: labels, truth and the network's class names in, lines and reports of the score so far out."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header, String

from srkd.errors import ConfigError
from srkd.io.bags import LABELS_SUFFIX, SCHEME_SUFFIX
from srkd.labels import SCHEMES
from srkd.score import Score
from srkd_ros.health import subscribe
from srkd_ros.msg import ModelInfo, ScoreReport
from srkd_ros.signals import StopSignal
from srkd_ros.tally import Tally

_POLL_S, _LOOK_S = 0.1, 0.1
_CLOUD_DEPTH = 20
_LAST_LABELS_S = 5.0
"""Without --idle-s, silence after the truth's end until no more labels are expected."""
_QUEUE_S = 0.3
"""The same where every cloud has its labels: what has come may lie in the queue still."""


class Scorer:
    """Listens to labels, truth and the network's class names, and says how they agree.

    Args:
        args: of the command.
        class_names: of a scheme that was asked for, or None.
    """

    def __init__(self, args: argparse.Namespace, class_names: tuple[str, ...] | None) -> None:
        self.class_names = class_names
        self.tally = Tally(args.buffer)
        self._args = args
        self._scheme_topic = args.truth.removesuffix(LABELS_SUFFIX) + SCHEME_SUFFIX
        self._truth_names: tuple[str, ...] | None = None
        self._last_s = self._truth_s = time.monotonic()
        self._published = 0
        self._node = rclpy.create_node("score", start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._report = self._node.create_publisher(ScoreReport, "~/report", latched)
        self._labels = self._listen(args.labels, self.tally.add_labels)
        self._truth = self._listen(args.truth, self.tally.add_truth)
        self._unmatched = [self._labels, self._truth]
        self._node.create_subscription(String, self._scheme_topic, self._take_scheme, latched)
        if class_names is None:
            self._node.create_subscription(ModelInfo, args.model_info, self._take_names, latched)

    def run(self, stop: StopSignal) -> None:
        """Listens until it is time to stop.

        Raises:
            SrkdError: labels and truth are of different schemes, or the labels have classes that theirs has not.
        """
        say(f"scoring {self._args.labels} against {self._args.truth}")
        next_line_s, next_look_s = time.monotonic() + self._args.every_s, 0.0
        while not (stop.requested or self._enough()):
            self._executor.spin_once(timeout_sec=_POLL_S)
            self._refuse_another_scheme()
            self._publish()
            now_s = time.monotonic()
            if now_s >= next_look_s:
                next_look_s = now_s + _LOOK_S
                self._look()
            if now_s >= next_line_s:
                next_line_s = now_s + self._args.every_s
                say(self._line())

    def left_out(self) -> str:
        """What was not scored and why, in words; empty where all was."""
        left_out = self.tally.left_out()
        return f"{left_out}{self.why()}" if left_out else ""

    def why(self) -> str:
        """The last fault of a message."""
        return f" ({self.tally.last_fault})" if self.tally.last_fault else ""

    def close(self) -> None:
        """Leaves the network."""
        self._executor.shutdown(timeout_sec=0)
        self._node.destroy_node()

    def _listen(self, topic: str, take: Callable[[Any], None]) -> Any:
        def receive(message: Any) -> None:
            self._last_s = time.monotonic()
            take(message)

        def complain() -> None:
            sys.stderr.write(f"score: a publisher of {topic} is best_effort: give --reliability best_effort\n")

        reliability = ReliabilityPolicy[self._args.reliability.upper()]
        qos = QoSProfile(depth=_CLOUD_DEPTH, reliability=reliability)
        return subscribe(self._node, PointCloud2, topic, receive, qos, on_mismatch=complain, on_lost=lambda lost: None)

    def _take_names(self, message: Any) -> None:
        self.class_names = tuple(message.class_names)

    def _take_scheme(self, message: Any) -> None:
        scheme = SCHEMES.get(message.data)
        self._truth_names = None if scheme is None else scheme.class_names
        if scheme is None:
            sys.stderr.write(f"score: {self._scheme_topic}: {message.data!r} is unknown here: classes not compared\n")

    def _refuse_another_scheme(self) -> None:
        names, truth = self.class_names, self._truth_names
        if names is None or truth is None or names == truth:
            return
        raise ConfigError(
            f"the labels' classes ({', '.join(names)}) are not those of {self._args.truth} ({', '.join(truth)}):"
            " score labels of its scheme"
        )

    def _look(self) -> None:
        """Says which publishers have come."""
        for subscription in list(self._unmatched):
            if self._node.count_publishers(subscription.topic_name):
                self._unmatched.remove(subscription)
                say(f"matched {subscription.topic_name}")

    def _enough(self) -> bool:
        count, idle_s = self._args.count, self._args.idle_s
        if count is not None and self.tally.clouds >= count:
            return True
        now_s = time.monotonic()
        if not self._args.until_over:
            return idle_s is not None and now_s - self._last_s > idle_s
        if self._truth in self._unmatched or self._node.count_publishers(self._truth.topic_name):
            self._truth_s = now_s
            return False
        patience_s = _LAST_LABELS_S if idle_s is None else idle_s
        return now_s - max(self._last_s, self._truth_s) > (patience_s if self.tally.waits_for_labels else _QUEUE_S)

    def _publish(self) -> None:
        """The score so far, where a cloud was scored since."""
        if self.class_names is None or self.tally.clouds == self._published:
            return
        self._published = self.tally.clouds
        score = self.tally.score(self.class_names)
        labels, truth = self.tally.unmatched
        self._report.publish(
            ScoreReport(
                header=Header(stamp=self.tally.last_header.stamp, frame_id=self.tally.last_header.frame_id),
                class_names=list(self.class_names),
                clouds=self.tally.clouds,
                points=int(score.counts.sum()),
                miou=score.miou,
                accuracy=score.all_acc,
                iou=score.iou.tolist(),
                labels_without_truth=labels,
                truth_without_labels=truth,
                different_sizes=self.tally.mismatched,
                malformed=self.tally.malformed,
            )
        )

    def _line(self) -> str:
        """The score so far."""
        left_out = self.tally.left_out()
        parts = [f"{self.tally.clouds} clouds"]
        if self.class_names is None:
            parts.append(f"waiting for the class names on {self._args.model_info}")
        elif self.tally.clouds:
            parts.append(_figures(self.tally.score(self.class_names)))
        return ", ".join([*parts, *([f"not scored: {left_out}"] if left_out else [])])


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _figures(score: Score) -> str:
    classes = zip(score.class_names, score.iou, strict=True)
    known = ", ".join(f"{name} {100 * iou:.1f}" for name, iou in classes if not math.isnan(iou))
    return f"mIoU {100 * score.miou:.1f} % ({known}), {100 * score.all_acc:.1f} % of points"
