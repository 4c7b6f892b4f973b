# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation as a LightningModule: a frozen teacher beside the student, on the same voxels or on denser clouds."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from srkd.architectures import Network
from srkd.plan import PlanSpec
from srkd_train import distributed
from srkd_train.adapters import Adapters
from srkd_train.config import OptimConfig
from srkd_train.data.batch import Batch
from srkd_train.dense_adapters import DenseAdapters
from srkd_train.dense_relations import DensePair, Shared, measure_dense
from srkd_train.losses import task
from srkd_train.matching import Matching, match
from srkd_train.modules import Segmentation
from srkd_train.objective import DISTILLED, SUPERVISED, Weights, make_recipe
from srkd_train.objective_config import ObjectiveConfig
from srkd_train.relations import Host, Measured, Pair, Scale, measure
from srkd_train.teacher import FrozenTeacher, View, view


class Distiller(Segmentation):
    """Trains a student on labels and on what a frozen teacher sees in the same voxels, or in denser clouds of the same
    places.

    ``loss = sum over terms of weight * term`` (paper, equation 10, with Lovasz [C] and the feature term [C]). What is
    sampled in a step is drawn cloud by cloud from (seed, step, number of the cloud in the whole batch).

    With `objective.gather` every process computes its share of the terms of the whole batch: means are over all
    processes' points, clouds or regions, and cross-sample pairs are of all clouds. Gradients, averaged by the trainer,
    then are those of one process with the whole batch, given synchronised batch norms. Lovasz stays a mean over the
    processes: it sorts errors, and a sum over parts is not the loss of the whole.

    With dense clouds SRKD's terms are measured on the voxels that both clouds have (`srkd_train.matching`), beside
    those of `srkd_train.dense_relations`.

    Args:
        student: is trained; the only network that is saved.
        teacher: stays outside of the module.
        class_names: names of the scheme, for the scores.
        optim: optimiser and schedule.
        objective: terms and weights.
        max_steps: length of the schedule.
        voxel_size_m: edge of a voxel.
        seed: seed of the step randomness.
        dense: whether batches carry dense clouds for the teacher.

    Raises:
        ConfigError: stage weights do not fit the networks.
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
        dense: bool = False,
    ) -> None:
        super().__init__(student, class_names, optim, max_steps=max_steps, seed=seed)
        self.objective = objective
        self.recipe = make_recipe(objective)
        self.voxel_size_m = voxel_size_m
        self.teacher = teacher
        theirs = teacher.network
        stages = next(
            (at for at, (a, b) in enumerate(zip(student.stages, theirs.stages, strict=False)) if a != b),
            min(len(student.decoder_channels), len(theirs.decoder_channels)),
        )
        features = objective.channel_source == "features"
        self.adapters = Adapters(
            student.decoder_channels[:stages],
            theirs.decoder_channels[:stages],
            features=self.recipe.uses("feature_mse"),
            channel=self.recipe.uses("channel") and features,
            cross_sample_dim=objective.cross_sample_dim if self.recipe.uses("cross_sample") else None,
            seed=seed,
        )
        self.joined = student.stages[: stages if self.recipe.uses("feature_mse") else 1]
        self.shared: Shared | None = None
        self.dense_adapters: DenseAdapters | None = None
        if dense:
            self.shared = Shared.of(student, theirs, objective.dense)
            self.dense_adapters = DenseAdapters(
                [(student.encoder_channels[a], theirs.encoder_channels[b]) for a, b, _ in self.shared.places],
                (student.decoder_channels[0], theirs.decoder_channels[0]),
                pool=self.shared.pool if self.recipe.uses("pool") else (),
                stats=self.shared.stats if self.recipe.uses("stats") else (),
                knn=self.recipe.uses("knn_mse"),
                voxel=self.recipe.uses("voxel"),
                layers=objective.dense.adapter_layers,
                width=objective.dense.adapter_width,
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
        """One plan serves both networks, unless the teacher has clouds of its own."""
        if self.dense_plan_spec is not None:
            return self.network.plan_spec
        return self.network.plan_spec.union(self.teacher.plan_spec)

    @property
    def dense_plan_spec(self) -> PlanSpec | None:
        """What the plan of dense clouds must serve."""
        return None if self.shared is None else self.teacher.plan_spec

    @property
    def trained(self) -> nn.ModuleDict:
        """The student and the adapters, which stay here when the student leaves."""
        dense = {} if self.dense_adapters is None else {"dense_adapters": self.dense_adapters}
        return nn.ModuleDict({"network": self.network, "adapters": self.adapters, **dense})

    def compute_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The loss and its `terms`."""
        gather = self.objective.gather and distributed.world_size() > 1
        scale = Scale(batch.features.device, gather=gather)
        # Before the networks: a copy to the host waits for what the device has been given.
        matching = self._matching(batch)
        measured = self._measured(batch, matching, gather=gather)
        student = view(self.network, self.network.forward_features(batch.features, batch.plan), batch.plan)
        cross_entropy, lovasz = task.segmentation(student.logits, batch.label)
        labelled = int((batch.label != 255).sum()) if gather else 0
        values = {"cross_entropy": scale(cross_entropy, labelled), "lovasz": lovasz}
        if self.recipe.uses(*DISTILLED):
            values |= self._distilled(batch, student, matching, measured, scale)
            self._count_classes(batch.label)
        told = _over_processes(values)
        self.weights.update(told)
        weights = self.weights.current()
        loss = torch.stack([weights[name] * value for name, value in values.items()]).sum()
        whole = torch.stack([weights[name] * value for name, value in told.items()]).sum()
        # The value over all processes with this process's gradient.
        return {"loss": loss + (whole - loss).detach(), **told}

    def _matching(self, batch: Batch) -> Matching | None:
        """What a batch of pairs has in common; None where both networks see the same voxels."""
        if self.shared is None or not self.recipe.uses(*DISTILLED):
            return None
        radius_m = self.objective.dense.knn_radius_m or self.voxel_size_m
        return match(batch, self.joined, radius_m=radius_m if self.recipe.uses("knn_kl", "knn_mse") else None)

    def _distilled(
        self, batch: Batch, student: View, matching: Matching | None, measured: Measured, scale: Scale
    ) -> dict[str, Tensor]:
        """The terms of the teacher's."""
        if matching is None or batch.dense is None:
            teacher = self.teacher(batch.features, batch.plan)
            return measure(Pair(student, teacher, batch.label, batch.offsets, self.adapters), measured, scale)
        assert self.shared is not None and self.dense_adapters is not None, "made with dense clouds"
        teacher = self.teacher(batch.dense.features, batch.dense.plan)
        label = batch.label.index_select(0, matching.cells[0][0])
        common = Pair(*matching.of_views(student, teacher), label, matching.offsets, self.adapters)
        pair = DensePair(student, teacher, batch, matching, self.shared, self.dense_adapters)
        return measure(common, measured, scale) | measure_dense(pair, self.recipe, self.objective.dense, scale)

    def _measured(self, batch: Batch, matching: Matching | None, *, gather: bool) -> Measured:
        first = distributed.rank() * len(batch)
        if gather:
            sizes = distributed.gather_sizes(len(batch), batch.features.device)
            first, _ = distributed.own_range(sizes)
        host = None
        if self.recipe.uses("point_affinity", "voxel_affinity"):
            xyz, label = batch.xyz, batch.label
            if matching is not None:
                xyz, label = (each.index_select(0, matching.cells[0][0]) for each in (xyz, label))
            host = Host.of(xyz, label, self.class_count)
        return Measured(
            recipe=self.recipe,
            objective=self.objective,
            voxel_size_m=self.voxel_size_m,
            host=host,
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
