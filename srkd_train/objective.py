# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The terms of the objective and their weights: presets, what overrides them, and calibration.

`balanced` has scale-free reductions (means over points, pairs and channels; cosine affinities) with weights that bring
the terms to one order of magnitude. `paper_literal` has the published numbers with the reductions that make sense of
them: sums over rows, the channel term over points, raw squared distances times the super-voxel weight.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn

from srkd_train.objective_config import ObjectiveConfig, WeightsConfig

SUPERVISED = ("cross_entropy", "lovasz")
SRKD = ("kl", "point_affinity", "voxel_affinity", "channel", "cross_sample", "feature_mse")
"""Terms that compare the networks voxel by voxel."""
DENSE = ("pool", "stats", "knn_kl", "knn_mse", "voxel")
"""Terms between a raw and a dense cloud; no preset has them."""
DISTILLED = SRKD + DENSE
TERMS = SUPERVISED + DISTILLED

AffinityKind = Literal["cosine", "unit_l2sq", "raw_l2sq", "raw_l2"]


@dataclass(frozen=True)
class Recipe:
    """An objective with nothing left open."""

    weights: Mapping[str, float]
    """Weight of each of `TERMS`."""
    affinity: AffinityKind
    """Kind of affinity."""
    weigh_regions: bool
    """Multiply affinities by the weight of their super-voxel (paper, equation 4)."""
    cross_sample_tau: float
    """Temperature of the cross-sample term."""
    cross_sample_reduction: Literal["mean", "row_sum"]
    """Of the cross-sample term."""
    channel_reduction: Literal["channel", "point"]
    """Of the channel-wise term."""

    def uses(self, *terms: str) -> bool:
        """Whether any of these terms has a weight."""
        return any(self.weights[term] != 0 for term in terms)


PRESETS: Mapping[str, Recipe] = {
    "balanced": Recipe(
        weights={
            "cross_entropy": 1.0,
            "lovasz": 1.0,
            "kl": 0.3,  # [N], [C]
            "point_affinity": 10.0,  # [I] cosine
            "voxel_affinity": 10.0,  # [I]
            "channel": 0.3,  # [I] 1000 C / N
            "cross_sample": 1.0,  # [R] CIRKD, with its temperature
            "feature_mse": 0.1,  # [C]
            **dict.fromkeys(DENSE, 0.0),
        },
        affinity="cosine",
        weigh_regions=False,
        cross_sample_tau=0.1,  # [R] CIRKD
        cross_sample_reduction="mean",
        channel_reduction="channel",
    ),
    "paper_literal": Recipe(
        weights={
            "cross_entropy": 1.0,  # [P]
            "lovasz": 1.0,  # [C]
            "kl": 0.3,  # [N], [C]
            "point_affinity": 1e-3,  # [N]
            "voxel_affinity": 1e-3,  # [N]
            "channel": 1000.0,  # [N], [C]
            "cross_sample": 0.1,  # [N]
            "feature_mse": 0.1,  # [C]
            **dict.fromkeys(DENSE, 0.0),
        },
        affinity="raw_l2sq",
        weigh_regions=True,
        cross_sample_tau=2.0,  # [N]
        cross_sample_reduction="row_sum",
        channel_reduction="point",
    ),
}
"""Recipes by name; the tags are those of the sources (README, "The objective")."""


def make_recipe(config: ObjectiveConfig) -> Recipe:
    """The preset with what the configuration changes."""
    preset = PRESETS[config.preset]
    given = {entry.name: getattr(config.weights, entry.name) for entry in fields(WeightsConfig)}
    return Recipe(
        weights={name: preset.weights[name] if given[name] is None else float(given[name]) for name in TERMS},
        affinity=config.affinity or preset.affinity,
        weigh_regions=preset.weigh_regions,
        cross_sample_tau=config.cross_sample_tau or preset.cross_sample_tau,
        cross_sample_reduction=preset.cross_sample_reduction,
        channel_reduction=preset.channel_reduction,
    )


class Weights(nn.Module):
    """The weights of a run; with calibration they are measured in its first steps and saved with its state.

    Over the first `steps` steps the mean of every term is followed, and each distillation term that has a weight gets
    ``share * mean(supervised loss) / mean(term)`` of that, fixed from then on: every term then starts at the same
    share of the supervised loss, whatever its scale.

    Args:
        recipe: the given weights.
        steps: of calibration; 0 for none.
        share: see above.
    """

    total: Tensor
    """(terms,) float64 sums over the steps of calibration so far."""
    seen: Tensor
    """() int64 number of those steps."""

    def __init__(self, recipe: Recipe, *, steps: int, share: float) -> None:
        super().__init__()
        self.recipe = recipe
        self.steps = steps
        self.share = share
        self.register_buffer("total", torch.zeros(len(TERMS), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Takes sums from before the last terms were added, too."""
        found = state_dict.get(f"{prefix}total")
        if isinstance(found, Tensor) and len(found) < len(TERMS):
            state_dict[f"{prefix}total"] = torch.cat([found, found.new_zeros(len(TERMS) - len(found))])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def update(self, terms: Mapping[str, Tensor]) -> None:
        """Takes in the terms of a step (the same on all processes) as long as calibration lasts."""
        if self.steps and int(self.seen) < self.steps:
            values = [float(terms[name]) if name in terms else 0.0 for name in TERMS]
            self.total += torch.tensor(values, dtype=torch.float64, device=self.total.device)
            self.seen += 1

    def current(self) -> dict[str, float]:
        """Weight of every term now."""
        weights = dict(self.recipe.weights)
        if not self.steps or not int(self.seen):
            return weights
        mean = dict(zip(TERMS, (self.total / self.seen).tolist(), strict=True))
        supervised = sum(weights[name] * mean[name] for name in SUPERVISED)
        for name in DISTILLED:
            if weights[name] and mean[name] > 0:
                weights[name] = self.share * supervised / mean[name]
        return weights
