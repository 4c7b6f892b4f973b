# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the objective of distillation is told: terms, weights, temperatures, and where affinities are measured."""

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from srkd.errors import ConfigError


@dataclass(frozen=True)
class SupervoxelConfig:
    """The cylindrical partition that affinities are measured in, and what is drawn from it."""

    radius_bins: int = 4
    """Rings."""
    angle_bins: int = 6
    """Sectors."""
    height_bins: int = 4
    """Layers."""
    radius_m: float | None = 50.0
    """Outer radius; points beyond it count to the last ring. null for the cloud's own extent (indoors)."""
    height_m: tuple[float, float] | None = (-5.0, 3.0)
    """Lowest and highest point; points beyond count to the next layer. null for the cloud's own extent."""
    count: int = 4
    """Super-voxels drawn a cloud."""
    points: int = 800
    """Points drawn in one."""
    voxels: int = 600
    """Sub-voxels drawn in one."""
    sub_voxel_m: float | None = None
    """Edge of a sub-voxel; null for five voxels."""
    rarity: Literal["srkd", "pvkd", "none"] = "srkd"
    """How rare classes raise the chance of a super-voxel to be drawn."""
    pad_zero: bool = False
    """Fill small super-voxels with zero features, as the paper does; biased, see srkd_train.losses.affinity."""

    def __post_init__(self) -> None:
        least = {"radius_bins": 1, "angle_bins": 1, "height_bins": 1, "count": 1, "points": 2, "voxels": 2}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"objective.supervoxels.{name}={getattr(self, name)} is too small, at least {low}")
        for name in ("radius_m", "sub_voxel_m"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"objective.supervoxels.{name}={value} is no length, give metres above 0, or null")
        if self.height_m is not None and self.height_m[0] >= self.height_m[1]:
            raise ConfigError(f"objective.supervoxels.height_m={list(self.height_m)} spans nothing, give [low, high]")


@dataclass(frozen=True)
class WeightsConfig:
    """Weights of the terms; null takes the preset's, 0 switches a term off."""

    cross_entropy: float | None = None
    """Cross-entropy with the labels."""
    lovasz: float | None = None
    """Lovasz-softmax with the labels."""
    kl: float | None = None
    """Kullback-Leibler divergence of the logits."""
    point_affinity: float | None = None
    """Affinities of points in super-voxels."""
    voxel_affinity: float | None = None
    """Affinities of sub-voxels in super-voxels."""
    channel: float | None = None
    """Channel-wise divergence over the points of a cloud."""
    cross_sample: float | None = None
    """Similarities between all clouds of a batch (CSMBGD)."""
    feature_mse: float | None = None
    """Squared difference of projected features."""
    pool: float | None = None
    """Mean features of a cloud; like the rest below, for a teacher that sees data.dense_root."""
    stats: float | None = None
    """Mean and spread of every channel over a cloud, at every encoder stage."""
    knn_kl: float | None = None
    """Kullback-Leibler divergence of the logits of nearest points."""
    knn_mse: float | None = None
    """Squared difference of projected features of nearest points."""
    voxel: float | None = None
    """Squared difference of projected features in equal voxels."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None and not 0 <= value < math.inf:
                raise ConfigError(f"objective.weights.{entry.name}={value} is no weight, give 0 to switch the term off")


@dataclass(frozen=True)
class DenseTermsConfig:
    """How a raw and a dense cloud are compared."""

    pool_stages: tuple[float, ...] | None = None
    """Relative weights of the encoder stages that both networks have, fine to coarse, in `pool`; null for the coarsest
    alone."""
    stats_stages: tuple[float, ...] | None = None
    """The same in `stats`; null for all alike."""
    stats_spread: Literal["log_sd", "variance"] = "log_sd"
    """What `stats` compares beside means: logarithms of standard deviations, or variances as published."""
    stats_covariance: float = 0.0
    """Factor of the squared difference of covariances in `stats`."""
    knn_radius_m: float | None = None
    """Points farther apart are no pair; null for the edge of a voxel."""
    knn_tau: float = 2.0
    """Temperature of `knn_kl`."""
    adapter_layers: int = 2
    """Linear layers between the student's features and the teacher's; batch norm and ReLU follow all but the last."""
    adapter_width: int = 128
    """Channels between them."""

    def __post_init__(self) -> None:
        for name in ("pool_stages", "stats_stages"):
            weights = getattr(self, name)
            if weights is not None and (not all(0 <= each < math.inf for each in weights) or sum(weights) == 0):
                raise ConfigError(
                    f"objective.dense.{name}={list(weights)} weighs nothing, give weights from 0, or null"
                )
        for name in ("knn_radius_m", "knn_tau"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"objective.dense.{name}={value} is not positive, give a number above 0")
        if not 0 <= self.stats_covariance < math.inf:
            raise ConfigError(f"objective.dense.stats_covariance={self.stats_covariance} is no factor, give 0 for none")
        for name in ("adapter_layers", "adapter_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"objective.dense.{name}={getattr(self, name)} is too small, give at least 1")


@dataclass(frozen=True)
class ObjectiveConfig:
    """The objective of distillation."""

    preset: Literal["balanced", "paper_literal"] = "balanced"
    """Weights and reductions: scale-free ones, or the published numbers with the reductions that they imply."""
    weights: WeightsConfig = field(default_factory=WeightsConfig)
    """Weights that differ from the preset's."""
    kl_tau: float = 2.0
    """Temperature of the logit divergence."""
    kl_points: Literal["labelled", "all"] = "labelled"
    """Points whose logits are compared; of bags without labels all of them, whatever is said here."""
    channel_source: Literal["features", "logits"] = "features"
    """What the channel-wise term compares."""
    channel_tau: float = 2.0
    """Temperature of the channel-wise term."""
    cross_sample_tau: float | None = None
    """Temperature of the cross-sample term; null for the preset's."""
    cross_sample_points: int = 1024
    """Points drawn a cloud for the cross-sample term."""
    cross_sample_dim: int | None = None
    """Width of a projector in the cross-sample term; null for none, it needs none."""
    affinity: Literal["cosine", "unit_l2sq", "raw_l2sq", "raw_l2"] | None = None
    """Kind of affinity; null for the preset's."""
    supervoxels: SupervoxelConfig = field(default_factory=SupervoxelConfig)
    """Where affinities are measured."""
    dense: DenseTermsConfig = field(default_factory=DenseTermsConfig)
    """How clouds of different size are compared."""
    gather: bool = False
    """Compute every term but Lovasz over the clouds of all processes, as one process with the whole batch would."""
    calibrate_steps: int = 0
    """Steps after which the weights of the distillation terms are fixed so that each contributed `calibrated_share` of
    the supervised loss in those steps; 0 keeps the given weights."""
    calibrated_share: float = 0.3
    """That share."""

    def __post_init__(self) -> None:
        for name in ("kl_tau", "channel_tau", "cross_sample_tau", "calibrated_share"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"objective.{name}={value} is not positive, give a number above 0")
        if self.cross_sample_dim is not None and self.cross_sample_dim < 1:
            raise ConfigError(f"objective.cross_sample_dim={self.cross_sample_dim} is no width, at least 1, or null")
        if self.cross_sample_points < 2 or self.calibrate_steps < 0:
            raise ConfigError(
                f"objective.cross_sample_points={self.cross_sample_points}, calibrate_steps={self.calibrate_steps}:"
                " give at least 2 points and at least 0 steps"
            )
