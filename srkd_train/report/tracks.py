# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The labels of one topic, frame by frame, as they are held against their truth; memory does not grow with the points
of a bag."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srkd.calibration import Calibration
from srkd.labels import IGNORE
from srkd.score import count

ClassIds = npt.NDArray[np.uint8]
_WAITING = 300
"""Frames of labels, and of truth, that may wait for their partner."""


@dataclass
class Frame:
    """One labelled cloud; shares in [0, 1], NaN where they are not known."""

    stamp_ns: int
    time_ns: int
    """When its labels were recorded."""
    first_ns: int
    last_ns: int
    """Between these its labels and its truth were recorded."""
    points: int
    labelled: float
    """Share of the points that got a class."""
    confidence: float
    """Mean probability of these."""
    right: float = math.nan
    """Share of the points with truth and label that have their true class."""
    miou: float = math.nan
    agreement: float = math.nan
    """With the teacher."""
    latency_ms: float = math.nan


class LabelTrack:
    """Labels of one topic, and what came of comparing them with their truth.

    Args:
        topic: of the labels.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.frames: dict[int, Frame] = {}
        """By stamp."""
        self.class_points = np.zeros(256, np.int64)
        """Points by class id given."""
        self.counts = np.zeros((256, 256), np.int64)
        """Row = truth, column = label, of the frames that have both."""
        self.scored = 0
        """Frames that have both."""
        self.calibration = Calibration.none()
        self.repeated = 0
        """Frames of a stamp that was there before; they do not count."""
        self.other_size = 0
        """Frames whose truth has another number of points; they are not scored."""
        self._labels: OrderedDict[int, tuple[ClassIds, npt.NDArray[np.float32]]] = OrderedDict()
        self._truth: OrderedDict[int, tuple[ClassIds, int]] = OrderedDict()

    def add_labels(self, stamp_ns: int, time_ns: int, class_id: ClassIds, probability: npt.NDArray[np.float32]) -> None:
        """A labelled cloud of N points: class_id (N,), probability (N,)."""
        if stamp_ns in self.frames:
            self.repeated += 1
            return
        known = class_id != IGNORE
        labelled = float(known.mean()) if len(known) else math.nan
        confidence = float(probability[known].mean(dtype=np.float64)) if known.any() else math.nan
        frame = Frame(stamp_ns, time_ns, time_ns, time_ns, len(class_id), labelled, confidence)
        self.frames[stamp_ns] = frame
        self.class_points += np.bincount(class_id, minlength=256)
        self._labels[stamp_ns] = class_id, probability
        self._match(stamp_ns)

    def add_truth(self, stamp_ns: int, time_ns: int, class_id: ClassIds) -> None:
        """The true classes (N,) of a cloud."""
        self._truth.setdefault(stamp_ns, (class_id, time_ns))
        self._match(stamp_ns)

    def _match(self, stamp_ns: int) -> None:
        if stamp_ns in self._labels and stamp_ns in self._truth:
            labels, probability = self._labels.pop(stamp_ns)
            truth, time_ns = self._truth.pop(stamp_ns)
            frame = self.frames[stamp_ns]
            frame.first_ns, frame.last_ns = min(frame.first_ns, time_ns), max(frame.last_ns, time_ns)
            self._compare(frame, truth, labels, probability)
        for waiting in (self._labels, self._truth):
            if len(waiting) > _WAITING:
                waiting.popitem(last=False)

    def _compare(self, frame: Frame, truth: ClassIds, labels: ClassIds, probability: npt.NDArray[np.float32]) -> None:
        if truth.shape != labels.shape:
            self.other_size += 1
            return
        counts = count(truth, labels)
        self.counts += counts
        self.scored += 1
        both = (truth != IGNORE) & (labels != IGNORE)
        self.calibration += Calibration.of(probability[both], (truth == labels)[both])
        frame.right, frame.miou = _scores(counts)


def _scores(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Share of points with their true class, and mean IoU of the classes that occur in the truth."""
    known = counts[:IGNORE, :IGNORE]
    hit, support = np.diag(known), known.sum(axis=1)
    present = support > 0
    if not present.any():
        return math.nan, math.nan
    union = support + known.sum(axis=0) - hit
    return float(hit.sum() / support.sum()), float((hit[present] / union[present]).mean())


def worst_first(frames: Sequence[Frame]) -> tuple[str, list[Frame]]:
    """What frames are ranked by (right, agreement or confidence: the first that any frame has), and the frames."""
    for key in ("right", "agreement", "confidence"):
        known = [frame for frame in frames if np.isfinite(getattr(frame, key))]
        if known:
            return key, sorted(known, key=lambda frame: (getattr(frame, key), frame.stamp_ns))
    return "stamp", list(frames)


def apart(ranked: Sequence[Frame], count: int, gap_ns: int) -> list[Frame]:
    """The first `count` frames of which no two are nearer in time than a gap: neighbours look alike."""
    chosen: list[Frame] = []
    for frame in ranked:
        if len(chosen) < count and all(abs(frame.time_ns - other.time_ns) >= gap_ns for other in chosen):
            chosen.append(frame)
    return chosen
