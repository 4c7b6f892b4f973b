# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences of SemanticKITTI as timelines: what moves has raw ids of its own, and instances tell its objects apart.

Positions are the numbers of the scans, ten a second, also where a copy of the data set lacks some.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd_train.data.accumulate.timeline import Frame, Scene
from srkd_train.data.sample import Sample
from srkd_train.data.semantickitti import SemanticKITTI


def semantickitti_scenes(clouds: SemanticKITTI, indices: Sequence[int], *, objects: bool = True) -> list[Scene]:
    """A scene a sequence; with `objects`, what moves is read from the labels.

    Raises:
        CloudError: a sequence has no poses.
    """
    targets: dict[str, list[str]] = {}
    for index in indices:
        name = clouds.name(index)
        sequence = name.partition("/")[0]
        if sequence not in targets and not clouds.has_pose(index):
            raise CloudError(
                f"{clouds.path(index).parent.parent}: no poses.txt; put that of the data set there, or leave sequence"
                f" {sequence} out (--part, --data.sequences, --data.val_sequences)"
            )
        targets.setdefault(sequence, []).append(name)
    rows: dict[str, list[int]] = {sequence: [] for sequence in targets}
    for index in range(len(clouds)):
        rows.get(clouds.name(index).partition("/")[0], []).append(index)
    return [
        Scene(name, tuple(targets[name]), functools.partial(SemanticKITTITimeline, clouds, rows[name], objects=objects))
        for name in targets
    ]


class SemanticKITTITimeline:
    """The scans of one sequence.

    Args:
        clouds: the data set.
        indices: of its scans in it, in order.
        objects: tell what moves, where there are labels.
    """

    def __init__(self, clouds: SemanticKITTI, indices: Sequence[int], *, objects: bool = True) -> None:
        self._clouds, self._objects = clouds, objects
        by_number = {int(clouds.path(index).stem): index for index in indices}
        self._indices = [by_number.get(number) for number in range(min(by_number), max(by_number) + 1)]
        self.names = [None if index is None else clouds.name(index) for index in self._indices]

    def read(self, positions: Sequence[int]) -> Iterator[Frame]:
        """Scans with what moves in them, which is known of labelled sequences."""
        for position in positions:
            index = self._indices[position]
            assert index is not None, "asked for by name"
            sample, moving = self._clouds[index], self._clouds.moving(index) if self._objects else None
            yield Frame(sample, None if moving is None else _objects(sample, moving))


def _objects(sample: Sample, moving: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(N,) number of the moving object of a point; -1 for one of no instance, 0 for what stands still.

    Instances count from 1 in every class, so that both make the number.
    """
    assert sample.instance is not None
    instance = sample.instance.astype(np.int64)
    number = np.where(instance > 0, instance * 256 + sample.label, -1)
    return np.where(moving, number, 0)
