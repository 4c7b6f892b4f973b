# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a cloud through the segment node: stamped on arrival, labelled in the worker, published, accounted for."""

from __future__ import annotations

import time
from typing import NamedTuple

from sensor_msgs.msg import PointCloud2

from srkd_ros.activity import Activity
from srkd_ros.frame import LabelledFrame
from srkd_ros.messages import colored_message, filtered_message, labelled_message, report_message
from srkd_ros.outputs import Outputs


class Arrival(NamedTuple):
    """A cloud that waits."""

    message: PointCloud2
    arrived_s: float


class Labelling(Activity[Arrival, Outputs]):
    """Labels the newest cloud."""

    what = "cloud"

    def receive(self, message: PointCloud2) -> None:
        """The subscription's callback."""
        self._enter(Arrival(message, time.monotonic()))

    def work_on(self, item: Arrival) -> str:
        """Labels a cloud and publishes what is made of it."""
        message, arrived_s = item
        start_s = time.monotonic()
        limit_ms = self._node.parameters["max_age_ms"]
        if limit_ms and self.age_ms(message) > limit_ms:
            self._node.faults.report(f"clouds older than max_age_ms ({limit_ms:g}) are dropped")
            return "dropped"
        if not self._outputs.wanted():
            return "skipped"
        self._publish(message, self.label(message), arrived_s, start_s)
        return "labelled"

    def published(self, message: PointCloud2, frame: LabelledFrame, total_ms: float) -> None:
        """Called when all of a cloud has been published."""

    def _publish(self, message: PointCloud2, frame: LabelledFrame, arrived_s: float, start_s: float) -> None:
        encode_s = time.monotonic()
        labelled = labelled_message(message, frame.decoded, frame.labels)
        publish_s = time.monotonic()
        self._outputs.points.publish(labelled)
        end_s = time.monotonic()
        times_ms = {
            "wait": (start_s - arrived_s) * 1e3,
            "encode": (publish_s - encode_s) * 1e3,
            "publish": (end_s - publish_s) * 1e3,
            "total": (end_s - arrived_s) * 1e3,
            "age": self.age_ms(message),
        }
        self._node.vitals.labelled(times_ms["total"], times_ms["age"], frame.notes)
        self._account.attempt(lambda: self._publish_more(message, frame, times_ms))
        self._account.attempt(lambda: self.published(message, frame, times_ms["total"]))

    def _publish_more(self, message: PointCloud2, frame: LabelledFrame, times_ms: dict[str, float]) -> None:
        outputs, scheme = self._outputs, self.model.segmenter.header.scheme
        if outputs.colored.get_subscription_count():
            outputs.colored.publish(colored_message(message, frame, scheme.palette()))
        if outputs.filtered.get_subscription_count():
            names = self._node.parameters["filter_classes"]
            removed = [index for index, name in enumerate(scheme.class_names) if name in names]
            outputs.filtered.publish(filtered_message(message, frame, removed))
        counts = self.counter.read().plus("labelled")
        outputs.report.publish(report_message(message, frame, scheme.num_classes, counts, times_ms))
