# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Comparing in the student's own process: what the student has made of a cloud is handed over, not sent."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from sensor_msgs.msg import PointCloud2

from srkd_ros.activity import Host
from srkd_ros.agreement import Books
from srkd_ros.comparing import Comparing, Pair
from srkd_ros.courtesy import Courtesy
from srkd_ros.frame import LabelledFrame
from srkd_ros.labelling import Arrival, Labelling
from srkd_ros.model import Model
from srkd_ros.outputs import Outputs
from srkd_ros.student import Student
from srkd_ros.teacher_messages import TeacherOutputs

_FIRST, _LAST = -1, 0
"""Priorities of CUDA streams."""


class ComparingFrames(Comparing):
    """Decoded cloud, voxels and plan are the student's where they fit."""

    def __init__(self, model: Model, outputs: TeacherOutputs, node: Host) -> None:
        """See `Comparing`."""
        super().__init__(model, outputs, node)
        self.courtesy = Courtesy()
        """Towards the student."""
        self._lane = lane(model, _LAST)

    def start(self) -> None:
        """As `Comparing`."""
        self.courtesy.bind(self.model.segmenter.network)
        super().start()

    def stop(self, timeout_s: float) -> bool:
        """As `Comparing`."""
        self.courtesy.release()
        return super().stop(timeout_s)

    @property
    def num_threads(self) -> int:
        """Few: helpers of two networks' threads on the same cores would slow the student down."""
        return int(self._node.parameters["teacher_num_threads"])

    def books(self) -> Books:
        """The books now; nothing waits to be matched here."""
        pairs = self.counter.read()
        return Books(pairs, pairs.received, pairs.received, unmatched=0, waiting=0)

    def receive(self, pair: Pair, *, busy: bool) -> None:
        """From the student's worker, when all of a cloud has been published.

        Args:
            pair: the cloud and what the student made of it.
            busy: whether the student has another cloud to label at once: then this one is passed by.
        """
        if busy:
            self._pass_by()
        else:
            self._enter(pair)

    def work_on(self, item: Pair) -> str:
        """As `Comparing`."""
        with self._lane:
            return super().work_on(item)

    def prepare(self) -> None:
        """As `Comparing`."""
        with self._lane:
            super().prepare()


class ObservedLabelling(Labelling):
    """Hands every labelled cloud over, once all of it is published."""

    def __init__(self, model: Model, outputs: Outputs, node: Host, comparing: ComparingFrames) -> None:
        """See `Labelling`; `comparing` is at work."""
        super().__init__(model, outputs, node)
        self._comparing = comparing
        self._lane = lane(model, _FIRST)

    def work_on(self, item: Arrival) -> str:
        """As `Labelling`; the teacher pauses."""
        with self._lane, self._comparing.courtesy.at_work():
            return super().work_on(item)

    def published(self, message: PointCloud2, frame: LabelledFrame, total_ms: float) -> None:
        """Of `Labelling`."""
        pair = Pair(message, frame, Student.of_model(self.model), total_ms, time.monotonic())
        self._comparing.receive(pair, busy=self._worker.inbox.waits)


def lane(model: Model, priority: int) -> AbstractContextManager[Any]:
    """On a GPU a stream for one thread's work, so that networks of two threads do not wait for each other."""
    device = model.segmenter.device
    if device.type != "cuda":
        return nullcontext()
    return torch.cuda.stream(torch.cuda.Stream(device, priority=priority))
