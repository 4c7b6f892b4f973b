# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The clouds on which student and teacher differ most are recorded, by a thread that nobody waits for."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import SrkdError
from srkd_ros.backlog import Backlog
from srkd_ros.disagreement_bags import DisagreementBags, RecordOptions, Subject
from srkd_ros.disputed_cloud import DisputedCloud

BACKLOG = 4
"""Clouds that may wait for the disk; more are dropped."""
RETRY_S = 10.0
"""From an error to the next try; what is to be written meanwhile has failed."""
_CLOSE_S = 1.0
"""Time for the last bag to be closed where the node has to end at once."""


@dataclass(frozen=True)
class RecordCounts:
    """What became of the compared clouds."""

    offered: int = 0
    passed: int = 0
    """Not among those on which both differ most."""
    dropped: int = 0
    """The disk was slower than they came."""
    failed: int = 0
    """Could not be written."""
    recorded: int = 0
    """In bags that are closed; the oldest of these may have been deleted since."""

    @property
    def waiting(self) -> int:
        """Undecided, waiting for the disk, or in the bag that is being written."""
        return self.offered - self.passed - self.dropped - self.failed - self.recorded


class DisagreementRecorder:
    """Of every so many clouds that it is offered it records the one on which both differ most."""

    def __init__(self, subject: Subject, options: RecordOptions, report: Callable[[str, str], None]) -> None:
        """Starts the thread. It keeps the priority of the caller's: every now and then it holds Python's lock, and
        without a CPU for itself would hold up the student with it.

        Args:
            subject, options: see there.
            report: takes a fault: one line, and lines below it.
        """
        self._options = options
        self._report = report
        self._lock = threading.Lock()
        self._counts = RecordCounts()
        self._seen = 0
        self._worst: DisputedCloud | None = None
        self._backlog: Backlog[DisputedCloud] = Backlog(BACKLOG)
        self._bags = DisagreementBags(subject, options, self._backlog, self._settle, lambda text: report(text, ""))
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def offer(
        self,
        cloud: Any,
        labels: Any,
        teacher_class_ids: npt.NDArray[np.uint8],
        disagreement: float,
        *,
        student_scheme: str = "",
    ) -> None:
        """Takes a compared cloud of N points into account; never waits.

        Args:
            cloud, labels: the message that came, and the student's labelled cloud; neither is changed any more.
            teacher_class_ids: (N,) in the teacher's scheme, 255 for none.
            disagreement: part of the points on which both differ; NaN where there are none to compare.
            student_scheme: name of the student's label scheme, where it is known.
        """
        with self._lock:
            self._count("offered")
            self._seen += 1
            worst, enough = self._worst, disagreement >= self._options.record_disagreement_min
            if enough and (worst is None or disagreement > worst.disagreement):
                now_ns = time.time_ns()
                self._worst = DisputedCloud(cloud, labels, teacher_class_ids, disagreement, now_ns, student_scheme)
            if not enough or worst is not None:
                self._count("passed")  # this one or the one that was the worst
            if self._seen >= self._options.record_worst_of:
                self._hand_over()

    def counts(self) -> RecordCounts:
        """What became of the clouds until now."""
        with self._lock:
            return self._counts

    def stop(self, timeout_s: float) -> bool:
        """Takes no further cloud and waits until the last bag is closed, for a second at least; whether it is."""
        with self._lock:
            self._hand_over()
            self._backlog.close()
        self._thread.join(max(timeout_s, _CLOSE_S))
        return not self._thread.is_alive()

    def _hand_over(self) -> None:
        worst, self._worst, self._seen = self._worst, None, 0
        if worst is not None and not self._backlog.put(worst):
            self._count("dropped")

    def _count(self, what: str, number: int = 1) -> None:
        """With the lock held."""
        self._counts = replace(self._counts, **{what: getattr(self._counts, what) + number})

    def _settle(self, what: str, number: int) -> None:
        with self._lock:
            self._count(what, number)

    def _run(self) -> None:
        while not self._backlog.ended:
            try:
                self._bags.write()
            except SrkdError as error:
                self._pause(str(error))
            except OSError as error:
                folder, reason = self._options.folder, error.strerror or error
                self._pause(f"{folder}: {reason}: make room on its disk, or give another record_dir")
            except Exception as error:
                self._pause(f"{type(error).__name__}, please report this: {error}", traceback.format_exc())

    def _pause(self, reason: str, detail: str = "") -> None:
        self._report(f"recording pauses for {RETRY_S:g} s: {' '.join(reason.split())}", detail)
        self._bags.discard(RETRY_S)
