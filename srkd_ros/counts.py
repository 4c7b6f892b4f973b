# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where every received cloud went."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

OUTCOMES = ("labelled", "dropped", "rejected", "skipped")


@dataclass(frozen=True)
class Counts:
    """Clouds since activation; `received` is the sum of the others and of those in work (at most two: one waiting, one
    being labelled)."""

    received: int = 0
    labelled: int = 0
    dropped: int = 0
    """Replaced by a newer cloud before their turn, too old, out of memory, or left when the node was deactivated."""
    rejected: int = 0
    """Malformed, or the cause of an error."""
    skipped: int = 0
    """Nobody subscribed to the labels."""

    @property
    def in_work(self) -> int:
        """Clouds without an outcome yet."""
        return self.received - self.labelled - self.dropped - self.rejected - self.skipped

    def plus(self, what: str) -> Counts:
        """With one more of `received` or an outcome."""
        return replace(self, **{what: getattr(self, what) + 1})


class Counter:
    """`Counts` that several threads add to; a reading is consistent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counts()

    def add(self, what: str) -> Counts:
        """One more of `received` or an outcome; returns the counts with it."""
        with self._lock:
            self._counts = self._counts.plus(what)
            return self._counts

    def read(self) -> Counts:
        """The counts now."""
        with self._lock:
            return self._counts


@dataclass(frozen=True)
class PastCounts:
    """How it goes with past clouds since activation."""

    wanted: int = 0
    """Past clouds that a cloud is to be labelled with; 0: they are not used."""
    used: int = 0
    """Past clouds that the last cloud was labelled with."""
    without_pose: int = 0
    """Past clouds that were left out because no pose of theirs, or of the newest cloud, was known."""
    forgotten: int = 0
    """How often all clouds and poses before were forgotten: a clock went back, a pose jumped, a frame changed."""
