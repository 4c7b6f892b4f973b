# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a cloud through the segment node: stamped on arrival, labelled in the worker, published, accounted for."""

from __future__ import annotations

import time
from typing import NamedTuple

from sensor_msgs.msg import PointCloud2

from srkd_ros.activity import Activity, Host
from srkd_ros.frame import LabelledFrame
from srkd_ros.messages import colored_message, filtered_message, labelled_message, report_message
from srkd_ros.model import Model
from srkd_ros.outputs import Outputs
from srkd_ros.past_frames import Moment, PastFrames


class Arrival(NamedTuple):
    """A cloud that waits."""

    message: PointCloud2
    arrived_s: float
    moment: Moment | None = None
    """What goes with it, where past clouds are used."""


class Labelling(Activity[Arrival, Outputs]):
    """Labels the newest cloud.

    Attributes:
        past_frames: the clouds before, where they are used; set before the first cloud comes in.
    """

    what = "cloud"

    def __init__(self, model: Model, outputs: Outputs, node: Host) -> None:
        """See `Activity`."""
        super().__init__(model, outputs, node)
        self.past_frames: PastFrames | None = None

    def receive(self, message: PointCloud2) -> None:
        """The subscription's callback."""
        moment = None
        if self.past_frames is not None:
            moment = self.past_frames.enter(message, self._node.parameters["max_points"])
        self._enter(Arrival(message, time.monotonic(), moment))

    def forget(self) -> None:
        """As `Activity`: no cloud from before goes with what comes now."""
        if self.past_frames is not None:
            self.past_frames.forget()

    def work_on(self, item: Arrival) -> str:
        """Labels a cloud and publishes what is made of it."""
        message, arrived_s, moment = item
        start_s = time.monotonic()
        limit_ms = self._node.parameters["max_age_ms"]
        if limit_ms and self.age_ms(message) > limit_ms:
            self._node.faults.report(f"clouds older than max_age_ms ({limit_ms:g}) are dropped")
            return "dropped"
        if not self._outputs.wanted():
            return "skipped"
        past = None
        if self.past_frames is not None and moment is not None:
            deadline_s = arrived_s + self._node.parameters["max_pose_wait_ms"] * 1e-3
            past = self.past_frames.recall(moment, self.frame_options(), deadline_s)
            start_s = time.monotonic()
        self._publish(message, self.label(message, past=past), arrived_s, start_s)
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
