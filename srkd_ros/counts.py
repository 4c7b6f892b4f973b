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
