# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inference of a block on a CPU, in place and a few thousand rows at a time.

A block's wide intermediate results (the MLP's are four times its features) do not fit a cache, and fresh memory for
them costs more than the arithmetic. But once the rows of a cloud stand in the order of its patches, attention and MLP
read nothing beyond their own patch. So they run on pieces of some patches, from norm to residual, in memory that stays
warm. The numbers are those of the modules but for the rounding of a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srkd.plan import Patches

if TYPE_CHECKING:
    from srkd.nn.block import Block

_ROWS = 4096
"""About so many rows a piece: 2 MB of hidden features at 32 channels."""


def is_plain_inference(*tensors: Tensor) -> bool:
    """Whether nothing is recorded (no gradient, no graph) and the arithmetic is a CPU's own: no autocast."""
    return (
        not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and all(tensor.device.type == "cpu" for tensor in tensors)
        and not torch.is_autocast_enabled("cpu")
    )


def attend_and_mix(block: Block, features: Tensor, patches: Patches, ends: Sequence[int]) -> Tensor:
    """A block's attention and MLP, each with its norm and residual.

    Args:
        block: in eval mode, with torch's own attention.
        features: (N, C) rows of clouds one after another; they may be overwritten.
        patches: of these clouds.
        ends: of each cloud the row after its last one, rising to N.

    Returns:
        (N, C).
    """
    if len(ends) == 1:
        return _mix_cloud(block, features, patches)
    start = first = 0
    for end in ends:
        size = min(end - start, patches.rows.shape[1])
        last = first + -(-(end - start) // max(size, 1))
        own = Patches(
            rows=patches.rows[first:last, :size] - start,
            # Places count over patches of full length; a cloud of one short patch has but that.
            slots=patches.slots[start:end] - first * patches.rows.shape[1],
            lengths=None,
            in_row_order=patches.in_row_order,
        )
        mixed = _mix_cloud(block, features[start:end], own)
        if not patches.in_row_order:
            features[start:end] = mixed
        start, first = end, last
    return features


def _mix_cloud(block: Block, features: Tensor, patches: Patches) -> Tensor:
    """The same for one cloud."""
    count, size = features.shape[0], patches.rows.shape[1]
    if not patches.in_row_order:
        features = features.index_select(0, patches.rows.reshape(-1)[:count])
    whole = count // size * size
    step = max(1, _ROWS // size) * size
    for start in range(0, whole, step):
        # The last piece takes the incomplete patch too, which looks at rows of the patch before it.
        end = start + step if start + step < whole else count
        _piece(block, features[start:end], size)
    # One cloud's places are its positions on the curve, so the slots lead back.
    return features if patches.in_row_order else features.index_select(0, patches.slots)


def _piece(block: Block, rows: Tensor, size: int) -> None:
    attention, mlp = block.attn, block.mlp
    attended = _attention(_linear(_norm(rows, block.norm1), attention.qkv), attention.heads, size)
    _add_linear(rows, attended, attention.proj)
    hidden = _linear(_norm(rows, block.norm2), mlp.fc1)
    _add_linear(rows, torch.ops.aten.gelu_(hidden), mlp.fc2)


def _attention(qkv: Tensor, heads: int, size: int) -> Tensor:
    """(N, 3 * C) -> (N, C): patches of ``size`` rows; the rows left over attend to the last ``size`` rows."""
    count = qkv.shape[0]
    whole = count // size * size
    query, key, value = qkv.view(count, 3, heads, -1).permute(1, 2, 0, 3).unbind(0)  # (H, N, D) each

    def patched(part: Tensor) -> Tensor:
        return part[:, :whole].unflatten(1, (-1, size)).transpose(0, 1)  # (P, H, size, D), a view

    out = F.scaled_dot_product_attention(patched(query), patched(key), patched(value))
    joined = out.transpose(1, 2).reshape(whole, -1)
    if whole == count:
        return joined
    last = F.scaled_dot_product_attention(query[:, whole:], key[:, -size:], value[:, -size:])
    return torch.cat([joined, last.transpose(0, 1).reshape(count - whole, -1)])


def _norm(rows: Tensor, layer: nn.LayerNorm) -> Tensor:
    return F.layer_norm(rows, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def _linear(rows: Tensor, layer: nn.Linear) -> Tensor:
    # A bias added to the finished product is cheaper than one spread over the rows before it.
    return torch.mm(rows, layer.weight.t()).add_(layer.bias)


def _add_linear(into: Tensor, rows: Tensor, layer: nn.Linear) -> None:
    into.addmm_(rows, layer.weight.t()).add_(layer.bias)
