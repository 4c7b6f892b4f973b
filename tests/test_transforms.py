# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training augmentation: what each function must keep and what it must change."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from srkd.cloud import Cloud
from srkd.errors import ConfigError
from srkd_train.data import crops, transforms
from srkd_train.data.augment import Augment
from srkd_train.data.sample import Sample


@pytest.fixture
def sample() -> Sample:
    rng = default_rng(0)
    xyz = rng.normal(size=(500, 3), scale=20).astype(np.float32)
    normal = rng.normal(size=(500, 3)).astype(np.float32)
    cloud = Cloud(
        xyz,
        intensity=rng.random(500, dtype=np.float32),
        normal=normal / np.linalg.norm(normal, axis=1, keepdims=True),
        ring=np.arange(500, dtype=np.int32),
    )
    label = rng.integers(0, 5, 500).astype(np.uint8)
    return Sample(cloud, label, "test", pose=np.eye(4))


def distances(xyz: np.ndarray) -> np.ndarray:
    return np.linalg.norm(xyz[:20, None].astype(np.float64) - xyz[None, :20], axis=2)


@pytest.mark.parametrize("name", ["rotate_z", "tilt", "flip"])
def test_rigid_motions_keep_distances_and_turn_normals(sample: Sample, name: str) -> None:
    kwargs = {"tilt": {"max_deg": 5.0}, "flip": {"probability": 1.0}}.get(name, {})
    out = getattr(transforms, name)(sample, default_rng(1), **kwargs)
    np.testing.assert_allclose(distances(out.cloud.xyz), distances(sample.cloud.xyz), atol=1e-3)
    assert np.abs(out.cloud.xyz - sample.cloud.xyz).max() > 0.1
    before = (sample.cloud.xyz * sample.cloud.normal).sum(1)
    after = (out.cloud.xyz * out.cloud.normal).sum(1)
    np.testing.assert_allclose(after, before, atol=1e-3)
    np.testing.assert_array_equal(out.label, sample.label)
    assert out.pose is None


def test_rotation_about_z_keeps_heights_and_handedness(sample: Sample) -> None:
    out = transforms.rotate_z(sample, default_rng(2))
    np.testing.assert_allclose(out.cloud.xyz[:, 2], sample.cloud.xyz[:, 2], rtol=1e-6)
    before, after = np.linalg.det(sample.cloud.xyz[:3].astype(float)), np.linalg.det(out.cloud.xyz[:3].astype(float))
    assert after == pytest.approx(before, rel=1e-4)


def test_tilt_stays_small(sample: Sample) -> None:
    out = transforms.tilt(sample, default_rng(2), max_deg=2.0)
    radius = np.linalg.norm(sample.cloud.xyz, axis=1)
    moved = np.linalg.norm(out.cloud.xyz - sample.cloud.xyz, axis=1)
    assert (moved <= radius * np.deg2rad(2.0) * np.sqrt(2) * 1.01).all()


def test_flip_by_probability(sample: Sample) -> None:
    assert transforms.flip(sample, default_rng(0), probability=0.0) is sample
    out = transforms.flip(sample, default_rng(0), probability=1.0)
    np.testing.assert_array_equal(out.cloud.xyz, sample.cloud.xyz * np.float32([-1, -1, 1]))


def test_scale_range_and_jitter_clip(sample: Sample) -> None:
    for seed in range(10):
        ratio = transforms.scale(sample, default_rng(seed)).cloud.xyz / sample.cloud.xyz
        assert ratio.min() >= 0.9 and ratio.max() <= 1.1 and np.ptp(ratio) < 1e-4
    moved = transforms.jitter(sample, default_rng(0), sigma_m=0.1, clip_m=0.02).cloud.xyz - sample.cloud.xyz
    assert np.abs(moved).max() == pytest.approx(0.02, abs=1e-4) and moved.std() > 0.01


def test_dropout_keeps_rows_together(sample: Sample) -> None:
    out = transforms.dropout(sample, default_rng(0), ratio=0.3)
    assert 300 < len(out.cloud) < 400
    kept = out.cloud.ring
    np.testing.assert_array_equal(out.label, sample.label[kept])
    np.testing.assert_array_equal(out.cloud.xyz, sample.cloud.xyz[kept])
    assert len(transforms.dropout(sample, default_rng(0), ratio=1.0).cloud) == 1


def test_gain_changes_intensity_only(sample: Sample) -> None:
    out = transforms.gain(sample, default_rng(0))
    ratio = out.cloud.intensity / sample.cloud.intensity
    assert ratio.min() >= 0.8 and ratio.max() <= 1.25 and np.ptp(ratio) < 1e-5
    bare = replace(sample, cloud=Cloud(sample.cloud.xyz))
    assert transforms.gain(bare, default_rng(0)) is bare


def test_crop_keeps_the_nearest_in_order(sample: Sample) -> None:
    assert crops.crop(sample, default_rng(0), max_points=500) is sample
    out = crops.crop(sample, default_rng(0), max_points=50)
    kept = out.cloud.ring
    assert len(kept) == 50 and (np.diff(kept) > 0).all()
    around_some_point = any(
        set(kept) == set(np.argsort(np.linalg.norm(sample.cloud.xyz - centre, axis=1))[:50]) for centre in out.cloud.xyz
    )
    assert around_some_point


def test_crop_survives_not_finite_and_unlabelled(sample: Sample) -> None:
    xyz = sample.cloud.xyz.copy()
    xyz[::2] = np.nan
    broken = replace(sample, cloud=replace(sample.cloud, xyz=xyz), label=np.full(500, 255, np.uint8))
    out = crops.crop(broken, default_rng(0), max_points=100)
    assert len(out.cloud) == 100 and np.isfinite(out.cloud.xyz).all()


def test_augment_is_a_function_of_the_generator_and_leaves_its_input(sample: Sample) -> None:
    before = sample.cloud.xyz.copy()
    augment = Augment(tilt_p=1.0, dropout_p=1.0, gain_p=1.0, max_points=200)
    one, two, other = augment(sample, default_rng(7)), augment(sample, default_rng(7)), augment(sample, default_rng(8))
    np.testing.assert_array_equal(one.cloud.xyz, two.cloud.xyz)
    assert not np.array_equal(one.cloud.xyz, other.cloud.xyz)
    np.testing.assert_array_equal(sample.cloud.xyz, before)
    assert one.cloud.xyz.dtype == np.float32 and len(one.cloud) == 200


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"flip_p": 1.5}, "flip_p=1.5"), ({"scale_low": 2.0}, "scale_low=2.0"), ({"max_points": 0}, "max_points=0")],
)
def test_contradictions_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Augment(**setting)
