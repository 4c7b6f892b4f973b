# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny networks of the real classes, with every weight and running statistic random, and small random clouds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from srkd.architectures import NOISE_UNET, Network
from srkd.cdsegnet import CDSegNet, CDSegNetConfig
from srkd.diffusion import DiffusionConfig
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd.nn.unet import UNetConfig
from srkd.plan import GeometryPlan
from srkd.plan_build import build_plan
from srkd.ptv3 import PTv3, PTv3Config

UNET = UNetConfig(
    in_channels=4,
    stages=(0, 1, 2),
    enc_channels=(12, 16, 24),
    enc_depths=(2, 1, 3),
    enc_heads=(2, 4, 3),
    dec_channels=(16, 12),
    dec_depths=(2, 1),
    dec_heads=(4, 2),
    patch_size=8,
    drop_path=0.2,
)
NOISE = replace(
    NOISE_UNET,
    stages=(0, 2),
    enc_channels=(12, 16),
    enc_depths=(1, 2),
    enc_heads=(3, 2),
    dec_channels=(12,),
    dec_depths=(2,),
    dec_heads=(4,),
    time_channels=8,
    patch_size=8,
)
SPEC = InputSpec(0.1, ("x", "y", "z", "intensity"))
SCHEME = get_scheme("street")


def randomize(network: torch.nn.Module, seed: int) -> None:
    """Draws weights, biases, norms and running statistics, so that nothing is at a value that hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        draw = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var"):
            drawn = 0.5 + draw.square()
        elif value.ndim == 1:
            drawn = 0.5 + 0.3 * draw
        else:
            drawn = draw / value[0].numel() ** 0.5
        value.copy_(drawn)


def small_ptv3(seed: int = 0, *, num_classes: int = 12, **changes: Any) -> PTv3:
    """A PTv3 of some ten thousand parameters, in eval mode."""
    network = PTv3(PTv3Config(replace(UNET, **changes), num_classes))
    randomize(network, seed)
    return network.eval()


def small_cdsegnet(
    seed: int = 0, *, num_classes: int = 12, patch_size: int = 8, diffusion: DiffusionConfig | None = None
) -> CDSegNet:
    """A CDSegNet of some ten thousand parameters, in eval mode."""
    unet, noise = replace(UNET, patch_size=patch_size), replace(NOISE, patch_size=patch_size)
    network = CDSegNet(CDSegNetConfig(unet, noise, num_classes, diffusion or DiffusionConfig()))
    randomize(network, seed)
    return network.eval()


def header_of(network: Network, architecture: str = "test") -> Header:
    return Header.of(network, architecture, SPEC, SCHEME)


def voxels(count: int, seed: int, extent: int = 8) -> Tensor:
    """(count, 3) int32 distinct voxels in random order, the smallest of each axis 0."""
    generator = torch.Generator().manual_seed(seed)
    cell = torch.randperm(extent**3, generator=generator)[:count]
    grid = torch.stack([cell // extent**2, cell // extent % extent, cell % extent], dim=1)
    return (grid - grid.amin(dim=0)).to(torch.int32)


def features_of(count: int, seed: int) -> Tensor:
    """(count, 4) float32 standard normal."""
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def plan_of(clouds: Sequence[Tensor], network: Network, **arguments: Any) -> GeometryPlan:
    ends = torch.tensor([len(cloud) for cloud in clouds]).cumsum(0).tolist()
    return build_plan(torch.cat(list(clouds)), ends, arguments.pop("spec", network.plan_spec), **arguments)
