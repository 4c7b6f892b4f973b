# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The dense clouds of `srkd experiment dynamic-size`: which kinds there are, where they lie, and how they are made."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from srkd.errors import ConfigError
from srkd.progress import Progress
from srkd_train.config import DataConfig, cache_dir
from srkd_train.data.accumulate.build import build, once
from srkd_train.data.accumulate.config import Accumulation, Box
from srkd_train.data.accumulate.folder import INDEX, close_folder, open_folder, settings_of
from srkd_train.data.accumulate.scenes import find_scenes
from srkd_train.data.catalog import final_part, training_part
from srkd_train.data.part import Part
from srkd_train.data.semantickitti import SemanticKITTI
from srkd_train.data.subset import name_of
from srkd_train.experiments.setup import Setup

FRAMES = Accumulation(past=4, future=4, every=2, cell_m=0.1)
"""Eight frames around a cloud, 0.2 s apart at 10 Hz; moving objects are moved along."""
SPARSELY_LABELLED = ("nuscenes", "waymo")
"""Data sets with labels at every n-th frame only; frames between them would teach nothing."""
CHOSEN: Mapping[str, tuple[str, ...]] = {
    "street": ("vegetation", "terrain", "pole", "truck", "bus", "bicycle", "pedestrian", "fence"),
    "semantickitti": ("bicycle", "motorcycle", "person", "fence", "vegetation", "trunk", "terrain", "pole"),
    "nuscenes": ("barrier", "bicycle", "motorcycle", "pedestrian", "traffic_cone", "trailer", "terrain", "vegetation"),
    "waymo": (
        "other_vehicle",
        "pedestrian",
        "sign",
        "traffic_light",
        "bicycle",
        "vegetation",
        "curb",
        "lane_marker",
        "other_ground",
    ),
}
"""Classes that teachers of "chosen classes" get more points of; Waymo's are the source's."""
CLIP_M: Mapping[str, Box] = {"street": (-30.0, -30.0, -4.0, 30.0, 30.0, 6.0)}
_MOST_WORKERS = 8
"""Each holds the frames of a window."""
_SOURCE_CLIP_M: Box = (-75.2, -75.2, -4.0, 75.2, 75.2, 2.0)


def make_dense(setup: Setup) -> None:
    """Makes the dense clouds to train on and to score on, where they are not yet.

    Raises:
        ConfigError: a folder cannot be written, or a cloud cannot be made.
    """
    data = setup.base.data
    for name, frames in kinds(setup).items():
        folder = folder_of(setup, frames)
        if (folder / INDEX).is_file():
            continue
        scenes = once([scene for part in _parts(data) for scene in find_scenes(part.clouds, frames)])
        scheme = final_part(data).clouds.scheme
        settings = settings_of(frames, data.name, scheme, data.root)
        open_folder(folder, settings)
        progress = Progress(sum(len(scene.targets) for scene in scenes), f"dense clouds ({name})")
        try:
            workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
            found = build(scenes, folder, frames, scheme, num_workers=workers, progress=progress)
        finally:
            progress.close()
        if found.problems:
            raise ConfigError(f"{len(found.problems)} dense clouds could not be made, e.g. {found.problems[0]}")
        close_folder(folder, settings, found.names)


def kinds(setup: Setup) -> dict[str, Accumulation]:
    """How dense clouds are made; what students learn from comes first, the others are for more teachers."""
    name = setup.base.data.name
    clip, classes = clip_m(name), CHOSEN[name]
    frames = replace(FRAMES, every=1, labelled_only=True) if name in SPARSELY_LABELLED else FRAMES
    kinds = {"all classes": frames}
    if not setup.more_teachers:
        return kinds
    return {
        **kinds,
        "all classes, clipped": replace(frames, clip_m=clip),
        "chosen classes": replace(frames, classes=classes),
        "chosen classes, clipped": replace(frames, classes=classes, clip_m=clip),
    }


def folder_of(setup: Setup, frames: Accumulation) -> Path:
    """Of the dense clouds of the training and of the scored clouds, among what is kept."""
    data = setup.base.data
    parts = _parts(data)
    names = [name_of(part.clouds, index) for part in parts for index in range(len(part.clouds))]
    facts = [settings_of(frames, data.name, parts[0].clouds.scheme, data.root), sorted(set(names))]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return cache_dir(data.cache_dir) / "dense" / f"{data.name}_{key}"


@lru_cache(maxsize=4)
def scored_dense(data: DataConfig) -> bool:
    """Whether the clouds of the score can be made dense: SemanticKITTI's 08 may have come without its poses."""
    clouds = final_part(data).clouds
    return not isinstance(clouds, SemanticKITTI) or all(map(clouds.has_pose, range(len(clouds))))


def _parts(data: DataConfig) -> list[Part]:
    """The clouds to be made dense: those of the training, and where that is possible those of the score."""
    return [training_part(data), *([final_part(data)] if scored_dense(data) else [])]


def clip_m(data_name: str) -> Box:
    """The box of clipped dense clouds of a data set."""
    return CLIP_M.get(data_name, _SOURCE_CLIP_M)
