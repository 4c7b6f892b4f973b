# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tta protocol against loops over points, and against the segmenter where both must agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from srkd.architectures import build_network
from srkd.cloud import Cloud
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd.segmenter import Segmenter
from srkd_train.feature_noise import with_noise
from srkd_train.tta import INDOOR, OUTDOOR, Recipe, View, fragments, label, recipe_of, summed_probabilities

SCHEME = get_scheme("street")
SPEC = InputSpec(0.5)


class PointWise(nn.Module):
    """Scores that depend on a voxel's features alone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.plan_spec = network.plan_spec
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.randn(4, SCHEME.num_classes, generator=generator) * torch.tensor([[1.0], [1], [1], [0.1]])

    def forward(self, features: Tensor, plan: object) -> Tensor:
        return features @ self.weight


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    network = build_network("student-nano", SCHEME.num_classes, 4)
    return Segmenter(network, Header.of(network, "student-nano", SPEC, SCHEME), device="cpu")


@pytest.fixture(scope="module")
def point_wise(segmenter: Segmenter) -> Segmenter:
    made = Segmenter(segmenter.network, segmenter.header, device="cpu")
    made.network = PointWise(segmenter.network)  # type: ignore[assignment]
    return made


def make_cloud(count: int = 300, seed: int = 0) -> Cloud:
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-2, 2, (count, 3)).astype(np.float32)
    return Cloud(
        xyz,
        rng.uniform(0, 255, count).astype(np.float32),
        normal=np.eye(3, dtype=np.float32)[rng.integers(3, size=count)],
    )


def turned(cloud: Cloud, view: View) -> np.ndarray:
    """The view's (N, 3) coordinates, in fp64 loops."""
    angle, rows = np.deg2rad(view.turn_deg), []
    for x, y, z in cloud.xyz.astype(float):
        u, v = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
        rows.append([view.scale * c for c in ((-u, -v, z) if view.mirror else (u, v, z))])
    return np.array(rows)


def by_hand(points: Cloud, view: View, weight: np.ndarray) -> np.ndarray:
    """Summed probabilities (N, K): each point as often as the fragments take it from its voxel."""
    xyz = view(points).xyz.astype(float)
    voxels: dict[tuple[int, ...], list[int]] = {}
    for number, place in enumerate(np.floor(xyz / SPEC.voxel_size_m).astype(int)):
        voxels.setdefault(tuple(place), []).append(number)
    most = max(map(len, voxels.values()))
    total = np.zeros((len(points), weight.shape[1]))
    assert points.intensity is not None
    for members in voxels.values():
        for k in range(most):
            number = members[k % len(members)]
            score = np.array([*xyz[number], points.intensity[number]]) @ weight
            score = np.exp(score - score.max())
            total[number] += score / score.sum()
    return total


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_fragments_hold_one_point_of_every_voxel_and_every_point_is_in_one(numbers: list[int]) -> None:
    voxel = torch.tensor([sorted(set(numbers)).index(number) for number in numbers])
    parts = list(fragments(voxel))
    counts = torch.bincount(voxel)
    assert len(parts) == counts.max() and torch.cat(parts).unique().tolist() == list(range(len(numbers)))
    for part in parts:
        assert voxel[part].tolist() == list(range(len(counts)))
    for number in range(len(counts)):
        first = int((voxel == number).nonzero()[0])
        assert parts[0][number] == first


@pytest.mark.parametrize("view", [View(), View(90.0, 0.95), View(scale=1.1, mirror=True), View(270.0, 1.05, True)])
def test_views_move_points_as_said(view: View) -> None:
    cloud = make_cloud(20)
    seen = view(cloud)
    np.testing.assert_allclose(seen.xyz, turned(cloud, view), atol=1e-6)
    assert seen.normal is not None and cloud.normal is not None
    unscaled = replace(view, scale=1.0)
    np.testing.assert_allclose(seen.normal, turned(Cloud(cloud.normal), unscaled), atol=1e-6)
    assert seen.intensity is cloud.intensity


def test_the_public_recipes() -> None:
    assert recipe_of("scannet") is INDOOR and all(
        recipe_of(name) is OUTDOOR for name in ("nuscenes", "waymo", "semantickitti")
    )
    assert len(OUTDOOR.views) == len(set(OUTDOOR.views)) == 10 and OUTDOOR.thin_voxels == 0.5
    assert sorted({(view.scale, view.mirror) for view in OUTDOOR.views})[:2] == [(0.9, False), (0.9, True)]
    assert len(INDOOR.views) == 13 and INDOOR.thin_voxels is None and sum(view.mirror for view in INDOOR.views) == 1
    assert {view.turn_deg for view in INDOOR.views} == {0, 90, 180, 270}
    assert {view.scale for view in recipe_of("street").views} == {1.0}


@pytest.mark.parametrize("view", [View(), View(scale=0.9, mirror=True)])
def test_a_view_sums_over_fragments(point_wise: Segmenter, view: View) -> None:
    cloud = make_cloud()
    assert isinstance(point_wise.network, PointWise)
    expected = by_hand(cloud, view, point_wise.network.weight.double().numpy())
    np.testing.assert_allclose(summed_probabilities(point_wise, view(cloud)).numpy(), expected, rtol=2e-5, atol=1e-5)


def test_labels_are_of_the_sum_over_views(point_wise: Segmenter) -> None:
    cloud = make_cloud()
    assert isinstance(point_wise.network, PointWise)
    weight = point_wise.network.weight.double().numpy()
    recipe = Recipe((View(), View(90.0, 0.9), View(mirror=True)))
    total = sum(by_hand(cloud, view, weight) for view in recipe.views)
    mean = total / total.sum(1, keepdims=True)
    found = label(point_wise, cloud, recipe)
    sure = np.sort(mean, axis=1)[:, -1] - np.sort(mean, axis=1)[:, -2] > 1e-4
    assert sure.mean() > 0.9 and (found.class_id == mean.argmax(1))[sure].all()
    np.testing.assert_allclose(found.probability, mean.max(1), rtol=1e-4)
    entropy = -(mean * np.log(np.maximum(mean, 1e-300))).sum(1) / np.log(SCHEME.num_classes)
    np.testing.assert_allclose(found.entropy, entropy, rtol=1e-3, atol=1e-5)
    alone = label(point_wise, cloud, Recipe((View(),)))
    assert (alone.class_id != found.class_id).any()


def test_points_of_a_thinned_cell_share_a_label(point_wise: Segmenter) -> None:
    cloud = make_cloud(600)
    recipe = Recipe((View(), View(scale=1.1)), 0.5)
    found = label(point_wise, cloud, recipe)
    cells: dict[tuple[int, ...], list[int]] = {}
    for number, cell in enumerate(np.floor(cloud.xyz.astype(float) / 0.25).astype(int)):
        cells.setdefault(tuple(cell), []).append(number)
    first = [members[0] for members in cells.values()]
    alone = label(point_wise, cloud.select(np.array(first)), replace(recipe, thin_voxels=None))
    for position, members in enumerate(cells.values()):
        assert set(found.class_id[members]) == {alone.class_id[position]}
        np.testing.assert_allclose(found.probability[members], alone.probability[position], rtol=1e-5)


def test_one_view_of_single_points_is_the_single_protocol(segmenter: Segmenter) -> None:
    rng = np.random.default_rng(1)
    corner = np.stack(np.meshgrid(*[np.arange(-4, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    xyz = ((corner + rng.uniform(0.1, 0.9, corner.shape)) * SPEC.voxel_size_m).astype(np.float32)
    cloud = Cloud(xyz, np.ones(len(xyz), np.float32))
    one, other = segmenter(cloud), label(segmenter, cloud, Recipe((View(),)))
    assert (one.class_id == other.class_id).all()
    np.testing.assert_allclose(other.probability, one.probability, rtol=1e-5)
    np.testing.assert_allclose(other.entropy, one.entropy, rtol=1e-4)


def test_a_fragment_is_what_the_segmenter_sees_of_it(segmenter: Segmenter) -> None:
    """Points of the fullest voxels are in one fragment each: their sum is what a pass over that fragment says."""
    rng = np.random.default_rng(2)
    corner = np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = [(corner + rng.uniform(0.1, 0.9, corner.shape)) * SPEC.voxel_size_m for _ in range(2)]
    cloud = Cloud(np.concatenate(points).astype(np.float32), rng.uniform(0, 1, 2 * len(corner)).astype(np.float32))
    best, class_id = summed_probabilities(segmenter, cloud).max(1)
    for half in (slice(0, len(corner)), slice(len(corner), None)):
        seen = segmenter(cloud.select(half))
        assert (class_id[half].numpy() == seen.class_id).all()
        np.testing.assert_allclose(best[half].numpy(), seen.probability, rtol=1e-4)


def test_unusable_points_get_no_label_and_nothing_fails(segmenter: Segmenter) -> None:
    cloud = make_cloud(50)
    xyz = cloud.xyz.copy()
    xyz[3], xyz[4], xyz[5] = np.nan, 0.0, 9e9
    xyz[6] = (segmenter.reach_m * 0.55, 0, 0)  # in reach, but not with the half voxels of the thinning
    found = label(segmenter, replace(cloud, xyz=xyz), OUTDOOR)
    assert np.flatnonzero(found.class_id == 255).tolist() == [3, 4, 5, 6]
    assert np.isnan(found.entropy[3:7]).all() and (found.probability[3:7] == 0).all()
    nothing = label(segmenter, Cloud(np.full((3, 3), np.nan, np.float32), np.ones(3, np.float32)), OUTDOOR)
    assert nothing.class_id.tolist() == [255] * 3
    again = label(segmenter, replace(cloud, xyz=xyz), OUTDOOR)
    np.testing.assert_array_equal(again.probability, found.probability)


# --- noise on the features ---


def test_noise_has_its_deviation_and_its_seed(segmenter: Segmenter) -> None:
    cloud = make_cloud(5000)
    clean = SPEC.make_features(cloud)

    def noise(sigma: float, seed: int, seen: Cloud = cloud) -> np.ndarray:
        return with_noise(segmenter, sigma, seed).header.input.make_features(seen) - SPEC.make_features(seen)

    first = noise(0.5, 0)
    assert first.shape == clean.shape and abs(first.mean()) < 0.02 and first.std() == pytest.approx(0.5, rel=0.03)
    assert np.abs(np.corrcoef(first.T) - np.eye(4)).max() < 0.06
    np.testing.assert_allclose(noise(0.5, 0), first)
    assert np.abs(noise(0.5, 1) - first).max() > 0.5
    assert np.abs(noise(0.5, 0, make_cloud(5000, seed=1)) - first).max() > 0.5


def test_noise_disturbs_labels_but_not_the_segmenter_itself(segmenter: Segmenter) -> None:
    cloud = make_cloud()
    before = segmenter(cloud)
    none, some = with_noise(segmenter, 0.0, 0), with_noise(segmenter, 10.0, 0)
    np.testing.assert_array_equal(none(cloud).probability, before.probability)
    assert (some(cloud).probability != before.probability).any() and some.last_frame.num_voxels
    np.testing.assert_array_equal(segmenter(cloud).probability, before.probability)
    np.testing.assert_array_equal(some(cloud).probability, some(cloud).probability)
    assert segmenter.header.input is SPEC
