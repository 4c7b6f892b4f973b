# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Attention within patches of a space-filling curve (Point Transformer V3), and the same across two branches."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from srkd.backend import Backend, flash_attention
from srkd.plan import GeometryPlan, Patches


def patch_attention(query: Tensor, key: Tensor, value: Tensor, patches: Patches, backend: Backend) -> Tensor:
    """Softmax attention of every patch, scaled by head_dim**-0.5.

    Args:
        query, key, value: (P, H, K, D), the patches' places.
        patches: which keys are in use.
        backend: plain torch or flash-attn.

    Returns:
        (P, H, K, D).
    """
    if backend.attention == "flash-attn":
        return flash_attention(query, key, value, patches.lengths)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=patches.key_mask())


def _into_patches(rows: Tensor, patches: Patches, parts: int, heads: int) -> tuple[Tensor, ...]:
    """(N, parts * H * D) -> parts tensors (P, H, K, D)."""
    count, size = patches.rows.shape
    placed = rows.index_select(0, patches.rows.reshape(-1)).view(count, size, parts, heads, -1)
    return placed.permute(2, 0, 3, 1, 4).unbind(0)


def _out_of_patches(out: Tensor, patches: Patches) -> Tensor:
    """(P, H, K, D) -> (N, H * D), each row from the place that belongs to it."""
    return out.transpose(1, 2).reshape(patches.rows.numel(), -1).index_select(0, patches.slots)


class PatchAttention(nn.Module):
    """Multi-head self-attention among the voxels of each patch."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.backend = Backend()

    def forward(self, features: Tensor, patches: Patches) -> Tensor:
        """(N, C) -> (N, C)."""
        query, key, value = _into_patches(self.qkv(features), patches, 3, self.heads)
        out: Tensor = self.proj(_out_of_patches(patch_attention(query, key, value, patches, self.backend), patches))
        return out


class CrossPatchAttention(nn.Module):
    """Queries from one branch, keys and values from another, over the same voxels; each side in its own order."""

    def __init__(self, channels: int, context_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(context_channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.backend = Backend()

    def forward(self, features: Tensor, context: Tensor, patches: Patches, context_patches: Patches) -> Tensor:
        """(N, C) and (N, C') -> (N, C); query patch j attends to context patch j."""
        (query,) = _into_patches(self.q(features), patches, 1, self.heads)
        key, value = _into_patches(self.kv(context), context_patches, 2, self.heads)
        out: Tensor = self.proj(_out_of_patches(patch_attention(query, key, value, patches, self.backend), patches))
        return out


def select_patches(plan: GeometryPlan, stage: int, size: int, block: int, stream: int) -> Patches:
    """The patches that a stage's ``block``-th block looks at."""
    return plan.patches(stage, plan.curve(block, stage, stream), size)
