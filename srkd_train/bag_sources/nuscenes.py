# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes of nuScenes as frames for bags: key frames and the sweeps between them, 20 a second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError, ConfigError
from srkd_train.bag_sources.source import EPOCH_NS, Frame, Mount, Scenes, Source, choose, limit

if TYPE_CHECKING:
    from srkd_train.data.nuscenes import NuScenes
    from srkd_train.data.nuscenes_tables import Sweep

FRAME_ID, VEHICLE_FRAME_ID = "LIDAR_TOP", "base_link"
_KEY_FRAME_PERIOD_NS = 500_000_000


def nuscenes_sources(root: str, scenes: Sequence[str], frames: int | None, *, key_frames: bool = False) -> Scenes:
    """A source a scene, at its own times, with the vehicle's poses; ground truth on key frames with a lidarseg file.

    Where no table knows a scene, all key frames under the root are one source, in order of their names.

    Args:
        root: the folder that holds `samples`, `sweeps` and `v1.0-*`.
        scenes: their names; ("all",) for all; () where there is only one.
        frames: the first so many of each, or None.
        key_frames: leave out the sweeps, which are downloaded apart.

    Raises:
        ConfigError: a scene is not there, or none is named and there are several.
        CloudError: a table or a sweep is missing, or damaged.
    """
    from srkd_train.data.nuscenes import NuScenes
    from srkd_train.data.nuscenes_tables import read_raw_ids, read_sweeps, scene_folders

    folders = scene_folders(root)
    if not folders:
        if scenes:
            raise ConfigError(f"{root}: no v1.0-*/scene.json, which knows scenes by name; unpack the tables there")
        return {"samples": partial(_key_frames_source, NuScenes(root), frames)}
    names_in: dict[Path, list[str]] = defaultdict(list)
    for name in (chosen := choose(scenes, folders, root)):
        names_in[folders[name]].append(name)
    sweeps_of: dict[str, list[Sweep]] = defaultdict(list)
    for folder, names in names_in.items():
        for sweep in read_sweeps(folder, scenes=names, key_frames=key_frames):
            sweeps_of[str(sweep.scene)].append(sweep)
    raw_ids = {folder: read_raw_ids(folder) for folder in names_in}
    return {
        name: partial(_source, Path(root), name, sweeps_of[name], frames, raw_ids[folders[name]]) for name in chosen
    }


def _source(
    root: Path, scene: str, sweeps: list[Sweep], frames: int | None, raw_ids: npt.NDArray[np.uint8] | None
) -> Source:
    from srkd_train.data.nuscenes import NuScenes, read_sweep

    taken = sweeps[: limit(len(sweeps), frames)]
    if not taken:
        raise CloudError(f"{root}: the tables have no LiDAR sweep of scene {scene}; copy them again")
    for sweep in taken:
        if not (root / sweep.filename).is_file():
            advice = "copy it again" if sweep.is_key_frame else "unpack the sweeps too, or leave them out: --key-frames"
            raise CloudError(f"{root / sweep.filename}: missing; {advice}")
    mount = taken[0].mount
    assert mount is not None, "the tables have it"
    vehicle = np.linalg.inv(mount)

    def read() -> Iterator[Frame]:
        for sweep in taken:
            assert sweep.stamp_us is not None and sweep.pose is not None, "the tables have them"
            sample = read_sweep(root, sweep, raw_ids)
            label = None if sweep.labels is None else sample.label
            yield Frame(sample.cloud, sweep.stamp_us * 1000, label, pose=sweep.pose @ vehicle)

    scheme = NuScenes.scheme.name if any(sweep.labels for sweep in taken) else None
    return Source(len(taken), read(), scheme, f"nuscenes {scene}", FRAME_ID, Mount(VEHICLE_FRAME_ID, mount))


def _key_frames_source(clouds: NuScenes, frames: int | None) -> Source:
    count = limit(len(clouds), frames)
    known = any(clouds.has_labels(index) for index in range(count))

    def read() -> Iterator[Frame]:
        for index in range(count):
            sample = clouds[index]
            microseconds = sample.name.rpartition("__")[2]
            stamp_ns = int(microseconds) * 1000 if microseconds.isdigit() else EPOCH_NS + index * _KEY_FRAME_PERIOD_NS
            yield Frame(sample.cloud, stamp_ns, sample.label if clouds.has_labels(index) else None)

    return Source(count, read(), clouds.scheme.name if known else None, "nuscenes key frames", FRAME_ID)
