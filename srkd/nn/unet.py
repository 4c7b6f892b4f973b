# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The U of Point Transformer V3: stem, encoder stages, decoder stages. PTv3 is one; CDSegNet is two and a bridge."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import gelu

from srkd.curves import CURVES
from srkd.curves import MAX_DEPTH as MAX_STAGE
from srkd.nn.attention import select_patches
from srkd.nn.block import Block
from srkd.nn.pooling import GridPooling, GridUnpooling, batch_norm
from srkd.nn.sparse_conv import SubmConv3d
from srkd.plan import GeometryPlan, PlanSpec

STEM_KERNEL = 5
MAX_SIZE, MAX_DEPTH = 1 << 16, 64
"""Beyond any sane network; a configuration may come from a file that nobody vouches for."""


@dataclass(frozen=True)
class UNetConfig:
    """Widths and depths of a U; one entry a stage, fine to coarse."""

    in_channels: int
    stages: tuple[int, ...]
    """Plan stages it visits: stride of 2**stage voxels."""
    enc_channels: tuple[int, ...]
    enc_depths: tuple[int, ...]
    enc_heads: tuple[int, ...]
    dec_channels: tuple[int, ...]
    dec_depths: tuple[int, ...]
    dec_heads: tuple[int, ...]
    patch_size: int = 1024
    mlp_ratio: int = 4
    drop_path: float = 0.3
    time_channels: int = 0
    """Width of the time embedding; 0: none (segmentation branch)."""
    merge_skips: bool = False
    skip_scale: float = 1.0

    def __post_init__(self) -> None:
        stages = len(self.stages)
        wrong = [n for n in ("enc_channels", "enc_depths", "enc_heads") if len(getattr(self, n)) != stages]
        wrong += [n for n in ("dec_channels", "dec_depths", "dec_heads") if len(getattr(self, n)) != stages - 1]
        if wrong:
            raise ValueError(
                f"{', '.join(wrong)}: want {stages} encoder and {stages - 1} decoder entries for stages {self.stages}"
            )
        widths, heads = (*self.enc_channels, *self.dec_channels), (*self.enc_heads, *self.dec_heads)
        check_whole("stages", self.stages, 0, MAX_STAGE)
        check_whole("depths", (*self.enc_depths, *self.dec_depths), 0, MAX_DEPTH)
        check_whole("channels", (self.in_channels, *widths), 1, MAX_SIZE)
        check_whole("heads", heads, 1, MAX_SIZE)
        check_whole("patch_size and mlp_ratio", (self.patch_size, self.mlp_ratio), 1, MAX_SIZE)
        check_whole("time_channels", (self.time_channels,), 0, MAX_SIZE)
        if stages < 2 or self.stages[0] != 0 or any(a >= b for a, b in zip(self.stages, self.stages[1:], strict=False)):
            raise ValueError(f"stages are {self.stages}: want two or more, rising from 0")
        if any(width % count for width, count in zip(widths, heads, strict=True)):
            raise ValueError(f"heads {heads} do not divide channels {widths}")
        if self.time_channels % 2 or self.time_channels == 2:
            raise ValueError(f"time_channels is {self.time_channels}: want 0, or an even width of 4 or more")
        if not 0 <= self.drop_path < 1 or not math.isfinite(self.skip_scale):
            raise ValueError(
                f"drop_path is {self.drop_path}, skip_scale {self.skip_scale}: want a rate in [0, 1), a number"
            )

    def plan_spec(self) -> PlanSpec:
        """The plan tables that this U reads when orders are fixed."""
        blocks = [max(enc, dec) for enc, dec in zip(self.enc_depths, (*self.dec_depths, 0), strict=True)]
        kernels = {(stage, 3) for stage, depth in zip(self.stages, blocks, strict=True) if depth} | {(0, STEM_KERNEL)}
        patches = {
            (stage, curve, self.patch_size)
            for stage, depth in zip(self.stages, blocks, strict=True)
            for curve in CURVES[:depth]
        }
        return PlanSpec(self.stages[-1] + 1, frozenset(kernels), frozenset(patches))


def check_whole(what: str, values: tuple[int, ...], low: int, high: int) -> None:
    """Whether sizes of a configuration are sane.

    Raises:
        ValueError: a value that is not a whole number from ``low`` to ``high``.
    """
    if not all(type(value) is int and low <= value <= high for value in values):
        raise ValueError(f"{what} are {values}: want whole numbers from {low} to {high}")


def drop_rates(last: float, blocks: int) -> list[float]:
    """Drop-path rates rising evenly from 0 to ``last`` over a branch's blocks."""
    return [last * index / max(1, blocks - 1) for index in range(blocks)]


class Stem(nn.Module):
    """5^3 convolution without bias, BatchNorm, GELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = SubmConv3d(in_channels, out_channels, STEM_KERNEL, bias=False)
        self.norm = batch_norm(out_channels)

    def forward(self, features: Tensor, plan: GeometryPlan) -> Tensor:
        """(N, in) -> (N, out)."""
        return gelu(self.norm(self.conv(features, plan, 0)))


class EncoderStage(nn.Module):
    """Pooling (but for the first stage) and blocks."""

    def __init__(self, down: GridPooling | None, blocks: list[Block]) -> None:
        super().__init__()
        self.down = down
        self.blocks = nn.ModuleList(blocks)


class DecoderStage(nn.Module):
    """Unpooling and blocks."""

    def __init__(self, up: GridUnpooling, blocks: list[Block]) -> None:
        super().__init__()
        self.up = up
        self.blocks = nn.ModuleList(blocks)


class UNet(nn.Module):
    """Stem, encoder and decoder; ``encode`` and ``decode`` apart, so that a bridge can stand between them."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = Stem(config.in_channels, config.enc_channels[0])
        rates = iter(drop_rates(config.drop_path, sum(config.enc_depths)))
        encoder = []
        for at, (width, depth, heads) in enumerate(
            zip(config.enc_channels, config.enc_depths, config.enc_heads, strict=True)
        ):
            down = GridPooling(config.enc_channels[at - 1], width) if at else None
            encoder.append(EncoderStage(down, [self._block(width, heads, next(rates)) for _ in range(depth)]))
        self.encoder = nn.ModuleList(encoder)
        rates = iter(drop_rates(config.drop_path, sum(config.dec_depths)))
        below = (*config.dec_channels[1:], config.enc_channels[-1])
        decoder = []
        for at, (width, depth, heads) in enumerate(
            zip(config.dec_channels, config.dec_depths, config.dec_heads, strict=True)
        ):
            up = GridUnpooling(
                below[at], config.enc_channels[at], width, merge=config.merge_skips, skip_scale=config.skip_scale
            )
            stage_rates = [next(rates) for _ in range(depth)][::-1]
            decoder.append(DecoderStage(up, [self._block(width, heads, rate) for rate in stage_rates]))
        self.decoder = nn.ModuleList(decoder)

    def _block(self, width: int, heads: int, rate: float) -> Block:
        return Block(width, heads, self.config.mlp_ratio, rate, self.config.time_channels)

    def encode(
        self, features: Tensor, plan: GeometryPlan, *, time: Tensor | None = None, stream: int = 0
    ) -> tuple[Tensor, ...]:
        """(N, in) features of stage 0's rows -> one (N_s, C_s) tensor a stage, fine to coarse."""
        features = self.stem(features, plan)
        outputs: list[Tensor] = []
        for at, (stage, layer) in enumerate(zip(self.config.stages, self.encoder, strict=True)):
            assert isinstance(layer, EncoderStage)
            if layer.down is not None:
                features = layer.down(features, plan, self.config.stages[at - 1], stage)
            features = self._blocks(layer.blocks, features, plan, stage, None, time, stream)
            outputs.append(features)
        return tuple(outputs)

    def decode(
        self, encoded: tuple[Tensor, ...], plan: GeometryPlan, *, time: Tensor | None = None, stream: int = 0
    ) -> tuple[Tensor, ...]:
        """The encoder's outputs -> one (N_s, C_s) tensor a decoder stage, fine to coarse."""
        features = encoded[-1]
        outputs: list[Tensor] = []
        for at in reversed(range(len(self.decoder))):
            stage, coarser = self.config.stages[at], self.config.stages[at + 1]
            layer = self.decoder[at]
            assert isinstance(layer, DecoderStage)
            features, beside = layer.up(features, encoded[at], plan, stage, coarser)
            features = self._blocks(layer.blocks, features, plan, stage, beside, time, stream)
            outputs.append(features)
        return tuple(reversed(outputs))

    def _blocks(
        self,
        blocks: nn.ModuleList,
        features: Tensor,
        plan: GeometryPlan,
        stage: int,
        conv_input: Tensor | None,
        time: Tensor | None,
        stream: int,
    ) -> Tensor:
        for index, block in enumerate(blocks):
            patches = select_patches(plan, stage, self.config.patch_size, index, stream)
            features = block(features, plan, stage, patches, conv_input=conv_input if index == 0 else None, time=time)
        return features
