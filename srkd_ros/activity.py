# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node does from activation to deactivation: what comes in waits, is worked on in a thread, and is accounted
for."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import ClassVar, Generic, Protocol, TypeVar

from sensor_msgs.msg import PointCloud2

from srkd_ros.account import Account, DeactivatedError
from srkd_ros.declare import Parameters
from srkd_ros.fault_log import FaultLog
from srkd_ros.frame import FrameOptions, LabelledFrame, label_frame
from srkd_ros.model import Model, warm_up
from srkd_ros.past_frames import Past
from srkd_ros.vitals import Vitals
from srkd_ros.worker import Worker

MAX_AGE_MS = 3.6e6
"""Stamps farther back than this, or ahead, are of another clock."""

T = TypeVar("T")
Out = TypeVar("Out")


class Host(Protocol):
    """What a node lends to its activity."""

    parameters: Parameters
    vitals: Vitals
    faults: FaultLog

    def now_ns(self) -> int:
        """The node's clock."""

    def fail(self, reason: str) -> None:
        """Called from the worker when no further cloud can be labelled in this process."""


class Activity(Generic[T, Out]):
    """Of the items of type T that wait, the newest wins; subclasses say how one is worked on.

    Attributes:
        what: an item, for the log.
        model: may be replaced while `between_items` is held; the next item is worked on with the new one.
        counter: of the items' outcomes.
    """

    what: ClassVar[str]

    def __init__(self, model: Model, outputs: Out, node: Host) -> None:
        """
        Args:
            model: the network.
            outputs: where results are published.
            node: that is active.
        """
        self.model = model
        self.between_items = threading.Lock()
        self._account = Account(self.what, node.vitals, node.faults, node.fail)
        self.counter = self._account.counter
        self._outputs = outputs
        self._node = node
        self._worker: Worker[T] = Worker(
            handle=self._handle,
            # In the thread that is to label, for libraries keep caches a thread.
            prepare=lambda: self._account.attempt(self.prepare),
        )

    def start(self) -> None:
        """Returns when the first item would be worked on at once."""
        self._worker.start()

    def stop(self, timeout_s: float) -> bool:
        """Takes no further item; whether the one in work was finished in time. Where not, nothing of it is published
        once it has been labelled."""
        self._account.stopping = True
        left, ended = self._worker.stop(timeout_s)
        if left is not None:
            self.counter.add("dropped")
        return ended

    def forget(self) -> None:
        """Stamps start again: what depends on their order is void."""

    def prepare(self) -> None:
        """Called once in the worker, before its first item.

        Raises:
            SrkdError: what may go wrong, to be said; items are worked on nonetheless.
        """
        warm_up(self.model.segmenter, frames=1)

    def work_on(self, item: T) -> str:
        """Works on an item, in the worker; returns its outcome.

        Raises:
            SrkdError: why it has none.
        """
        raise NotImplementedError

    def frame_options(self) -> FrameOptions:
        """How messages are read, as the parameters are now."""
        names = ("intensity_field", "match_intensity", "missing_intensity", "max_points")
        return FrameOptions(**{name: self._node.parameters[name] for name in names})

    def label(self, message: PointCloud2, *seen: LabelledFrame, past: Past | None = None) -> LabelledFrame:
        """Labels a cloud, and says what was odd about it.

        Args:
            message: the cloud.
            seen: what another network has made of it, if at hand.
            past: the clouds before that it is labelled with.

        Raises:
            DeactivatedError: the node is not active any more.
            CloudError, FrameMemoryError: see `label_frame`.
        """
        options = self.frame_options()
        if past is None:
            frame = label_frame(message, self.model.segmenter, options, *seen)
        else:
            frame = label_frame(message, self.model.segmenter, options, *seen, past=past.clouds)
            frame = replace(frame, notes=frame.notes + past.notes)
        if self._account.stopping:
            raise DeactivatedError
        for note in frame.notes:
            self._node.faults.report(note)
        return frame

    def age_ms(self, message: PointCloud2) -> float:
        """Milliseconds since a cloud's stamp; NaN where the stamp is of another clock."""
        stamp = message.header.stamp
        age = (self._node.now_ns() - stamp.sec * 1_000_000_000 - stamp.nanosec) / 1e6
        return age if 0 <= age <= MAX_AGE_MS else math.nan

    def _enter(self, item: T) -> None:
        """Of the callbacks: never waits."""
        self._node.vitals.arrived()
        self.counter.add("received")
        if self._worker.inbox.put(item) is not None:
            self.counter.add("dropped")

    def _pass_by(self) -> None:
        """Of the callbacks: an item came in and is not worked on."""
        self._node.vitals.arrived()
        self.counter.add("received")
        self.counter.add("skipped")

    def _handle(self, item: T) -> None:
        with self.between_items:
            self._account.run(lambda: self.work_on(item))
