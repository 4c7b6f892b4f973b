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

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from srkd.errors import ConfigError
from srkd_train.config import DistillConfig, OptimConfig, RunConfig
from srkd_train.data.accumulate.scenes import SEQUENCES
from srkd_train.experiments.dense_kinds import CHOSEN, clip_m, folder_of, kinds, scored_dense
from srkd_train.experiments.run import Run, override
from srkd_train.experiments.setup import RAW, Setup
from srkd_train.objective import DISTILLED

PARTNERS: Mapping[str, str] = {"student-nano": "spunet-nano", "student": "spunet", "ptv3": "spunet"}
"""The SpUNet that stands beside a PTv3."""
BASE, CONTROL = "base", "fine-tuned on labels alone"
FROM_SCRATCH = 3
"""A base that begins with random weights takes so many times the steps of one that does not, at the public learning
rate or the configured one, whichever is higher: that of recipes which go on from trained weights is too low."""
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
    folders = {name: folder_of(setup, frames) for name, frames in kinds(setup).items()}
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
            f" {start} at a learning rate of {config.optim.lr:g}."
        )
    frames = kinds(setup)["all classes"]
    found += [
        f"From the base all others take {base.trainer.max_steps} steps at {base.optim.lr / 2:g}. Gains of strategies"
        f" are over `{CONTROL}`, its own and those of teachers on single frames over the base.",
        f"Dense clouds: {len(frames.offsets)} frames around each, {frames.every} frames apart, moving objects moved"
        " along by ground truth: scores on them are not a robot's. Teachers learn from the labels of all these frames,"
        " students from those of their own; what teachers know more need not be for density.",
    ]
    if setup.more_teachers:
        box = " ".join(f"{value:g}" for value in clip_m(base.data.name))
        found.append(
            f"Chosen classes: {', '.join(CHOSEN[base.data.name])}. Clipped: added points lie within {box} m;"
            " the source clips all points."
        )
    if not scored_dense(base.data):
        found.append("The clouds of the score have no poses, so teachers are scored on single frames alone.")
    return found


def _network_rows(
    setup: Setup, network: str, seed: int, folders: Mapping[str, Path]
) -> dict[str, tuple[Run, str | None]]:
    base = _base(setup, network, seed)
    gentle = _gentle(setup, network, seed)
    rows: dict[str, tuple[Run, str | None]] = {
        BASE: (base, None),
        CONTROL: (Run("pretrain", _plain(override(gentle, RAW)), start=base), BASE),
    }
    scored = scored_dense(setup.base.data)
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
        faster = max(config.optim.lr, OptimConfig().lr)
        more = FROM_SCRATCH * config.trainer.max_steps
        config = override(config, {"trainer.max_steps": more, "optim.lr": faster})
    return Run("pretrain", _plain(config))


def _gentle(setup: Setup, network: str, seed: int) -> DistillConfig:
    """A run that goes on from the base."""
    gentler = setup.base.optim.lr / 2
    usual = {"trainer.seed": seed, "trainer.val_every": 0}  # clouds to validate on are not made dense
    return override(setup.base, {**usual, "model.name": network, "model.init": None, "optim.lr": gentler})


def _plain(config: DistillConfig) -> RunConfig:
    return RunConfig(**{entry.name: getattr(config, entry.name) for entry in fields(RunConfig)})
