# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes of nuScenes as timelines: key frames and the sweeps between them, with the boxes of what moves."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd_train.data.accumulate.timeline import Frame, Scene
from srkd_train.data.accumulate.tracks import Tracks
from srkd_train.data.box import Box
from srkd_train.data.nuscenes import NuScenes, read_sweep, sweep_name
from srkd_train.data.nuscenes_boxes import read_boxes
from srkd_train.data.nuscenes_splits import SPLITS
from srkd_train.data.nuscenes_tables import Sweep, read_raw_ids, read_sweeps


def nuscenes_scenes(
    clouds: NuScenes, indices: Sequence[int], *, key_frames: bool = False, boxes: bool = True
) -> list[Scene]:
    """A scene a scene.

    Args:
        clouds: a split of the data set.
        indices: the clouds in it to make dense.
        key_frames: leave out the sweeps between key frames.
        boxes: read the boxes of moving objects, where there are some.

    Raises:
        CloudError: the data set was opened without tables, one is damaged, or a sweep is missing.
    """
    if clouds.split is None:
        raise CloudError(f"{clouds.root}: key frames without a split have no scenes; give one, e.g. train")
    targets: dict[str, list[str]] = defaultdict(list)
    for index in indices:
        targets[str(clouds.scene(index))].append(clouds.name(index))
    wanted = SPLITS[clouds.split]
    version = clouds.root / wanted.version
    sweeps: dict[str, list[Sweep]] = defaultdict(list)
    for sweep in read_sweeps(version, scenes=tuple(targets), key_frames=key_frames):
        if not (clouds.root / sweep.filename).is_file():
            advice = "copy it again" if sweep.is_key_frame else "unpack the sweeps too, or give --labelled-only"
            raise CloudError(f"{clouds.root / sweep.filename}: missing; {advice}")
        sweeps[str(sweep.scene)].append(sweep)
    found = read_boxes(version, tuple(targets)) if boxes and wanted.labelled else {}
    raw_ids = read_raw_ids(version) if wanted.labelled else None
    return [
        Scene(
            name,
            tuple(names),
            functools.partial(NuScenesTimeline, clouds.root, sweeps[name], raw_ids, found.get(name)),
        )
        for name, names in targets.items()
    ]


class NuScenesTimeline:
    """The sweeps of one scene.

    Args:
        root: the folder that file names begin from.
        sweeps: in order of time.
        raw_ids: what label files mean, see `read_raw_ids`.
        boxes: of all objects of the scene, at key frames; None where there are no annotations.
    """

    def __init__(
        self, root: Path, sweeps: Sequence[Sweep], raw_ids: npt.NDArray[np.uint8] | None, boxes: Sequence[Box] | None
    ) -> None:
        self._root, self._sweeps, self._raw_ids = root, sweeps, raw_ids
        self._tracks = None if boxes is None else Tracks(boxes)
        self.names = [sweep_name(sweep) for sweep in sweeps]

    def read(self, positions: Sequence[int]) -> Iterator[Frame]:
        """Sweeps; those between key frames have no labels."""
        for position in positions:
            sweep = self._sweeps[position]
            sample = read_sweep(self._root, sweep, self._raw_ids)
            assert sweep.stamp_us is not None, "the tables have it"
            yield Frame(sample) if self._tracks is None else self._tracks.frame(sample, sweep.stamp_us)
