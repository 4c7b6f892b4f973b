# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Integer keys in order, and where among them others belong; on a CPU by numpy, several times as fast as torch."""

import numpy as np
import torch
from torch import Tensor


def sort_keys(key: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """(N,) int64 keys from 0 and below `limit`, rising, and the row of each; equal ones in the order of their rows."""
    bits = len(key).bit_length()
    if key.device.type != "cpu" or limit << bits >= 2**63:
        return torch.sort(key, stable=True)
    # numpy sorts numbers several times as fast as torch finds an order
    packed = ((key << bits) | torch.arange(len(key))).numpy()
    packed.sort()
    found = torch.from_numpy(packed)
    return found >> bits, found & ((1 << bits) - 1)


def first_place(rising: Tensor, sought: Tensor) -> Tensor:
    """(M,) int64: the first place whose value is not below the sought one."""
    if rising.device.type != "cpu":
        return torch.searchsorted(rising, sought)
    return torch.from_numpy(np.searchsorted(rising.numpy(), sought.numpy()))
