# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The block of Point Transformer V3: conditional positional encoding, patch attention, MLP, each a residual."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from srkd.nn.attention import CrossPatchAttention, PatchAttention
from srkd.nn.pieces import attend_and_mix, is_plain_inference
from srkd.nn.sparse_conv import SubmConv3d, subm_conv
from srkd.plan import GeometryPlan, Patches


class DropPath(nn.Module):
    """Stochastic depth with one draw a row: a voxel's residual is dropped whole (as the public networks do)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, residual: Tensor) -> Tensor:
        """(N, C) -> (N, C), kept rows scaled by 1 / (1 - probability)."""
        if not self.training or self.probability == 0:
            return residual
        keep = 1 - self.probability
        return residual * torch.empty_like(residual[:, :1]).bernoulli_(keep).div_(keep)

    def extra_repr(self) -> str:
        return f"{self.probability:.3f}"


class MLP(nn.Module):
    """Linear, GELU, Linear."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, ratio * channels)
        self.fc2 = nn.Linear(ratio * channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C) -> (N, C)."""
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(features)))
        return out


class PositionalConv(nn.Module):
    """Conditional positional encoding: LayerNorm(Linear(sparse convolution))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = SubmConv3d(channels, channels, 3, bias=True)
        self.linear = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, features: Tensor, plan: GeometryPlan, stage: int) -> Tensor:
        """(N, C) -> (N, C), to be added to the features."""
        if is_plain_inference(features) and self.conv.backend.conv == "torch" and self._folding_pays(features.shape[0]):
            # Two linear maps in a row are one.
            weight = (self.linear.weight @ self.conv.weight.flatten(1)).view_as(self.conv.weight)
            assert self.conv.bias is not None
            bias = torch.addmv(self.linear.bias, self.linear.weight, self.conv.bias)
            out: Tensor = self.norm(subm_conv(features, weight, plan, stage).add_(bias))
        else:
            out = self.norm(self.linear(self.conv(features, plan, stage)))
        return out

    def _folding_pays(self, rows: int) -> bool:
        return rows > self.conv.kernel**3 * self.conv.in_channels


class Block(nn.Module):
    """One transformer block; with ``time_channels`` it also takes a time embedding (CDSegNet's noise branch)."""

    def __init__(self, channels: int, heads: int, mlp_ratio: int, drop_path: float, time_channels: int = 0) -> None:
        super().__init__()
        self.cpe = PositionalConv(channels)
        self.time = nn.Linear(time_channels, channels) if time_channels else None
        self.norm1 = nn.LayerNorm(channels)
        self.attn = PatchAttention(channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP(channels, mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(
        self,
        features: Tensor,
        plan: GeometryPlan,
        stage: int,
        patches: Patches,
        *,
        conv_input: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Tensor:
        """(N, C) -> (N, C).

        Args:
            features: rows of the stage.
            plan: the geometry.
            stage: which rows.
            patches: the attention patches of this block.
            conv_input: what the positional convolution reads, where that is not the features: in the first block of a
                decoder stage it reads the skip branch alone, and the public weights expect it.
            time: (B, T) time embedding of each cloud.
        """
        features = features + self.cpe(features if conv_input is None else conv_input, plan, stage)
        if self.time is not None and time is not None:
            features = features + self.time(time).index_select(0, plan.batch(stage))
        if self._in_pieces(features):
            return attend_and_mix(self, features, patches, plan.offsets(stage)[1:].tolist())
        features = features + self.drop_path(self.attn(self.norm1(features), patches))
        return features + self.drop_path(self.mlp(self.norm2(features)))

    def _in_pieces(self, features: Tensor) -> bool:
        return not self.training and is_plain_inference(features) and self.attn.backend.attention == "torch"


class CrossBlock(nn.Module):
    """CDSegNet's transfer module: the segmentation branch looks at the noise branch, once, at the bottleneck."""

    def __init__(self, channels: int, context_channels: int, heads: int, mlp_ratio: int, drop_path: float) -> None:
        super().__init__()
        self.cpe = PositionalConv(channels)
        self.context_cpe = PositionalConv(context_channels)
        self.norm1 = nn.LayerNorm(channels)
        self.context_norm = nn.LayerNorm(context_channels)
        self.attn = CrossPatchAttention(channels, context_channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP(channels, mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(
        self,
        features: Tensor,
        context: Tensor,
        plan: GeometryPlan,
        stage: int,
        patches: Patches,
        context_patches: Patches,
    ) -> tuple[Tensor, Tensor]:
        """(N, C), (N, C') -> (N, C), (N, C').

        The context leaves normalised, without its residual: so it does in the public network, whose noise decoder
        expects it.
        """
        features = features + self.cpe(features, plan, stage)
        context = self.context_norm(context + self.context_cpe(context, plan, stage))
        attended = self.attn(self.norm1(features), context, patches, context_patches)
        features = features + self.drop_path(attended)
        return features + self.drop_path(self.mlp(self.norm2(features))), context
