# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training process sets up before anything else."""

import logging
import warnings

import torch

from srkd_train.config import TrainerConfig
from srkd_train.memory import keep_freed_memory


def prepare_process(config: TrainerConfig) -> None:
    """Threads, memory habits and warnings of a training process."""
    _quieten()
    if config.accelerator == "cpu" or not torch.cuda.is_available():
        keep_freed_memory()
    if config.threads is not None:
        torch.set_num_threads(config.threads)


def _quieten() -> None:
    """Lightning's tips and its advice on loaders, which are resumed here by step number, are no news to a user."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    for message in (
        "does not have many workers",
        "but have no `val_dataloader`",
        "your dataloader is not resumable",
        "LeafSpec",
    ):
        warnings.filterwarnings("ignore", message=f".*{message}")
