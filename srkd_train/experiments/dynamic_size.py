# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A teacher that sees several frames at once, and students of single frames: the three tables of the second source
("3D Semantic Segmentation with Knowledge Distillation for Dynamic-Size Feature Maps", AAAI 2026) in one.

Everything is done for a PTv3 and for a SpUNet. A base network learns from single frames. Teachers of the same
architecture go on from it on dense clouds: of all classes or of chosen ones, within a box or not. Students go on from
it, too, each by one strategy. Beside them stands the base that has gone on for as many steps on labels alone, the
control that the source lacks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path

from srkd.errors import ConfigError
from srkd.progress import Progress
from srkd_train.config import DataConfig, DistillConfig, RunConfig, cache_dir
from srkd_train.data.accumulate.build import build, once
from srkd_train.data.accumulate.config import Accumulation, Box
from srkd_train.data.accumulate.folder import INDEX, close_folder, open_folder, settings_of
from srkd_train.data.accumulate.scenes import SEQUENCES, find_scenes
from srkd_train.data.catalog import final_part, training_part
from srkd_train.data.part import Part
from srkd_train.data.semantickitti import SemanticKITTI
from srkd_train.data.subset import name_of
from srkd_train.experiments.run import Run, override
from srkd_train.experiments.setup import RAW, Setup
from srkd_train.objective import DISTILLED

PARTNERS: Mapping[str, str] = {"student-nano": "spunet-nano", "ptv3": "spunet"}
"""The SpUNet that stands beside a PTv3."""
BASE, CONTROL = "base", "fine-tuned on labels alone"
FROM_SCRATCH = 3
"""A base that begins with random weights takes so many times the steps of one that does not."""
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
_SOURCE_CLIP_M: Box = (-75.2, -75.2, -4.0, 75.2, 75.2, 2.0)
_SRKD = {
    "kl": 2.0,
    "point_affinity": 3.0,
    "voxel_affinity": 3.0,
    "channel": 0.1,
    "cross_sample": 0.3,
    "feature_mse": 0.02,
}
"""As config/distill/street.yaml weighs them."""
STRATEGIES: Mapping[str, Mapping[str, float]] = {
    "pool": {"pool": 0.3},
    "knn": {"knn_kl": 0.2, "knn_mse": 0.01},
    "stats": {"stats": 0.3},
    "voxel": {"voxel": 0.1},
    "stats + SRKD": {"stats": 0.3, **_SRKD},
}
"""Weights of the terms by strategy; the rest is off."""


def runs_by_row(setup: Setup) -> dict[str, tuple[dict[int, Run], str | None]]:
    """The runs of each row by seed, and the row that it is compared with.

    Raises:
        ConfigError: the data set has no sequences with poses.
    """
    data = setup.base.data
    if data.name not in SEQUENCES:
        raise ConfigError(f"data.name={data.name} has no sequences with poses, give {' | '.join(SEQUENCES)}")
    folders = {name: _folder(setup, frames) for name, frames in _kinds(setup).items()}
    rows: dict[str, tuple[dict[int, Run], str | None]] = {}
    for network in networks(setup):
        made = {seed: _network_rows(setup, network, seed, folders) for seed in setup.seeds}
        for name, (_, against) in next(iter(made.values())).items():
            runs = {seed: made[seed][name][0] for seed in setup.seeds}
            rows[f"{network}: {name}"] = runs, None if against is None else f"{network}: {against}"
    return rows


def networks(setup: Setup) -> tuple[str, ...]:
    """The configured network and the SpUNet that stands beside it."""
    name = setup.base.model.name
    return (name, PARTNERS[name]) if name in PARTNERS else (name,)


def notes(setup: Setup) -> list[str]:
    """What is said under the table."""
    base, seed = setup.base, setup.seeds[0]
    found = []
    for name in networks(setup):
        config = _base(setup, name, seed).config
        start = "random weights" if config.model.init is None else Path(config.model.init).name
        found.append(
            f"{name}: its base takes {config.trainer.max_steps} steps of {config.trainer.batch_size} clouds from"
            f" {start}."
        )
    frames = _kinds(setup)["all classes"]
    found += [
        f"From the base all others take {base.trainer.max_steps} steps at half the learning rate. Gains of strategies"
        f" are over `{CONTROL}`, its own and those of teachers on single frames over the base.",
        f"Dense clouds: {len(frames.offsets)} frames around each, {frames.every} frames apart; moving objects are moved"
        " along. They are made with ground truth: scores on them are not those of a robot.",
    ]
    if setup.more_teachers:
        box = " ".join(f"{value:g}" for value in CLIP_M.get(base.data.name, _SOURCE_CLIP_M))
        found.append(f"Chosen classes: {', '.join(CHOSEN[base.data.name])}. Clipped: added points within {box} m.")
    if not _scored_dense(base.data):
        found.append("The clouds of the score have no poses, so teachers are scored on single frames alone.")
    return found


def make_dense(setup: Setup) -> None:
    """Makes the dense clouds to train on and to score on, where they are not yet.

    Raises:
        ConfigError: a folder cannot be written, or a cloud cannot be made.
    """
    data = setup.base.data
    for name, frames in _kinds(setup).items():
        folder = _folder(setup, frames)
        if (folder / INDEX).is_file():
            continue
        scenes = once([scene for part in _parts(data) for scene in find_scenes(part.clouds, frames)])
        scheme = final_part(data).clouds.scheme
        settings = settings_of(frames, data.name, scheme, data.root)
        open_folder(folder, settings)
        progress = Progress(sum(len(scene.targets) for scene in scenes), f"dense clouds ({name})")
        try:
            found = build(scenes, folder, frames, scheme, progress=progress)
        finally:
            progress.close()
        if found.problems:
            raise ConfigError(f"{len(found.problems)} dense clouds could not be made, e.g. {found.problems[0]}")
        close_folder(folder, settings, found.names)


def _kinds(setup: Setup) -> dict[str, Accumulation]:
    """How dense clouds are made; what students learn from comes first, the others are for more teachers."""
    name = setup.base.data.name
    clip, classes = CLIP_M.get(name, _SOURCE_CLIP_M), CHOSEN[name]
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


def _folder(setup: Setup, frames: Accumulation) -> Path:
    """Of the dense clouds of the training and of the scored clouds, among what is kept."""
    data = setup.base.data
    parts = _parts(data)
    names = [name_of(part.clouds, index) for part in parts for index in range(len(part.clouds))]
    facts = [settings_of(frames, data.name, parts[0].clouds.scheme, data.root), sorted(set(names))]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return cache_dir(data.cache_dir) / "dense" / f"{data.name}_{key}"


@lru_cache(maxsize=4)
def _scored_dense(data: DataConfig) -> bool:
    """Whether the clouds of the score can be made dense: SemanticKITTI's 08 may have come without its poses."""
    clouds = final_part(data).clouds
    return not isinstance(clouds, SemanticKITTI) or all(map(clouds.has_pose, range(len(clouds))))


def _parts(data: DataConfig) -> list[Part]:
    """The clouds to be made dense: those of the training, and where that is possible those of the score."""
    return [training_part(data), *([final_part(data)] if _scored_dense(data) else [])]


def _network_rows(
    setup: Setup, network: str, seed: int, folders: Mapping[str, Path]
) -> dict[str, tuple[Run, str | None]]:
    base = _base(setup, network, seed)
    gentle = _gentle(setup, network, seed)
    rows: dict[str, tuple[Run, str | None]] = {
        BASE: (base, None),
        CONTROL: (Run("pretrain", _plain(override(gentle, RAW)), start=base), BASE),
    }
    scored = _scored_dense(setup.base.data)
    first, *others = (
        Run(
            "pretrain",
            _plain(override(gentle, {"data.dense_root": str(folder), "data.dense_val": scored})),
            start=base,
        )
        for folder in folders.values()
    )
    for name, weights in STRATEGIES.items():
        chosen = {f"objective.weights.{term}": weights.get(term, 0.0) for term in DISTILLED}
        seen = {"data.dense_root": str(next(iter(folders.values()))), "data.dense_val": False}
        rows[name] = Run("distill", override(gentle, {**chosen, **seen}), first, start=base), CONTROL
    raw = override(gentle, RAW)
    for kind, teacher in zip(folders, (first, *others), strict=True):
        if scored:
            rows[f"teacher of {kind}, scored on dense clouds"] = teacher, None
        rows[f"teacher of {kind}, scored on single frames"] = Run("evaluate", raw, teacher), BASE
    return rows


def _base(setup: Setup, network: str, seed: int) -> Run:
    """What everything goes on from."""
    config = override(setup.base, {"trainer.seed": seed, "model.name": network, "trainer.val_every": 0, **RAW})
    if network != setup.base.model.name:
        config = override(config, {"model.init": None})
    if config.model.init is None:
        config = override(config, {"trainer.max_steps": FROM_SCRATCH * config.trainer.max_steps})
    return Run("pretrain", _plain(config))


def _gentle(setup: Setup, network: str, seed: int) -> DistillConfig:
    """A run that goes on from the base."""
    gentler = setup.base.optim.lr / 2
    usual = {"trainer.seed": seed, "trainer.val_every": 0}  # clouds to validate on are not made dense
    return override(setup.base, {**usual, "model.name": network, "model.init": None, "optim.lr": gentler})


def _plain(config: DistillConfig) -> RunConfig:
    return RunConfig(**{entry.name: getattr(config, entry.name) for entry in fields(RunConfig)})
