# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From samples to batches: voxelise, collate, plan. Runs in data-loader workers; a batch crosses as few tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import Generator
from torch import Tensor

from srkd.cloud import usable_points
from srkd.errors import CloudError
from srkd.input_spec import InputSpec
from srkd.labels import IGNORE
from srkd.plan import GeometryPlan, PlanSpec
from srkd.plan_build import build_plan
from srkd.voxel import voxelize, within_reach
from srkd_train.data.sample import Sample


@dataclass(frozen=True, eq=False)
class Item:
    """One voxelised cloud of M voxels out of R raw points."""

    grid_coord: Tensor
    """(M, 3) int32 voxel coordinates from 0."""
    features: Tensor
    """(M, C) float32 of the representative point of each voxel."""
    label: Tensor
    """(M,) int64 class of the representative point, 255 for none."""
    xyz: Tensor
    """(M, 3) float32 coordinates of the representative points, metres, as augmented."""
    name: str
    """Name of the sample."""
    row: Tensor | None = None
    """(R,) int64 voxel of each raw point, -1 where it is unusable; None in training."""
    raw_label: Tensor | None = None
    """(R,) uint8 label of each raw point; None in training."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Clouds one after another, with the plan that the network needs."""

    features: Tensor
    """(N, C) float32."""
    plan: GeometryPlan
    """Geometry of the N voxels."""
    label: Tensor
    """(N,) int64, 255 for none."""
    xyz: Tensor
    """(N, 3) float32 coordinates of the representative points, metres, as augmented."""
    offsets: tuple[int, ...]
    """Per cloud the row after its last one, rising to N."""
    names: tuple[str, ...]
    """Name of each cloud."""
    row: Tensor | None = None
    """(R,) int64 row of each raw point of all clouds, -1 where unusable; None in training."""
    raw_label: Tensor | None = None
    """(R,) uint8; None in training."""
    dense: "Batch | None" = None
    """The teacher's clouds of the same places, in the same order and on the same lattices; None where it sees these."""

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def nbytes(self) -> int:
        """Memory of all its tensors, its plan's and its dense clouds' included."""
        own = (self.features, self.label, self.xyz, self.row, self.raw_label, *self.plan.tables.values())
        return sum(each.nbytes for each in own if each is not None) + (0 if self.dense is None else self.dense.nbytes)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device."""
        return replace(
            self,
            features=self.features.to(device, non_blocking=non_blocking),
            plan=self.plan.to(device),
            label=self.label.to(device, non_blocking=non_blocking),
            xyz=self.xyz.to(device, non_blocking=non_blocking),
            row=None if self.row is None else self.row.to(device, non_blocking=non_blocking),
            raw_label=None if self.raw_label is None else self.raw_label.to(device, non_blocking=non_blocking),
            dense=None if self.dense is None else self.dense.to(device, non_blocking=non_blocking),
        )

    def spread(self, class_id: Tensor) -> Tensor:
        """Classes of voxels (N,) to classes of raw points (R,), 255 where a point is unusable.

        Raises:
            ValueError: the batch was made for training and knows no raw points.
        """
        if self.row is None:
            raise ValueError("this batch was prepared for training: prepare it without train_rng to keep raw points")
        return torch.where(self.row < 0, IGNORE, class_id[self.row.clamp_min(0)])


def prepare(
    sample: Sample, spec: InputSpec, *, train_rng: Generator | None = None, origin: Tensor | None = None
) -> Item:
    """Voxelise one sample; with `train_rng` a random point stands for each voxel and the raw points are forgotten.

    Without it the first point in input order stands for a voxel and the map to every raw point is kept.

    Args:
        sample: the cloud.
        spec: input of the network.
        train_rng: see above.
        origin: (3,) lattice cell that becomes voxel 0, for clouds that share a lattice (`lowest_cell`); by default the
            cloud's own.

    Raises:
        CloudError: no point is usable, or the cloud lacks a column that the features need.
    """
    mask = _voxelised(sample, spec, training=train_rng is not None)
    kept = np.flatnonzero(mask)
    cloud = sample.cloud.select(kept)
    pick = None
    if train_rng is not None:
        pick = torch.Generator().manual_seed(int(train_rng.integers(2**63)))
    voxels = voxelize(torch.from_numpy(cloud.xyz), spec.voxel_size_m, origin=origin, pick=pick)
    point = voxels.point.numpy()
    features = torch.from_numpy(np.nan_to_num(spec.make_features(cloud.select(point)), copy=False, posinf=0, neginf=0))
    label = torch.from_numpy(sample.label[kept[point]].astype(np.int64))
    xyz = torch.from_numpy(cloud.xyz[point])
    if train_rng is not None:
        return Item(voxels.grid_coord, features, label, xyz, sample.name)
    row = torch.full((len(mask),), -1, dtype=torch.int64)
    row[torch.from_numpy(kept)] = voxels.inverse
    return Item(voxels.grid_coord, features, label, xyz, sample.name, row, torch.from_numpy(sample.label))


def lowest_cell(samples: Sequence[Sample], spec: InputSpec) -> Tensor:
    """(3,) float64 the smallest lattice cell of each axis that any of some training clouds has a point in.

    Raises:
        CloudError: a cloud has no usable point.
    """
    # Rounding down keeps order: the lowest point has the lowest cell.
    lowest = [sample.cloud.xyz[_voxelised(sample, spec, training=True)].min(0) for sample in samples]
    return torch.floor(torch.from_numpy(np.min(lowest, axis=0)).to(torch.float64) / spec.voxel_size_m)


def _voxelised(sample: Sample, spec: InputSpec, *, training: bool) -> npt.NDArray[np.bool_]:
    """(N,) which points become voxels: augmentation moves points over the bounds of the input range, where they were
    cut before it."""
    raw = sample.cloud.xyz
    mask = (usable_points(raw) if training else spec.valid_mask(raw)) & within_reach(raw, spec.voxel_size_m)
    if not mask.any():
        raise CloudError(f"{sample.name}: none of {len(mask)} points is finite and in range, leave the cloud out")
    return mask


def collate(items: Sequence[Item], spec: PlanSpec, *, shuffle: torch.Generator | None = None) -> Batch:
    """Concatenate clouds and build their plan.

    Args:
        items: clouds, all for training or all for evaluation.
        spec: what the networks need of the plan.
        shuffle: draws curve orders (training augmentation); None for the fixed order.
    """
    sizes = [len(item.label) for item in items]
    offsets = [int(end) for end in np.cumsum(sizes)]
    plan = build_plan(
        torch.cat([item.grid_coord for item in items]),
        offsets,
        spec if shuffle is None else spec.all_curves(),
        shuffle=shuffle,
    )
    rows: list[Tensor] = []
    raw_labels: list[Tensor] = []
    for item, start in zip(items, [0, *offsets], strict=False):
        if item.row is not None and item.raw_label is not None:
            rows.append(torch.where(item.row < 0, item.row, item.row + start))
            raw_labels.append(item.raw_label)
    return Batch(
        features=torch.cat([item.features for item in items]),
        plan=plan,
        label=torch.cat([item.label for item in items]),
        xyz=torch.cat([item.xyz for item in items]),
        offsets=tuple(offsets),
        names=tuple(item.name for item in items),
        row=torch.cat(rows) if rows else None,
        raw_label=torch.cat(raw_labels) if raw_labels else None,
    )
