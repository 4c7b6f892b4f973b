# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is remembered of the last seconds, to tell how the node is doing. Times are seconds of a monotonic clock."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

WINDOW_S = 10.0
_MAX_EVENTS = 2000


@dataclass(frozen=True)
class Reading:
    """The last `WINDOW_S` seconds, or the time since the last reset where that is shorter."""

    silence_s: float
    """Since the last cloud, or since the reset."""
    input_hz: float
    output_hz: float
    latency_ms: tuple[float, float, float]
    """50th, 95th and 99th percentile from a cloud's arrival to its labels being published; NaN where there was none."""
    rejected: int
    out_of_memory: int
    lost: int
    """Clouds that the middleware says it has lost."""
    age_ms: float
    """Of the newest labelled cloud by its stamp; NaN where the clocks disagree."""
    last_reject: str
    """Why a cloud was last rejected; empty where none was."""
    last_memory: str
    """What was said when a cloud was last dropped for lack of memory; empty where none was."""
    notes: tuple[str, ...]
    """What was assumed of the newest labelled cloud."""


class Vitals:
    """Collects events from several threads."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._reasons = {"rejected": "", "memory": ""}
        self.reset()

    def reset(self) -> None:
        """Forgets rates, latencies and ages: at activation, and when the clock jumps."""
        with self._lock:
            self._start_s = self._clock_s()
            self._last_arrival_s = self._start_s
            self._events: dict[str, deque[tuple[float, float]]] = {
                name: deque(maxlen=_MAX_EVENTS) for name in ("arrived", "labelled", "rejected", "memory", "lost")
            }
            self._age_ms = float("nan")
            self._notes: tuple[str, ...] = ()

    def arrived(self) -> None:
        """A cloud came in."""
        with self._lock:
            self._last_arrival_s = self._clock_s()
            self._events["arrived"].append((self._last_arrival_s, 1.0))

    def labelled(self, total_ms: float, age_ms: float, notes: tuple[str, ...]) -> None:
        """The labels of a cloud went out."""
        with self._lock:
            self._events["labelled"].append((self._clock_s(), total_ms))
            self._age_ms, self._notes = age_ms, notes

    def fault(self, kind: str, reason: str) -> None:
        """A cloud was "rejected", or dropped for lack of "memory"."""
        with self._lock:
            self._events[kind].append((self._clock_s(), 1.0))
            self._reasons[kind] = reason

    def lost(self, count: int) -> None:
        """The middleware lost clouds."""
        with self._lock:
            self._events["lost"].append((self._clock_s(), float(count)))

    def read(self) -> Reading:
        """How it went lately."""
        with self._lock:
            now = self._clock_s()
            recent = {
                name: [value for when, value in events if now - when <= WINDOW_S]
                for name, events in self._events.items()
            }
            span_s = max(min(now - self._start_s, WINDOW_S), 1e-3)
            latencies = recent["labelled"] or [float("nan")]
            median, high, highest = np.percentile(latencies, (50, 95, 99)).tolist()
            return Reading(
                silence_s=now - self._last_arrival_s,
                input_hz=len(recent["arrived"]) / span_s,
                output_hz=len(recent["labelled"]) / span_s,
                latency_ms=(median, high, highest),
                rejected=len(recent["rejected"]),
                out_of_memory=len(recent["memory"]),
                lost=int(sum(recent["lost"])),
                age_ms=self._age_ms,
                last_reject=self._reasons["rejected"],
                last_memory=self._reasons["memory"],
                notes=self._notes,
            )
