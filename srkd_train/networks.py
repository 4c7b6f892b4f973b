# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network that a run trains, with its first weights."""

from dataclasses import replace

import torch

from srkd.architectures import ARCHITECTURES, Network, network_from_config
from srkd.cdsegnet import CDSegNetConfig
from srkd.checkpoint import load_checkpoint
from srkd.errors import CheckpointError, ConfigError
from srkd.labels import LabelScheme
from srkd_train.cli import checkpoint_path
from srkd_train.config import RunConfig


def make_network(config: RunConfig, scheme: LabelScheme) -> Network:
    """The network to train, with fresh or given weights, drawn from the run's seed.

    Raises:
        ConfigError: the network is unknown.
        CheckpointError: the given weights are of another network or scheme.
    """
    torch.manual_seed(config.trainer.seed)
    name = config.model.name
    if name not in ARCHITECTURES:
        raise ConfigError(f"model.name {name!r} is unknown: use one of {', '.join(ARCHITECTURES)}")
    structure = ARCHITECTURES[name](scheme.num_classes, len(config.data.input.features))
    if isinstance(structure, CDSegNetConfig):
        structure = replace(structure, diffusion=config.model.diffusion)
    network = network_from_config(structure)
    if config.model.init is not None:
        loaded, header = load_checkpoint(checkpoint_path(config.model.init))
        if loaded.config != network.config:
            raise CheckpointError(
                f"{config.model.init} is a {header.architecture} for {header.scheme.name}, the run trains a"
                f" {config.model.name} for {scheme.name}: give a checkpoint of the same network and scheme"
            )
        network.load_state_dict(loaded.state_dict())
    return network.train()
