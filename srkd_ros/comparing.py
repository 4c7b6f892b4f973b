# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a cloud through the teacher node: matched with the student's labels, labelled again, compared."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sensor_msgs.msg import PointCloud2

from srkd.errors import CloudError
from srkd.io.pointcloud2 import read_fields
from srkd_ros.account import Account
from srkd_ros.comparison import Window, confusion
from srkd_ros.declare import Parameters
from srkd_ros.fault_log import FaultLog
from srkd_ros.frame import FrameOptions, label_frame
from srkd_ros.labelling import age_ms
from srkd_ros.matching import StampMatcher
from srkd_ros.model import Model, warm_up
from srkd_ros.msg import ModelInfo, SegmentationReport
from srkd_ros.teacher_messages import TeacherOutputs, comparison_message, disagreement_message
from srkd_ros.vitals import Vitals
from srkd_ros.worker import Worker


class Pair(NamedTuple):
    """A cloud and the student's labels of it."""

    cloud: PointCloud2
    labels: PointCloud2
    matched_s: float


class Comparing:
    """From activation to deactivation; of the matched pairs the newest wins. The student is never waited for.

    The counts: `received` pairs were matched, `labelled` of them compared, `dropped` replaced by newer ones.
    """

    def __init__(
        self,
        model: Model,
        outputs: TeacherOutputs,
        parameters: Parameters,
        vitals: Vitals,
        faults: FaultLog,
        now_ns: Callable[[], int],
        on_fatal: Callable[[str], None],
    ) -> None:
        """Takes what `srkd_ros.labelling.Labelling` takes, with the teacher's network and outputs."""
        self._account = Account("pair", vitals, faults, on_fatal)
        self.counter = self._account.counter
        self._model = model
        self._outputs = outputs
        self._parameters = parameters
        self._vitals = vitals
        self._faults = faults
        self._now_ns = now_ns
        self._unmatched_before = 0
        self._window = Window(len(model.class_names))
        self._student_ms: OrderedDict[int, float] = OrderedDict()
        self._student_classes: tuple[str, ...] = model.class_names
        self._pairs = self._new_pairs()
        self._worker: Worker[Pair] = Worker(
            handle=lambda pair: self._account.run(lambda: self._compare(pair)),
            prepare=lambda: self._account.attempt(lambda: warm_up(model.segmenter, frames=1)),
        )

    @property
    def unmatched(self) -> int:
        """Clouds and labels that left the buffer alone."""
        return self._unmatched_before + self._pairs.lost

    def start(self) -> None:
        """Returns when the first pair would be compared at once."""
        self._worker.start()

    def stop(self, timeout_s: float) -> bool:
        """Takes no further pair; whether the one in work was finished in time."""
        self._account.stopping = True
        left, ended = self._worker.stop(timeout_s)
        if left is not None:
            self.counter.add("dropped")
        return ended

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
        while len(self._student_ms) > 2 * self._parameters["buffer_frames"]:
            self._student_ms.popitem(last=False)

    def receive_model_info(self, message: ModelInfo) -> None:
        """Callback of the student's latched description."""
        self._student_classes = tuple(message.class_names)

    def _new_pairs(self) -> StampMatcher[PointCloud2, PointCloud2]:
        return StampMatcher(self._parameters["buffer_frames"])

    def _match(self, pair: tuple[PointCloud2, PointCloud2] | None) -> None:
        if pair is None:
            return
        self._vitals.arrived()
        self.counter.add("received")
        if self._worker.inbox.put(Pair(*pair, time.monotonic())) is not None:
            self.counter.add("dropped")

    def _compare(self, pair: Pair) -> str:
        if not self._outputs.wanted():
            return "skipped"
        names = self._model.class_names
        if self._student_classes != names:
            raise CloudError(
                f"labels: the student's classes ({', '.join(self._student_classes)}) are not the teacher's"
                f" ({', '.join(names)}): run both on one label scheme"
            )
        student = read_fields(pair.labels, ["class_id"])["class_id"]
        if student.dtype != np.uint8 or len(student) != pair.cloud.height * pair.cloud.width:
            raise CloudError(
                f"labels: {len(student)} of {student.dtype} for {pair.cloud.height * pair.cloud.width} points; give the"
                " student's ~/output/points and the cloud that it labels"
            )
        start_s = time.monotonic()
        options = ("intensity_field", "match_intensity", "missing_intensity", "max_points")
        frame = label_frame(
            pair.cloud, self._model.segmenter, FrameOptions(**{name: self._parameters[name] for name in options})
        )
        teacher_ms = (time.monotonic() - start_s) * 1e3
        for note in frame.notes:
            self._faults.report(note)
        counts = confusion(frame.labels.class_id, student, len(names))
        self._window.add(counts, self._parameters["window_frames"])
        latency_ms = (self._student_ms.get(stamp_ns(pair.cloud), math.nan), teacher_ms)
        totals = self.counter.read().plus("labelled")
        self._outputs.comparison.publish(
            comparison_message(pair.cloud, counts, self._window, latency_ms, totals, self.unmatched)
        )
        if self._outputs.disagreement.get_subscription_count():
            palette = self._model.segmenter.header.scheme.palette()
            self._outputs.disagreement.publish(disagreement_message(pair.cloud, frame, student, palette))
        total_ms = (time.monotonic() - pair.matched_s) * 1e3
        self._vitals.labelled(total_ms, age_ms(self._now_ns(), pair.cloud), frame.notes)
        return "labelled"


def stamp_ns(message: PointCloud2 | SegmentationReport) -> int:
    """Stamp of a message."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
