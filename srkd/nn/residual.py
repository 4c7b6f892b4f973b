# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layers of the residual sparse U-Net: a convolution with its BatchNorm, and the basic block of two of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from srkd.nn.pieces import is_plain_inference
from srkd.nn.pooling import batch_norm
from srkd.nn.sparse_conv import SubmConv3d, subm_conv
from srkd.nn.strided_conv import StridedConv3d, strided_conv
from srkd.plan import GeometryPlan


class NormedConv(nn.Module):
    """A sparse convolution without bias, and BatchNorm."""

    def __init__(self, conv: SubmConv3d | StridedConv3d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = batch_norm(conv.out_channels)

    def forward(self, features: Tensor, plan: GeometryPlan, stage: int) -> Tensor:
        """As the convolution: (N, in) -> (N', out)."""
        if self._folds(features):
            return self._folded(features, plan, stage)
        out: Tensor = self.norm(self.conv(features, plan, stage))
        return out

    def _folds(self, features: Tensor) -> bool:
        plain = not isinstance(self.conv, SubmConv3d) or self.conv.backend.conv == "torch"
        return plain and not self.training and is_plain_inference(features)

    def _folded(self, features: Tensor, plan: GeometryPlan, stage: int) -> Tensor:
        """The norm's scale goes into the weight: one pass over the result instead of three."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        weight = self.conv.weight * scale.view(-1, 1, 1, 1, 1)
        if isinstance(self.conv, SubmConv3d):
            out = subm_conv(features, weight, plan, stage)
        else:
            out = strided_conv(features, weight, plan, stage, up=self.conv.up)
        return out.add_(self.norm.bias - mean * scale)


class ResidualBlock(nn.Module):
    """ReLU(conv2(ReLU(conv1(x))) + x), where x passes a linear map and BatchNorm if widths differ."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = NormedConv(SubmConv3d(in_channels, out_channels, 3, bias=False))
        self.conv2 = NormedConv(SubmConv3d(out_channels, out_channels, 3, bias=False))
        self.proj: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.proj = nn.Sequential(nn.Linear(in_channels, out_channels, bias=False), batch_norm(out_channels))

    def forward(self, features: Tensor, plan: GeometryPlan, stage: int) -> Tensor:
        """(N, in) -> (N, out)."""
        inner = self.conv2(relu(self.conv1(features, plan, stage), inplace=True), plan, stage)
        return relu(inner + self.proj(features), inplace=True)
