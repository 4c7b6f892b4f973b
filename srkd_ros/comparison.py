# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far two networks agree, on one cloud and over the last clouds: plain numpy."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srkd.calibration import Calibration
from srkd.errors import CloudError
from srkd.labels import IGNORE
from srkd.score import count

ClassIds = npt.NDArray[np.uint8]


def confusion(teacher: ClassIds, student: ClassIds, num_classes: int) -> npt.NDArray[np.int64]:
    """(C, C) points that both labelled, row = teacher's class, column = student's.

    Args:
        teacher, student: (N,) class ids, 255 for none.
        num_classes: C.

    Raises:
        CloudError: the lengths differ, or a class is not below C.
    """
    counts = count(teacher, student)
    if counts[num_classes:255].any() or counts[:, num_classes:255].any():
        raise CloudError(f"labels: classes of {num_classes} and above: student and teacher are of different schemes")
    return counts[:num_classes, :num_classes]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Sums over the points that both labelled; those of several clouds add up."""

    confusion: npt.NDArray[np.int64]
    """(C, C) points, row = teacher's class, column = student's."""
    calibration: Calibration
    """Of the student's probabilities; empty where its labels carry none."""
    kl_sum: float = 0.0
    """KL divergence teacher || student, nats, over all points of `kl_points`."""
    kl_points: int = 0

    @classmethod
    def none(cls, num_classes: int) -> Comparison:
        """Of no cloud."""
        return cls(np.zeros((num_classes, num_classes), np.int64), Calibration.none())

    @classmethod
    def of(
        cls,
        teacher: ClassIds,
        student: ClassIds,
        probability: npt.NDArray[np.float32] | None,
        kl: tuple[float, int],
        num_classes: int,
    ) -> Comparison:
        """Of one cloud.

        Args:
            teacher, student: (N,) class ids in one scheme, 255 for none.
            probability: (N,) of the student's classes, or None.
            kl: sum of the divergences and number of points that they are of.
            num_classes: C.

        Raises:
            CloudError: see `confusion`.
        """
        counts = confusion(teacher, student, num_classes)
        calibration = Calibration.none()
        if probability is not None:
            both = (teacher != IGNORE) & (student != IGNORE)
            calibration = Calibration.of(probability[both], (teacher == student)[both])
        return cls(counts, calibration, *kl)

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.confusion + other.confusion,
            self.calibration + other.calibration,
            self.kl_sum + other.kl_sum,
            self.kl_points + other.kl_points,
        )

    def __sub__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.confusion - other.confusion,
            self.calibration - other.calibration,
            self.kl_sum - other.kl_sum,
            self.kl_points - other.kl_points,
        )

    @property
    def num_points(self) -> int:
        """Points that both labelled."""
        return int(self.confusion.sum())

    @property
    def agreement(self) -> float:
        """Part of the points with the same class; NaN where there are none."""
        total = self.num_points
        return float(np.trace(self.confusion)) / total if total else float("nan")

    @property
    def mean_kl(self) -> float:
        """Nats a point; NaN where it was not measured."""
        return self.kl_sum / self.kl_points if self.kl_points else float("nan")

    def iou(self) -> npt.NDArray[np.float64]:
        """(C,) intersection over union of each class; NaN where neither sees it."""
        hit = np.diag(self.confusion)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - hit
        return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


class Window:
    """The sum of the comparisons of the last clouds, and both networks' latencies."""

    def __init__(self, num_classes: int) -> None:
        self._frames: deque[tuple[Comparison, tuple[float, float]]] = deque()
        self.total = Comparison.none(num_classes)

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, comparison: Comparison, latency_ms: tuple[float, float], size: int) -> None:
        """Adds a cloud with the student's and the teacher's milliseconds, NaN where unknown, and forgets all but the
        newest `size` clouds."""
        self._frames.append((comparison, latency_ms))
        self.total = self.total + comparison
        while len(self._frames) > size:
            self.total = self.total - self._frames.popleft()[0]

    def median_ms(self) -> tuple[float, float]:
        """The student's and the teacher's median latency, of the clouds where it is known; NaN where it is of none."""
        sides = np.array([latency_ms for _, latency_ms in self._frames]).reshape(-1, 2).T
        student, teacher = (side[~np.isnan(side)] for side in sides)
        return _median(student), _median(teacher)


def _median(values: npt.NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
