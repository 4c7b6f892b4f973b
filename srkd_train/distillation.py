# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation: a student learns from a frozen teacher, and from labels where there are any."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from srkd.architectures import Network
from srkd.cdsegnet import CDSegNet
from srkd.checkpoint import load_checkpoint, read_header
from srkd.errors import ConfigError
from srkd.labels import LabelScheme
from srkd_train.cli import checkpoint_path
from srkd_train.config import DistillConfig
from srkd_train.distiller import Distiller
from srkd_train.networks import make_network
from srkd_train.objective import DENSE, DISTILLED, make_recipe
from srkd_train.objective_config import ObjectiveConfig
from srkd_train.runs import RunFolder
from srkd_train.teacher import FrozenTeacher, check_pair
from srkd_train.training import Outcome, train


def distill(config: DistillConfig, *, command: Sequence[str]) -> Outcome | None:
    """Train as configured, see :func:`srkd_train.training.train`.

    Raises:
        CheckpointError: the teacher cannot be read, or sees other voxels or classes than the student.
    """
    teacher = read_header(checkpoint_path(config.teacher))
    last = RunFolder(Path(config.out)).last
    if config.resume and last.is_file():
        before = read_header(last).training.get("teacher_sha256")
        if before != teacher.weights_sha256:
            raise ConfigError(
                f"--resume: {config.teacher} has weights {teacher.weights_sha256[:12]}, the run was started with"
                f" {str(before)[:12]}: give the same teacher"
            )
    facts = {"teacher": teacher.architecture, "teacher_sha256": teacher.weights_sha256}
    return train(
        config,
        command=command,
        build=lambda scheme: distiller_module(config, scheme),
        facts=facts,
        taught=teacher.scheme,
    )


def teacher_scheme(config: DistillConfig) -> LabelScheme:
    """What the teacher of a run teaches.

    Raises:
        CheckpointError: it cannot be read.
    """
    return read_header(checkpoint_path(config.teacher)).scheme


def distiller_module(config: DistillConfig, scheme: LabelScheme) -> Distiller:
    """What a run trains.

    Raises:
        CheckpointError: the teacher cannot be read, or sees other voxels or classes than the student.
        ConfigError: the student has a noise branch.
    """
    path = checkpoint_path(config.teacher)
    header = read_header(path)
    check_pair(path.name, header.input, header.scheme, config.data.input, scheme)
    return make_distiller(config, scheme, load_checkpoint(path)[0])


def make_distiller(config: DistillConfig, scheme: LabelScheme, teacher: Network) -> Distiller:
    """A fresh student beside a teacher.

    Raises:
        ConfigError: the student has a noise branch, the objective needs labels or dense clouds where there are none, or
            the student would be scored on dense clouds.
    """
    if config.data.dense_val:
        raise ConfigError(
            "data.dense_val=true scores the student on clouds that only its teacher sees: leave it out, and score the"
            " teacher with `srkd evaluate --dense DIR`"
        )
    student = make_network(config, scheme)
    if isinstance(student, CDSegNet):
        raise ConfigError(
            f"model.name {config.model.name} has a noise branch, which distillation does not train: give a student"
        )
    return Distiller(
        student,
        FrozenTeacher(teacher, seed=config.teacher_seed),
        scheme.class_names,
        config.optim,
        objective_for(config),
        max_steps=config.trainer.max_steps,
        voxel_size_m=config.data.input.voxel_size_m,
        seed=config.trainer.seed,
        dense=config.data.dense_root is not None,
    )


def objective_for(config: DistillConfig) -> ObjectiveConfig:
    """The objective on the clouds of a run: without labels logits are compared at all points, for none is labelled.

    Raises:
        ConfigError: it has no term of the teacher's, or scales them by the supervised loss, where there are no labels;
            or it compares raw and dense clouds where there are no dense ones.
    """
    objective = config.objective
    recipe = make_recipe(objective)
    for term in DENSE:
        if recipe.uses(term) and config.data.dense_root is None:
            raise ConfigError(
                f"objective.weights.{term}={recipe.weights[term]:g} compares raw and dense clouds: give the dense ones,"
                " --data.dense_root DIR, or weight 0"
            )
    if not config.data.unlabelled:
        return objective
    if not recipe.uses(*DISTILLED):
        raise ConfigError(
            "objective.weights: no term of the teacher's has a weight, and bags have no labels to learn from"
        )
    if objective.calibrate_steps:
        raise ConfigError(
            f"objective.calibrate_steps={objective.calibrate_steps} scales terms by the loss on labels, bags have none:"
            " give 0"
        )
    return replace(objective, kl_points="all")
