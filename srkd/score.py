# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation scores of a whole data set or drive: one confusion matrix, and the figures read off it.

The matrix is summed over every point and only then turned into IoU, as the benchmarks do; the mean of per-cloud scores
is another figure and not used here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srkd.errors import CloudError
from srkd.labels import IGNORE


def count(label: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Counts one cloud's points by label and prediction.

    Args:
        label: (N,) uint8 true classes, 255 for none.
        prediction: (N,) uint8, 255 for none.

    Returns:
        (256, 256) counts, row = label, column = prediction. Sums of such matrices are what `Score.from_counts` takes.

    Raises:
        CloudError: the arrays differ in length, or are not uint8.
    """
    if label.shape != prediction.shape or label.ndim != 1:
        raise CloudError(f"labels of shape {label.shape}, predictions of {prediction.shape}: expected (N,) and (N,)")
    if label.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise CloudError(f"labels of dtype {label.dtype}, predictions of {prediction.dtype}: expected uint8")
    pairs = label.astype(np.intp) * 256 + prediction
    return np.bincount(pairs, minlength=256 * 256).reshape(256, 256)


@dataclass(frozen=True)
class Score:
    """Scores of one split.

    A class is absent when no counted point carries its label. Absent classes are left out of the two means, or count
    as 0 there with `absent_as_zero` (what the public test scripts do).
    """

    class_names: tuple[str, ...]
    """Class names in scheme order, length C."""
    confusion: tuple[tuple[int, ...], ...]
    """(C, C) point counts, row = label, column = prediction."""
    ignored: int = 0
    """Points left out because they carry no label."""
    unpredicted: int = 0
    """Labelled points left out because they got no prediction (out of the input range, not finite)."""
    absent_as_zero: bool = False

    @classmethod
    def from_counts(
        cls, class_names: Sequence[str], counts: NDArray[np.int64], *, absent_as_zero: bool = False
    ) -> Score:
        """The score of a sum of matrices that `count` made.

        Args:
            class_names: C names in scheme order.
            counts: (256, 256) by class id.
            absent_as_zero: see the class.

        Raises:
            CloudError: a class without a name has points.
        """
        classes = len(class_names)
        for what, points in (("labels", counts.sum(1)), ("predictions", counts.sum(0))):
            unnamed = np.flatnonzero(points[classes:IGNORE]) + classes
            if len(unnamed):
                raise CloudError(
                    f"{what}: class {unnamed[0]}, expected 0 to {classes - 1} or {IGNORE}: another scheme?"
                )
        return cls(
            class_names=tuple(class_names),
            confusion=tuple(tuple(int(n) for n in row) for row in counts[:classes, :classes]),
            ignored=int(counts[IGNORE].sum()),
            unpredicted=int(counts[:classes, IGNORE].sum()),
            absent_as_zero=absent_as_zero,
        )

    @property
    def counts(self) -> NDArray[np.int64]:
        """The confusion matrix as an array (C, C)."""
        return np.array(self.confusion, dtype=np.int64).reshape(len(self.class_names), len(self.class_names))

    @property
    def support(self) -> NDArray[np.int64]:
        """(C,) labelled points per class."""
        return self.counts.sum(1)

    @property
    def iou(self) -> NDArray[np.float64]:
        """(C,) intersection over union per class in [0, 1]; absent classes are NaN, or 0 with `absent_as_zero`."""
        hit = np.diag(self.counts)
        return self._ratio(hit, self.support + self.counts.sum(0) - hit)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(C,) recall per class in [0, 1], absent classes as in `iou`."""
        return self._ratio(np.diag(self.counts), self.support)

    @property
    def miou(self) -> float:
        """Mean of `iou`; NaN when no class is present and absent classes are left out."""
        return _mean(self.iou)

    @property
    def macc(self) -> float:
        """Mean of `accuracy`."""
        return _mean(self.accuracy)

    @property
    def all_acc(self) -> float:
        """Correct points over counted points; NaN when no point is counted."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else float("nan")

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of the classes without a labelled point."""
        return tuple(name for name, points in zip(self.class_names, self.support, strict=True) if points == 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values; NaN becomes None."""
        names = self.class_names
        return {
            "miou": _plain(self.miou),
            "macc": _plain(self.macc),
            "all_acc": _plain(self.all_acc),
            "iou": {name: _plain(value) for name, value in zip(names, self.iou, strict=True)},
            "accuracy": {name: _plain(value) for name, value in zip(names, self.accuracy, strict=True)},
            "points": {name: int(value) for name, value in zip(names, self.support, strict=True)},
            "absent": list(self.absent),
            "absent_as_zero": self.absent_as_zero,
            "counted_points": int(self.counts.sum()),
            "ignored_points": self.ignored,
            "unpredicted_points": self.unpredicted,
            "confusion": [list(row) for row in self.confusion],
        }

    def to_markdown(self) -> str:
        """A table of class, IoU, accuracy (percent) and points, the means below it, and what was left out."""
        lines = ["| class | IoU % | accuracy % | points |", "|---|--:|--:|--:|"]
        rows = zip(self.class_names, self.iou, self.accuracy, self.support, strict=True)
        lines += [f"| {name} | {_percent(iou)} | {_percent(acc)} | {points:,} |" for name, iou, acc, points in rows]
        lines.append(f"| **mean** | **{_percent(self.miou)}** | {_percent(self.macc)} | {self.counts.sum():,} |")
        notes = [f"All-point accuracy {_percent(self.all_acc)} %."]
        if self.absent:
            how = "counted as 0" if self.absent_as_zero else "left out of the means"
            notes.append(f"Absent from this split and {how}: {', '.join(self.absent)}.")
        if self.ignored:
            notes.append(f"{self.ignored:,} points without a label not counted.")
        if self.unpredicted:
            notes.append(f"{self.unpredicted:,} labelled points out of the input range or not finite not counted.")
        return "\n".join([*lines, "", " ".join(notes)])

    def _ratio(self, part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
        ratio = np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
        return ratio if self.absent_as_zero else np.where(self.support > 0, ratio, np.nan)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"
