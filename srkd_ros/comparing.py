# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a cloud through the teacher node: matched with the student's labels, labelled again, compared."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from sensor_msgs.msg import PointCloud2

from srkd.errors import CloudError
from srkd.io.pointcloud2 import read_fields
from srkd_ros.activity import Activity, Host
from srkd_ros.comparison import Window, confusion
from srkd_ros.matching import StampMatcher
from srkd_ros.model import Model
from srkd_ros.msg import ModelInfo, SegmentationReport
from srkd_ros.teacher_messages import TeacherOutputs, comparison_message, disagreement_message


class Pair(NamedTuple):
    """A cloud and the student's labels of it."""

    cloud: PointCloud2
    labels: PointCloud2
    matched_s: float


class Comparing(Activity[Pair, TeacherOutputs]):
    """Compares the newest matched pair. The student is never waited for.

    The counts: `received` pairs were matched, `labelled` of them compared, `dropped` replaced by newer ones.
    """

    what = "pair"

    def __init__(self, model: Model, outputs: TeacherOutputs, node: Host) -> None:
        """Takes the teacher's network and outputs."""
        super().__init__(model, outputs, node)
        self._unmatched_before = 0
        self._window = Window(len(model.class_names))
        self._student_ms: OrderedDict[int, float] = OrderedDict()
        self._student_classes: tuple[str, ...] = model.class_names
        self._pairs = self._new_pairs()

    @property
    def unmatched(self) -> int:
        """Clouds and labels that left the buffer alone."""
        return self._unmatched_before + self._pairs.lost

    def forget(self) -> None:
        """Stamps start again: what waits will never be matched."""
        self._unmatched_before += sum(self._pairs.unmatched)
        self._pairs = self._new_pairs()
        self._student_ms.clear()

    def receive_cloud(self, message: PointCloud2) -> None:
        """Callback of the clouds."""
        self._match(self._pairs.first(stamp_ns(message), message))

    def receive_labels(self, message: PointCloud2) -> None:
        """Callback of the student's labels."""
        self._match(self._pairs.second(stamp_ns(message), message))

    def receive_report(self, message: SegmentationReport) -> None:
        """Callback of the student's reports."""
        self._student_ms[stamp_ns(message)] = message.total_ms
        while len(self._student_ms) > 2 * self._node.parameters["buffer_frames"]:
            self._student_ms.popitem(last=False)

    def receive_model_info(self, message: ModelInfo) -> None:
        """Callback of the student's latched description."""
        self._student_classes = tuple(message.class_names)

    def work_on(self, item: Pair) -> str:
        """Labels the cloud of a pair and compares."""
        cloud, labels, matched_s = item
        if not self._outputs.wanted():
            return "skipped"
        names = self.model.class_names
        if self._student_classes != names:
            raise CloudError(
                f"labels: the student's classes ({', '.join(self._student_classes)}) are not the teacher's"
                f" ({', '.join(names)}): run both on one label scheme"
            )
        student = read_fields(labels, ["class_id"])["class_id"]
        if student.dtype != np.uint8 or len(student) != cloud.height * cloud.width:
            raise CloudError(
                f"labels: {len(student)} of {student.dtype} for {cloud.height * cloud.width} points; give the"
                " student's ~/output/points and the cloud that it labels"
            )
        start_s = time.monotonic()
        frame = self.label(cloud)
        teacher_ms = (time.monotonic() - start_s) * 1e3
        counts = confusion(frame.labels.class_id, student, len(names))
        self._window.add(counts, self._node.parameters["window_frames"])
        latency_ms = (self._student_ms.get(stamp_ns(cloud), math.nan), teacher_ms)
        totals = self.counter.read().plus("labelled")
        self._outputs.comparison.publish(
            comparison_message(cloud, counts, self._window, latency_ms, totals, self.unmatched)
        )
        if self._outputs.disagreement.get_subscription_count():
            palette = self.model.segmenter.header.scheme.palette()
            self._outputs.disagreement.publish(disagreement_message(cloud, frame, student, palette))
        self._node.vitals.labelled((time.monotonic() - matched_s) * 1e3, self.age_ms(cloud), frame.notes)
        return "labelled"

    def _new_pairs(self) -> StampMatcher[PointCloud2, PointCloud2]:
        return StampMatcher(self._node.parameters["buffer_frames"])

    def _match(self, pair: tuple[PointCloud2, PointCloud2] | None) -> None:
        if pair is not None:
            self._enter(Pair(*pair, time.monotonic()))


def stamp_ns(message: PointCloud2 | SegmentationReport) -> int:
    """Stamp of a message."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
