# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation scores of a whole data set: one confusion matrix, and the figures read off it.

The matrix is summed over every point of the split and only then turned into IoU, as the benchmarks do. (torchmetrics'
`MeanIoU` averages per-cloud scores instead and is therefore not used.)
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from srkd.labels import IGNORE


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


class ScoreMeter(nn.Module):
    """Counts predictions against labels, batch after batch; a module, so its matrix follows device and processes.

    Args:
        class_names: names in scheme order.
        absent_as_zero: how classes without a labelled point enter the means, see `Score`.
        all_processes: sum over the processes of a distributed run when computing.
    """

    def __init__(
        self, class_names: Sequence[str], *, absent_as_zero: bool = False, all_processes: bool = False
    ) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.absent_as_zero = absent_as_zero
        # One more class than the scheme has: its row collects unlabelled points, its column missing predictions.
        self._matrix = MulticlassConfusionMatrix(
            num_classes=len(self.class_names) + 1, validate_args=False, sync_on_compute=all_processes
        )

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Count points: prediction (N,) and label (N,) integer classes, 255 where there is none."""
        none = len(self.class_names)
        if len(label):
            prediction, label = prediction.long(), label.long()
            self._matrix.update(
                prediction.masked_fill(prediction == IGNORE, none), label.masked_fill(label == IGNORE, none)
            )

    def reset(self) -> None:
        """Forget every count."""
        self._matrix.reset()

    def compute(self) -> Score:
        """Score of all points counted since the last reset."""
        none = len(self.class_names)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
            counts = self._matrix.compute().cpu().long()  # on every process, or those that counted would wait
        return Score(
            class_names=self.class_names,
            confusion=tuple(tuple(int(n) for n in row) for row in counts[:none, :none]),
            ignored=int(counts[none].sum()),
            unpredicted=int(counts[:none, none].sum()),
            absent_as_zero=self.absent_as_zero,
        )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"
