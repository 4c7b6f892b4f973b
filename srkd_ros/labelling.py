# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a cloud through the segment node: stamped on arrival, labelled in the worker, published, accounted for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from sensor_msgs.msg import PointCloud2

from srkd_ros.account import Account
from srkd_ros.declare import Parameters
from srkd_ros.fault_log import FaultLog
from srkd_ros.frame import FrameOptions, LabelledFrame, label_frame
from srkd_ros.messages import colored_message, filtered_message, labelled_message, report_message
from srkd_ros.model import Model, warm_up
from srkd_ros.outputs import Outputs
from srkd_ros.vitals import Vitals
from srkd_ros.worker import Worker

MAX_AGE_MS = 3.6e6
"""Stamps farther back than this, or ahead, are of another clock."""


class Arrival(NamedTuple):
    """A cloud that waits."""

    message: PointCloud2
    arrived_s: float


def age_ms(now_ns: int, message: PointCloud2) -> float:
    """Milliseconds since a cloud's stamp; NaN where the stamp is of another clock."""
    stamp = message.header.stamp
    age = (now_ns - stamp.sec * 1_000_000_000 - stamp.nanosec) / 1e6
    return age if 0 <= age <= MAX_AGE_MS else math.nan


class Labelling:
    """From activation to deactivation; the newest cloud wins."""

    def __init__(
        self,
        model: Model,
        outputs: Outputs,
        parameters: Parameters,
        vitals: Vitals,
        faults: FaultLog,
        now_ns: Callable[[], int],
        on_fatal: Callable[[str], None],
    ) -> None:
        """
        Args:
            model: may be replaced while `between_clouds` is held; the next cloud is labelled by the new one.
            outputs, parameters, vitals, faults: of the node.
            now_ns: the node's clock.
            on_fatal: called from the worker, with the reason, when no further cloud can be labelled in this process.
        """
        self.model = model
        self.between_clouds = threading.Lock()
        self._account = Account("cloud", vitals, faults, on_fatal)
        self.counter = self._account.counter
        self._outputs = outputs
        self._parameters = parameters
        self._vitals = vitals
        self._faults = faults
        self._now_ns = now_ns
        self._worker: Worker[Arrival] = Worker(
            handle=self._work_on,
            # In the thread that is to label, for libraries keep caches a thread.
            prepare=lambda: self._account.attempt(lambda: warm_up(self.model.segmenter, frames=1)),
        )

    def start(self) -> None:
        """Returns when the first cloud would be labelled at once."""
        self._worker.start()

    def receive(self, message: PointCloud2) -> None:
        """The subscription's callback: never waits."""
        self._vitals.arrived()
        self.counter.add("received")
        if self._worker.inbox.put(Arrival(message, time.monotonic())) is not None:
            self.counter.add("dropped")

    def stop(self, timeout_s: float) -> bool:
        """Takes no further cloud; whether the one in work was finished in time."""
        self._account.stopping = True
        left, ended = self._worker.stop(timeout_s)
        if left is not None:
            self.counter.add("dropped")
        return ended

    def _work_on(self, arrival: Arrival) -> None:
        with self.between_clouds:
            self._account.run(lambda: self._label(arrival))

    def _label(self, arrival: Arrival) -> str:
        message, arrived_s = arrival
        start_s = time.monotonic()
        limit_ms = self._parameters["max_age_ms"]
        if limit_ms and age_ms(self._now_ns(), message) > limit_ms:
            self._faults.report(f"clouds older than max_age_ms ({limit_ms:g}) are dropped")
            return "dropped"
        if not self._outputs.wanted():
            return "skipped"
        model = self.model
        frame = label_frame(message, model.segmenter, self._options())
        if self._account.stopping:  # the node may be inactive by now
            return "dropped"
        for note in frame.notes:
            self._faults.report(note)
        self._publish(message, frame, model, arrived_s, start_s)
        return "labelled"

    def _publish(
        self, message: PointCloud2, frame: LabelledFrame, model: Model, arrived_s: float, start_s: float
    ) -> None:
        outputs = self._outputs
        encode_s = time.monotonic()
        labelled = labelled_message(message, frame.decoded, frame.labels)
        publish_s = time.monotonic()
        outputs.points.publish(labelled)
        end_s = time.monotonic()
        times_ms = {
            "wait": (start_s - arrived_s) * 1e3,
            "encode": (publish_s - encode_s) * 1e3,
            "publish": (end_s - publish_s) * 1e3,
            "total": (end_s - arrived_s) * 1e3,
            "age": age_ms(self._now_ns(), message),
        }
        self._vitals.labelled(times_ms["total"], times_ms["age"], frame.notes)
        self._account.attempt(lambda: self._publish_more(message, frame, model, times_ms))

    def _publish_more(
        self, message: PointCloud2, frame: LabelledFrame, model: Model, times_ms: dict[str, float]
    ) -> None:
        outputs, scheme = self._outputs, model.segmenter.header.scheme
        if outputs.colored.get_subscription_count():
            outputs.colored.publish(colored_message(message, frame, scheme.palette()))
        if outputs.filtered.get_subscription_count():
            names = self._parameters["filter_classes"]
            removed = [index for index, name in enumerate(scheme.class_names) if name in names]
            outputs.filtered.publish(filtered_message(message, frame, removed))
        counts = self.counter.read().plus("labelled")
        outputs.report.publish(report_message(message, frame, scheme.num_classes, counts, times_ms))

    def _options(self) -> FrameOptions:
        names = ("intensity_field", "match_intensity", "missing_intensity", "max_points")
        return FrameOptions(**{name: self._parameters[name] for name in names})
