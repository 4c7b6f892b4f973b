# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences as accumulation sees them: frames in order of time, with what is known of moving objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd_train.data.sample import Sample

Pose = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame with what moves in it.

    Args:
        sample: its points and its pose.
        moving: (N,) int64 the moving object that a point belongs to, from 1 on, the same number in all frames of a
            timeline; -1 for a moving one that is not told from others, 0 for what stands still. None where nothing
            tells.
        objects: pose of moving objects by number, (4, 4) affine from the object's own frame to the world; those that
            are missing here have to be found from their points.

    Raises:
        CloudError: the sample has no pose, or not one that can be inverted.
    """

    sample: Sample
    moving: npt.NDArray[np.int64] | None = None
    objects: Mapping[int, Pose] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pose = self.sample.pose
        if pose is None or not np.isfinite(pose).all() or abs(np.linalg.det(pose[:3, :3]) - 1) > 0.01:
            raise CloudError(f"{self.sample.name}: no usable pose; only clouds with poses can be brought together")

    @property
    def pose(self) -> Pose:
        """(4, 4), frame of the cloud to the world."""
        assert self.sample.pose is not None
        return self.sample.pose


class Timeline(Protocol):
    """The frames of one sequence in order of time."""

    @property
    def names(self) -> Sequence[str | None]:
        """Of all frames; None in place of one that is not there, so that positions tell time."""
        ...

    def read(self, positions: Sequence[int]) -> Iterator[Frame]:
        """The frames at rising positions, one by one.

        Raises:
            CloudError: one is missing or damaged.
        """
        ...


@dataclass(frozen=True)
class Scene:
    """A sequence that clouds of a data set are from.

    Args:
        name: of the sequence.
        targets: names of the clouds that dense ones are wanted of, in order of time.
        open: makes the timeline, when its turn has come and in the process that reads it.
        group: scenes of one group are made by one process, for they share what is dear to make.
    """

    name: str
    targets: tuple[str, ...]
    open: Callable[[], Timeline]
    group: str = ""
