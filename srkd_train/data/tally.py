# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is in a data set: clouds, points and labelled points by class, and which clouds cannot be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset

from srkd.errors import SrkdError
from srkd.io.atomic import write_atomic
from srkd.labels import IGNORE, LabelScheme
from srkd.progress import Progress
from srkd_train.data.part import Part

Counted = tuple[int, npt.NDArray[np.int64] | str]
"""Index of a cloud, and its points by class id (256,), or why it cannot be read."""


@dataclass
class Tally:
    """Counts over the clouds that were read."""

    scheme: LabelScheme
    cloud_points: list[int] = field(default_factory=list)
    """Points of each cloud that was read."""
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    """(256,) points by class id, 255 those without a class."""
    unreadable: list[str] = field(default_factory=list)
    """One line for each cloud that could not be read."""

    @property
    def class_points(self) -> npt.NDArray[np.int64]:
        """(C,) points of each class."""
        return self.counts[: self.scheme.num_classes]

    @property
    def frequency(self) -> npt.NDArray[np.float64]:
        """(C,) share of each class in the labelled points; zeros where none is labelled."""
        return self.class_points / max(1, int(self.class_points.sum()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        names, points = self.scheme.class_names, self.cloud_points
        return {
            "clouds_read": len(points),
            "points": sum(points),
            "points_a_cloud": {"least": min(points, default=0), "most": max(points, default=0)},
            "ignored_points": int(self.counts[IGNORE]),
            "class_points": {name: int(count) for name, count in zip(names, self.class_points, strict=True)},
            "class_frequency": {name: float(value) for name, value in zip(names, self.frequency, strict=True)},
            "unreadable": self.unreadable,
        }


class _Counts(Dataset[list[Counted]]):
    """Item k counts the clouds of the k-th bundle, one process each, so that no street is built twice."""

    def __init__(self, part: Part, indices: Sequence[int]) -> None:
        self.clouds = part.clouds
        bundles: dict[int, list[int]] = {}
        for index in indices:
            bundles.setdefault(index // part.group, []).append(index)
        self.bundles = list(bundles.values())

    def __len__(self) -> int:
        return len(self.bundles)

    def __getitem__(self, position: int) -> list[Counted]:
        return [(index, self._count(index)) for index in self.bundles[position]]

    def _count(self, index: int) -> npt.NDArray[np.int64] | str:
        try:
            return np.bincount(self.clouds[index].label, minlength=256)
        except (SrkdError, OSError) as error:
            return " ".join(str(error).split())


def tally(part: Part, indices: Sequence[int], *, num_workers: int = 0, progress: Progress | None = None) -> Tally:
    """Reads clouds and counts what is in them; a cloud that cannot be read is listed and left out.

    Args:
        part: the clouds; streets that are not in their cache are made and kept there.
        indices: which of them.
        num_workers: processes that read.
        progress: is moved on by one per cloud.
    """
    found = Tally(part.clouds.scheme)
    bundles = DataLoader(_Counts(part, indices), batch_size=None, num_workers=num_workers, collate_fn=_as_is)
    for bundle in bundles:
        for _, counts in bundle:
            if isinstance(counts, str):
                found.unreadable.append(counts)
            else:
                found.counts += counts
                found.cloud_points.append(int(counts.sum()))
            if progress is not None:
                progress.step()
    return found


def frequency_path(data: str, cache: Path) -> Path:
    """Where `srkd prepare` keeps the class frequencies of a data set."""
    return cache / f"srkd_{data}.json"


def write_frequency(path: Path, data: str, described: str, found: Tally) -> None:
    """Writes the counts of the training clouds of a data set.

    Raises:
        OSError: the file cannot be written.
    """
    facts = {"data": data, "clouds": described, **found.to_dict()}
    write_atomic(path, [json.dumps(facts, indent=2).encode() + b"\n"])


def _as_is(item: list[Counted]) -> list[Counted]:
    return item
