# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a run can go on where it was stopped, and from which step."""

import pickle

import torch

from srkd.checkpoint import read_header
from srkd.errors import CheckpointError, ConfigError
from srkd_train.config import RunConfig
from srkd_train.data.part import Part
from srkd_train.runs import RunFolder


def refuse_other_clouds(config: RunConfig, folder: RunFolder, part: Part) -> None:
    """Whether the clouds, and the dense ones, are those that the run was started with.

    Raises:
        ConfigError: they are others.
        CheckpointError: the newest weights cannot be read.
    """
    if not folder.last.is_file():
        return
    facts = read_header(folder.last).training
    before = facts.get("data_sha256")
    if before != part.digest:
        raise ConfigError(
            f"--resume: data.root {config.data.root} holds clouds {str(part.digest)[:12]}, the run was started with"
            f" {str(before)[:12]}: give the same bags"
        )
    before, now = facts.get("dense_sha256"), (part.dense or part).dense_sha256
    if before != now:
        raise ConfigError(
            f"--resume: data.dense_root {config.data.dense_root} holds dense clouds {str(now)[:12]}, the run was"
            f" started with {str(before)[:12]}: give the same folder"
        )


def saved_step(folder: RunFolder) -> int:
    """Optimiser steps behind the state that a run goes on from.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return int(torch.load(folder.state, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{folder.state} cannot be read ({reason}): start the run again in another folder"
        ) from error
