# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From what two networks see in a batch to the values of the distillation terms: what is drawn, gathered, compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from srkd_train import distributed
from srkd_train.adapters import Adapters
from srkd_train.losses import affinity, channel, cross_sample, feature, logit, supervoxel
from srkd_train.losses.sampling import draw_points
from srkd_train.objective import Recipe
from srkd_train.objective_config import ObjectiveConfig
from srkd_train.teacher import View


@dataclass(frozen=True, eq=False)
class Pair:
    """The same voxels as both networks see them."""

    student: View
    teacher: View
    label: Tensor
    """(N,) classes, 255 for none."""
    offsets: tuple[int, ...]
    """Per cloud the row after its last one, rising to N; a cloud may be empty."""
    adapters: Adapters


@dataclass(frozen=True, eq=False)
class Host:
    """What super-voxels are drawn by, on the CPU."""

    xyz: Tensor
    """(N, 3) metres."""
    label: Tensor
    """(N,) classes."""
    class_count: Tensor | None
    """(K,) labelled voxels of each class in the steps before; None where there were none."""

    @classmethod
    def of(cls, xyz: Tensor, label: Tensor, class_count: Tensor) -> "Host":
        """Coordinates and labels of what is compared, with the counts so far."""
        count = class_count.cpu()
        return cls(xyz.cpu(), label.cpu(), count if count.any() else None)


@dataclass(frozen=True)
class Measured:
    """What is to be measured, and the randomness of this step."""

    recipe: Recipe
    objective: ObjectiveConfig
    voxel_size_m: float
    """Edge of a voxel."""
    host: Host | None
    """Of the batch; None where no affinity has a weight."""
    seeds: tuple[int, ...]
    """One a cloud."""

    def generators(self, purpose: int) -> list[torch.Generator]:
        """Fresh generators, one a cloud; terms must not depend on which others are on, so each has its own."""
        return [torch.Generator().manual_seed((seed * 4 + purpose) % 2**63) for seed in self.seeds]


class Scale:
    """Turns the mean over a process's things into its share of the mean over the things of all processes.

    Gradients are averaged over processes afterwards, hence the factor of their number.

    Args:
        device: of the values.
        gather: whether there is anything to do.
    """

    def __init__(self, device: torch.device, *, gather: bool) -> None:
        self.device = device
        self.gather = gather

    def __call__(self, mean: Tensor, count: int) -> Tensor:
        """The mean of `count` things of this process."""
        if not self.gather:
            return mean
        return mean * distributed.mean_weight(torch.tensor(float(count), device=self.device))


def measure(pair: Pair, measured: Measured, scale: Scale) -> dict[str, Tensor]:
    """The distillation terms that have a weight, by name; each is 0-dim and connected to the student."""
    found: dict[str, Tensor] = {}
    for measure_some in (_kl, _affinities, _channel, _cross_sample, _feature_mse):
        found |= measure_some(pair, measured, scale)
    return found


def _kl(pair: Pair, measured: Measured, scale: Scale) -> dict[str, Tensor]:
    if not measured.recipe.uses("kl"):
        return {}
    objective, label = measured.objective, pair.label
    known = label if objective.kl_points == "labelled" else None
    count = len(label) if known is None else int((label != 255).sum()) if scale.gather else 0
    value = logit.kl_divergence(pair.student.logits, pair.teacher.logits, tau=objective.kl_tau, label=known)
    return {"kl": scale(value, count)}


def _affinities(pair: Pair, measured: Measured, scale: Scale) -> dict[str, Tensor]:
    recipe, config = measured.recipe, measured.objective.supervoxels
    if not recipe.uses("point_affinity", "voxel_affinity"):
        return {}
    device = pair.student.features.device
    host = measured.host
    assert host is not None, "affinities have a weight"
    xyz, label = host.xyz, host.label
    regions = supervoxel.partition(xyz, offsets=pair.offsets, config=config)
    drawn = supervoxel.draw(
        regions,
        label=label,
        class_frequency=host.class_count,
        config=config,
        generators=measured.generators(0),
    )
    weights = drawn.weights.to(device) if recipe.weigh_regions else None
    found = {}
    if recipe.uses("point_affinity"):
        rows = drawn.rows.to(device)
        found["point_affinity"] = _affinity(
            pair.student.features.index_select(0, rows),
            pair.teacher.features.index_select(0, rows),
            recipe,
            offsets=drawn.offsets,
            weights=weights,
            pad_to=config.points if config.pad_zero else None,
            scale=scale,
        )
    if recipe.uses("voxel_affinity"):
        sub = supervoxel.draw_voxels(
            xyz,
            regions,
            drawn,
            voxel_size_m=measured.voxel_size_m,
            config=config,
            generators=measured.generators(1),
            label=label,
            class_frequency=host.class_count,
        )
        sub = replace(sub, row=sub.row.to(device), slot=sub.slot.to(device))
        found["voxel_affinity"] = _affinity(
            supervoxel.means(pair.student.features, sub),
            supervoxel.means(pair.teacher.features, sub),
            recipe,
            offsets=sub.offsets,
            weights=weights,
            pad_to=config.voxels if config.pad_zero else None,
            scale=scale,
        )
    return found


def _affinity(
    student: Tensor,
    teacher: Tensor,
    recipe: Recipe,
    *,
    offsets: Sequence[int],
    weights: Tensor | None,
    pad_to: int | None,
    scale: Scale,
) -> Tensor:
    value = affinity.affinity_mse(
        student, teacher, offsets=offsets, kind=recipe.affinity, weights=weights, pad_to=pad_to
    )
    return scale(value, sum(end - start >= 2 for start, end in pairwise((0, *offsets))))


def _channel(pair: Pair, measured: Measured, scale: Scale) -> dict[str, Tensor]:
    recipe, objective = measured.recipe, measured.objective
    if not recipe.uses("channel"):
        return {}
    if objective.channel_source == "features":
        student, teacher = pair.adapters.to_channels(pair.student.features), pair.teacher.features
    else:
        student, teacher = pair.student.logits, pair.teacher.logits
    value = channel.channel_kl(
        student, teacher, offsets=pair.offsets, tau=objective.channel_tau, reduction=recipe.channel_reduction
    )
    clouds = sum(end > start for start, end in pairwise((0, *pair.offsets)))
    count = clouds if recipe.channel_reduction == "channel" else len(pair.label)
    return {"channel": scale(value, count)}


def _cross_sample(pair: Pair, measured: Measured, scale: Scale) -> dict[str, Tensor]:
    recipe = measured.recipe
    if not recipe.uses("cross_sample"):
        return {}
    index, ends = draw_points(pair.offsets, measured.objective.cross_sample_points, measured.generators(2))
    index = index.to(pair.student.features.device)
    student, teacher = pair.adapters.to_similarity(
        pair.student.features.index_select(0, index), pair.teacher.features.index_select(0, index)
    )
    rows, factor = None, 1
    if scale.gather:
        # Own rows against the columns of all processes; the shares of all add up to the whole.
        rows = distributed.own_range(distributed.gather_sizes(len(student), student.device))
        ends = distributed.gather_offsets(ends, student.device)
        student, teacher = distributed.gather_rows(student), distributed.gather_rows(teacher)
        factor = distributed.world_size()
    value = cross_sample.cross_sample_kl(
        student,
        teacher,
        offsets=ends,
        tau=recipe.cross_sample_tau,
        reduction=recipe.cross_sample_reduction,
        rows=rows,
    )
    return {"cross_sample": value * factor}


def _feature_mse(pair: Pair, measured: Measured, scale: Scale) -> dict[str, Tensor]:
    if not measured.recipe.uses("feature_mse"):
        return {}
    stages = [
        scale(feature.feature_mse(adapter(own), theirs), len(own))
        for adapter, own, theirs in zip(pair.adapters.feature, pair.student.decoder, pair.teacher.decoder, strict=False)
    ]
    return {"feature_mse": torch.stack(stages).mean()}
