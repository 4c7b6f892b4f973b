# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution with kernel 2 and stride 2, and its inverse, in plain torch, forward and backward.

Every voxel lies in one octant of one parent. Downwards a parent sums its children, each times its octant's matrix;
upwards a child takes its parent times its octant's matrix. So each is the adjoint of the other, and an octant's place
in a parent is taken once at most: nothing needs atomic adds, and both directions are deterministic. Two ways, as for
the submanifold convolution:

* by octant (CPU): one product an octant over the voxels that lie in it;
* by slot (GPU, export): all eight places of every parent side by side, empty ones zero, and one GEMM.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from srkd.children import OCTANTS, Children
from srkd.nn.sparse_conv import tap_gradients, tap_matrices, tap_products
from srkd.plan import GeometryPlan


class StridedConv3d(nn.Module):
    """Convolution (cross-correlation) to the next stage, or with ``up`` the inverse one back, without bias.

    The weight has the public layout (out, 2, 2, 2, in); tap (a, b, c) belongs to the child at
    ``2 * parent's coord + (a, b, c)``.
    """

    def __init__(self, in_channels: int, out_channels: int, *, up: bool) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.up = in_channels, out_channels, up
        self.weight = nn.Parameter(torch.empty(out_channels, 2, 2, 2, in_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        # Upwards a voxel reads one tap.
        bound = 1 / math.sqrt(self.in_channels * (1 if self.up else OCTANTS))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, features: Tensor, plan: GeometryPlan, stage: int) -> Tensor:
        """(N_stage, in) -> (N_{stage + 1}, out), or with ``up`` (N_{stage + 1}, in) -> (N_stage, out)."""
        return strided_conv(features, self.weight, plan, stage, up=self.up)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, up={self.up}"


def strided_conv(features: Tensor, weight: Tensor, plan: GeometryPlan, stage: int, *, up: bool) -> Tensor:
    """Convolution between a stage and the next.

    Args:
        features: (N_stage, in) or, with ``up``, (N_{stage + 1}, in), in row order.
        weight: (out, 2, 2, 2, in).
        plan: has both stages.
        stage: the finer one.
        up: from the coarser to the finer one.

    Returns:
        (N_{stage + 1}, out) or, with ``up``, (N_stage, out): on a CPU in the weight's dtype, under autocast too;
        elsewhere in the features' or the autocast dtype.
    """
    device = features.device.type
    if torch.compiler.is_compiling() or device == "meta":
        return _by_slots(features, weight, plan, stage, up)
    if device == "cpu":
        with torch.autocast("cpu", enabled=False):
            return _Convolution.apply(features.to(weight.dtype), weight, plan.children(stage), up)
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
    with torch.autocast(device, enabled=False):
        return _by_slots(features, weight, plan, stage, up)


def _by_slots(features: Tensor, weight: Tensor, plan: GeometryPlan, stage: int, up: bool) -> Tensor:
    slots, outputs = plan.slots(stage), weight.shape[0]
    if up:
        matrix = weight.reshape(outputs, OCTANTS, -1).transpose(0, 1).reshape(OCTANTS * outputs, -1)
        return (features @ matrix.t()).reshape(-1, outputs).index_select(0, slots)
    placed = features.new_zeros(plan.num_rows(stage + 1) * OCTANTS, features.shape[1])
    placed = placed.index_copy(0, slots.to(torch.int64), features)
    return placed.view(-1, OCTANTS * features.shape[1]) @ weight.reshape(outputs, -1).t()


def _lowered(features: Tensor, taps: Tensor, children: Children) -> Tensor:
    """Every parent sums its children: (N, in) -> (M, out)."""
    messages = tap_products(features.index_select(0, children.order), children.sizes, taps)
    return torch.nn.functional.embedding_bag(children.place, messages, children.starts, mode="sum")


def _raised(features: Tensor, taps: Tensor, children: Children) -> Tensor:
    """Every child reads its parent: (M, in) -> (N, out)."""
    messages = tap_products(features.index_select(0, children.parent), children.sizes, taps)
    return messages.index_select(0, children.place)


class _Convolution(torch.autograd.Function):
    """Octant by octant, keeping only the input for the backward pass."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, children: Children, up: bool) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.children, ctx.up = children, up
        return (_raised if up else _lowered)(features, tap_matrices(weight), children)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        children: Children = ctx.children
        grad = grads[0].contiguous()
        d_features = d_weight = None
        if ctx.needs_input_grad[0]:
            adjoint = _lowered if ctx.up else _raised
            d_features = adjoint(grad, tap_matrices(weight).transpose(1, 2), children)
        if ctx.needs_input_grad[1]:
            reads, writes = (children.parent, children.order) if ctx.up else (children.order, children.parent)
            read, written = features.index_select(0, reads), grad.index_select(0, writes)
            d_weight = tap_gradients(read, written, children.sizes).permute(2, 0, 1).reshape(weight.shape)
        return d_features, d_weight, None, None
