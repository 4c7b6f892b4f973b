# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A student that is moved: from the streets and the sensor that it has learnt on to an old town and another sensor.

There a robot has nothing but its own drives. The student learns from their unlabelled bags what a teacher makes of
them, a teacher that has not seen an old town either. Beside it stand the student as it came; one that has heard the
same teacher for as long on its old streets, for more training helps anywhere; one fine-tuned with true labels of the
same clouds, which a robot does not have; and the teacher.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from srkd.errors import ConfigError
from srkd.io.bags import BagWriter
from srkd_train.bag_sources import street_source
from srkd_train.bag_writing import write_source
from srkd_train.config import HELD_OUT_SEEDS, DistillConfig, RunConfig, cache_dir
from srkd_train.data.street import get_world
from srkd_train.data.street.config import get_sensor
from srkd_train.data.street.dataset import CODE_VERSION
from srkd_train.experiments.run import Run, override
from srkd_train.experiments.setup import Setup

WORLD, SENSOR = "old_town", "beams40"
"""Neither is known to the networks that come with this package."""
DRIVES: Sequence[int] = range(9000, 9040)
"""Seeds of the streets that the robot drives through, beyond those that networks here are trained on."""
HELD_OUT: Sequence[int] = range(*HELD_OUT_SEEDS)
CLOUDS, HELD_OUT_CLOUDS, STEP = 4, 2, 8
"""Clouds of a drive, of a held-out one, and tenths of a second between them."""
BEFORE, OLD_STREETS, OWN_BAGS, TRUE_LABELS, TEACHER = (
    "student as it came",
    "distilled on its old streets, no labels",
    "distilled from its own bags, no labels",
    "fine-tuned with true labels",
    "teacher",
)


def runs_by_row(setup: Setup) -> dict[str, dict[int, Run]]:
    """The runs by row and seed.

    Raises:
        ConfigError: the student does not start on streets.
    """
    if setup.base.data.name != "street" or SENSOR in setup.base.data.sensors:
        raise ConfigError(
            f"data.name {setup.base.data.name}, data.sensors {' '.join(setup.base.data.sensors)}: shift moves a student"
            f" that knows streets, but not through {SENSOR}; give config/distill/street.yaml"
        )
    there = _moved(setup, setup.seeds[0])
    teacher = Run("evaluate", there, setup.base.teacher)
    before, old_streets, own_bags, true_labels = {}, {}, {}, {}
    for seed in setup.seeds:
        before[seed] = Run("evaluate", there, setup.baseline(seed))
        old_streets[seed] = Run("evaluate", there, _distilled(setup, seed, _stayed(setup, seed)))
        own_bags[seed] = _distilled(setup, seed, _moved(setup, seed))
        true_labels[seed] = _fine_tuned(setup, seed)
    return {
        BEFORE: before,
        OLD_STREETS: old_streets,
        OWN_BAGS: own_bags,
        TRUE_LABELS: true_labels,
        TEACHER: dict.fromkeys(setup.seeds, teacher),
    }


def notes(setup: Setup) -> list[str]:
    """What is said under the table."""
    base = setup.base
    start = "random weights" if base.model.init is None else Path(base.model.init).name
    teacher = Path(base.teacher).name
    steps = f"{base.trainer.max_steps} steps of {base.trainer.batch_size} clouds"
    return [
        f"Student: {base.model.name} from {start}, {steps} with labels on streets seen by"
        f" {' '.join(base.data.sensors)}; from there the three others, {steps} at half the learning rate.",
        f"Its own bags: {len(DRIVES)} drives through {WORLD} streets, {CLOUDS} clouds each, seen by {SENSOR}. Held out:"
        f" {len(HELD_OUT)} such streets. `{TRUE_LABELS}` learns from the labels of the same clouds, without a teacher.",
        f"The teacher is {teacher}, one for all seeds; the bundled one does not know {WORLD} streets or {SENSOR}.",
    ]


def write_bags(setup: Setup) -> None:
    """Writes the bags of the drives and of the held-out streets, where they are not yet.

    Raises:
        ConfigError: the cache folder cannot be written.
    """
    for seeds, clouds in ((DRIVES, CLOUDS), (HELD_OUT, HELD_OUT_CLOUDS)):
        folder = _folder(setup, seeds, clouds)
        if folder.is_dir():
            continue
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                for seed in seeds:
                    source = street_source(seed, SENSOR, clouds, world=WORLD, step=STEP)
                    write_source(BagWriter(work / f"{WORLD}_{SENSOR}_{seed}"), source)
                if not folder.is_dir():  # else another process was faster
                    os.rename(work, folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written ({error.strerror}): give --data.cache_dir DIR") from error


def _folder(setup: Setup, seeds: Sequence[int], clouds: int) -> Path:
    """Of the bags of these streets, among what is kept."""
    facts = (CODE_VERSION, get_world(WORLD), get_sensor(SENSOR), tuple(seeds), clouds, STEP)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    return cache_dir(setup.base.data.cache_dir) / "bags" / f"{WORLD}_{SENSOR}_{key}"


def _adapted(setup: Setup, seed: int, changes: dict[str, Any]) -> DistillConfig:
    """A run that goes on from a student's weights; more gently, for they are further."""
    return override(setup.base, {"trainer.seed": seed, "optim.lr": setup.base.optim.lr / 2, **changes})


def _moved(setup: Setup, seed: int) -> DistillConfig:
    roots = {
        "data.root": str(_folder(setup, DRIVES, CLOUDS)),  # before the name, which needs it
        "data.name": "bag",
        "data.val_root": str(_folder(setup, HELD_OUT, HELD_OUT_CLOUDS)),
    }
    return _adapted(setup, seed, roots)


def _stayed(setup: Setup, seed: int) -> DistillConfig:
    no_labels = {"objective.weights.cross_entropy": 0.0, "objective.weights.lovasz": 0.0, "objective.kl_points": "all"}
    return _adapted(setup, seed, no_labels)


def _distilled(setup: Setup, seed: int, config: DistillConfig) -> Run:
    return Run("distill", config, setup.base.teacher, start=setup.baseline(seed))


def _fine_tuned(setup: Setup, seed: int) -> Run:
    config = override(_moved(setup, seed), {"data.labels": True})
    plain = RunConfig(**{entry.name: getattr(config, entry.name) for entry in fields(RunConfig)})
    return Run("pretrain", plain, start=setup.baseline(seed))
