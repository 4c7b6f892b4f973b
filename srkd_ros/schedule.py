# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which clouds the teacher is to label: every n-th, and of these as many as its share of the time allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Schedule:
    """Keeps count of clouds and of the time spent on them.

    After work of b seconds, none begins for b * (1 / share - 1): the share is kept over every stretch of time, not in
    the mean of a long one.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Takes a clock of seconds that never runs backwards."""
        self._clock_s = clock_s
        self._clouds = 0
        self._begin_s = self._end_s = -math.inf

    def takes(self, every_nth: int) -> bool:
        """Counts a cloud; whether it is the first, or an n-th after it."""
        self._clouds += 1
        return (self._clouds - 1) % every_nth == 0

    def due(self, busy_share: float, within_s: float) -> bool:
        """Whether work may begin now.

        Args:
            busy_share: greatest part of the time to be spent at work, above 0 and up to 1.
            within_s: where the last work began longer ago than this, it may whatever the share; 0: never so.
        """
        if self._begin_s == -math.inf:
            return True
        now = self._clock_s()
        rest_s = (self._end_s - self._begin_s) * (1 / busy_share - 1)
        return now >= self._end_s + rest_s or (within_s > 0 and now - self._begin_s >= within_s)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Measures the work done inside."""
        begin_s = self._clock_s()
        try:
            yield
        finally:
            self._begin_s, self._end_s = begin_s, self._clock_s()
