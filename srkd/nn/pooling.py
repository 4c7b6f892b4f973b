# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Between stages: max-pooling into coarser voxels, and the way back with a skip connection."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from srkd.backend import Backend, scatter_max
from srkd.plan import GeometryPlan


def batch_norm(channels: int) -> nn.BatchNorm1d:
    """BatchNorm with the public networks' constants."""
    return nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01)


def segment_max(values: Tensor, parent: Tensor, count: int, backend: Backend) -> Tensor:
    """Maximum over the rows of each parent.

    Args:
        values: (N, C).
        parent: (N,) sorted parent rows, each of 0 ... count - 1 at least once.
        count: number of parents.
        backend: plain torch or torch-scatter.

    Returns:
        (count, C).
    """
    if backend.pool == "torch-scatter":
        return scatter_max(values, parent, count)
    index = parent.to(torch.int64).unsqueeze(1).expand_as(values)
    return values.new_zeros(count, values.shape[1]).scatter_reduce(0, index, values, "amax", include_self=False)


class GridPooling(nn.Module):
    """Linear, maximum over the voxels of each coarser voxel, BatchNorm, GELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, out_channels)
        self.norm = batch_norm(out_channels)
        self.backend = Backend()

    def forward(self, features: Tensor, plan: GeometryPlan, stage: int, coarser: int) -> Tensor:
        """(N_stage, in) -> (N_coarser, out)."""
        projected = self.proj(features)
        pooled = segment_max(projected, plan.parent(stage, coarser), plan.num_rows(coarser), self.backend)
        return gelu(self.norm(pooled))


class GridUnpooling(nn.Module):
    """Brings coarse features back to the finer voxels and joins them with the encoder's.

    With ``merge`` the two are concatenated and mixed (CDSegNet's noise decoder), else added.
    """

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, *, merge: bool, skip_scale: float
    ) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, out_channels)
        self.norm = batch_norm(out_channels)
        self.skip_proj = nn.Linear(skip_channels, out_channels)
        self.skip_norm = batch_norm(out_channels)
        self.merge = nn.Linear(2 * out_channels, out_channels) if merge else None
        self.skip_scale = skip_scale

    def forward(
        self, features: Tensor, skip: Tensor, plan: GeometryPlan, stage: int, coarser: int
    ) -> tuple[Tensor, Tensor]:
        """(N_coarser, in), (N_stage, skip) -> joined (N_stage, out) and the skip branch alone (N_stage, out)."""
        raised = gelu(self.norm(self.proj(features))).index_select(0, plan.parent(stage, coarser))
        beside = gelu(self.skip_norm(self.skip_proj(skip)))
        scaled = beside if self.skip_scale == 1 else beside * self.skip_scale
        joined = scaled + raised if self.merge is None else self.merge(torch.cat([scaled, raised], dim=1))
        return joined, beside
