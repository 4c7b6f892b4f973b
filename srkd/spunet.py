# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SpUNet: the residual sparse U-Net of Pointcept (SpUNet-v1m1), after MinkowskiUNet34 (Choy et al., CVPR 2019).

A 5^3 stem; stages of a strided convolution and basic blocks; back by inverse convolutions, each joined with the
encoder's output of its stage. Every convolution is followed by BatchNorm and ReLU. No order of voxels matters, so a
plan needs no curves for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from srkd.nn.residual import NormedConv, ResidualBlock
from srkd.nn.sparse_conv import SubmConv3d
from srkd.nn.strided_conv import StridedConv3d
from srkd.nn.unet import MAX_DEPTH, MAX_SIZE, STEM_KERNEL, check_whole
from srkd.plan import GeometryPlan, PlanSpec
from srkd.ptv3 import PTv3Features, from_rows, to_rows

_MAX_STAGES = 16


@dataclass(frozen=True)
class SpUNetConfig:
    """Widths and depths, fine to coarse."""

    in_channels: int
    num_classes: int
    enc_channels: tuple[int, ...]
    """Of the stem and of every encoder stage after it."""
    enc_depths: tuple[int, ...]
    """Basic blocks of every encoder stage after the stem."""
    dec_channels: tuple[int, ...]
    """Of every decoder stage, the finest first."""
    dec_depths: tuple[int, ...]

    def __post_init__(self) -> None:
        stages = len(self.enc_channels) - 1
        wrong = [n for n in ("enc_depths", "dec_channels", "dec_depths") if len(getattr(self, n)) != stages]
        if wrong or not 1 <= stages < _MAX_STAGES:
            raise ValueError(
                f"{', '.join(wrong) or 'enc_channels'}: want one entry of each kind a stage and one width more for the"
                f" stem, at most {_MAX_STAGES} stages, found {len(self.enc_channels)} encoder widths"
            )
        check_whole("channels", (self.in_channels, *self.enc_channels, *self.dec_channels), 1, MAX_SIZE)
        check_whole("enc_depths", self.enc_depths, 0, MAX_DEPTH)
        check_whole("dec_depths", self.dec_depths, 1, MAX_DEPTH)  # the first block brings the joined width down

    @property
    def stages(self) -> tuple[int, ...]:
        """Plan stages it visits."""
        return tuple(range(len(self.enc_channels)))

    def plan_spec(self) -> PlanSpec:
        """The plan tables that it reads."""
        blocks = zip(self.stages, (0, *self.enc_depths), (*self.dec_depths, 0), strict=True)
        kernels = {(stage, 3) for stage, *depths in blocks if any(depths)} | {(0, STEM_KERNEL)}
        return PlanSpec(len(self.stages), frozenset(kernels), frozenset())


class SpUNetStage(nn.Module):
    """The way to a stage, and its blocks.

    The optimiser trains what is called "block" at a lower rate, as attention wants it, so these are not.
    """

    def __init__(self, way: NormedConv, widths: Iterable[int], out_channels: int) -> None:
        """
        Args:
            way: convolution from the neighbouring stage.
            widths: what each block takes.
            out_channels: what each block gives.
        """
        super().__init__()
        self.way = way
        self.residuals = nn.ModuleList([ResidualBlock(width, out_channels) for width in widths])

    def mixed(self, features: Tensor, plan: GeometryPlan, stage: int) -> Tensor:
        """(N, in) -> (N, out) by the blocks."""
        for residual in self.residuals:
            features = residual(features, plan, stage)
        return features


class SpUNet(nn.Module):
    """Per-voxel logits from voxel features and a plan."""

    def __init__(self, config: SpUNetConfig) -> None:
        super().__init__()
        self.config = config
        enc, dec = config.enc_channels, config.dec_channels
        self.stem = NormedConv(SubmConv3d(config.in_channels, enc[0], STEM_KERNEL, bias=False))
        self.encoder = nn.ModuleList(
            SpUNetStage(NormedConv(StridedConv3d(finer, width, up=False)), (width,) * depth, width)
            for finer, width, depth in zip(enc, enc[1:], config.enc_depths, strict=False)
        )
        self.decoder = nn.ModuleList(
            SpUNetStage(
                NormedConv(StridedConv3d(below, width, up=True)), (width + skip, *(width,) * (depth - 1)), width
            )
            for below, width, skip, depth in zip((*dec[1:], enc[-1]), dec, enc, config.dec_depths, strict=False)
        )
        self.head = nn.Linear(dec[0], config.num_classes)

    @property
    def plan_spec(self) -> PlanSpec:
        """The plan tables that this network reads."""
        return self.config.plan_spec()

    @property
    def stages(self) -> tuple[int, ...]:
        """Plan stages of the encoder's outputs; the decoder's are all but the last."""
        return self.config.stages

    @property
    def encoder_channels(self) -> tuple[int, ...]:
        """Widths of the encoder's outputs, fine to coarse."""
        return self.config.enc_channels

    @property
    def decoder_channels(self) -> tuple[int, ...]:
        """Widths of the decoder's outputs, fine to coarse."""
        return self.config.dec_channels

    def forward(self, features: Tensor, plan: GeometryPlan, *, stream: int = 0) -> Tensor:
        """Logits of every input voxel.

        Args:
            features: (N, in_channels) in the order of the voxels given to the plan.
            plan: their geometry.
            stream: of no effect, for there is no order to follow.

        Returns:
            (N, num_classes), in the same order.
        """
        logits: Tensor = self.head(self.forward_features(features, plan, stream=stream).decoder[0])
        return from_rows(logits, plan)

    def forward_features(self, features: Tensor, plan: GeometryPlan, *, stream: int = 0) -> PTv3Features:
        """Every stage's features, in the plan's row order: the stem's and every encoder stage's, every decoder
        stage's; arguments as in :meth:`forward`."""
        features = relu(self.stem(to_rows(features, plan), plan, 0), inplace=True)
        encoded = [features]
        for stage, layer in enumerate(self.encoder, start=1):
            assert isinstance(layer, SpUNetStage)
            features = layer.mixed(relu(layer.way(features, plan, stage - 1), inplace=True), plan, stage)
            encoded.append(features)
        decoded = []
        for stage in reversed(range(len(self.decoder))):
            layer = self.decoder[stage]
            assert isinstance(layer, SpUNetStage)
            raised = relu(layer.way(features, plan, stage), inplace=True)
            features = layer.mixed(torch.cat([raised, encoded[stage]], dim=1), plan, stage)
            decoded.append(features)
        return PTv3Features(tuple(encoded), tuple(reversed(decoded)))
