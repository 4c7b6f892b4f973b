# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Augmentation of rooms, crops by voxels, and the order in which the recipe applies them."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from numpy.random import default_rng

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError
from srkd.voxel import voxelize
from srkd_train.config import RunConfig
from srkd_train.data import crops, indoor_transforms, transforms
from srkd_train.data.augment import Augment
from srkd_train.data.sample import Sample
from srkd_train.options import parse, to_yaml


def make(points: int = 3000, size_m: tuple[float, float, float] = (5.0, 4.0, 2.5)) -> Sample:
    """A room away from the origin, whose label is the number of the point modulo 200."""
    rng = default_rng(0)
    xyz = (rng.random((points, 3)) * size_m + [10, -20, 1]).astype(np.float32)
    color = rng.integers(40, 200, (points, 3), dtype=np.uint8)
    normal = np.tile(np.float32([0.6, 0, 0.8]), (points, 1))
    return Sample(Cloud(xyz, color=color, normal=normal), (np.arange(points) % 200).astype(np.uint8), "room", np.eye(4))


@pytest.fixture
def sample() -> Sample:
    return make()


def with_color(sample: Sample, color: npt.NDArray[np.uint8]) -> Sample:
    return replace(sample, cloud=replace(sample.cloud, color=color))


def color_of(sample: Sample) -> npt.NDArray[np.float64]:
    assert sample.cloud.color is not None and sample.cloud.color.dtype == np.uint8
    return sample.cloud.color.astype(float)


def test_center_is_that_of_the_floor_plan(sample: Sample) -> None:
    out = indoor_transforms.center(sample).cloud.xyz
    np.testing.assert_allclose((out.min(0) + out.max(0))[:2], 0, atol=1e-5)
    assert out[:, 2].min() == pytest.approx(0, abs=1e-6) and out.dtype == np.float32
    np.testing.assert_allclose(np.ptp(out - sample.cloud.xyz, axis=0), 0, atol=1e-5)
    flat = indoor_transforms.center(sample, z=False).cloud.xyz
    np.testing.assert_array_equal(flat[:, 2], sample.cloud.xyz[:, 2])
    np.testing.assert_allclose(flat[:, :2], out[:, :2], atol=1e-5)


def test_center_by_whole_steps(sample: Sample) -> None:
    moved = sample.cloud.xyz - indoor_transforms.center(sample, step_m=0.5).cloud.xyz
    np.testing.assert_allclose(moved, np.tile([12.5, -18.0, 1.0], (3000, 1)), atol=1e-5)


def test_center_overlooks_what_is_not_finite(sample: Sample) -> None:
    sample.cloud.xyz[5] = np.inf
    out = indoor_transforms.center(sample).cloud.xyz
    assert np.isfinite(np.delete(out, 5, 0)).all() and np.abs(np.delete(out, 5, 0)[:, :2]).max() <= 2.51
    nothing = Sample(Cloud(np.full((2, 3), np.nan, np.float32)), np.zeros(2, np.uint8), "nothing")
    assert indoor_transforms.center(nothing) is nothing
    assert indoor_transforms.elastic(nothing, default_rng(0), spacing_m=0.2, size_m=0.4) is nothing


def naive_elastic(xyz: npt.NDArray[np.float64], seed: int, spacing: float, size: float) -> npt.NDArray[np.float64]:
    """The same by the book: noise at nodes from one below the lowest, a triple sum twice, eight corners a point."""
    low = xyz.min(0)
    shape = [int((high - least) // spacing) + 3 for high, least in zip(xyz.max(0), low, strict=True)]
    noise = size * default_rng(seed).standard_normal((*shape, 3), dtype=np.float32).astype(float)
    for _ in range(2):
        padded = np.pad(noise, [(1, 1)] * 3 + [(0, 0)])
        windows = [
            padded[i : i + shape[0], j : j + shape[1], k : k + shape[2]] for i, j, k in product(range(3), repeat=3)
        ]
        noise = sum(windows) / 27
    out = xyz.copy()
    for index, point in enumerate(xyz):
        place = (point - low) / spacing + 1
        for corner in product(range(2), repeat=3):
            node = np.floor(place).astype(int) + corner
            out[index] += noise[tuple(node)] * np.prod(1 - np.abs(place - node))
    return out


@pytest.mark.parametrize(("spacing", "size"), [(0.2, 0.4), (0.8, 1.6)])
def test_elastic_is_smoothed_noise_interpolated(spacing: float, size: float) -> None:
    sample = make(200)
    out = indoor_transforms.elastic(sample, default_rng(4), spacing_m=spacing, size_m=size)
    expected = naive_elastic(sample.cloud.xyz.astype(float), 4, spacing, size)
    np.testing.assert_allclose(out.cloud.xyz, expected, atol=1e-5)
    assert out.pose is None and out.cloud.xyz.dtype == np.float32
    np.testing.assert_array_equal(out.cloud.normal, sample.cloud.normal)


def test_elastic_moves_neighbours_together(sample: Sample) -> None:
    near = replace(sample, cloud=Cloud(sample.cloud.xyz + np.float32([0.004, 0, 0])))
    both = Sample(Cloud(np.concatenate([sample.cloud.xyz, near.cloud.xyz])), np.zeros(6000, np.uint8), "both")
    moved = indoor_transforms.elastic(both, default_rng(0), spacing_m=0.2, size_m=0.4).cloud.xyz - both.cloud.xyz
    assert 0.01 < moved.std() < 0.4 / 9
    assert np.abs(moved[:3000] - moved[3000:]).max() < 0.01


def test_elastic_is_for_rooms(sample: Sample) -> None:
    far = make(size_m=(300.0, 300.0, 30.0))
    with pytest.raises(CloudError, match=r"room: 300 x 300 x 30 m is too much .* set data\.augment\.elastic_p to 0"):
        indoor_transforms.elastic(far, default_rng(0), spacing_m=0.2, size_m=0.4)
    sample.cloud.xyz[7] = np.nan
    out = indoor_transforms.elastic(sample, default_rng(0), spacing_m=0.2, size_m=0.4).cloud.xyz
    assert np.isnan(out[7]).all() and np.isfinite(np.delete(out, 7, 0)).all()


def test_contrast_blends_with_the_stretched_colours(sample: Sample) -> None:
    color = color_of(sample)
    color[:, 2] = 50
    plain = with_color(sample, color.astype(np.uint8))
    for seed in range(5):
        out = color_of(indoor_transforms.contrast(plain, default_rng(seed)))
        share = default_rng(seed).random()
        stretched = (color - color.min(0)) / np.maximum(np.ptp(color, axis=0), 1) * 255
        stretched[:, 2] = 50
        np.testing.assert_allclose(out, (1 - share) * color + share * stretched, atol=0.51)


def test_tint_shifts_every_point_alike(sample: Sample) -> None:
    shifts = []
    for seed in range(40):
        moved = color_of(indoor_transforms.tint(sample, default_rng(seed), ratio=0.05)) - color_of(sample)
        assert (np.ptp(moved, axis=0) == 0).all()
        shifts.append(moved[0])
    assert 10 < np.abs(shifts).max() <= 13 and abs(np.mean(shifts)) < 3
    bright = with_color(sample, np.full((3000, 3), 250, np.uint8))
    assert color_of(indoor_transforms.tint(bright, default_rng(1), ratio=1.0)).max() <= 255


def test_speckle_is_noise_of_the_given_size(sample: Sample) -> None:
    moved = color_of(indoor_transforms.speckle(sample, default_rng(0), sigma=0.05)) - color_of(sample)
    assert moved.std() == pytest.approx(0.05 * 255, rel=0.05) and abs(moved.mean()) < 1
    dark = with_color(sample, np.zeros((3000, 3), np.uint8))
    out = color_of(indoor_transforms.speckle(dark, default_rng(0), sigma=0.05))
    assert (out == 0).mean() == pytest.approx(0.5, abs=0.05) and out.max() < 80


@pytest.mark.parametrize("name", ["contrast", "tint", "speckle"])
def test_clouds_without_colours_are_unchanged(sample: Sample, name: str) -> None:
    kwargs = {"tint": {"ratio": 0.05}, "speckle": {"sigma": 0.05}}.get(name, {})
    bare = replace(sample, cloud=Cloud(sample.cloud.xyz))
    assert getattr(indoor_transforms, name)(bare, default_rng(0), **kwargs) is bare


@pytest.mark.parametrize(("axis", "kept"), [("x", 0), ("y", 1)])
def test_lean_keeps_its_axis(sample: Sample, axis: str, kept: int) -> None:
    out = transforms.lean(sample, default_rng(3), axis=axis, max_deg=5.0)
    np.testing.assert_array_equal(out.cloud.xyz[:, kept], sample.cloud.xyz[:, kept])
    np.testing.assert_allclose(
        np.linalg.norm(out.cloud.xyz, axis=1), np.linalg.norm(sample.cloud.xyz, axis=1), rtol=1e-5
    )
    a, b = (np.delete(s.cloud.xyz[0].astype(float), kept) for s in (sample, out))
    turned_deg = np.rad2deg(np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))
    assert 0.1 < turned_deg <= 5.0
    before, after = ((s.cloud.xyz * s.cloud.normal).sum(1) for s in (sample, out))
    np.testing.assert_allclose(after, before, atol=1e-4)


def voxels_of(sample: Sample) -> int:
    return len(voxelize(torch.from_numpy(sample.cloud.xyz), 0.1).point)


def test_crop_by_voxels_keeps_the_nearest_whole(sample: Sample) -> None:
    assert voxels_of(sample) > 2000
    out = crops.crop_voxels(sample, default_rng(1), voxel_size_m=0.1, max_voxels=500)
    assert voxels_of(out) == 500
    cell = [tuple(c) for c in np.floor(sample.cloud.xyz.astype(float) / 0.1).astype(int)]
    kept = {tuple(c) for c in np.floor(out.cloud.xyz.astype(float) / 0.1).astype(int)}
    expected = [c in kept for c in cell]
    np.testing.assert_array_equal(out.cloud.xyz, sample.cloud.xyz[expected])
    np.testing.assert_array_equal(out.label, sample.label[expected])
    first = {c: sample.cloud.xyz[index] for index, c in reversed(list(enumerate(cell)))}
    inside, outside = (np.array([p for c, p in first.items() if (c in kept) == side]) for side in (True, False))
    reach = np.linalg.norm(inside[:, None] - inside[None], axis=2).max(1)
    gap = np.linalg.norm(inside[:, None] - outside[None], axis=2).min(1)
    assert (reach <= gap + 1e-5).any()
    assert crops.crop_voxels(sample, default_rng(1), voxel_size_m=0.1, max_voxels=3000) is sample
    enough = voxels_of(sample)
    assert crops.crop_voxels(sample, default_rng(1), voxel_size_m=0.1, max_voxels=enough) is sample
    fewer = crops.crop_voxels(sample, default_rng(1), voxel_size_m=0.1, max_voxels=enough - 1)
    assert voxels_of(fewer) == enough - 1


INDOOR = Augment(
    center=True, dropout_p=0.2, rotate_p=0.5, lean_p=0.5, elastic_p=0.95, contrast_p=0.2, tint_p=0.95, speckle_p=0.95,
    max_voxels=400,
)  # fmt: skip


def test_the_recipe_is_a_function_of_the_generator_and_leaves_its_input(sample: Sample) -> None:
    xyz, color = sample.cloud.xyz.copy(), color_of(sample)
    one, two, other = (INDOOR(sample, default_rng(seed), voxel_size_m=0.1) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.cloud.xyz, two.cloud.xyz)
    np.testing.assert_array_equal(color_of(one), color_of(two))
    assert one.cloud.xyz.shape != other.cloud.xyz.shape or not np.array_equal(one.cloud.xyz, other.cloud.xyz)
    np.testing.assert_array_equal(sample.cloud.xyz, xyz)
    np.testing.assert_array_equal(color_of(sample), color)


def test_a_cropped_room_is_centred_and_keeps_its_voxels(sample: Sample) -> None:
    for seed in range(5):
        out = INDOOR(sample, default_rng(seed), voxel_size_m=0.1)
        middle = (out.cloud.xyz.min(0) + out.cloud.xyz.max(0)) / 2
        assert np.abs(middle[:2]).max() <= 0.0501
        assert abs(voxels_of(out) - 400) <= 2  # single precision may carry a point over a border


def test_what_is_off_draws_nothing(sample: Sample) -> None:
    rng = default_rng(5)
    expected = sample
    assert rng.random() >= 0.0  # dropout
    if rng.random() < 0.5:
        expected = transforms.rotate_z(expected, rng)
    rng.random()  # tilt
    expected = transforms.jitter(transforms.flip(transforms.scale(expected, rng), rng), rng)
    np.testing.assert_array_equal(Augment()(sample, default_rng(5)).cloud.xyz, expected.cloud.xyz)


def test_voxels_to_count_need_a_size(sample: Sample) -> None:
    with pytest.raises(ValueError, match="give voxel_size_m"):
        Augment(max_voxels=10)(sample, default_rng(0))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lean_p": 1.5}, "lean_p=1.5"),
        ({"elastic_p": -1.0}, "elastic_p=-1.0"),
        ({"speckle_sigma": 2.0}, "speckle_sigma=2.0"),
        ({"tint_ratio": -0.1}, "tint_ratio=-0.1"),
        ({"elastic_m": ((0.2, 0.4), (0.0, 1.6))}, r"elastic_m=\[0.0, 1.6\]"),
        ({"max_voxels": 0}, "max_voxels=0"),
    ],
)
def test_contradictions_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augment(**setting)


def test_passes_of_the_distortion_travel_through_yaml(tmp_path: Path) -> None:
    words = ["--out", "x", "--data.augment.elastic_m", "[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]"]
    config = parse(words, RunConfig, prog="", about="", switches={"resume": ""})
    assert config.data.augment.elastic_m == ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6))
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(config))
    assert parse(["--config", str(file)], RunConfig, prog="", about="", switches={"resume": ""}) == config
