# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind: weights as safetensors and the state to resume from, each written whole or not at all."""

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from srkd.checkpoint import save_checkpoint
from srkd.header import Header
from srkd_train.metrics import Score
from srkd_train.modules import Segmentation
from srkd_train.runs import RunFolder


class Save(Callback):
    """Writes last.safetensors, best.safetensors and state.ckpt of a run.

    Args:
        folder: the run folder.
        make_header: (step, validation score or None) -> header of the checkpoint.
        minutes: time between two saves.
    """

    def __init__(self, folder: RunFolder, make_header: Callable[[int, Score | None], Header], minutes: float) -> None:
        self.folder = folder
        self.make_header = make_header
        self.minutes = minutes
        self.best_miou = float("-inf")
        self._last_save = time.monotonic()

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Count from here."""
        self._last_save = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        """Save when it is time, when the run is asked to stop, and after the last step."""
        due = time.monotonic() - self._last_save >= 60 * self.minutes
        if trainer.world_size > 1:
            due = trainer.strategy.reduce_boolean_decision(due, all=False)
        if due or trainer.should_stop or trainer.global_step >= trainer.max_steps:
            self._write_weights(trainer, pl_module, self.folder.last)
            self._write_state(trainer)
            self._last_save = time.monotonic()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep the weights of the best validation."""
        score = pl_module.last_score if isinstance(pl_module, Segmentation) else None
        if score is not None and not trainer.sanity_checking and score.miou > self.best_miou:
            self.best_miou = score.miou
            self._write_weights(trainer, pl_module, self.folder.best)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best_miou": self.best_miou}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best_miou = float(state_dict["best_miou"])

    def _write_weights(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, path: Path) -> None:
        if not trainer.is_global_zero or not isinstance(pl_module, Segmentation):
            return
        header = self.make_header(trainer.global_step, pl_module.last_score)
        with pl_module.averaged.applied() if pl_module.averaged is not None else nullcontext():
            save_checkpoint(path, pl_module.network, header, dtype=torch.float32)

    def _write_state(self, trainer: lightning.Trainer) -> None:
        part = self.folder.state.with_name(".state.ckpt.part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self.folder.state)
