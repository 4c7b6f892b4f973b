# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small raw clouds with denser ones around the same cells, and a distilling step on them, whole or as one of two
processes sees it, in double precision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from halved_distillation import SIZES, Step, batch_of, gradients
from small_networks import features_of, randomize, small_cdsegnet, small_ptv3, voxels
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from srkd.architectures import Network
from srkd.plan_build import build_plan
from srkd.spunet import SpUNet, SpUNetConfig
from srkd_train import distributed
from srkd_train.config import OptimConfig
from srkd_train.data.batch import Batch
from srkd_train.distiller import Distiller
from srkd_train.objective import DENSE, SRKD, TERMS
from srkd_train.objective_config import DenseTermsConfig, ObjectiveConfig, SupervoxelConfig, WeightsConfig
from srkd_train.teacher import FrozenTeacher

CASES = (*((name,) for name in DENSE), SRKD + DENSE)
"""Each term between clouds of different size alone, then all of the teacher's."""


def small_spunet(seed: int = 0) -> SpUNet:
    """A SpUNet of some ten thousand parameters, in eval mode."""
    network = SpUNet(SpUNetConfig(4, 12, (8, 12, 16, 20), (1, 1, 1), (10, 12, 14), (1, 1, 1)))
    randomize(network, seed)
    return network.eval()


SPEC = small_ptv3().plan_spec.union(small_cdsegnet().plan_spec, small_spunet().plan_spec)


def pairs_of(clouds: range, *, apart: int = 0) -> Batch:
    """The clouds of `halved_distillation.batch_of` with dense ones: two thirds of their cells among 200 others, moved
    by `apart` cells. A cloud is the same whatever others there are."""
    grids, places, features = [], [], []
    for cloud in clouds:
        generator = torch.Generator().manual_seed(70 + cloud)
        own = voxels(SIZES[cloud], seed=cloud, extent=10)
        cells = torch.unique(torch.cat([own[torch.arange(len(own)) % 3 > 0], voxels(200, 50 + cloud, 12)]), dim=0)
        cells = cells[torch.randperm(len(cells), generator=generator)]
        grids.append(cells + apart)
        places.append(cells + apart + 0.3 + 0.4 * torch.rand(len(cells), 3, generator=generator))
        features.append(features_of(len(cells), seed=80 + cloud))
    ends = torch.tensor([len(grid) for grid in grids]).cumsum(0).tolist()
    batch = batch_of(clouds)
    dense = Batch(
        features=torch.cat(features).double(),
        plan=build_plan(torch.cat(grids), ends, SPEC),
        label=torch.full((ends[-1],), 255),
        offsets=tuple(ends),
        names=batch.names,
        xyz=torch.cat(places),
    )
    return replace(batch, dense=dense)


def dense_distiller(
    terms: tuple[str, ...], *, teacher: Network | None = None, gather: bool = False, dense: bool = True, **more: Any
) -> Distiller:
    """The small student and a teacher with these terms alone, each of weight 1; without drop path."""
    torch.manual_seed(1)
    objective = ObjectiveConfig(
        weights=WeightsConfig(**{name: float(name in terms) for name in TERMS}),
        cross_sample_points=50,
        gather=gather,
        supervoxels=SupervoxelConfig(radius_m=None, height_m=None, count=3, points=20, voxels=10, sub_voxel_m=2.0),
        dense=DenseTermsConfig(**{"adapter_width": 16, **more}),
    )
    module = Distiller(
        small_ptv3(seed=1, drop_path=0.0),
        FrozenTeacher((teacher or small_cdsegnet(seed=2)).double()),
        [str(number) for number in range(12)],
        OptimConfig(),
        objective,
        max_steps=1,
        voxel_size_m=1.0,
        dense=dense,
    )
    return module.double().train()


def one_process(terms: tuple[str, ...], clouds: range) -> dict[str, Tensor]:
    """A step on these clouds in this process."""
    module = dense_distiller(terms)
    out = module.training_step(pairs_of(clouds), 0)
    out["loss"].backward()
    return gradients(module, out)


def process_of_two() -> list[dict[str, Tensor]]:
    """The same in one of two processes that gather, for every case."""
    first = 2 * distributed.rank()
    found = []
    for terms in CASES:
        module = dense_distiller(terms, gather=True)
        distributed.convert_sync_batchnorm(module)
        parallel = DistributedDataParallel(Step(module))
        out = parallel(pairs_of(range(first, first + 2)))
        out["loss"].backward()
        found.append(gradients(module, out))
    return found
