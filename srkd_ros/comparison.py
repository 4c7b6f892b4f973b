# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far two networks agree, on one cloud and over the last clouds: plain numpy."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.score import count


def confusion(
    teacher: npt.NDArray[np.uint8], student: npt.NDArray[np.uint8], num_classes: int
) -> npt.NDArray[np.int64]:
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


def agreement(counts: npt.NDArray[np.int64]) -> float:
    """Part of the counted points on the diagonal; NaN where there are none."""
    total = int(counts.sum())
    return float(np.trace(counts)) / total if total else float("nan")


def iou(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(C,) intersection over union of each class; NaN where neither sees it."""
    hit = np.diag(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hit
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


class Window:
    """The sum of the confusion matrices of the last clouds."""

    def __init__(self, num_classes: int) -> None:
        self._frames: deque[npt.NDArray[np.int64]] = deque()
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, counts: npt.NDArray[np.int64], size: int) -> None:
        """Adds a cloud's matrix and forgets all but the newest `size` clouds."""
        self._frames.append(counts)
        self.counts = self.counts + counts
        while len(self._frames) > size:
            self.counts = self.counts - self._frames.popleft()
