# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TensorBoard curves, where that package is installed; metrics.csv has the same figures in any case."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from srkd_train.modules import Segmentation


def is_installed() -> bool:
    """Whether TensorBoard can be written here."""
    return find_spec("tensorboard") is not None


class TensorBoard(Callback):
    """Loss terms, learning rate and validation scores.

    Args:
        folder: where the event files go.
        every: steps between two points of a curve.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder = folder
        self.every = every
        self._writer: Any = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Open the file; curves of a resumed run go on where its state was saved."""
        if trainer.is_global_zero:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=trainer.global_step or None)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """One point a curve."""
        step = trainer.global_step
        if self._writer is None or step % self.every:
            return
        for name in pl_module.terms if isinstance(pl_module, Segmentation) else ():
            self._writer.add_scalar(f"train/{name}", float(outputs[name]), step)
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        self._writer.add_scalar("train/lr", rate, step)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """The scores."""
        score = pl_module.last_score if isinstance(pl_module, Segmentation) else None
        if self._writer is not None and score is not None:
            for name, value in (("miou", score.miou), ("macc", score.macc), ("all_acc", score.all_acc)):
                self._writer.add_scalar(f"validation/{name}", value, trainer.global_step)

    def teardown(self, *_: Any) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
