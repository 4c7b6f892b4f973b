# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Submanifold sparse convolution in plain torch, forward and backward.

Two ways of doing the same sum, chosen by where the features live:

* pair lists (CPU): gather by tap, one product a tap, then every row sums its messages. LiDAR fills 2 to 9 of 27 taps,
  so nothing is computed for empty ones.
* neighbour table (GPU, export, and the narrow stem): one gather of all taps, empty ones reading a zero row, and one
  GEMM; two kernels instead of eighty launches.

Neither needs atomic adds, in either direction, so both are deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from srkd.backend import Backend, spconv_subm
from srkd.neighbour_lists import NeighbourLists
from srkd.neighbours import PairLists
from srkd.plan import GeometryPlan

_TABLE_ELEMENTS = 1 << 28
"""Gathered elements at a time on the table path (1 GiB in fp32)."""

_NARROW = 8
"""Up to so many input channels (the stem) gathering all taps is cheaper than pair lists on a CPU too."""


class SubmConv3d(nn.Module):
    """Submanifold 3D convolution (cross-correlation): outputs exist where inputs do.

    The weight has the public layout (out, k, k, k, in); tap (a, b, c) reads the voxel at
    ``coord + (a, b, c) - k // 2``.
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
        (N, out): on a CPU in the weight's dtype, under autocast too; elsewhere in the features' or the autocast dtype.
    """
    kernel = weight.shape[1]
    if torch.compiler.is_compiling() or features.device.type == "meta":
        return _by_table(features, weight, plan.neighbours(stage, kernel))
    if features.device.type == "cpu":
        with torch.autocast("cpu", enabled=False):
            lists = plan.lists(stage, kernel)
            if features.shape[1] <= _NARROW and lists is not None and not torch.is_grad_enabled():
                return _by_lists(features.to(weight.dtype), weight, lists)
            if features.shape[1] <= _NARROW:
                return _Convolution.apply(features.to(weight.dtype), weight, plan.neighbours(stage, kernel), None)
            return _Convolution.apply(features.to(weight.dtype), weight, None, plan.pairs(stage, kernel))
    if torch.is_autocast_enabled(features.device.type):
        dtype = torch.get_autocast_dtype(features.device.type)
        features, weight = features.to(dtype), weight.to(dtype)
    with torch.autocast(features.device.type, enabled=False):
        return _Convolution.apply(features, weight, plan.neighbours(stage, kernel), None)


def tap_matrices(weight: Tensor) -> Tensor:
    """(taps, in, out) view of a weight (out, k, k, k, in)."""
    return weight.reshape(weight.shape[0], -1, weight.shape[-1]).permute(1, 2, 0)


def tap_products(rows: Tensor, sizes: Sequence[int], taps: Tensor) -> Tensor:
    """Each row times its tap's matrix.

    Args:
        rows: (M, in) grouped by tap.
        sizes: number of rows of each tap.
        taps: (taps, in, out).

    Returns:
        (M, out), in the same order.
    """
    products = rows.new_empty(rows.shape[0], taps.shape[2])
    for part, into, tap in zip(rows.split(sizes), products.split(sizes), taps, strict=True):
        if part.shape[0]:
            torch.mm(part, tap, out=into)
    return products


def tap_gradients(read: Tensor, grads: Tensor, sizes: Sequence[int]) -> Tensor:
    """(taps, in, out) gradient of the matrices of :func:`tap_products`, from its rows (M, in) and the gradient of
    what it returned (M, out)."""
    found = torch.zeros(len(sizes), read.shape[1], grads.shape[1], dtype=grads.dtype, device=grads.device)
    for part, grad, into in zip(read.split(sizes), grads.split(sizes), found, strict=True):
        if part.shape[0]:
            torch.mm(part.t(), grad, out=into)
    return found


def _by_pairs(features: Tensor, taps: Tensor, pairs: PairLists) -> Tensor:
    """Gather by tap, one product a tap, then each reader sums its messages."""
    out = features @ taps[len(pairs.sizes) // 2]
    if not pairs.reads.shape[0]:
        return out
    messages = tap_products(features.index_select(0, pairs.reads), pairs.sizes, taps)
    return out.add_(torch.nn.functional.embedding_bag(pairs.message, messages, pairs.starts, mode="sum"))


def _by_lists(features: Tensor, weight: Tensor, lists: NeighbourLists) -> Tensor:
    """Every row sums weight rows (a tap's, an input channel's), each times the number that it reads."""
    channels = features.shape[1]
    channel = torch.arange(channels, dtype=torch.int32)
    return torch.nn.functional.embedding_bag(
        (lists.tap.unsqueeze(1) * channels + channel).view(-1),
        weight.flatten(1).t().contiguous(),
        lists.starts[:-1] * channels,
        mode="sum",
        per_sample_weights=features.index_select(0, lists.read).view(-1),
    )


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
            return _by_pairs(features, tap_matrices(weight), pairs)
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
    taps = tap_matrices(weight)
    d_features = d_weight = None
    if wanted[0]:
        # i reads j at a tap exactly where j reads i at the mirrored tap, so the adjoint is the same kind of sum.
        d_features = _by_pairs(grad, taps.flip(0).transpose(1, 2), pairs)
    if wanted[1]:
        read, reading = features.index_select(0, pairs.reads), grad.index_select(0, pairs.reader)
        d_taps = tap_gradients(read, reading, pairs.sizes)
        torch.mm(features.t(), grad, out=d_taps[len(pairs.sizes) // 2])
        d_weight = d_taps.permute(2, 0, 1).reshape(weight.shape)
    return d_features, d_weight


def _table_backward(
    grad: Tensor, features: Tensor, weight: Tensor, table: Tensor, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None]:
    d_features = d_weight = None
    rows = max(1, _TABLE_ELEMENTS // (table.shape[1] * max(grad.shape[1], features.shape[1])))
    if wanted[0]:
        mirrored = (
            weight.reshape(weight.shape[0], -1, weight.shape[-1]).flip(1).permute(1, 0, 2).reshape(-1, weight.shape[-1])
        )
        d_features = torch.cat([_gathered(grad, part) @ mirrored for part in table.split(rows)])
    if wanted[1]:
        d_weight = torch.zeros(
            weight.shape[0], weight[0].numel(), dtype=torch.promote_types(grad.dtype, torch.float32), device=grad.device
        )
        for part, grad_part in zip(table.split(rows), grad.split(rows), strict=True):
            d_weight += grad_part.t() @ _gathered(features, part)
        d_weight = d_weight.to(weight.dtype).reshape(weight.shape)
    return d_features, d_weight
