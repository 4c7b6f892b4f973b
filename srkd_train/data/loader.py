# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data loaders whose every batch is a function of (seed, step), so that a resumed run sees what an unbroken one saw."""

import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from srkd.input_spec import InputSpec
from srkd.labels import LabelScheme
from srkd.plan import PlanSpec
from srkd_train.data.augment import Augment
from srkd_train.data.batch import Batch, collate, lowest_cell, prepare
from srkd_train.data.mix import merge_pairs
from srkd_train.data.order import StepSampler, epoch_order
from srkd_train.data.sample import Sample, select
from srkd_train.data.workers import Carrying, Raising

PREFETCHED = 2
"""Batches that each worker makes ahead; they wait in shared memory."""


class LabelledClouds(Protocol):
    """What a data-set adapter offers."""

    @property
    def scheme(self) -> LabelScheme: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


class TrainingBatches(Dataset[Batch]):
    """Batch number `step` of a training run: its clouds, their augmentation, their voxels and curve orders.

    Epoch after epoch goes through the clouds in a new random order (see `epoch_order`); processes share them out.

    Args:
        clouds: the data set.
        spec: input of the network.
        plan_spec: tables of the network.
        augment: training augmentation.
        batch_size: clouds per batch and process.
        seed: seed of everything drawn here.
        group: clouds of the data set that are made together, see `epoch_order`.
        mix_p: probability that the clouds of a batch are merged in pairs (`srkd_train.data.mix`). One coin for all
            processes, so that their batches stay alike in number of clouds, and equal in sum to one large batch.
        shuffle_orders: draw curve orders at random.
        rank: number of this process.
        world_size: number of processes.
        dense: clouds of the same places, one by one, for a teacher: augmented, cropped and merged as the others are,
            on the same lattices. They do not change what becomes of the others but for the voxels' origin.
        dense_spec: tables of the teacher.
    """

    def __init__(
        self,
        clouds: LabelledClouds,
        spec: InputSpec,
        plan_spec: PlanSpec,
        augment: Augment,
        *,
        batch_size: int,
        seed: int,
        group: int = 1,
        mix_p: float = 0.0,
        shuffle_orders: bool = True,
        rank: int = 0,
        world_size: int = 1,
        dense: LabelledClouds | None = None,
        dense_spec: PlanSpec | None = None,
    ) -> None:
        self.clouds = clouds
        self.spec = spec
        self.plan_spec = plan_spec
        self.augment = augment
        self.batch_size = batch_size
        self.seed = seed
        self.group = group
        self.mix_p = mix_p
        self.shuffle_orders = shuffle_orders
        self.rank = rank
        self.world_size = world_size
        self.dense = dense
        self.dense_spec = plan_spec if dense_spec is None else dense_spec
        self._order: tuple[int, NDArray[np.int64]] | None = None

    def __getitem__(self, step: int) -> Batch:
        first = (step * self.world_size + self.rank) * self.batch_size
        draws = range(first, first + self.batch_size)
        rngs = [default_rng((self.seed, 1, draw)) for draw in draws]
        mixed = self.mix_p > 0 and bool(default_rng((self.seed, 3, step)).random() < self.mix_p)
        shuffle = None
        if self.shuffle_orders:
            shuffle = torch.Generator().manual_seed(int(default_rng((self.seed, 2, first)).integers(2**63)))
        if self.dense is not None:
            return self._pairs(self.dense, draws, rngs, mixed=mixed, shuffle=shuffle)
        samples = [
            self.augment(self._sample(self.clouds, draw), rng, voxel_size_m=self.spec.voxel_size_m)
            for draw, rng in zip(draws, rngs, strict=True)
        ]
        if mixed:
            samples, rngs = merge_pairs(samples), rngs[::2]
        items = [prepare(sample, self.spec, train_rng=rng) for sample, rng in zip(samples, rngs, strict=True)]
        return collate(items, self.plan_spec, shuffle=shuffle)

    def _pairs(
        self,
        dense: LabelledClouds,
        draws: Sequence[int],
        rngs: list[Generator],
        *,
        mixed: bool,
        shuffle: torch.Generator | None,
    ) -> Batch:
        """The batch with the teacher's beside it; the teacher follows fixed curves."""
        owns = [default_rng((self.seed, 4, draw)) for draw in draws]
        raws: list[Sample] = []
        denses: list[Sample] = []
        for draw, rng, own in zip(draws, rngs, owns, strict=True):
            both = self._sample(self.clouds, draw), self._sample(dense, draw)
            raw, twin = self.augment.pair(*both, rng, own, voxel_size_m=self.spec.voxel_size_m)
            raws.append(raw)
            denses.append(twin)
        if mixed:
            raws, denses, rngs, owns = merge_pairs(raws), merge_pairs(denses), rngs[::2], owns[::2]
        items, dense_items = [], []
        for raw, twin, rng, own in zip(raws, denses, rngs, owns, strict=True):
            origin = lowest_cell((raw, twin), self.spec)
            items.append(prepare(raw, self.spec, train_rng=rng, origin=origin))
            dense_items.append(prepare(twin, self.spec, train_rng=own, origin=origin))
        batch = collate(items, self.plan_spec, shuffle=shuffle)
        return replace(batch, dense=collate(dense_items, self.dense_spec))

    def _sample(self, clouds: LabelledClouds, draw: int) -> Sample:
        sample = clouds[self.cloud_index(draw)]
        return select(sample, self.spec.valid_mask(sample.cloud.xyz))

    def cloud_index(self, draw: int) -> int:
        """Which cloud the `draw`-th draw of the run is."""
        epoch, position = divmod(draw, len(self.clouds))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, epoch_order(len(self.clouds), self.group, default_rng((self.seed, 0, epoch)))
        return int(self._order[1][position])


class Loader(DataLoader[Batch]):
    """A data loader whose workers can be sent home before it is used up.

    They ignore the signals that ask a run to save and stop, so the run has to end them itself; `close` does.
    """

    _live: Any = None

    def __iter__(self) -> Any:
        self._live = super().__iter__()
        return Raising(self._live)

    def close(self) -> None:
        """End the workers of the newest iteration; they finish the batch at hand."""
        shut_down = getattr(self._live, "_shutdown_workers", None)
        if shut_down is not None:
            shut_down()
        self._live = None


class EvaluationBatches(Dataset[Batch]):
    """One batch per cloud, unaugmented, with every raw point; `indices` picks and orders the clouds."""

    def __init__(self, clouds: LabelledClouds, spec: InputSpec, plan_spec: PlanSpec, indices: Sequence[int]) -> None:
        self.clouds = clouds
        self.spec = spec
        self.plan_spec = plan_spec
        self.indices = tuple(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Batch:
        return collate([prepare(self.clouds[self.indices[position]], self.spec)], self.plan_spec)


def training_loader(batches: TrainingBatches, *, steps: int, start: int, num_workers: int) -> Loader:
    """Loader of the batches `start` to `steps`."""
    return Loader(Carrying(batches), batch_size=None, sampler=StepSampler(steps, start=start), **_workers(num_workers))


def evaluation_loader(batches: EvaluationBatches, *, num_workers: int) -> Loader:
    """Loader of all batches in order."""
    return Loader(Carrying(batches), batch_size=None, shuffle=False, **_workers(num_workers))


def _workers(count: int) -> dict[str, Any]:
    if count == 0:
        return {"num_workers": 0}
    return {
        "num_workers": count,
        "prefetch_factor": PREFETCHED,
        "worker_init_fn": _start_worker,
        "persistent_workers": False,
    }


def _start_worker(_: int) -> None:
    """One thread a worker, and no death by the signal that asks the run as a whole to save and stop."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
