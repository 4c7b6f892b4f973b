# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The street world: determinism, exact labels and poses against brute force, class shares, difficulty, cache."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from srkd.errors import ConfigError
from srkd.labels import SCHEMES

pytest.importorskip("embreex")

from srkd_train.data.street import (
    HELD_OUT_SEEDS,
    SENSORS,
    TRAIN_SEEDS,
    Drive,
    LidarConfig,
    StreetConfig,
    StreetDataset,
    dataset,
    drive,
    held_out_split,
    materials,
    train_split,
)
from srkd_train.data.street.lidar import Scene, scan
from srkd_train.data.street.mesh import Mesh
from srkd_train.data.street.streams import stream
from srkd_train.data.street.traffic import moving_mesh

NAMES = SCHEMES["street"].class_names
CLEAN = LidarConfig("clean", 8, 360, -20.0, 10.0, noise=False)
THINGS = [NAMES.index(name) for name in ("car", "truck", "bus", "bicycle", "pedestrian")]


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    split = held_out_split(cache_dir=tmp_path_factory.mktemp("street"))
    return [split[i] for i in range(len(split))]


@pytest.fixture(scope="module")
def street_drive():
    return Drive(3)


def brute_force(triangles, origin, direction):
    """Nearest hit of one ray by Moeller and Trumbore's test on every triangle, in float64: (face, range)."""
    v0, v1, v2 = triangles.astype(np.float64).transpose(1, 0, 2)
    e1, e2 = v1 - v0, v2 - v0
    p = np.cross(direction, e2)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / (e1 * p).sum(1)
        to_origin = origin - v0
        u = (to_origin * p).sum(1) * inverse
        q = np.cross(to_origin, e1)
        v = (q @ direction) * inverse
        t = (e2 * q).sum(1) * inverse
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    t = np.where(hit, t, np.inf)
    return int(t.argmin()), float(t.min())


def distance_to_mesh(triangles, point):
    """Distance from a point to the nearest triangle plane whose triangle contains the point's foot."""
    v0, v1, v2 = triangles.astype(np.float64).transpose(1, 0, 2)
    normal = np.cross(v1 - v0, v2 - v0)
    area = np.linalg.norm(normal, axis=1)
    use = area > 1e-9
    v0, v1, v2, normal = v0[use], v1[use], v2[use], normal[use] / area[use, None]
    height = ((point - v0) * normal).sum(1)
    foot = point - height[:, None] * normal
    inside = np.ones(len(v0), bool)
    for a, b in ((v0, v1), (v1, v2), (v2, v0)):
        inside &= (np.cross(b - a, foot - a) * normal).sum(1) > -1e-3
    return np.abs(height[inside]).min()


def test_material_classes_are_the_schemes_classes():
    assert [getattr(materials, name.upper()) for name in NAMES] == list(range(12))


def test_same_seed_gives_the_same_scan_bit_by_bit(street_drive):
    again = Drive(3)
    later = again.frame(SENSORS["beams32"], 7)
    for frame, other in ((0, again.frame(SENSORS["beams32"], 0)), (7, later)):
        first = street_drive.frame(SENSORS["beams32"], frame)
        for a, b in (
            (first.cloud.xyz, other.cloud.xyz),
            (first.cloud.intensity, other.cloud.intensity),
            (first.cloud.ring, other.cloud.ring),
            (first.label, other.label),
            (first.instance, other.instance),
            (first.pose, other.pose),
        ):
            assert np.array_equal(a, b)


def test_other_seed_sensor_and_frame_give_other_scans(street_drive):
    base = street_drive.frame(SENSORS["beams16"], 0)
    for other in (Drive(4).frame(SENSORS["beams16"], 0), street_drive.frame(SENSORS["beams16"], 1)):
        assert not np.array_equal(base.label, other.label)
    assert not set(TRAIN_SEEDS) & set(HELD_OUT_SEEDS)


def test_flat_ground_is_hit_at_its_closed_form_range():
    height, tilt = 1.7, 0.05
    triangle = np.array([[[-900.0, -900.0, 0.0], [2000.0, -900.0, 0.0], [-900.0, 2000.0, 0.0]]], np.float32)
    one = np.ones(1)
    mesh = Mesh(triangle, (one * 4).astype(np.uint8), (one * 2).astype(np.uint8), (one * 0).astype(np.int32))
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]]
    pose[2, 3] = height
    result = scan((Scene(mesh, one.astype(np.float32)),), pose, CLEAN, np.random.default_rng(0))

    elevation = np.array(CLEAN.elevations_rad)
    azimuth = np.pi - np.arange(CLEAN.azimuth_steps) * 2 * np.pi / CLEAN.azimuth_steps
    turn, up = (a.ravel() for a in np.meshgrid(azimuth, elevation, indexing="ij"))
    down = np.sin(tilt) * np.cos(up) * np.cos(turn) - np.cos(tilt) * np.sin(up)
    with np.errstate(divide="ignore"):
        expected = np.where(down > 0, height / down, np.inf)
    expected = expected[(expected >= CLEAN.min_range_m) & (expected < CLEAN.max_range_m)]
    assert len(expected) > 500
    np.testing.assert_allclose(np.linalg.norm(result.xyz, axis=1), expected, rtol=2e-5)
    assert (result.label == 4).all()
    world = result.xyz @ pose[:3, :3].T + pose[:3, 3]
    assert np.abs(world[:, 2]).max() < 2e-3


def test_labels_and_ranges_equal_brute_force(street_drive):
    sample = street_drive.frame(CLEAN, 2)
    static = street_drive.street.static
    moving, _ = street_drive.street.moving(0.2)
    triangles = np.concatenate([static.triangles, moving.triangles])
    class_id = np.concatenate([static.class_id, moving.class_id])
    rng = np.random.default_rng(0)
    rare = np.flatnonzero(np.isin(sample.label, THINGS))
    wrong = 0
    for i in np.concatenate([rng.choice(len(sample.label), 25, replace=False), rng.choice(rare, 15, replace=False)]):
        reach = np.linalg.norm(sample.cloud.xyz[i])
        ray = sample.pose[:3, :3] @ (sample.cloud.xyz[i].astype(np.float64) / reach)
        face, expected = brute_force(triangles, sample.pose[:3, 3], ray)
        wrong += class_id[face] != sample.label[i] or abs(expected - reach) > 1e-3 * max(reach, 1.0)
    assert wrong <= 1, "a ray through an edge may fall on either side, no more"


def test_static_points_of_other_frames_lie_on_the_same_surfaces(street_drive):
    street = street_drive.street
    rng = np.random.default_rng(1)
    for frame in (0, 9):
        sample = street_drive.frame(CLEAN, frame)
        static = np.flatnonzero(~np.isin(sample.label, THINGS))
        for i in rng.choice(static, 15, replace=False):
            world = sample.pose[:3, :3] @ sample.cloud.xyz[i].astype(np.float64) + sample.pose[:3, 3]
            same_class = street.static.triangles[street.static.class_id == sample.label[i]]
            assert distance_to_mesh(same_class, world) < 3e-3


def test_ego_and_movers_advance_at_their_speed(street_drive):
    street = street_drive.street
    before, after = street.sensor_pose(0.0), street.sensor_pose(0.1)
    assert np.linalg.norm(after[:3, 3] - before[:3, 3]) == pytest.approx(street.ego.speed_mps * 0.1, rel=0.1)
    np.testing.assert_allclose(after[:3, :3] @ after[:3, :3].T, np.eye(3), atol=1e-12)
    at_0, at_1 = (moving_mesh(street.movers, street.layout, t) for t in (0.0, 0.1))
    moved = 0
    for i, mover in enumerate(street.movers):
        if 5.0 < mover.s_m < street.config.length_m - 5.0:
            centre = [m.triangles[m.object_id == i].reshape(-1, 3).mean(0) for m in (at_0, at_1)]
            speed = np.hypot(mover.along_mps, mover.across_mps)
            assert np.linalg.norm(centre[1] - centre[0]) == pytest.approx(speed * 0.1, rel=0.15, abs=0.01)
            moved += speed > 0
    assert moved >= 3


def test_drive_yields_consecutive_frames():
    frames = list(drive(5, "beams16", 3))
    assert [sample.name for sample in frames] == [f"street00005/beams16/{i:04d}" for i in range(3)]
    with pytest.raises(ConfigError, match="length_m"):
        list(drive(5, dataclasses.replace(CLEAN, azimuth_steps=4), 10_000))
    longer = StreetConfig(length_m=400.0)
    assert Drive(5, longer).street.num_frames > 150


@pytest.mark.parametrize("name", list(SENSORS))
def test_sensor_layout(name, held_out):
    lidar = SENSORS[name]
    sample = next(s for s in held_out if f"/{name}/" in s.name)
    xyz, ring = sample.cloud.xyz, sample.cloud.ring
    assert lidar.beams == int(name.removeprefix("beams")) and set(np.unique(ring)) == set(range(lidar.beams))
    reach = np.linalg.norm(xyz, axis=1)
    np.testing.assert_allclose(np.arcsin(xyz[:, 2] / reach), np.array(lidar.elevations_rad)[ring], atol=1e-4)
    assert reach.min() >= lidar.min_range_m - 1e-3 and reach.max() <= lidar.max_range_m + 1e-3
    assert sample.cloud.intensity.dtype == np.float32
    assert sample.cloud.intensity.min() >= 0.0 and sample.cloud.intensity.max() <= 1.0
    assert 0.5 < len(xyz) / (lidar.beams * lidar.azimuth_steps) < 0.97


def test_32_beams_return_about_30000_points(held_out):
    counts = [len(sample.label) for sample in held_out if "/beams32/" in sample.name]
    assert len(counts) == 20 and 27_000 < np.mean(counts) < 34_000


def test_every_class_has_its_share_of_the_held_out_points(held_out):
    count = sum(np.bincount(sample.label, minlength=12) for sample in held_out)
    share = count / count.sum()
    assert len(held_out) == 60 and len(share) == 12
    assert share.min() >= 0.001, dict(zip(NAMES, share.round(4), strict=True))


def test_instances_name_single_objects(held_out):
    sample = held_out[1]
    assert ((sample.instance > 0) == np.isin(sample.label, THINGS)).all()
    for instance in np.unique(sample.instance[sample.instance > 0]):
        points = sample.cloud.xyz[sample.instance == instance]
        assert len(np.unique(sample.label[sample.instance == instance])) == 1
        assert np.linalg.norm(np.ptp(points, axis=0)) < 14.0


def point_features(samples):
    xyz = np.concatenate([sample.cloud.xyz for sample in samples])
    reach = np.linalg.norm(xyz, axis=1)
    intensity = np.concatenate([sample.cloud.intensity for sample in samples])
    columns = [xyz[:, 2] / 2.0, xyz[:, 2] / 10.0, np.log(reach) - 2.5, reach / 30.0, intensity * 4.0]
    label = np.concatenate([sample.label for sample in samples])
    return torch.tensor(np.stack(columns, 1), dtype=torch.float32), torch.tensor(label).long()


def test_a_perceptron_on_height_range_and_intensity_fails(held_out):
    """The world must need shape: z, range and intensity alone stay below 0.35 mIoU."""
    train = StreetDataset(range(20), ("beams16", "beams32"))
    features, label = point_features([train[i] for i in range(len(train))])
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(5, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 12)
    )
    weight = (torch.bincount(label, minlength=12).float() / len(label)) ** -0.5
    steps, batch = 500, 4096
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, steps)
    for _ in range(steps):
        pick = torch.randint(len(label), (batch,))
        loss = torch.nn.functional.cross_entropy(network(features[pick]), label[pick], weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    features, label = point_features(held_out)
    with torch.no_grad():
        predicted = network(features).argmax(1)
    confusion = torch.bincount(label * 12 + predicted, minlength=144).view(12, 12).double()
    iou = confusion.diag() / (confusion.sum(0) + confusion.sum(1) - confusion.diag())
    assert 0.10 < iou.mean() < 0.35, "far below 0.1 the perceptron did not learn and the test proves nothing"
    assert iou[NAMES.index("road")] > 0.5


def test_cache_round_trip(tmp_path, monkeypatch):
    arguments = ([7, 8], ("beams16",), 2)
    plain, cached = StreetDataset(*arguments), StreetDataset(*arguments, cache_dir=tmp_path)
    assert len(cached) == 4 and cached.scheme is SCHEMES["street"]
    expected = [plain[i] for i in range(4)]
    assert [sample.name for sample in expected] == [
        f"street0000{seed}/beams16/{frame:04d}" for seed in (7, 8) for frame in (0, 8)
    ]
    cached[0]
    assert len(list(tmp_path.rglob("*.npz"))) == 2, "a miss makes all scans of its street"
    for index in (3, 0, 1, 2):
        assert np.array_equal(cached[index].cloud.xyz, expected[index].cloud.xyz)
    assert not list(tmp_path.rglob("*.tmp"))

    def refuse(*_):
        raise AssertionError("a cached scan was made again")

    monkeypatch.setattr(dataset, "Drive", refuse)
    fresh = pickle.loads(pickle.dumps(StreetDataset(*arguments, cache_dir=tmp_path)))
    for index, sample in enumerate(expected):
        again = fresh[index]
        assert again.name == sample.name
        for field in ("label", "pose", "instance"):
            assert np.array_equal(getattr(again, field), getattr(sample, field))
        for field in ("xyz", "intensity", "ring"):
            assert np.array_equal(getattr(again.cloud, field), getattr(sample.cloud, field))
    with pytest.raises(AssertionError, match="made again"):
        StreetDataset(*arguments, cache_dir=tmp_path, config=StreetConfig(max_grade=0.01))[0]


def test_splits():
    assert len(train_split(50)) == 200 and len(held_out_split()) == 60
    assert len(held_out_split(sensors=("beams32",))) == 20
    with pytest.raises(ConfigError, match="10000"):
        train_split(10_001)
    with pytest.raises(IndexError):
        train_split(1)[4]


def test_bad_configurations_are_refused():
    with pytest.raises(ConfigError, match=r"beams128.*beams16"):
        StreetDataset([0], ("beams128",))
    with pytest.raises(ConfigError, match="frames_per_street"):
        StreetDataset([0], frames_per_street=0)
    with pytest.raises(ConfigError, match="length_m"):
        StreetDataset([0], frames_per_street=50)
    with pytest.raises(ConfigError, match="length_m"):
        StreetConfig(length_m=50.0)
    with pytest.raises(ConfigError, match="curvature"):
        StreetConfig(max_curvature_per_m=0.05)
    with pytest.raises(ConfigError, match="beams"):
        LidarConfig("none", 0, 10, -1.0, 1.0)
    with pytest.raises(ConfigError, match="elevation"):
        LidarConfig("none", 2, 10, 2.0, 1.0)
    with pytest.raises(ConfigError, match="seed"):
        Drive(-1)


def test_streams_are_independent():
    first = stream(1, "trees").random(4)
    assert np.array_equal(first, stream(1, "trees").random(4))
    assert not np.array_equal(first, stream(1, "cars").random(4))
    assert not np.array_equal(first, stream(2, "trees").random(4))
