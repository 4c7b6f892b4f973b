# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The terms between a student that sees raw clouds and a teacher that sees dense ones of the same places."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srkd.architectures import Network
from srkd.errors import ConfigError
from srkd_train.data.batch import Batch
from srkd_train.dense_adapters import DenseAdapters
from srkd_train.losses.dynamic_size import covariance_mse, matched_kl, matched_mse, pool_mse, stats_mse
from srkd_train.matching import Matching
from srkd_train.objective import Recipe
from srkd_train.objective_config import DenseTermsConfig
from srkd_train.relations import Scale
from srkd_train.teacher import View


@dataclass(frozen=True)
class Shared:
    """The encoder stages that two networks have, by stride, and what they count for."""

    places: tuple[tuple[int, int, int], ...]
    """Place among the student's stages, among the teacher's, and stage of the plan; fine to coarse."""
    pool: tuple[float, ...]
    """Weight of each in `pool`; they add up to 1."""
    stats: tuple[float, ...]
    """The same in `stats`."""

    @classmethod
    def of(cls, student: Network, teacher: Network, config: DenseTermsConfig) -> "Shared":
        """The stages of a pair.

        Raises:
            ConfigError: they have none in common, or weights are given for another number of stages.
        """
        theirs = {stage: place for place, stage in enumerate(teacher.stages)}
        places = tuple((at, theirs[stage], stage) for at, stage in enumerate(student.stages) if stage in theirs)
        if not places:
            raise ConfigError(f"student stages {student.stages}, teacher stages {teacher.stages}: no stride in common")
        coarsest = [0.0] * (len(places) - 1) + [1.0]
        pool = _relative("pool_stages", config.pool_stages, coarsest)
        stats = _relative("stats_stages", config.stats_stages, [1.0] * len(places))
        return cls(places, pool, stats)


@dataclass(frozen=True, eq=False)
class DensePair:
    """A batch of pairs as both networks see it."""

    student: View
    """Of the raw clouds."""
    teacher: View
    """Of the dense ones."""
    batch: Batch
    """The raw clouds, with the dense ones."""
    matching: Matching
    shared: Shared
    adapters: DenseAdapters


def measure_dense(pair: DensePair, recipe: Recipe, config: DenseTermsConfig, scale: Scale) -> dict[str, Tensor]:
    """The terms that have a weight, by name; each is 0-dim and connected to the student.

    `pool` and `stats` are means over clouds, the others over pairs of rows. In several processes that gather, a cloud
    counts as one also in the parts of `stats` that a cloud with a single voxel at a stage does not have.
    """
    found: dict[str, Tensor] = {}
    clouds = len(pair.batch)
    if recipe.uses("pool"):
        found["pool"] = scale(_over_stages(pair, pair.adapters.pool, pair.shared.pool, None), clouds)
    if recipe.uses("stats"):
        found["stats"] = scale(_over_stages(pair, pair.adapters.stats, pair.shared.stats, config), clouds)
    if recipe.uses("knn_kl", "knn_mse"):
        assert pair.matching.near is not None, "nearest points have a weight"
        rows = pair.matching.near
        if recipe.uses("knn_kl"):
            value = matched_kl(pair.student.logits, pair.teacher.logits, *rows, tau=config.knn_tau)
            found["knn_kl"] = scale(value, len(rows[0]))
        if recipe.uses("knn_mse"):
            assert pair.adapters.knn is not None, "nearest features have a weight"
            value = matched_mse(pair.adapters.knn(pair.student.features), pair.teacher.features, *rows)
            found["knn_mse"] = scale(value, len(rows[0]))
    if recipe.uses("voxel"):
        assert pair.adapters.voxel is not None, "equal voxels have a weight"
        rows = pair.matching.cells[0]
        value = matched_mse(pair.adapters.voxel(pair.student.features), pair.teacher.features, *rows)
        found["voxel"] = scale(value, len(rows[0]))
    return found


def _over_stages(
    pair: DensePair, adapters: nn.ModuleDict, weights: Sequence[float], stats: DenseTermsConfig | None
) -> Tensor:
    """Weighted mean over stages of the squared difference of mean features or, with a configuration, of statistics."""
    dense = pair.batch.dense
    assert dense is not None, "the teacher sees dense clouds"
    values = []
    for number, ((own, other, stage), weight) in enumerate(zip(pair.shared.places, weights, strict=True)):
        if not weight:
            continue
        student, teacher = adapters[str(number)](pair.student.encoder[own]), pair.teacher.encoder[other]
        student_ends, teacher_ends = (each.plan.offsets(stage)[1:].tolist() for each in (pair.batch, dense))
        if stats is None:
            value = pool_mse(student, teacher, student_offsets=student_ends, teacher_offsets=teacher_ends)
        else:
            value = stats_mse(
                student,
                teacher,
                student_offsets=student_ends,
                teacher_offsets=teacher_ends,
                spread=stats.stats_spread,
            )
            if stats.stats_covariance:
                value = value + stats.stats_covariance * covariance_mse(
                    student, teacher, student_offsets=student_ends, teacher_offsets=teacher_ends
                )
        values.append(weight * value)
    return torch.stack(values).sum()


def _relative(name: str, given: Sequence[float] | None, usual: Sequence[float]) -> tuple[float, ...]:
    weights = usual if given is None else given
    if len(weights) != len(usual):
        raise ConfigError(
            f"objective.dense.{name}={list(weights)}: {len(weights)} weights for the {len(usual)} encoder stages that"
            " student and teacher share, give one each, or null"
        )
    return tuple(weight / sum(weights) for weight in weights)
