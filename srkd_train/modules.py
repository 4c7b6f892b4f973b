# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation pretraining as a LightningModule: PTv3-like networks, and CDSegNet with its noise branch."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from srkd.architectures import Network
from srkd.cdsegnet import CDSegNet
from srkd.errors import CloudError, TrainingError
from srkd.plan import PlanSpec
from srkd_train.config import OptimConfig
from srkd_train.data.batch import Batch
from srkd_train.distributed import global_sum, world_size
from srkd_train.losses import task
from srkd_train.metrics import Score, ScoreMeter
from srkd_train.optim import AveragedWeights, build_optimizer


class Segmentation(lightning.LightningModule):
    """Trains one network on labelled clouds.

    All randomness of a step (noise, time steps, drop path) is drawn after seeding with (seed, step, process), so a
    resumed run repeats an unbroken one.

    Args:
        network: any of the networks.
        class_names: names of the scheme, for the scores.
        optim: optimiser and schedule.
        max_steps: length of the schedule.
        loss: how a CDSegNet's task and noise loss are joined, "gls" (geometric mean) or "sum".
        seed: seed of the step randomness.
    """

    def __init__(
        self,
        network: Network,
        class_names: Sequence[str],
        optim: OptimConfig,
        *,
        max_steps: int,
        loss: str = "gls",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.optim = optim
        self.max_steps = max_steps
        self.loss = loss
        self.seed = seed
        self.meter = ScoreMeter(class_names, all_processes=True)
        self.averaged: AveragedWeights | None = None
        self.last_score: Score | None = None

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss and its terms, as `training_step` returns them."""
        noise = ("noise_mse",) if isinstance(self.network, CDSegNet) else ()
        return ("loss", "cross_entropy", "lovasz", *noise)

    @property
    def plan_spec(self) -> PlanSpec:
        """What a training batch's plan must serve."""
        return self.network.plan_spec

    @property
    def dense_plan_spec(self) -> PlanSpec | None:
        """What the plan of a training batch's dense clouds must serve; None where there need be none."""
        return None

    @property
    def trained(self) -> nn.ModuleDict:
        """What the optimiser trains."""
        return nn.ModuleDict({"network": self.network})

    def configure_optimizers(self) -> Any:
        """AdamW and the one-cycle schedule, stepped every step."""
        optimizer, schedule = build_optimizer(self.trained, self.optim, self.max_steps)
        if self.optim.ema_decay is not None and self.averaged is None:
            self.averaged = AveragedWeights(self.network, self.optim.ema_decay)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step."""
        torch.manual_seed((self.seed * 1_000_003 + self.global_step) * 1_009 + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Loss of one batch, with gradient, and its `terms`, detached.

        Raises:
            CloudError: the batch is a single voxel at the coarsest stage, of which batch norm has no variance.
            TrainingError: the loss is not finite; the message names the terms.
        """
        if _anywhere(batch.plan.num_rows(batch.plan.num_stages - 1) < 2, batch.features.device):
            raise CloudError(
                f"{' '.join(batch.names)}: {len(batch.label)} voxels are one voxel at the coarsest stage, too few to"
                " train on: use larger crops, smaller voxels or more clouds a batch"
            )
        terms = self.compute_terms(batch)
        if _anywhere(not bool(torch.isfinite(terms["loss"])), batch.features.device):
            values = ", ".join(f"{name} {float(value.detach()):.3g}" for name, value in terms.items())
            raise TrainingError(
                f"step {self.global_step + 1}: the loss is not finite ({values}) on {' '.join(batch.names)}; lower"
                f" optim.lr ({self.optim.lr:g}), set optim.clip_norm, or use trainer.precision 32, and start again"
            )
        return {name: value if name == "loss" else value.detach() for name, value in terms.items()}

    def compute_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The loss and its `terms`."""
        if not isinstance(self.network, CDSegNet):
            cross_entropy, lovasz = task.segmentation(self.network(batch.features, batch.plan), batch.label)
            return {"loss": cross_entropy + lovasz, "cross_entropy": cross_entropy, "lovasz": lovasz}
        t, eps = draw_noise(batch, self.network.config.diffusion.steps)
        logits, predicted = self.network.forward_train(batch.features, batch.plan, t=t, eps=eps)
        cross_entropy, lovasz = task.segmentation(logits, batch.label)
        noise = task.noise_mse(predicted, eps, batch.label)
        supervised = cross_entropy + lovasz
        total = task.gls([noise, supervised]) if self.loss == "gls" else supervised + noise
        return {"loss": total, "cross_entropy": cross_entropy, "lovasz": lovasz, "noise_mse": noise}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """By the norm of all gradients. (Lightning refuses fused optimisers under bf16, which needs no scaler.)"""
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.trained.parameters(), gradient_clip_val)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step, taken into the averaged weights."""
        super().optimizer_step(*args, **kwargs)
        if self.averaged is not None:
            self.averaged.update()

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self.meter.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count one cloud's raw points; a noise branch sees the noise of its default seed."""
        with self.averaged.applied() if self.averaged is not None else nullcontext():
            class_id = self.network(batch.features, batch.plan).argmax(1)
        if batch.raw_label is not None:
            self.meter.update(batch.spread(class_id), batch.raw_label)

    def on_validation_epoch_end(self) -> None:
        """Keep the score in `last_score`."""
        self.last_score = self.meter.compute()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the averaged weights."""
        if self.averaged is not None:
            checkpoint["averaged"] = self.averaged.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take back the averaged weights."""
        if self.optim.ema_decay is not None and "averaged" in checkpoint:
            self.averaged = AveragedWeights(self.network, self.optim.ema_decay)
            self.averaged.load_state_dict(checkpoint["averaged"])


def _anywhere(here: bool, device: torch.device) -> bool:
    """Whether something holds in any process; all must raise together, or the others would wait for ever."""
    if world_size() == 1:
        return here
    return bool(global_sum(torch.tensor(float(here), device=device)))


def draw_noise(batch: Batch, num_timesteps: int) -> tuple[Tensor, Tensor]:
    """One diffusion time uniform in {0, ..., T-1} a cloud, (B,) int64, and standard normal noise (N, C)."""
    device = batch.features.device
    t = torch.randint(num_timesteps, (len(batch),), device=device)
    return t, torch.randn_like(batch.features)
