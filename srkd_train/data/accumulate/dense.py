# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense clouds: a frame with points of the frames around it, in its own coordinates; one window in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud, usable_points
from srkd.errors import CloudError
from srkd_train.data.accumulate.config import Accumulation
from srkd_train.data.accumulate.motion import into_frame
from srkd_train.data.accumulate.timeline import Frame, Timeline


@dataclass(frozen=True, eq=False)
class Dense:
    """A frame with points of other frames behind its own.

    Args:
        xyz: (M, 3) float32 in the frame's coordinates.
        intensity: (M,) float32, 0 where the data set has none.
        label: (M,) uint8, 255 for none.
        own: (M,) bool: the points of the frame itself, all of them and in their order, come first.
    """

    xyz: npt.NDArray[np.float32]
    intensity: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8]
    own: npt.NDArray[np.bool_]


def aggregate(
    target: Frame, others: Sequence[Frame], config: Accumulation, class_ids: Sequence[int] | None = None
) -> Dense:
    """A dense cloud.

    What the frame itself has is kept as it is, also outside the clip box, so that the dense cloud holds the raw one.

    Args:
        target: the frame whose coordinates and points come first.
        others: frames of the same timeline; where two have a point in one cell, that of the earlier one here stays.
        config: what of them is added; its frames and classes have been chosen by the caller.
        class_ids: add these classes only; None for all points.

    Raises:
        CloudError: moving objects are not to be kept where they were, and nothing tells what moves.
    """
    sample = target.sample
    parts = [(sample.cloud.xyz, _intensity(sample.cloud), sample.label)]
    for other in others:
        moved, used = into_frame(other, target, config.moving)
        cloud, label = other.sample.cloud, other.sample.label
        used &= usable_points(cloud.xyz) & (np.hypot(cloud.xyz[:, 0], cloud.xyz[:, 1]) >= config.near_m)
        if class_ids is not None:
            used &= np.isin(label, class_ids)
        if config.clip_m is not None:
            low, high = np.array(config.clip_m[:3]), np.array(config.clip_m[3:])
            used &= ((moved >= low) & (moved <= high)).all(1)
        xyz = moved.astype(np.float32)
        used &= usable_points(xyz)
        parts.append((xyz[used], _intensity(cloud)[used], label[used]))
    count = len(sample.label)
    xyz, intensity, label = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    kept = np.arange(len(xyz)) if config.cell_m is None else first_of_cells(xyz, count, config.cell_m)
    return Dense(xyz[kept], intensity[kept], label[kept], kept < count)


def first_of_cells(xyz: npt.NDArray[np.float32], own: int, cell_m: float) -> npt.NDArray[np.int64]:
    """Rising rows of a cloud to keep: the first `own` ones, and of the others the first of every cell without those.

    Args:
        xyz: (N, 3) metres; not-finite rows among the first `own` fill no cell.
        own: rows that stay.
        cell_m: edge of a cell; a cell's border are multiples of it.
    """
    finite = usable_points(xyz)
    rows = np.flatnonzero(finite)
    cell = np.floor(xyz[rows].astype(np.float64) / cell_m).astype(np.int64)
    cell -= cell.min(axis=0, initial=0)
    size = cell.max(axis=0, initial=0) + 1
    key = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    # A stable sort leaves the first row of every cell in front.
    order = np.argsort(key, kind="stable")
    opens = np.ones(len(order), bool)
    opens[1:] = key[order][1:] != key[order][:-1]
    kept = np.zeros(len(xyz), bool)
    kept[rows[order[opens]]] = True
    kept[:own] = True
    return np.flatnonzero(kept)


def dense_clouds(
    timeline: Timeline, targets: Sequence[str], config: Accumulation, class_ids: Sequence[int] | None = None
) -> Iterator[tuple[str, Dense]]:
    """Dense clouds of some frames of a timeline in order of time; frames are read once and kept while they are needed.

    Args:
        timeline: the sequence.
        targets: names of frames in it, in its order.
        config: which frames are added, and what of them.
        class_ids: as :func:`aggregate`.

    Yields:
        The name of a frame and its dense cloud.

    Raises:
        CloudError: a frame is missing, damaged or without a pose, or a target is no frame of the timeline.
    """
    place = {name: position for position, name in enumerate(timeline.names) if name is not None}
    if lost := next((name for name in targets if name not in place), None):
        raise CloudError(f"{lost}: not among the {len(place)} frames of its sequence that are to be read")
    wanted = [place[name] for name in targets]
    there = set(place.values())
    around = {at: [at + step for step in config.offsets if at + step in there] for at in wanted}
    last_use = {position: at for at, others in around.items() for position in (at, *others)}
    positions = sorted(last_use)
    frames = zip(positions, timeline.read(positions), strict=True)
    window: dict[int, Frame] = {}
    newest = -1
    for number, at in enumerate(wanted):
        window = {position: frame for position, frame in window.items() if last_use[position] >= at}
        while newest < max((at, *around[at])):
            newest, frame = next(frames)
            window[newest] = frame
        yield targets[number], aggregate(window[at], [window[other] for other in around[at]], config, class_ids)


def _intensity(cloud: Cloud) -> npt.NDArray[np.float32]:
    return np.zeros(len(cloud), np.float32) if cloud.intensity is None else cloud.intensity
