# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Voxelised items, batches, their way through workers, and the order in which clouds are drawn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng

from srkd.architectures import build_network
from srkd.cloud import Cloud
from srkd.errors import CloudError
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd_train.data.augment import Augment
from srkd_train.data.batch import Batch, collate, prepare
from srkd_train.data.loader import (
    EvaluationBatches,
    TrainingBatches,
    evaluation_loader,
    training_loader,
)
from srkd_train.data.order import epoch_order, spread_indices
from srkd_train.data.sample import Sample

SPEC = InputSpec(0.5, max_range_m=15.0)


def make(seed: int, points: int = 400) -> Sample:
    rng = default_rng(seed)
    xyz = rng.normal(size=(points, 3), scale=5).astype(np.float32)
    xyz[:3] = np.nan
    xyz[3:6] = 0
    xyz[6:9] = 100
    label = rng.integers(0, 12, points).astype(np.uint8)
    return Sample(Cloud(xyz, intensity=rng.random(points, dtype=np.float32)), label, f"cloud{seed}")


class Clouds:
    """Five clouds."""

    scheme = get_scheme("street")

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Sample:
        return make(index)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network("student-nano", 12, 4)


def test_evaluation_item_maps_every_usable_raw_point_to_its_voxel() -> None:
    sample = make(0)
    item = prepare(sample, SPEC)
    assert item.row is not None and item.raw_label is not None
    usable = SPEC.valid_mask(sample.cloud.xyz)
    np.testing.assert_array_equal(item.row.numpy() >= 0, usable)
    cell = np.floor(sample.cloud.xyz[usable].astype(float) / 0.5).astype(int)
    cell -= cell.min(0)
    np.testing.assert_array_equal(item.grid_coord.numpy()[item.row.numpy()[usable]], cell)
    assert len(item.label) == len(np.unique(cell, axis=0))
    first = [np.flatnonzero(item.row.numpy() == voxel)[0] for voxel in range(len(item.label))]
    np.testing.assert_array_equal(item.features.numpy()[:, :3], sample.cloud.xyz[first])
    np.testing.assert_array_equal(item.label.numpy(), sample.label[first])
    np.testing.assert_array_equal(item.xyz.numpy(), sample.cloud.xyz[first])


def test_training_item_takes_a_random_point_of_each_voxel_with_its_own_label() -> None:
    sample = make(1, 4000)
    items = [prepare(sample, SPEC, train_rng=default_rng(seed)) for seed in (0, 0, 1)]
    assert torch.equal(items[0].features, items[1].features) and not torch.equal(items[0].features, items[2].features)
    assert all(torch.equal(items[0].grid_coord, item.grid_coord) for item in items) and items[0].row is None
    known = {tuple(point): label for point, label in zip(sample.cloud.xyz.tolist(), sample.label, strict=True)}
    assert all(known[tuple(f[:3])] == c for f, c in zip(items[2].features.tolist(), items[2].label, strict=True))


def test_no_usable_point_is_named() -> None:
    sample = make(0)
    empty = replace(sample, cloud=replace(sample.cloud, xyz=np.full((400, 3), np.nan, np.float32)))
    with pytest.raises(CloudError, match="cloud0: none of 400 points"):
        prepare(empty, SPEC)


def test_a_batch_gives_each_cloud_what_it_gets_alone(network: torch.nn.Module) -> None:
    items = [prepare(make(seed, points), SPEC) for seed, points in ((0, 400), (1, 60), (2, 900))]
    batch = collate(items, network.plan_spec)
    assert len(batch) == 3 and batch.offsets[-1] == len(batch.label) and batch.names == ("cloud0", "cloud1", "cloud2")
    network.eval()
    with torch.no_grad():
        together = network(batch.features, batch.plan)
        alone = [network(item.features, collate([item], network.plan_spec).plan) for item in items]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)
    assert torch.equal(batch.xyz, torch.cat([item.xyz for item in items])) and batch.xyz.dtype == torch.float32
    raw = batch.spread(together.argmax(1))
    assert batch.raw_label is not None and len(raw) == len(batch.raw_label) == 1360
    expected = torch.cat(
        [collate([i], network.plan_spec).spread(o.argmax(1)) for i, o in zip(items, alone, strict=True)]
    )
    assert (raw == expected).float().mean() > 0.999
    assert (raw[:9] == 255).all()


def test_spreading_a_training_batch_is_refused(network: torch.nn.Module) -> None:
    batch = collate([prepare(make(0), SPEC, train_rng=default_rng(0))], network.plan_spec)
    with pytest.raises(ValueError, match="prepared for training"):
        batch.spread(batch.label)


def equal(one: Batch, other: Batch) -> bool:
    tables = one.plan.tables.keys() == other.plan.tables.keys() and one.plan.orders == other.plan.orders
    same = tables and all(torch.equal(one.plan.tables[name], other.plan.tables[name]) for name in one.plan.tables)
    fields = ("features", "label", "xyz")
    return same and all(torch.equal(getattr(one, name), getattr(other, name)) for name in fields)


def batches(network: torch.nn.Module, **kwargs: int) -> TrainingBatches:
    return TrainingBatches(Clouds(), SPEC, network.plan_spec, Augment(), batch_size=2, seed=3, **kwargs)


def test_a_step_is_the_same_in_any_process_and_at_any_start(network: torch.nn.Module) -> None:
    plain = [batches(network)[step] for step in range(4)]
    late = list(training_loader(batches(network), steps=4, start=2, num_workers=1))
    assert len(late) == 2 and all(equal(a, b) for a, b in zip(plain[2:], late, strict=True))
    assert not equal(plain[0], plain[1])
    assert plain[0].plan.orders and not batches(network, shuffle_orders=False)[0].plan.orders


def test_many_batches_cross_over_without_running_out_of_descriptors(network: torch.nn.Module) -> None:
    held = list(training_loader(batches(network), steps=40, start=0, num_workers=1))
    assert len(held) == 40


def test_processes_share_an_epoch_out(network: torch.nn.Module) -> None:
    drawn = []
    for rank in range(2):
        part = batches(network, rank=rank, world_size=2)
        drawn += [name for step in range(5) for name in part[step].names]
    assert sorted(drawn) == sorted([f"cloud{i}" for i in range(5)] * 4)


def test_evaluation_loader_goes_through_the_chosen_clouds_in_order(network: torch.nn.Module) -> None:
    loader = evaluation_loader(EvaluationBatches(Clouds(), SPEC, network.plan_spec, [4, 0, 2]), num_workers=1)
    assert [batch.names for batch in loader] == [("cloud4",), ("cloud0",), ("cloud2",)]


@given(length=st.integers(1, 300), group=st.integers(1, 20), seed=st.integers(0, 5))
def test_an_epoch_draws_every_cloud_once(length: int, group: int, seed: int) -> None:
    order = epoch_order(length, group, default_rng(seed))
    np.testing.assert_array_equal(np.sort(order), np.arange(length))


def test_an_epoch_keeps_few_groups_open() -> None:
    order = epoch_order(6000, 6, default_rng(0))
    groups = order // 6
    for start in range(0, 6000, 96):
        assert len(np.unique(groups[start : start + 96])) <= 16


def test_spread_indices() -> None:
    assert spread_indices(5, None) == spread_indices(5, 9) == [0, 1, 2, 3, 4]
    assert spread_indices(101, 3) == [0, 50, 100]
