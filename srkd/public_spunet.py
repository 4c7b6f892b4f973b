# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tensors of Pointcept's SpUNet-v1m1 to ours.

Theirs are ``conv_input.0``, ``down.0.0``, ``enc.0.block1.conv1``, ``up.0.0``, ``dec.0.block0.proj.0``, ``final``, with
the stages counted fine to coarse in encoder and decoder, as ours are.
"""

from __future__ import annotations

import re

from torch import Tensor

_UNIT = {"0": "conv", "1": "norm"}


def from_public_spunet_name(name: str) -> str | None:
    """Our name of a tensor called so in a SpUNet (without ``backbone.``); None where no SpUNet has such a name."""
    if found := re.fullmatch(r"final\.(weight|bias)", name):
        return f"head.{found[1]}"
    if found := re.fullmatch(r"conv_input\.([01])\.(\w+)", name):
        return f"stem.{_UNIT[found[1]]}.{found[2]}"
    if found := re.fullmatch(r"(down|up)\.(\d+)\.([01])\.(\w+)", name):
        side = "encoder" if found[1] == "down" else "decoder"
        return f"{side}.{found[2]}.way.{_UNIT[found[3]]}.{found[4]}"
    found = re.fullmatch(r"(enc|dec)\.(\d+)\.block(\d+)\.(?:(conv|bn)([12])|(proj\.[01]))\.(\w+)", name)
    if found is None:
        return None
    unit = found[6] or f"conv{found[5]}.{'conv' if found[4] == 'conv' else 'norm'}"
    return f"{found[1]}oder.{found[2]}.residuals.{found[3]}.{unit}.{found[7]}"


def linear_of(tensor: Tensor) -> Tensor:
    """The (out, in) weight of the linear map that a convolution of kernel 1 is; other tensors as they are.

    Such a tensor has the shape (out, 1, 1, 1, in), but spconv 2 reads its numbers as (in, out) all the same
    (traveller59/spconv issue 450), and so they were trained.
    """
    if tensor.ndim != 5 or tensor.shape[1:4] != (1, 1, 1):
        return tensor
    return tensor.reshape(tensor.shape[4], tensor.shape[0]).t()
