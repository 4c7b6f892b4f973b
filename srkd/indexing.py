# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small steps that turn masks and group sizes into row numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def places(mask: Tensor) -> Tensor:
    """(N,) bool -> (M,) int64: where it is true."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))  # several times as fast as torch's own
    return mask.nonzero().squeeze(1)


def bounds(sizes: Tensor) -> Tensor:
    """(N,) sizes of groups -> (N + 1,) int32: where each starts, and the end of the last."""
    return torch.nn.functional.pad(torch.cumsum(sizes, 0, dtype=torch.int32), (1, 0))


def owners(bound: Tensor, total: int) -> Tensor:
    """(N + 1,) bounds of groups -> (total,) int32: the group of each member."""
    return torch.repeat_interleave(bound.diff(), output_size=total)


def ranges(begin: Tensor, bound: Tensor, owner: Tensor) -> Tensor:
    """(M,) int32: a run of numbers a group, begin[i], begin[i] + 1, ..., one a member.

    Args:
        begin: (N,) int32 first number of each group.
        bound: (N + 1,) int32 bounds of the groups.
        owner: (M,) int32 group of each member.
    """
    number = torch.arange(owner.shape[0], dtype=torch.int32, device=owner.device)
    return number.add_((begin - bound[:-1]).index_select(0, owner))
