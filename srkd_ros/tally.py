# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The running score of labelled clouds against their truth, without ROS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.io.bags import stamp_ns
from srkd.io.pointcloud2 import read_fields
from srkd.score import Score, count
from srkd_ros.matching import StampMatcher

ClassIds = npt.NDArray[np.uint8]


class Tally:
    """Takes labelled clouds and truth in any order and counts the pairs.

    Args:
        capacity: clouds of each kind that may wait for their partner.
    """

    def __init__(self, capacity: int) -> None:
        self.clouds = 0
        """Pairs counted."""
        self.mismatched = 0
        """Pairs of different numbers of points, not counted."""
        self.malformed = 0
        """Messages without a readable class_id, not counted."""
        self.last_fault = ""
        """Why the last of those was not counted."""
        self.last_header: Any = None
        """Of the pair counted last."""
        self._counts = np.zeros((256, 256), np.int64)
        self._matcher: StampMatcher[ClassIds, ClassIds] = StampMatcher(capacity)

    @property
    def unmatched(self) -> tuple[int, int]:
        """Labelled clouds without truth, and truth without labels."""
        return self._matcher.unmatched

    @property
    def waits_for_labels(self) -> bool:
        """Whether any truth has no labels."""
        return self.unmatched[1] > 0

    def add_labels(self, message: Any) -> None:
        """A labelled cloud, any message with the attributes of PointCloud2."""
        class_id = self._class_id(message)
        if class_id is not None:
            self._count(self._matcher.first(stamp_ns(message), class_id), message.header)

    def add_truth(self, message: Any) -> None:
        """A cloud of true classes."""
        class_id = self._class_id(message)
        if class_id is not None:
            self._count(self._matcher.second(stamp_ns(message), class_id), message.header)

    def score(self, class_names: Sequence[str]) -> Score:
        """The score of all pairs so far.

        Raises:
            CloudError: a class that has no name was seen.
        """
        return Score.from_counts(class_names, self._counts)

    def to_dict(self) -> dict[str, int]:
        """What was counted and what was not."""
        labels, truth = self.unmatched
        return {
            "clouds": self.clouds,
            "labels_without_truth": labels,
            "truth_without_labels": truth,
            "different_sizes": self.mismatched,
            "malformed": self.malformed,
        }

    def left_out(self) -> str:
        """What was not counted, in words; empty where all was."""
        labels, truth = self.unmatched
        parts = (
            (labels, "labelled clouds without truth"),
            (truth, "true clouds without labels"),
            (self.mismatched, "pairs of different sizes"),
            (self.malformed, "malformed clouds"),
        )
        return ", ".join(f"{number} {what}" for number, what in parts if number)

    def _class_id(self, message: Any) -> ClassIds | None:
        try:
            class_id = read_fields(message, ["class_id"])["class_id"]
            if class_id.dtype != np.uint8:
                raise CloudError(f"class_id of type {class_id.dtype}, expected uint8")
        except CloudError as error:
            self.malformed += 1
            self.last_fault = str(error)
            return None
        return class_id

    def _count(self, pair: tuple[ClassIds, ClassIds] | None, header: Any) -> None:
        if pair is None:
            return
        labels, truth = pair
        if labels.shape != truth.shape:
            self.mismatched += 1
            self.last_fault = f"{len(labels)} labelled points, {len(truth)} true ones"
            return
        self._counts += count(truth, labels)
        self.clouds += 1
        self.last_header = header
