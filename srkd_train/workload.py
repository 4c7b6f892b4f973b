# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a forward pass must do at least, and how fast this machine does such things: the floor under its time."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from srkd.architectures import Network
from srkd.nn.attention import CrossPatchAttention, PatchAttention
from srkd.nn.block import MLP
from srkd.nn.sparse_conv import SubmConv3d
from srkd.nn.strided_conv import StridedConv3d
from srkd.plan import GeometryPlan

_GEMM_EDGE = 2048
_EXP_ELEMENTS = 1 << 17
_COPY_ELEMENTS = 1 << 26
_REPEATS = 12


@dataclass(frozen=True)
class Workload:
    """Counts for one forward pass on one plan; occupied neighbours only, patches as they are."""

    gemm_flop: float
    """Multiplications and additions of linear layers, convolutions and attention."""
    exps: float
    """Exponentials of the attention's softmax."""
    bytes_moved: float
    """Inputs and outputs of every layer once, in fp32, layers not fused."""

    def floor_ms(self, rates: MachineRates) -> dict[str, float]:
        """Milliseconds at the machine's own rates, by kind and in all; nothing overlaps."""
        parts = {
            "gemm": self.gemm_flop / rates.gemm_flop_per_s * 1e3,
            "exp": self.exps / rates.exp_per_s * 1e3,
            "copy": self.bytes_moved / rates.copy_bytes_per_s * 1e3,
        }
        return {**parts, "total": sum(parts.values())}


@dataclass(frozen=True)
class MachineRates:
    """Best rates measured on this machine now, with the threads in use."""

    gemm_flop_per_s: float
    exp_per_s: float
    copy_bytes_per_s: float


def count_work(network: Network, features: Tensor, plan: GeometryPlan) -> Workload:
    """Counts a pass by watching its layers.

    Args:
        network: in eval mode.
        features: (N, C) of the plan's voxels.
        plan: their geometry.
    """
    flop = exps = moved = 0.0

    def numel(value: Any) -> float:
        return float(value.numel()) if isinstance(value, Tensor) else 0.0

    def watch(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal flop, exps, moved
        if isinstance(layer, nn.Linear):
            flop += 2.0 * inputs[0].shape[0] * layer.in_features * layer.out_features
        elif isinstance(layer, SubmConv3d):
            table = plan.neighbours(inputs[2], layer.kernel)
            flop += 2.0 * float((table < table.shape[0]).sum()) * layer.in_channels * layer.out_channels
        elif isinstance(layer, StridedConv3d):
            flop += 2.0 * plan.num_rows(inputs[2]) * layer.in_channels * layer.out_channels
        elif isinstance(layer, PatchAttention | CrossPatchAttention):
            patches = inputs[1] if isinstance(layer, PatchAttention) else inputs[2]
            count, size = patches.rows.shape
            channels = inputs[0].shape[1]
            flop += 2 * 2.0 * count * size * size * channels
            exps += float(count * size * size * layer.heads)
            moved += 4.0 * 4 * count * size * channels
        elif isinstance(layer, MLP):
            moved += 4.0 * 2 * layer.fc1.out_features * inputs[0].shape[0]
        if isinstance(layer, nn.Linear | nn.LayerNorm | nn.BatchNorm1d | SubmConv3d | StridedConv3d):
            moved += 4.0 * (numel(inputs[0]) + numel(output))

    # With gradients enabled, though none is recorded, every layer runs by itself and can be watched.
    watched = copy.deepcopy(network).requires_grad_(False)
    for layer in watched.modules():
        layer.register_forward_hook(watch)
    with torch.inference_mode(False), torch.enable_grad():
        watched(features.clone(), plan)
    return Workload(flop, exps, moved)


def measure_rates() -> MachineRates:
    """Measures this machine: a square fp32 product, exp over a tensor that fits the cache, a copy that does not."""
    left, right = torch.randn(_GEMM_EDGE, _GEMM_EDGE), torch.randn(_GEMM_EDGE, _GEMM_EDGE)
    product = torch.empty(_GEMM_EDGE, _GEMM_EDGE)
    values = torch.randn(_EXP_ELEMENTS)
    exponentials = torch.empty_like(values)
    source, target = torch.ones(_COPY_ELEMENTS), torch.zeros(_COPY_ELEMENTS)
    return MachineRates(
        2.0 * _GEMM_EDGE**3 / _best_s(lambda: torch.mm(left, right, out=product), 1),
        _EXP_ELEMENTS / _best_s(lambda: torch.exp(values, out=exponentials), 50),
        2 * 4.0 * _COPY_ELEMENTS / _best_s(lambda: target.copy_(source), 1),
    )


def _best_s(action: Callable[[], Any], inner: int) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        start = time.perf_counter()
        for _ in range(inner):
            action()
        best = min(best, (time.perf_counter() - start) / inner)
    return best
