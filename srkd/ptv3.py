# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point Transformer V3 (Wu et al., CVPR 2024), at full width and at the half width of the SRKD student."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from srkd.nn.unet import UNet, UNetConfig
from srkd.plan import GeometryPlan, PlanSpec


@dataclass(frozen=True)
class PTv3Config:
    """A U and the number of classes."""

    unet: UNetConfig
    num_classes: int

    @property
    def in_channels(self) -> int:
        """Features of a voxel."""
        return self.unet.in_channels


@dataclass(frozen=True)
class PTv3Features:
    """All that a pass computed, in the plan's row order, fine to coarse."""

    encoder: tuple[Tensor, ...]
    """(N_s, C_s) a stage."""
    decoder: tuple[Tensor, ...]
    """(N_s, C_s) a decoder stage; the first is what the head reads."""


class PTv3(nn.Module):
    """Per-voxel logits from voxel features and a plan."""

    def __init__(self, config: PTv3Config) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config.unet)
        self.head = nn.Linear(config.unet.dec_channels[0], config.num_classes)

    @property
    def plan_spec(self) -> PlanSpec:
        """The plan tables that this network reads when orders are fixed."""
        return self.config.unet.plan_spec()

    @property
    def stages(self) -> tuple[int, ...]:
        """Plan stages of the encoder's outputs; the decoder's are all but the last."""
        return self.config.unet.stages

    @property
    def encoder_channels(self) -> tuple[int, ...]:
        """Widths of the encoder's outputs, fine to coarse."""
        return self.config.unet.enc_channels

    @property
    def decoder_channels(self) -> tuple[int, ...]:
        """Widths of the decoder's outputs, fine to coarse."""
        return self.config.unet.dec_channels

    def forward(self, features: Tensor, plan: GeometryPlan, *, stream: int = 0) -> Tensor:
        """Logits of every input voxel.

        Args:
            features: (N, in_channels) in the order of the voxels given to the plan.
            plan: their geometry.
            stream: which of the plan's shuffled orders to follow.

        Returns:
            (N, num_classes), in the same order.
        """
        logits: Tensor = self.head(self.forward_features(features, plan, stream=stream).decoder[0])
        return from_rows(logits, plan)

    def forward_features(self, features: Tensor, plan: GeometryPlan, *, stream: int = 0) -> PTv3Features:
        """Every stage's features, in the plan's row order; arguments as in :meth:`forward`."""
        encoded = self.unet.encode(to_rows(features, plan), plan, stream=stream)
        return PTv3Features(encoded, self.unet.decode(encoded, plan, stream=stream))


def to_rows(features: Tensor, plan: GeometryPlan) -> Tensor:
    """(N, C) from the input's order to the plan's row order."""
    order = plan.input_order()
    return features if order is None else features.index_select(0, order)


def from_rows(rows: Tensor, plan: GeometryPlan) -> Tensor:
    """(N, C) from the plan's row order to the input's order."""
    place = plan.input_rows()
    return rows if place is None else rows.index_select(0, place)
