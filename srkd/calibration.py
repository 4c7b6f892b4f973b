# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far stated probabilities can be believed, judged by the truth or by another network: sums that add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 15
"""Of equal width over [0, 1], as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Sums by bin; those of several clouds add up."""

    count: npt.NDArray[np.int64]
    """(BINS,) points whose probability p lies in [k / BINS, (k + 1) / BINS), 1 in the last bin."""
    agreeing: npt.NDArray[np.int64]
    """(BINS,) those of them whose class is the judge's."""
    probability: npt.NDArray[np.float64]
    """(BINS,) sum of their p."""

    @classmethod
    def none(cls) -> Calibration:
        """Of no point."""
        return cls(np.zeros(BINS, np.int64), np.zeros(BINS, np.int64), np.zeros(BINS))

    @classmethod
    def of(cls, probability: npt.NDArray[np.float32], agrees: npt.NDArray[np.bool_]) -> Calibration:
        """Of one cloud.

        Args:
            probability: (N,) of the class that each point was given; those not in [0, 1] are left out.
            agrees: (N,) whether the judge says the same class.
        """
        usable = (probability >= 0) & (probability <= 1)
        exact, agrees = probability[usable].astype(np.float64), agrees[usable]
        number = np.minimum((exact * BINS).astype(np.intp), BINS - 1)
        return cls(
            np.bincount(number, minlength=BINS),
            np.bincount(number[agrees], minlength=BINS),
            np.bincount(number, exact, minlength=BINS).astype(np.float64),
        )

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.count + other.count, self.agreeing + other.agreeing, self.probability + other.probability
        )

    def __sub__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.count - other.count, self.agreeing - other.agreeing, self.probability - other.probability
        )

    @property
    def points(self) -> int:
        """In all bins."""
        return int(self.count.sum())

    def mean_probability(self) -> npt.NDArray[np.float64]:
        """(BINS,) of each bin; NaN where it is empty."""
        return self._ratio(self.probability)

    def agreement(self) -> npt.NDArray[np.float64]:
        """(BINS,) part of each bin whose class is the judge's; NaN where it is empty."""
        return self._ratio(self.agreeing)

    def overall(self) -> tuple[float, float]:
        """Mean probability and agreement of all points; NaN where there is none."""
        if not self.points:
            return float("nan"), float("nan")
        return float(self.probability.sum()) / self.points, float(self.agreeing.sum()) / self.points

    def error(self) -> float:
        """Expected calibration error in [0, 1]: the mean over all points of |part that agrees - mean probability| of
        their bin; NaN where there is no point."""
        return float(np.abs(self.agreeing - self.probability).sum()) / self.points if self.points else float("nan")

    def _ratio(self, sums: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return np.divide(sums, self.count, out=np.full(BINS, np.nan), where=self.count > 0)
