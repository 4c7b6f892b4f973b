# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Comparing from outside: the cloud and the student's labels come as messages and are matched by their stamps."""

from __future__ import annotations

import math
import threading
import time

from sensor_msgs.msg import PointCloud2

from srkd.io.bags import stamp_ns
from srkd_ros.activity import Host
from srkd_ros.agreement import Books
from srkd_ros.comparing import Comparing, Pair
from srkd_ros.matching import StampMatcher
from srkd_ros.model import Model
from srkd_ros.msg import ModelInfo, SegmentationReport
from srkd_ros.student import Student
from srkd_ros.teacher_messages import TeacherOutputs


class ComparingTopics(Comparing):
    """Any node that publishes labels can be watched; it knows nothing of it."""

    def __init__(self, model: Model, outputs: TeacherOutputs, node: Host) -> None:
        """See `Comparing`."""
        super().__init__(model, outputs, node)
        self._student_now: Student | None = None
        self._student_ms: dict[int, float] = {}
        # So that the books are read between two messages, not while one is entered.
        self._entering = threading.Lock()
        self._clouds = self._labels = self._unmatched_before = 0
        self._pairs = self._new_pairs()

    def books(self) -> Books:
        """The books now."""
        with self._entering:
            lost, waiting = self._pairs.lost, sum(self._pairs.unmatched) - self._pairs.lost
            return Books(self.counter.read(), self._clouds, self._labels, self._unmatched_before + lost, waiting)

    def student_ms(self, pair: Pair) -> float:
        """As the student has reported; said once."""
        with self._entering:
            return self._student_ms.pop(stamp_ns(pair.cloud), math.nan)

    def stop(self, timeout_s: float) -> bool:
        """Also counts what waits as unmatched."""
        self.forget()
        return super().stop(timeout_s)

    def forget(self) -> None:
        """Stamps start again: what waits will never be matched."""
        with self._entering:
            self._unmatched_before += sum(self._pairs.unmatched)
            self._pairs = self._new_pairs()
            self._student_ms.clear()

    def receive_cloud(self, message: PointCloud2) -> None:
        """Callback of the clouds."""
        with self._entering:
            self._clouds += 1
            self._match(self._pairs.first(stamp_ns(message), message))

    def receive_labels(self, message: PointCloud2) -> None:
        """Callback of the student's labels."""
        with self._entering:
            self._labels += 1
            self._match(self._pairs.second(stamp_ns(message), message))

    def receive_report(self, message: SegmentationReport) -> None:
        """Callback of the student's reports."""
        with self._entering:
            self._student_ms.pop(stamp_ns(message), None)  # a stamp that comes again is the newest
            self._student_ms[stamp_ns(message)] = message.total_ms
            while len(self._student_ms) > 2 * self._node.parameters["buffer_frames"]:
                del self._student_ms[next(iter(self._student_ms))]

    def receive_model_info(self, message: ModelInfo) -> None:
        """Callback of the student's latched description."""
        self._student_now = Student.of_info(message)

    def _new_pairs(self) -> StampMatcher[PointCloud2, PointCloud2]:
        return StampMatcher(self._node.parameters["buffer_frames"])

    def _match(self, pair: tuple[PointCloud2, PointCloud2] | None) -> None:
        if pair is not None:
            self._enter(Pair(*pair, self._student_now, math.nan, time.monotonic()))
