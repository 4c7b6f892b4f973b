# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Super-voxels: the partition, what is drawn from it and how often, and sub-voxels, against loops over points."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from distillation_pairs import ends, segments
from torch import Tensor

from srkd.errors import SrkdError
from srkd_train.losses import supervoxel
from srkd_train.losses.supervoxel import Regions
from srkd_train.objective_config import SupervoxelConfig

IGNORE = 255
CONFIG = SupervoxelConfig(radius_m=40.0, height_m=(-3.0, 2.0), points=30, voxels=10)
SIZES = [1500, 0, 400, 1]
FREQUENCY = torch.tensor([600.0, 380.0, 5.0, 15.0])


def clouds(sizes: list[int] = SIZES, seed: int = 0) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Points (N, 3) partly outside the cylinder, labels of 4 classes (two of them rare) or none, offsets."""
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randn(sum(sizes), 3, generator=generator) * torch.tensor([20.0, 20.0, 2.0])
    label = torch.multinomial(FREQUENCY, sum(sizes), replacement=True, generator=generator)
    label[torch.rand(sum(sizes), generator=generator) < 0.1] = IGNORE
    return xyz, label, ends(sizes)


def generators(count: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + b) for b in range(count)]


def naive_cell(x: float, y: float, z: float, config: SupervoxelConfig, radius: float, low: float, high: float) -> int:
    ring = min(int(math.hypot(x, y) / radius * config.radius_bins), config.radius_bins - 1)
    sector = min(int((math.atan2(y, x) + math.pi) / (2 * math.pi) * config.angle_bins), config.angle_bins - 1)
    layer = min(max(math.floor((z - low) / (high - low) * config.height_bins), 0), config.height_bins - 1)
    return (ring * config.angle_bins + sector) * config.height_bins + layer


def parted(config: SupervoxelConfig = CONFIG) -> tuple[Regions, Tensor, Tensor, tuple[int, ...]]:
    xyz, label, offsets = clouds()
    return supervoxel.partition(xyz, offsets=offsets, config=config), xyz, label, offsets


def test_partition_is_rings_sectors_and_layers_of_each_cloud() -> None:
    regions, xyz, _, _ = parted()
    cells = 4 * 6 * 4
    expected = [
        b * cells + naive_cell(*xyz[n].tolist(), CONFIG, 40.0, -3.0, 2.0)
        for b, rows in enumerate(segments(SIZES))
        for n in rows
    ]
    wrong = sum(a != b for a, b in zip(regions.index.tolist(), expected, strict=True))
    assert wrong <= 1  # a point on a boundary may fall either way in float32
    assert regions.per_cloud == cells and len(regions.outer) == len(regions.size) == 4 * cells
    count = Counter(regions.index.tolist())
    assert regions.size.tolist() == [count[r] for r in range(4 * cells)]
    assert [round(float(d), 6) for d in regions.outer[: cells : 6 * 4]] == [0.25, 0.5, 0.75, 1.0]


def test_partition_by_the_extent_of_the_cloud() -> None:
    config = replace(CONFIG, radius_m=None, height_m=None, radius_bins=2, angle_bins=1, height_bins=2)
    corners = [(10.0, 20.0, 5.0), (12.0, 22.0, 7.0), (11.0, 21.0, 6.5), (11.2, 21.0, 5.2)]
    xyz = torch.tensor(corners)
    regions = supervoxel.partition(xyz, offsets=[4], config=config)
    assert regions.index.tolist() == [2, 3, 1, 0]  # outer low, outer high, inner high, inner low
    moved = supervoxel.partition(torch.cat([xyz + 100, xyz]), offsets=[4, 8], config=config)
    assert moved.index.tolist() == [2, 3, 1, 0, 6, 7, 5, 4]
    single = supervoxel.partition(torch.ones(1, 3), offsets=[1], config=config)
    assert single.index.tolist() == [0]  # an extent of zero


def naive_weight(index: list[int], label: list[int], region: int, rarity: str, frequency: Tensor | None) -> float:
    cloud = segments(SIZES)[region // 96]
    rows = [n for n in cloud if index[n] == region]
    known = [label[n] for n in cloud if label[n] != IGNORE]
    if frequency is None:
        share = {c: known.count(c) / len(known) for c in set(known)}
    else:
        share = {c: float(f / frequency.sum()) for c, f in enumerate(frequency)}
    classes = [label[n] for n in rows if label[n] != IGNORE]
    if rarity == "none":
        rare = 1.0
    elif rarity == "pvkd":
        rare = 1 / (4 * math.exp(-2 * sum(share[c] < 0.01 for c in classes)) + 1)
    elif classes:
        rare = sum(1 - share[c] for c in classes) / len(classes)
    else:
        rare = sum(1 - share[c] for c in known) / len(known)
    return rare * ((region % 96) // 24 + 1) / 4


@pytest.mark.parametrize("rarity", ["srkd", "pvkd", "none"])
@pytest.mark.parametrize("frequency", [None, FREQUENCY])
def test_weights_are_rarity_times_distance(rarity, frequency) -> None:
    config = replace(CONFIG, rarity=rarity, count=96)
    regions, _, label, _ = parted(config)
    drawn = supervoxel.draw(regions, label=label, class_frequency=frequency, config=config, generators=generators(4))
    assert drawn.region.tolist() == [r for r in range(len(regions.size)) if regions.size[r] >= 2]
    assert drawn.clouds == tuple(int((regions.size[b * 96 : (b + 1) * 96] >= 2).sum()) for b in range(4))
    for region, weight in zip(drawn.region.tolist(), drawn.weights.tolist(), strict=True):
        expected = naive_weight(regions.index.tolist(), label.tolist(), region, rarity, frequency)
        assert weight == pytest.approx(expected, rel=1e-5)


def test_drawn_points_are_of_their_super_voxel_and_within_the_limit() -> None:
    regions, _, label, _ = parted()
    drawn = supervoxel.draw(regions, label=label, config=CONFIG, generators=generators(4))
    assert drawn.clouds == (4, 0, 4, 0)  # a cloud of one point has no super-voxel of two
    assert drawn.region.tolist() == sorted(set(drawn.region.tolist()))
    start = 0
    for region, end in zip(drawn.region.tolist(), drawn.offsets, strict=True):
        rows = drawn.rows[start:end].tolist()
        assert rows == sorted(set(rows)) and len(rows) == min(int(regions.size[region]), CONFIG.points)
        assert all(regions.index[row] == region for row in rows)
        start = end
    assert start == len(drawn.rows)


def test_draws_repeat_and_do_not_depend_on_batch_mates() -> None:
    xyz, label, offsets = clouds()
    regions = supervoxel.partition(xyz, offsets=offsets, config=CONFIG)
    alone = supervoxel.partition(xyz[1500:1900], offsets=[400], config=CONFIG)

    def both(regions: Regions, xyz: Tensor, label: Tensor, seeds: list[torch.Generator]):
        drawn = supervoxel.draw(regions, label=label, class_frequency=None, config=CONFIG, generators=seeds)
        return drawn, supervoxel.draw_voxels(xyz, regions, drawn, voxel_size_m=0.5, config=CONFIG, generators=seeds)

    drawn, sub = both(regions, xyz, label, generators(4))
    again, sub_again = both(regions, xyz, label, generators(4))
    assert torch.equal(drawn.rows, again.rows) and torch.equal(sub.slot, sub_again.slot)
    other, _ = both(regions, xyz, label, generators(4, first=7))
    assert not torch.equal(drawn.rows, other.rows)

    single, sub_single = both(alone, xyz[1500:1900], label[1500:1900], generators(1, first=2))
    assert torch.equal(single.region + 2 * 96, drawn.region[4:])
    assert torch.equal(single.rows + 1500, drawn.rows[drawn.offsets[3] :])
    first = sub.offsets[3]
    assert torch.equal(sub_single.row + 1500, sub.row[sub.slot >= first])
    assert torch.equal(sub_single.slot + first, sub.slot[sub.slot >= first])


def test_chances_follow_the_weights() -> None:
    """Three rings, one super-voxel each; rarity off: they are drawn as 1 : 2 : 3."""
    config = SupervoxelConfig(radius_bins=3, angle_bins=1, height_bins=1, radius_m=3.0, count=1, rarity="none")
    xyz = torch.tensor([[0.5, 0, 0], [0.6, 0, 0], [1.5, 0, 0], [1.6, 0, 0], [2.5, 0, 0], [2.6, 0, 0]])
    regions = supervoxel.partition(xyz, offsets=[6], config=config)
    generator = torch.Generator().manual_seed(1)
    label = torch.zeros(6, dtype=torch.int64)
    seen = Counter(
        int(supervoxel.draw(regions, label=label, config=config, generators=[generator]).region) for _ in range(800)
    )
    for region, expected in enumerate([1 / 6, 2 / 6, 3 / 6]):
        assert seen[region] / 800 == pytest.approx(expected, abs=0.07)  # about four standard deviations


def test_points_of_a_super_voxel_are_drawn_equally_often() -> None:
    config = replace(CONFIG, radius_bins=1, angle_bins=1, height_bins=1, points=3)
    regions = supervoxel.partition(torch.rand(10, 3), offsets=[10], config=config)
    generator = torch.Generator().manual_seed(2)
    seen = torch.zeros(10)
    for _ in range(500):
        label = torch.zeros(10, dtype=torch.int64)
        seen[supervoxel.draw(regions, label=label, config=config, generators=[generator]).rows] += 1
    assert (seen / 500 - 0.3).abs().max() < 0.1


def test_pad_zero_drops_points_of_frequent_classes_first() -> None:
    config = replace(CONFIG, radius_bins=1, angle_bins=1, height_bins=1, points=6, pad_zero=True)
    label = torch.zeros(40, dtype=torch.int64)
    label[[3, 11, 25]] = 1
    label[7] = IGNORE
    regions = supervoxel.partition(torch.rand(40, 3), offsets=[40], config=config)
    frequency = torch.tensor([0.995, 0.005])
    kept = []
    for seed in range(5):
        drawn = supervoxel.draw(
            regions, label=label, class_frequency=frequency, config=config, generators=generators(1, seed)
        )
        assert {3, 11, 25} <= set(drawn.rows.tolist()) and len(drawn.rows) == 6
        kept.append(tuple(drawn.rows.tolist()))
    assert len(set(kept)) > 1


def naive_cubes(xyz: Tensor, rows: list[int], edge: float) -> set[frozenset[int]]:
    cubes: dict[tuple[int, ...], set[int]] = {}
    for row in rows:
        cubes.setdefault(tuple(math.floor(v / edge) for v in xyz[row].tolist()), set()).add(row)
    return {frozenset(cube) for cube in cubes.values()}


@pytest.mark.parametrize(("limit", "edge"), [(1000, None), (10, None), (1000, 3.0)])
def test_sub_voxels_are_whole_cubes_of_the_drawn_super_voxels(limit: int, edge: float | None) -> None:
    config = replace(CONFIG, voxels=limit, sub_voxel_m=edge)
    regions, xyz, label, _ = parted(config)
    drawn = supervoxel.draw(regions, label=label, config=config, generators=generators(4))
    sub = supervoxel.draw_voxels(xyz, regions, drawn, voxel_size_m=0.3, config=config, generators=generators(4))
    assert len(sub.offsets) == len(drawn.region) and len(sub.row) == len(sub.slot) == len(set(sub.row.tolist()))
    start = 0
    for region, end in zip(drawn.region.tolist(), sub.offsets, strict=True):
        found = {frozenset(sub.row[sub.slot == v].tolist()) for v in range(start, end)}
        cubes = naive_cubes(xyz, (regions.index == region).nonzero().squeeze(1).tolist(), edge or 5 * 0.3)
        assert found <= cubes and len(found) == end - start == min(len(cubes), limit)
        start = end
    features = torch.randn(len(xyz), 3, dtype=torch.float64, requires_grad=True)
    expected = torch.stack([features[sub.row[sub.slot == v]].mean(0) for v in range(start)])
    means = supervoxel.means(features, sub)
    torch.testing.assert_close(means, expected)
    pull = torch.randn(means.shape, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((means * pull).sum(), features), torch.autograd.grad((expected * pull).sum(), features)
    )
    assert supervoxel.means(features.half(), sub).dtype == torch.float32


def test_pad_zero_drops_cubes_without_a_rare_class_first() -> None:
    config = replace(CONFIG, radius_bins=1, angle_bins=1, height_bins=1, pad_zero=True, voxels=2, sub_voxel_m=1.0)
    xyz = torch.arange(20)[:, None] * torch.tensor([[0.5, 0.0, 0.0]]) + 0.1  # two points a cube
    label = torch.zeros(20, dtype=torch.int64)
    label[13] = 1
    regions = supervoxel.partition(xyz, offsets=[20], config=config)
    told = {"label": label, "class_frequency": torch.tensor([999.0, 1.0])}
    drawn = supervoxel.draw(regions, **told, config=config, generators=generators(1))
    for seed in range(4):
        sub = supervoxel.draw_voxels(
            xyz, regions, drawn, voxel_size_m=0.1, config=config, generators=generators(1, seed), **told
        )
        assert {12, 13} <= set(sub.row.tolist()) and sub.offsets == (2,)
    with pytest.raises(SrkdError, match="give the labels"):
        supervoxel.draw_voxels(xyz, regions, drawn, voxel_size_m=0.1, config=config, generators=generators(1))


def test_without_labels_or_points_or_generators() -> None:
    xyz, label, offsets = clouds()
    regions = supervoxel.partition(xyz, offsets=offsets, config=CONFIG)
    nameless = torch.full_like(label, IGNORE)
    for frequency in (None, FREQUENCY):
        drawn = supervoxel.draw(
            regions, label=nameless, class_frequency=frequency, config=CONFIG, generators=generators(4)
        )
        assert drawn.clouds == (4, 0, 4, 0) and torch.allclose(drawn.weights, regions.outer[drawn.region])
    assert torch.equal(
        supervoxel.draw(regions, label=label.byte(), config=CONFIG, generators=generators(4)).rows,
        supervoxel.draw(regions, label=label, config=CONFIG, generators=generators(4)).rows,
    )
    for sizes in ([], [0], [1, 1]):
        few = supervoxel.partition(torch.rand(sum(sizes), 3), offsets=ends(sizes), config=CONFIG)
        seeds = generators(len(sizes))
        drawn = supervoxel.draw(few, label=torch.zeros(sum(sizes), dtype=torch.int64), config=CONFIG, generators=seeds)
        assert len(drawn.rows) == 0 and drawn.offsets == () and drawn.clouds == (0,) * len(sizes)
        sub = supervoxel.draw_voxels(
            torch.rand(sum(sizes), 3), few, drawn, voxel_size_m=1, config=CONFIG, generators=seeds
        )
        assert sub.offsets == () and supervoxel.means(torch.rand(sum(sizes), 2), sub).shape == (0, 2)
    with pytest.raises(SrkdError, match="3 generators for 4 clouds"):
        supervoxel.draw(regions, label=label, config=CONFIG, generators=generators(3))
