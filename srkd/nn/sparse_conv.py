# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Submanifold sparse convolution in plain torch, forward and backward.

Two ways of doing the same sum, chosen by where the features live:

* pair lists (CPU): for each tap gather, multiply, add. LiDAR fills 2 to 9 of 27 taps, so nothing is computed for empty ones.
* neighbour table (GPU, export): one gather of all taps, empty ones reading a zero row, and one GEMM. Two kernels instead of
  eighty launches; the backward gathers through the mirrored table, so it needs no atomic adds and is deterministic.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from srkd.backend import Backend, spconv_subm
from srkd.neighbours import PairLists
from srkd.plan import GeometryPlan

_TABLE_ELEMENTS = 1 << 28
"""Gathered elements at a time on the table path (1 GiB in fp32)."""


class SubmConv3d(nn.Module):
    """Submanifold 3D convolution (cross-correlation): outputs exist where inputs do.

    The weight has the public layout (out, k, k, k, in); tap (a, b, c) reads the voxel at ``coord + (a, b, c) - k // 2``.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, bias: bool) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.kernel = in_channels, out_channels, kernel
        self.weight = nn.Parameter(torch.empty(out_channels, kernel, kernel, kernel, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.backend = Backend()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.in_channels * self.kernel**3)
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, features: Tensor, plan: GeometryPlan, stage: int) -> Tensor:
        """(N, in) features of a stage's rows -> (N, out)."""
        if self.backend.conv == "spconv":
            out = spconv_subm(features, self.weight, plan, stage, self.kernel)
        else:
            out = subm_conv(features, self.weight, plan, stage)
        return out if self.bias is None else out + self.bias.to(out.dtype)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel={self.kernel}, bias={self.bias is not None}"


def subm_conv(features: Tensor, weight: Tensor, plan: GeometryPlan, stage: int) -> Tensor:
    """Submanifold convolution of a stage's features.

    Args:
        features: (N, in) in the stage's row order.
        weight: (out, k, k, k, in).
        plan: holds the stage's neighbour table for k.
        stage: which rows.

    Returns:
        (N, out) in the features' dtype (under autocast: fp32 on a CPU, the autocast dtype elsewhere).
    """
    kernel = weight.shape[1]
    if torch.compiler.is_compiling() or features.device.type == "meta":
        return _by_table(features, weight, plan.neighbours(stage, kernel))
    if features.device.type == "cpu":
        with torch.autocast("cpu", enabled=False):
            return _Convolution.apply(features.float(), weight, None, plan.pairs(stage, kernel))
    if torch.is_autocast_enabled(features.device.type):
        dtype = torch.get_autocast_dtype(features.device.type)
        features, weight = features.to(dtype), weight.to(dtype)
    with torch.autocast(features.device.type, enabled=False):
        return _Convolution.apply(features, weight, plan.neighbours(stage, kernel), None)


def _taps(weight: Tensor) -> Tensor:
    """(taps, in, out) view of a weight (out, k, k, k, in)."""
    return weight.reshape(weight.shape[0], -1, weight.shape[-1]).permute(1, 2, 0)


def _by_pairs(features: Tensor, taps: Tensor, pairs: PairLists) -> Tensor:
    half = len(pairs.near)
    out = features @ taps[half]
    for tap, (near, far) in enumerate(zip(pairs.near, pairs.far, strict=True)):
        if near.shape[0]:
            out.index_add_(0, near, features.index_select(0, far) @ taps[tap])
            out.index_add_(0, far, features.index_select(0, near) @ taps[2 * half - tap])
    return out


def _gathered(features: Tensor, table: Tensor) -> Tensor:
    """(N, taps * C): the features of all neighbours side by side, zero where there is none."""
    padded = torch.cat([features, features.new_zeros(1, features.shape[1])])
    return padded.index_select(0, table.reshape(-1)).view(table.shape[0], -1)


def _by_table(features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    matrix = weight.reshape(weight.shape[0], -1)
    if torch.compiler.is_compiling():
        return _gathered(features, table) @ matrix.t()
    rows = max(1, _TABLE_ELEMENTS // (table.shape[1] * features.shape[1]))
    parts = [_gathered(features, part) @ matrix.t() for part in table.split(rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class _Convolution(torch.autograd.Function):
    """Either path, keeping only the input for the backward pass (the gathers are done again)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, table: Tensor | None, pairs: PairLists | None) -> Tensor:
        ctx.save_for_backward(features, weight, table)
        ctx.pairs = pairs
        if pairs is not None:
            return _by_pairs(features, _taps(weight), pairs)
        assert table is not None
        return _by_table(features, weight, table)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, table = ctx.saved_tensors
        grad = grads[0].contiguous()
        if ctx.pairs is not None:
            d_features, d_weight = _pairs_backward(grad, features, weight, ctx.pairs, ctx.needs_input_grad)
        else:
            d_features, d_weight = _table_backward(grad, features, weight, table, ctx.needs_input_grad)
        return d_features, d_weight, None, None


def _pairs_backward(
    grad: Tensor, features: Tensor, weight: Tensor, pairs: PairLists, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    taps, half = _taps(weight), len(pairs.near)
    d_features = grad @ taps[half].t() if wanted[0] else None
    d_taps = torch.zeros_like(taps, memory_format=torch.contiguous_format) if wanted[1] else None
    if d_taps is not None:
        d_taps[half] = features.t() @ grad
    for tap, (near, far) in enumerate(zip(pairs.near, pairs.far, strict=True)):
        if not near.shape[0]:
            continue
        grad_near, grad_far = grad.index_select(0, near), grad.index_select(0, far)
        if d_features is not None:
            d_features.index_add_(0, far, grad_near @ taps[tap].t())
            d_features.index_add_(0, near, grad_far @ taps[2 * half - tap].t())
        if d_taps is not None:
            d_taps[tap] = features.index_select(0, far).t() @ grad_near
            d_taps[2 * half - tap] = features.index_select(0, near).t() @ grad_far
    return d_features, None if d_taps is None else d_taps.permute(2, 0, 1).reshape(weight.shape)


def _table_backward(
    grad: Tensor, features: Tensor, weight: Tensor, table: Tensor, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    d_features = d_weight = None
    rows = max(1, _TABLE_ELEMENTS // (table.shape[1] * max(grad.shape[1], features.shape[1])))
    if wanted[0]:
        # i reads j at a tap exactly where j reads i at the mirrored tap, so the adjoint is a gather too.
        mirrored = weight.reshape(weight.shape[0], -1, weight.shape[-1]).flip(1).permute(1, 0, 2).reshape(-1, weight.shape[-1])
        d_features = torch.cat([_gathered(grad, part) @ mirrored for part in table.split(rows)])
    if wanted[1]:
        d_weight = torch.zeros(weight.shape[0], weight[0].numel(), dtype=torch.float32, device=grad.device)
        for part, grad_part in zip(table.split(rows), grad.split(rows), strict=True):
            d_weight += grad_part.t() @ _gathered(features, part)
        d_weight = d_weight.to(weight.dtype).reshape(weight.shape)
    return d_features, d_weight
