# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the public state dicts (Pointcept PTv3 and SpUNet, CDSegNet / SRKD) to ours; attention networks' also back.

Numbers are the same on both sides; names differ, and so do kernels of edge 1, which are linear maps here
(:func:`srkd.public_spunet.linear_of`). The naming schemes:

* CDSegNet and SRKD: ``backbone._n_enc.enc0.block0.cpe.0.weight``, noise branch ``_c_*``, transfer module ``_tm_dec0``;
* Pointcept PTv3: ``backbone.enc.enc0...``, head ``seg_head``;
* Pointcept SpUNet: ``backbone.enc.0.block0...``, head ``backbone.final`` (:mod:`srkd.public_spunet`);
* any with ``module.`` in front (saved from a multi-GPU run) or without ``backbone.``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from srkd.public_spunet import from_public_spunet_name, linear_of

_LAYERS = (
    (r"down\.norm\.0", "down.norm"),
    (r"up\.proj\.0", "up.proj"),
    (r"up\.proj\.1", "up.norm"),
    (r"up\.proj_skip\.0", "up.skip_proj"),
    (r"up\.proj_skip\.1", "up.skip_norm"),
    (r"up\.proj_cat\.0", "up.merge"),
    (r"cpe\.0", "cpe.conv"),
    (r"cpe\.1", "cpe.linear"),
    (r"cpe\.2", "cpe.norm"),
    (r"norm1\.0", "norm1"),
    (r"norm2\.0", "norm2"),
    (r"mlp\.0\.fc", "mlp.fc"),
    (r"t_mlp", "time"),
)
_TRANSFER = (
    (r"kv_cpe\.", "context_cpe."),
    (r"q_cpe\.", "cpe."),
    (r"kv_norm1\.0", "context_norm"),
    (r"q_norm1\.0", "norm1"),
    (r"q_norm2\.0", "norm2"),
)


@dataclass(frozen=True)
class Matched:
    """A public state dict held against a network."""

    state: dict[str, Tensor]
    """Our names, for every tensor that fits."""
    missing: tuple[str, ...]
    """Tensors of the network that the file does not have."""
    unexpected: tuple[str, ...]
    """Tensors of the file (its names) that the network does not have, or has from another name of the file already."""
    misshapen: tuple[str, ...]
    """``name: file shape, network shape`` of tensors whose shapes differ."""

    @property
    def complete(self) -> bool:
        return not (self.missing or self.unexpected or self.misshapen)


def from_public_name(name: str) -> str:
    """Our name of a public tensor; names already ours stay as they are."""
    name = re.sub(r"^(module\.)+", "", name)
    name = re.sub(r"^backbone\.", "", name)
    if (spunet := from_public_spunet_name(name)) is not None:
        return spunet
    name = re.sub(r"^_n_head\.|^seg_head\.", "head.", name)
    name = re.sub(r"^_c_head\.", "noise_head.", name)
    name = re.sub(r"^fc_t([12])\.", r"time\1.", name)
    name = re.sub(r"^(?:_n_)?(embedding|enc|dec)\.", r"unet.\1.", name)
    name = re.sub(r"^_c_(embedding|enc|dec)\.", r"noise_unet.\1.", name)
    name = re.sub(r"^_tm_dec0\.cross_block2\.", "transfer.", name)
    name = re.sub(r"^((?:noise_)?unet)\.embedding\.stem\.", r"\1.stem.", name)
    name = re.sub(r"^((?:noise_)?unet)\.enc\.enc(\d+)\.", r"\1.encoder.\2.", name)
    name = re.sub(r"^((?:noise_)?unet)\.dec\.dec(\d+)\.", r"\1.decoder.\2.", name)
    name = re.sub(r"\.block(\d+)\.", r".blocks.\1.", name)
    if name.startswith("transfer."):
        for pattern, ours in _TRANSFER:
            name = re.sub(rf"\.{pattern}", f".{ours}", name)
    for pattern, ours in _LAYERS:
        name = re.sub(rf"(?<=[._]){pattern}(?=\.|\d)", ours, name)
    return name


def to_public_name(name: str) -> str:
    """The CDSegNet / SRKD name of one of our tensors."""
    for pattern, ours in _LAYERS:
        plain = pattern.replace("\\", "")
        name = re.sub(rf"(?<=[._]){re.escape(ours)}(?=\.|\d)", plain, name)
    if name.startswith("transfer."):
        name = name.replace(".context_cpe.", ".kv_cpe.").replace("transfer.cpe.", "transfer.q_cpe.")
        name = name.replace(".context_norm.", ".kv_norm1.0.")
        name = name.replace("transfer.norm1.", "transfer.q_norm1.").replace("transfer.norm2.", "transfer.q_norm2.")
        return "backbone._tm_dec0.cross_block2." + name.removeprefix("transfer.")
    name = re.sub(r"\.blocks\.(\d+)\.", r".block\1.", name)
    for ours, theirs in (("unet.", "_n_"), ("noise_unet.", "_c_")):
        if name.startswith(ours):
            rest = name.removeprefix(ours)
            rest = re.sub(r"^stem\.", "embedding.stem.", rest)
            rest = re.sub(r"^encoder\.(\d+)\.", r"enc.enc\1.", rest)
            rest = re.sub(r"^decoder\.(\d+)\.", r"dec.dec\1.", rest)
            return f"backbone.{theirs}{rest}"
    name = re.sub(r"^head\.", "_n_head.", name)
    name = re.sub(r"^noise_head\.", "_c_head.", name)
    name = re.sub(r"^time([12])\.", r"fc_t\1.", name)
    return f"backbone.{name}"


def match_public(public: Mapping[str, Tensor], network_state: Mapping[str, Tensor]) -> Matched:
    """Holds a public state dict against a network's own.

    Args:
        public: tensors under public names.
        network_state: the network's ``state_dict()``.
    """
    state: dict[str, Tensor] = {}
    unexpected, misshapen = [], []
    for theirs, tensor in public.items():
        ours = from_public_name(theirs)
        if ours not in network_state or ours in state:
            unexpected.append(theirs)
            continue
        fitting = linear_of(tensor) if network_state[ours].ndim == 2 else tensor
        if fitting.shape != network_state[ours].shape:
            misshapen.append(f"{theirs}: {tuple(tensor.shape)} in the file, {tuple(network_state[ours].shape)} wanted")
        else:
            state[ours] = fitting
    wrong = {from_public_name(line.split(":")[0]) for line in misshapen}
    missing = tuple(name for name in network_state if name not in state and name not in wrong)
    return Matched(state, missing, tuple(unexpected), tuple(misshapen))
