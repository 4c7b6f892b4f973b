# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pretraining: a network learns from labelled clouds alone."""

from collections.abc import Sequence

from srkd.labels import LabelScheme
from srkd_train.config import RunConfig
from srkd_train.modules import Segmentation
from srkd_train.networks import make_network
from srkd_train.training import Outcome, train


def pretrain(config: RunConfig, *, command: Sequence[str]) -> Outcome | None:
    """Train as configured, see :func:`srkd_train.training.train`."""
    return train(config, command=command, build=lambda scheme: segmentation_module(config, scheme))


def segmentation_module(config: RunConfig, scheme: LabelScheme) -> Segmentation:
    """What a run trains."""
    return Segmentation(
        make_network(config, scheme),
        scheme.class_names,
        config.optim,
        max_steps=config.trainer.max_steps,
        loss=config.model.loss,
        seed=config.trainer.seed,
    )
