# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SRKD distillation as a LightningModule: a frozen teacher beside the student, both on one plan."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from srkd.architectures import Network
from srkd.plan import PlanSpec
from srkd_train import distributed
from srkd_train.adapters import Adapters
from srkd_train.config import OptimConfig
from srkd_train.data.batch import Batch
from srkd_train.losses import task
from srkd_train.modules import Segmentation
from srkd_train.objective import DISTILLED, SUPERVISED, Weights, make_recipe
from srkd_train.objective_config import ObjectiveConfig
from srkd_train.relations import Host, Measured, Pair, Scale, measure
from srkd_train.teacher import FrozenTeacher, view


class Distiller(Segmentation):
    """Trains a student on labels and on what a frozen teacher sees in the same voxels.

    ``loss = sum over terms of weight * term`` (paper, equation 10, with Lovasz [C] and the feature term [C]). What is
    sampled in a step is drawn cloud by cloud from (seed, step, number of the cloud in the whole batch).

    With `objective.gather` every process computes its share of the terms of the whole batch: means are over all
    processes' points, clouds or regions, and cross-sample pairs are of all clouds. Gradients, averaged by the trainer,
    then are those of one process with the whole batch, given synchronised batch norms. Lovasz stays a mean over the
    processes: it sorts errors, and a sum over parts is not the loss of the whole.

    Args:
        student: is trained; the only network that is saved.
        teacher: stays outside of the module.
        class_names: names of the scheme, for the scores.
        optim: optimiser and schedule.
        objective: terms and weights.
        max_steps: length of the schedule.
        voxel_size_m: edge of a voxel.
        seed: seed of the step randomness.
    """

    class_count: Tensor
    """(K,) float64 labelled voxels seen of each class, for the rarity of super-voxels."""

    def __init__(
        self,
        student: Network,
        teacher: FrozenTeacher,
        class_names: Sequence[str],
        optim: OptimConfig,
        objective: ObjectiveConfig,
        *,
        max_steps: int,
        voxel_size_m: float,
        seed: int = 0,
    ) -> None:
        super().__init__(student, class_names, optim, max_steps=max_steps, seed=seed)
        self.objective = objective
        self.recipe = make_recipe(objective)
        self.voxel_size_m = voxel_size_m
        self.teacher = teacher
        own, theirs = student.config.unet, teacher.network.config.unet
        stages = next(
            (at for at, (a, b) in enumerate(zip(own.stages, theirs.stages, strict=False)) if a != b),
            min(len(own.dec_channels), len(theirs.dec_channels)),
        )
        features = objective.channel_source == "features"
        self.adapters = Adapters(
            own.dec_channels[:stages],
            theirs.dec_channels[:stages],
            features=self.recipe.uses("feature_mse"),
            channel=self.recipe.uses("channel") and features,
            cross_sample_dim=objective.cross_sample_dim if self.recipe.uses("cross_sample") else None,
            seed=seed,
        )
        self.weights = Weights(self.recipe, steps=objective.calibrate_steps, share=objective.calibrated_share)
        self.register_buffer("class_count", torch.zeros(len(class_names), dtype=torch.float64))

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss and of the terms that have a weight."""
        return ("loss", *SUPERVISED, *(name for name in DISTILLED if self.recipe.uses(name)))

    @property
    def plan_spec(self) -> PlanSpec:
        """One plan serves both networks."""
        return self.network.plan_spec.union(self.teacher.plan_spec)

    @property
    def trained(self) -> nn.ModuleDict:
        """The student and the adapters, which stay here when the student leaves."""
        return nn.ModuleDict({"network": self.network, "adapters": self.adapters})

    def compute_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The loss and its `terms`."""
        gather = self.objective.gather and distributed.world_size() > 1
        scale = Scale(batch.features.device, gather=gather)
        # Before the networks: a copy to the host waits for what the device has been given.
        measured = self._measured(batch, gather=gather)
        student = view(self.network, self.network.forward_features(batch.features, batch.plan), batch.plan)
        cross_entropy, lovasz = task.segmentation(student.logits, batch.label)
        labelled = int((batch.label != 255).sum()) if gather else 0
        values = {"cross_entropy": scale(cross_entropy, labelled), "lovasz": lovasz}
        if self.recipe.uses(*DISTILLED):
            pair = Pair(student, self.teacher(batch.features, batch.plan), batch, self.adapters)
            values |= measure(pair, measured, scale)
            self._count_classes(batch.label)
        told = _over_processes(values)
        self.weights.update(told)
        weights = self.weights.current()
        loss = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        whole = torch.stack([weights[name] * value for name, value in told.items()]).sum()
        # The value over all processes with this process's gradient.
        return {"loss": loss + (whole - loss).detach(), **told}

    def _measured(self, batch: Batch, *, gather: bool) -> Measured:
        first = distributed.rank() * len(batch)
        if gather:
            sizes = distributed.gather_sizes(len(batch), batch.features.device)
            first, _ = distributed.own_range(sizes)
        affinities = self.recipe.uses("point_affinity", "voxel_affinity")
        return Measured(
            recipe=self.recipe,
            objective=self.objective,
            voxel_size_m=self.voxel_size_m,
            host=Host.of(batch, self.class_count) if affinities else None,
            seeds=tuple(self._cloud_seed(first + cloud) for cloud in range(len(batch))),
        )

    def _cloud_seed(self, cloud: int) -> int:
        """Seed of what is drawn in a cloud of this step."""
        return ((self.seed * 1_000_003 + self.global_step) * 100_003 + cloud) % 2**62

    def _count_classes(self, label: Tensor) -> None:
        """For the steps to come, of all processes: buffers are those of the first one in a distributed run."""
        known = label[label != 255]
        counts = torch.bincount(known, minlength=len(self.class_count)).to(self.class_count.dtype)
        self.class_count += distributed.global_sum(counts)


def _over_processes(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Mean of every value over the processes, detached: what is logged, and what calibration goes by."""
    mean = distributed.global_sum(torch.stack(list(values.values()))) / distributed.world_size()
    return dict(zip(values, mean, strict=True))
