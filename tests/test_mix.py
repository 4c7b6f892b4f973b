# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mix3D: what merged samples hold, and batches of merged clouds."""

import numpy as np
import pytest
import torch
from numpy.random import default_rng

from srkd.architectures import build_network
from srkd.cloud import Cloud
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd_train.data.augment import Augment
from srkd_train.data.batch import Batch
from srkd_train.data.loader import TrainingBatches
from srkd_train.data.mix import merge, merge_pairs
from srkd_train.data.sample import Sample

SPEC = InputSpec(0.5)


def make(seed: int, points: int = 300) -> Sample:
    """Points in a box of 4 m, so that any two of them share many voxels."""
    rng = default_rng(seed)
    xyz = rng.uniform(-2, 2, size=(points, 3)).astype(np.float32)
    cloud = Cloud(xyz, intensity=rng.random(points, dtype=np.float32), ring=np.full(points, seed))
    return Sample(cloud, np.full(points, seed, np.uint8), f"cloud{seed}", pose=np.eye(4))


class Clouds:
    """Eight clouds; the label of a point is the number of its cloud."""

    scheme = get_scheme("street")

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Sample:
        return make(index)


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return build_network("student-nano", 12, 4)


def batches(network: torch.nn.Module, *, mix_p: float, batch_size: int = 4, **kwargs: int) -> TrainingBatches:
    return TrainingBatches(
        Clouds(), SPEC, network.plan_spec, Augment(), batch_size=batch_size, seed=1, mix_p=mix_p, **kwargs
    )


def cells(batch: Batch) -> list[set[tuple[int, ...]]]:
    """Occupied lattice cells of each cloud of a batch."""
    starts = [0, *batch.offsets]
    index = np.floor(batch.xyz.numpy().astype(float) / SPEC.voxel_size_m).astype(int)
    parts = [index[start:end] for start, end in zip(starts, batch.offsets, strict=False)]
    found = [set(map(tuple, part.tolist())) for part in parts]
    assert [len(cloud) for cloud in found] == [len(part) for part in parts], "a voxel occurs twice"
    return found


def test_merged_samples_hold_both() -> None:
    one, other = make(1, 20), make(2, 30)
    both = merge(one, other)
    assert both.name == "cloud1+cloud2" and both.pose is None and both.instance is None
    assert both.cloud.intensity is not None and both.cloud.ring is not None
    np.testing.assert_array_equal(both.cloud.xyz, np.concatenate([one.cloud.xyz, other.cloud.xyz]))
    np.testing.assert_array_equal(both.label, both.cloud.ring)
    np.testing.assert_array_equal(both.cloud.intensity[20:], other.cloud.intensity)
    bare = Sample(Cloud(other.cloud.xyz), other.label, "bare")
    assert merge(one, bare).cloud.intensity is None and merge(bare, one).cloud.ring is None


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8])
def test_pairs_are_neighbours_and_the_last_odd_one_stays(count: int) -> None:
    names = [sample.name for sample in merge_pairs([make(number, 3) for number in range(count)])]
    expected = [f"cloud{number}+cloud{number + 1}" for number in range(0, count - 1, 2)]
    assert names == expected + ([f"cloud{count - 1}"] if count % 2 else [])


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
def test_a_mixed_batch_is_the_plain_one_with_pairs_in_one_place(network: torch.nn.Module, batch_size: int) -> None:
    plain = batches(network, mix_p=0.0, batch_size=batch_size)[3]
    mixed = batches(network, mix_p=1.0, batch_size=batch_size)[3]
    assert len(plain) == batch_size and len(mixed) == (batch_size + 1) // 2 == len(mixed.offsets)
    assert "+".join(mixed.names) == "+".join(plain.names)
    apart, together = cells(plain), cells(mixed)
    for number, cloud in enumerate(together):
        assert cloud == set().union(*apart[2 * number : 2 * number + 2])
    if batch_size == 2:
        assert len(together[0]) < len(apart[0]) + len(apart[1])
        assert set(mixed.label.tolist()) == set(plain.label.tolist())


def test_the_coin_is_thrown_once_a_step(network: torch.nn.Module) -> None:
    some = batches(network, mix_p=0.5, batch_size=2)
    sizes = [len(some[step]) for step in range(40)]
    assert 10 <= sizes.count(1) <= 30
    assert sizes[7:12] == [len(batches(network, mix_p=0.5, batch_size=2)[step]) for step in range(7, 12)]


def test_two_processes_mix_what_one_would(network: torch.nn.Module) -> None:
    whole = batches(network, mix_p=0.5, batch_size=4)
    for step in range(8):
        halves = [batches(network, mix_p=0.5, batch_size=2, rank=rank, world_size=2)[step] for rank in range(2)]
        assert halves[0].names + halves[1].names == whole[step].names
        assert torch.equal(torch.cat([half.xyz for half in halves]), whole[step].xyz)
