# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A distillation step on four small clouds, whole or as one process of two sees it, in double precision."""

from __future__ import annotations

import torch
from small_networks import features_of, small_cdsegnet, small_ptv3, voxels
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from srkd.plan_build import build_plan
from srkd_train import distributed
from srkd_train.config import OptimConfig
from srkd_train.data.batch import Batch
from srkd_train.distiller import Distiller
from srkd_train.objective import SRKD, SUPERVISED
from srkd_train.objective_config import ObjectiveConfig, SupervoxelConfig, WeightsConfig
from srkd_train.teacher import FrozenTeacher

SIZES = (90, 60, 75, 110)
"""Voxels of the clouds; each process has two."""
TERMS = SUPERVISED + SRKD
CASES = (*((name,) for name in TERMS), TERMS)
"""Each term alone, then all."""


def batch_of(clouds: range) -> Batch:
    """The clouds of these numbers, some voxels without a label."""
    grids = [voxels(SIZES[cloud], seed=cloud, extent=10) for cloud in clouds]
    ends = torch.tensor([len(grid) for grid in grids]).cumsum(0).tolist()
    label = torch.cat(
        [torch.randint(12, (SIZES[cloud],), generator=torch.Generator().manual_seed(cloud)) for cloud in clouds]
    )
    label[torch.cat([torch.arange(SIZES[cloud]) % (3 + cloud) == 0 for cloud in clouds])] = 255
    spec = small_ptv3().plan_spec.union(small_cdsegnet().plan_spec)
    return Batch(
        features=torch.cat([features_of(SIZES[cloud], seed=cloud) for cloud in clouds]).double(),
        plan=build_plan(torch.cat(grids), ends, spec),
        label=label,
        offsets=tuple(ends),
        names=tuple(str(cloud) for cloud in clouds),
        xyz=torch.cat(grids).float() + 0.5,
    )


def distiller(terms: tuple[str, ...], *, gather: bool) -> Distiller:
    """The small student and teacher with these terms alone, each of weight 1; without drop path."""
    torch.manual_seed(1)
    weights = WeightsConfig(**{name: float(name in terms) for name in TERMS})
    objective = ObjectiveConfig(
        weights=weights,
        cross_sample_points=50,
        cross_sample_dim=8,
        gather=gather,
        supervoxels=SupervoxelConfig(radius_m=None, height_m=None, count=3, points=20, voxels=10, sub_voxel_m=2.0),
    )
    student, teacher = small_ptv3(seed=1, drop_path=0.0), small_cdsegnet(seed=2)
    module = Distiller(
        student,
        FrozenTeacher(teacher.double()),
        [str(number) for number in range(12)],
        OptimConfig(),
        objective,
        max_steps=1,
        voxel_size_m=1.0,
    )
    return module.double().train()


class Step(torch.nn.Module):
    """`training_step` as a forward pass, which is what DistributedDataParallel hooks into."""

    def __init__(self, module: Distiller) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.module.training_step(batch, 0)


def gradients(module: Distiller, out: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gradient of every parameter, running statistics, and the loss."""
    found = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
    statistics = {name: value.clone() for name, value in module.named_buffers() if value.is_floating_point()}
    return {**found, **statistics, "loss": out["loss"].detach()}


def one_process(terms: tuple[str, ...], clouds: range) -> dict[str, Tensor]:
    """A step on these clouds in this process."""
    module = distiller(terms, gather=False)
    out = module.training_step(batch_of(clouds), 0)
    out["loss"].backward()
    return gradients(module, out)


def process_of_two(gather: bool) -> list[dict[str, Tensor]]:
    """The same in one of two processes, for every case."""
    first = 2 * distributed.rank()
    found = []
    for terms in CASES:
        module = distiller(terms, gather=gather)
        if gather:
            distributed.convert_sync_batchnorm(module)
        parallel = DistributedDataParallel(Step(module))
        out = parallel(batch_of(range(first, first + 2)))
        out["loss"].backward()
        found.append(gradients(module, out))
    return found
