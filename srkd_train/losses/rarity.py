# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How rare the classes of points and of super-voxels are, which raises the chance that these are drawn."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from srkd.labels import IGNORE

_MINORITY_SHARE = 0.01
"""A class with a smaller share of the points is a minority class (PVKD [M])."""
_LEAST_RARITY = 1e-6
"""So that a cloud of one class, of which Eq. 3 gives every super-voxel a chance of zero, is drawn from all the same."""


def class_share(label: Tensor, clouds: Sequence[tuple[int, int]], class_frequency: Tensor | None) -> Tensor:
    """Share of each point's class of all labelled points.

    Args:
        label: (N,) classes, 255 for none.
        clouds: (start, end) of the points of each cloud.
        class_frequency: (K,) points, or shares, of each class in the data set; None for each cloud's own.

    Returns:
        (N,) float32, NaN where a point has no class.
    """
    label = label.long()
    known = label != IGNORE
    if class_frequency is not None:
        table = class_frequency.to(label.device, torch.float64)
        share = (table / table.sum().clamp_min(torch.finfo(torch.float64).tiny))[torch.where(known, label, 0)]
    else:
        share = torch.empty(len(label), dtype=torch.float64, device=label.device)
        for start, end in clouds:
            histogram = torch.bincount(label[start:end], minlength=IGNORE + 1)[:IGNORE].double()
            table = histogram / histogram.sum().clamp_min(1)
            share[start:end] = table[torch.where(known[start:end], label[start:end], 0)]
    return share.masked_fill(~known, torch.nan).float()


def common(share: Tensor) -> Tensor:
    """(N,) shares to int64: 0 for points of minority classes, 1 for others and for points without a class."""
    return (~(share < _MINORITY_SHARE)).long()


def rarity(
    index: Tensor,
    share: Tensor,
    clouds: Sequence[tuple[int, int]],
    per_cloud: int,
    kind: Literal["srkd", "pvkd", "none"],
) -> Tensor:
    """Rarity of the classes in each super-voxel, in (0, 1].

    "srkd": the mean over its labelled points of 1 - share, where it has none that mean over its cloud. "pvkd":
    1 / (4 exp(-2 n) + 1) with n its points of minority classes [M]. "none": 1.

    Args:
        index: (N,) int64 super-voxel of each point.
        share: (N,) as `class_share` gives it.
        clouds: (start, end) of the points of each cloud.
        per_cloud: super-voxels of one cloud.
        kind: see above.

    Returns:
        (R,) float64, R super-voxels in all.
    """
    count = per_cloud * len(clouds)
    if kind == "none":
        return torch.ones(count, dtype=torch.float64, device=index.device)
    if kind == "pvkd":
        minority = torch.bincount(index, (1 - common(share)).double(), minlength=count)
        return 1 / (4 * torch.exp(-2 * minority) + 1)
    labelled = torch.bincount(index, (~share.isnan()).double(), minlength=count)
    rare = torch.bincount(index, (1 - share).nan_to_num(0).double(), minlength=count)
    of_cloud = rare.view(len(clouds), per_cloud).sum(1) / labelled.view(len(clouds), per_cloud).sum(1)
    usual = of_cloud.nan_to_num(1).repeat_interleave(per_cloud)
    return torch.where(labelled > 0, rare / labelled, usual).clamp_min(_LEAST_RARITY)
