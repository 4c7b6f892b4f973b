# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the nodes report of themselves, collected over a bag: SegmentationReport and ComparisonReport by field names.

Fields are read by name from the definition in the bag, so that bags of other versions of the messages can be read:
what they lack is NaN or absent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.calibration import BINS, Calibration

STAGES = ("wait", "decode", "voxelize", "plan", "network", "labels", "encode", "publish", "total", "age")
COUNTERS = ("received", "labelled", "dropped", "rejected", "skipped")
COMPARISON_COUNTERS = ("compared", "matched", "unmatched", "skipped", "rejected")
_SERIES = ("agreement", "window_agreement", "mean_kl", "student_ms", "teacher_ms", "num_points")


class Totals:
    """Counters that only grow, but begin again where the node was activated anew."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._done = dict.fromkeys(names, 0)
        self._last = dict.fromkeys(names, 0)
        self.restarts = 0

    def add(self, message: Any) -> dict[str, int]:
        """Takes the counters of a message; the totals so far."""
        now = {name: int(getattr(message, name, 0)) for name in self._names}
        if now[self._names[0]] < self._last[self._names[0]]:
            self._done = self.totals
            self.restarts += 1
        self._last = now
        return self.totals

    @property
    def totals(self) -> dict[str, int]:
        """Over all activations."""
        return {name: self._done[name] + self._last[name] for name in self._names}


@dataclass
class ReportTrack:
    """The reports of one segmentation node."""

    topic: str
    stamps_ns: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    stage_ms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STAGES})
    given_up: list[int] = field(default_factory=list)
    """Clouds dropped, rejected and skipped until each report."""
    counters: Totals = field(default_factory=lambda: Totals(COUNTERS))

    def add(self, stamp_ns: int, time_ns: int, message: Any) -> None:
        """A report."""
        self.stamps_ns.append(stamp_ns)
        self.times_ns.append(time_ns)
        for name, values in self.stage_ms.items():
            values.append(float(getattr(message, f"{name}_ms", math.nan)))
        totals = self.counters.add(message)
        self.given_up.append(totals["dropped"] + totals["rejected"] + totals["skipped"])


@dataclass
class ComparisonTrack:
    """The reports of one teacher node."""

    topic: str
    stamps_ns: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _SERIES})
    counters: Totals = field(default_factory=lambda: Totals(COMPARISON_COUNTERS))
    confusion: npt.NDArray[np.int64] | None = None
    """(C, C) points of all frames, row = teacher, column = student; of the last window where frames have none."""
    calibration: Calibration = field(default_factory=Calibration.none)
    """Of the student's confidence, the teacher taken as truth, as for `confusion`."""
    of_window: bool = False
    """Whether the two are of the last window only."""

    def add(self, stamp_ns: int, time_ns: int, message: Any) -> None:
        """A report."""
        self.stamps_ns.append(stamp_ns)
        self.times_ns.append(time_ns)
        for name, values in self.series.items():
            values.append(float(getattr(message, name, math.nan)))
        self.counters.add(message)
        own = _confusion(message, "confusion")
        self.of_window = own is None
        if own is None:
            self.confusion, self.calibration = _confusion(message, "window_confusion"), _calibration(message, "window_")
        else:
            same = self.confusion is not None and self.confusion.shape == own.shape
            self.confusion = self.confusion + own if same else own  # type: ignore[operator]
            self.calibration += _calibration(message, "")

    @property
    def agreement(self) -> float:
        """Share of all compared points with the same class; NaN where there is none."""
        shares, points = np.array(self.series["agreement"]), np.array(self.series["num_points"])
        known = np.isfinite(shares) & (points > 0)
        return float((shares[known] * points[known]).sum() / points[known].sum()) if known.any() else math.nan

    def iou(self) -> npt.NDArray[np.float64]:
        """(C,) of the student, the teacher taken as truth; NaN where neither sees the class."""
        counts = np.zeros((0, 0), np.int64) if self.confusion is None else self.confusion
        hit = np.diag(counts)
        union = counts.sum(axis=0) + counts.sum(axis=1) - hit
        return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


def _confusion(message: Any, name: str) -> npt.NDArray[np.int64] | None:
    flat = np.asarray(getattr(message, name, ())).astype(np.int64)
    classes = math.isqrt(len(flat))
    return flat.reshape(classes, classes) if classes and classes**2 == len(flat) else None


def _calibration(message: Any, prefix: str) -> Calibration:
    """The sums of a message's bins; none where it has other bins or none."""
    count, agreeing, mean = (
        np.asarray(getattr(message, f"{prefix}calibration_{name}", ())) for name in ("count", "agreeing", "probability")
    )
    if not len(count) == len(agreeing) == len(mean) == BINS:
        return Calibration.none()
    sums = np.where(count > 0, np.nan_to_num(mean.astype(np.float64)) * count, 0.0)
    return Calibration(count.astype(np.int64), agreeing.astype(np.int64), sums)
