# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense clouds of each data set: real poses, surfaces of streets, boxes of nuScenes and Waymo in closed form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from nuscenes_makers import make_nuscenes
from real_data import real_data
from test_semantickitti import make_sequence
from waymo_makers import SEGMENT, Scan, chunk, doubles, frame_message, integer, tfrecord, transform, turn, write_v2

from srkd.errors import CloudError, ConfigError
from srkd_train.data.accumulate.config import Accumulation
from srkd_train.data.accumulate.dense import aggregate, dense_clouds
from srkd_train.data.accumulate.scenes import find_scenes
from srkd_train.data.accumulate.street_scenes import StreetTimeline
from srkd_train.data.accumulate.timeline import Frame
from srkd_train.data.accumulate.tracks import Tracks
from srkd_train.data.box import Box
from srkd_train.data.nuscenes import NuScenes
from srkd_train.data.nuscenes_boxes import read_boxes
from srkd_train.data.scannet import ScanNet
from srkd_train.data.semantickitti import SemanticKITTI
from srkd_train.data.street import StreetDataset
from srkd_train.data.street.config import get_sensor
from srkd_train.data.street.lidar import Scene as Surfaces
from srkd_train.data.subset import Picked
from srkd_train.data.waymo import Waymo
from srkd_train.data.waymo import v1 as waymo_v1
from srkd_train.data.waymo.boxes import read_boxes as read_waymo_boxes

ALL = Accumulation(cell_m=None, near_m=0.0)
Floats = npt.NDArray[np.float64]


def closest(query: npt.NDArray[np.float32], among: npt.NDArray[np.float32]) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance to the nearest of some points, and its row: every pair, a piece at a time."""
    best, row = torch.full((len(query),), torch.inf), torch.zeros(len(query), dtype=torch.int64)
    for start in range(0, len(among), 20_000):
        piece = torch.from_numpy(among[start : start + 20_000])
        distance, index = torch.cdist(torch.from_numpy(query), piece, compute_mode="donot_use_mm_for_euclid_dist").min(
            1
        )
        closer = distance < best
        best[closer], row[closer] = distance[closer], index[closer] + start
    return best, row


def test_real_frames_fall_into_their_places() -> None:
    data = SemanticKITTI(real_data("semantickitti_full"), sequences=["00"])
    (scene,) = find_scenes(data, ALL)
    before, target, after = scene.open().read([0, 1, 2])
    some = slice(None, None, 71)
    query, label = target.sample.cloud.xyz[some], target.sample.label[some]

    def near(*frames: Frame) -> tuple[float, float]:
        """Median distance to the nearest point of these frames as one cloud, and how often its label is the same."""
        dense = aggregate(target, frames, Accumulation(past=1, future=1, cell_m=None))
        distance, row = closest(query, dense.xyz[~dense.own])
        found = dense.label[~dense.own][row.numpy()]
        known = (label != 255) & (found != 255)
        return float(distance.median()), float((label == found)[known].mean())

    def unmoved(frame: Frame) -> Frame:
        return replace(frame, sample=replace(frame.sample, pose=target.pose))

    distance_m, agreement = near(before, after)
    assert distance_m <= 0.055 and agreement >= 0.97
    # Two frames are twice as dense as one, moved or not: how they were moved is told frame by frame, and by labels
    one_m, one_agrees = near(before)
    still_m, still_agrees = near(unmoved(before))
    assert still_m == pytest.approx(0.084, abs=0.003) and one_m < 0.95 * still_m
    assert still_agrees < 0.93 and one_agrees >= 0.97
    _, both_agree = near(unmoved(before), unmoved(after))
    assert both_agree < 0.94


def test_real_sequences_without_poses_are_named() -> None:
    with pytest.raises(CloudError, match=r"sequences/08: no poses\.txt; .*leave sequence 08 out"):
        find_scenes(SemanticKITTI(real_data("semantickitti"), "val"), ALL)


def off_surface_m(surfaces: Surfaces, world: Floats) -> npt.NDArray[np.float32]:
    """(N,) distance along the nearest of six axes to a surface: at most 1.8 times that to the surface itself."""
    found = np.full(len(world), np.inf, np.float32)
    for axis in np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32):
        # From a little before the point, so that a surface just behind it is met too.
        start = (world - 0.02 * axis).astype(np.float32)
        direction = np.tile(axis, (len(world), 1))
        face, reached, _ = surfaces.cast(start, direction, np.full(len(world), 0.5, np.float32))
        found = np.minimum(found, np.where(face >= 0, np.abs(reached - 0.02), np.inf))
    return found


def test_streets_points_of_other_frames_lie_on_surfaces() -> None:
    exact = replace(get_sensor("beams16"), noise=False, azimuth_steps=600)
    timeline = StreetTimeline(StreetDataset([3], ("beams16",)), 3, exact, {})
    before, target = timeline.read([2, 7])
    drive = timeline.drive
    dense = aggregate(target, [before], ALL)
    world = dense.xyz[~dense.own].astype(np.float64) @ target.pose[:3, :3].T + target.pose[:3, 3]
    assert before.moving is not None and target.moving is not None
    moving = before.moving > 0
    assert 30 < moving.sum() < 0.2 * len(moving)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(~moving))[:2000]
    standing = off_surface_m(Surfaces(drive.street.static, drive.street.static_reflectance), world[rows])
    assert float(np.quantile(standing, 0.99)) < 0.005
    now, then = (Surfaces(*drive.street.moving(time_s)) for time_s in (0.7, 0.2))
    assert float(np.quantile(off_surface_m(now, world[moving]), 0.95)) < 0.005
    left = aggregate(target, [before], replace(ALL, moving="keep"))
    behind = left.xyz[~left.own].astype(np.float64) @ target.pose[:3, :3].T + target.pose[:3, 3]
    assert float(np.quantile(off_surface_m(then, behind[moving]), 0.95)) < 0.005
    assert float(np.median(off_surface_m(now, behind[moving]))) > 0.05
    whole = aggregate(target, [before], replace(ALL, moving="drop"))
    assert (~whole.own).sum() == (~moving).sum()


def test_streets_know_their_frames_by_name() -> None:
    data = StreetDataset([5, 9], ("beams16", "beams32"), 2)
    scenes = find_scenes(Picked(data, [0, 1, 3, 6]), ALL)
    assert [scene.name for scene in scenes] == ["street00005/beams16", "street00005/beams32", "street00009/beams32"]
    assert [len(scene.targets) for scene in scenes] == [2, 1, 1]
    assert scenes[0].group == scenes[1].group != scenes[2].group
    assert scenes[0].targets == (data.name(0), data.name(1)) == ("street00005/beams16/0000", "street00005/beams16/0008")
    names = scenes[0].open().names
    assert len(names) == data.config.min_frames and names[8] == data.name(1)


def test_semantickitti_objects_are_known_by_raw_id_and_instance(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, "00", 3)
    (folder / "calib.txt").write_text("Tr: 1 0 0 0 0 1 0 0 0 0 1 0\n")
    (folder / "poses.txt").write_text("".join(f"1 0 0 {n} 0 1 0 0 0 0 1 0\n" for n in range(3)))
    raw = np.array([10 | 7 << 16, 252 | 7 << 16, 254], "<u4")  # a car that stands, one that drives, somebody of no id
    raw.tofile(folder / "labels" / "000001.label")
    data = SemanticKITTI(tmp_path, sequences=["00"])
    assert data.moving(1) is not None and data.moving(1).tolist() == [False, True, True]  # type: ignore[union-attr]
    (scene,) = find_scenes(data, ALL)
    frames = list(scene.open().read([0, 1, 2]))
    assert frames[1].moving is not None and frames[1].moving.tolist() == [0, 7 * 256, -1]
    assert frames[0].moving is not None and frames[0].moving.tolist() == [0, 7 * 256, 0]
    (unlabelled,) = find_scenes(data, replace(ALL, moving="keep", by_pose=True))
    assert next(unlabelled.open().read([1])).moving is None
    shifted = dict(dense_clouds(unlabelled.open(), scene.targets, replace(ALL, moving="keep", past=1, future=0)))
    assert shifted["00/000001"].xyz.tolist() == [[2, 2, 2]] * 3 + [[0, 1, 1]] * 3


def box(key: str, time_us: int, centre: tuple[float, float, float], yaw: float = 0.0) -> Box:
    return Box(key, time_us, transform(turn(0, 0, yaw), centre), np.array([4.0, 2.0, 1.5]))


def test_boxes_are_interpolated_and_only_those_that_move_count() -> None:
    driving = [box("b", 0, (0, 0, 0), 0.0), box("b", 500_000, (4, 1, 0), 0.4)]
    tracks = Tracks(
        [*reversed(driving), box("a", 0, (50, 0, 0)), box("a", 500_000, (50.5, 0, 0)), box("c", 0, (9, 9, 0))]
    )
    assert sorted(tracks.at(0)) == [1]
    half = tracks.at(250_000)[1]
    np.testing.assert_allclose(half, transform(turn(0, 0, 0.2), (2, 0.5, 0)), atol=1e-12)
    np.testing.assert_allclose(tracks.at(500_000)[1], driving[1].pose, atol=1e-12)
    assert tracks.at(500_001) == {} and tracks.at(-1) == {}


def add_annotations(version: Path) -> None:
    """A car that drives 10 m in half a second and turns by 90 degrees, and one that stands, in the first scene."""
    half = 0.5**0.5
    rows = [
        {
            "token": f"a{sample}{instance}",
            "sample_token": sample,
            "instance_token": instance,
            "translation": [x, y, 1.0],
            "size": [2.0, 4.0, 1.6],
            "rotation": rotation,
            "attribute_tokens": ["t1", "t2"],
        }
        for sample, instance, x, y, rotation in (
            ("p00", "moves", 100.0, 50.0, [1, 0, 0, 0]),
            ("p01", "moves", 110.0, 50.0, [half, 0, 0, half]),
            ("p00", "stands", 0.0, 0.0, [1, 0, 0, 0]),
            ("p01", "stands", 0.1, 0.0, [1, 0, 0, 0]),
            ("p10", "other", 0.0, 0.0, [1, 0, 0, 0]),
        )
    ]
    (version / "sample_annotation.json").write_text(json.dumps(rows, indent=0))


def test_nuscenes_sweeps_join_and_follow_boxes(tmp_path: Path) -> None:
    version = make_nuscenes(tmp_path)
    add_annotations(version)
    found = read_boxes(version, ("scene-0003",))
    assert [len(boxes) for boxes in found.values()] == [4]
    assert found["scene-0003"][0].size_m.tolist() == [4.0, 2.0, 1.6]  # the table has width first
    # A point near the front of the car in all three sweeps of the scene, which come first in time.
    by_time = sorted(tmp_path.glob("s*/LIDAR_TOP/*.pcd.bin"), key=lambda path: path.name)[:3]
    vehicle_to_lidar = np.linalg.inv(transform(turn(0, 0, np.pi / 2), (1.0, 0.0, 2.0)))
    for step, path in enumerate(by_time):
        yaw = step * np.pi / 4
        front = np.array([100 + 5 * step, 50, 1]) + turn(0, 0, yaw) @ np.array([1.9, 0.5, 0.2])
        world_to_vehicle = np.linalg.inv(transform(turn(0, 0, np.pi / 2), (10.0 * step, 0, 0)))
        point = (vehicle_to_lidar @ world_to_vehicle @ [*front, 1])[:3]
        rows = np.fromfile(path, "<f4").reshape(-1, 5)
        rows[0, :3] = point
        rows[1:, :3] = np.array([[200, 200, 0], [201, 200, 0], [202, 200, step]])
        rows.tofile(path)
    data = NuScenes(tmp_path, "val")
    (scene,) = find_scenes(data, ALL)
    assert scene.name == "scene-0003" and scene.targets == (data.name(0), data.name(1))
    timeline = scene.open()
    assert len(timeline.names) == 3
    frames = list(timeline.read([0, 1, 2]))
    assert [frame.moving.tolist() for frame in frames if frame.moving is not None] == [[1, 0, 0, 0]] * 3
    dense = dict(dense_clouds(timeline, scene.targets, replace(ALL, past=2, future=2)))[data.name(0)]
    assert dense.own.tolist() == [True] * 4 + [False] * 8
    np.testing.assert_allclose(dense.xyz[[4, 8]], dense.xyz[[0, 0]], atol=2e-4)  # from the sweep, from the key frame
    assert dense.label[4:8].tolist() == [255] * 4  # the sweep has no labels
    assert set(dense.label[8:].tolist()) != {255}
    (keys,) = find_scenes(data, replace(ALL, labelled_only=True))
    assert keys.open().names == list(scene.targets)
    by_time[1].unlink()
    with pytest.raises(CloudError, match=r"\.pcd\.bin: missing; unpack the sweeps too, or give --labelled-only"):
        find_scenes(data, ALL)
    find_scenes(data, replace(ALL, labelled_only=True))


def label_message(key: str, centre: tuple[float, float, float], heading: float) -> bytes:
    numbers = (*centre, 2.0, 4.0, 1.5, heading)
    parts = b"".join(doubles(number, [value]) for number, value in enumerate(numbers, start=1))
    return chunk(6, chunk(1, parts) + integer(3, 1) + chunk(4, key.encode()))


def scans() -> list[Scan]:
    """Three frames of which the second has no labels; the vehicle drives 2 m a frame along the world's y axis."""
    made = [Scan(stamp_us=1_600_000_000_000_000 + 100_000 * n, labelled=n != 1) for n in range(3)]
    for number, scan in enumerate(made):
        scan.vehicle_pose = scan.vehicle_pose.copy()
        scan.vehicle_pose[1, 3] += 2.0 * number
        assert scan.pixel_pose is not None
        scan.pixel_pose[..., 4] += 2.0 * number
    return made


CENTRES = ((10.0, 3.0, 1.0), (12.0, 3.0, 1.0), (14.0, 3.0, 1.0))


def check_waymo(root: Path) -> None:
    """Frames join on the wall that they all see, and the box that moves is found in the world."""
    data = Waymo(root, "train")
    (scene,) = find_scenes(data, ALL)
    assert scene.targets == (data.name(0), data.name(1)) and len(scene.open().names) == 3
    timeline = scene.open()
    frames = list(timeline.read([0, 1, 2]))
    for number, frame in enumerate(frames):
        expected = scans()[number].vehicle_pose @ [*CENTRES[number], 1]
        np.testing.assert_allclose(frame.objects[1][:3, 3], expected[:3], atol=1e-3)
    dense = dict(dense_clouds(timeline, scene.targets, replace(ALL, moving="keep")))[data.name(1)]
    assert set(dense.label[dense.own].tolist()) != {255}
    pose = frames[2].pose
    world = dense.xyz.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    np.testing.assert_allclose(np.minimum(np.abs(world[:, 0] - 5030), np.abs(world[:, 0] - 5029)), 0, atol=0.01)
    assert (~dense.own).sum() == sum(len(frame.sample.cloud) for frame in frames[:2])
    (labelled,) = find_scenes(data, replace(ALL, labelled_only=True))
    assert labelled.open().names == list(scene.targets)


def test_waymo_v1_frames_join(tmp_path: Path) -> None:
    folder = tmp_path / "training"
    folder.mkdir()
    payloads = [
        frame_message(scan) + label_message("car", CENTRES[number], 0.1) + label_message("here", (0.0, 9.0, 1.0), 0.0)
        for number, scan in enumerate(scans())
    ]
    (folder / f"segment-{SEGMENT}_with_camera_labels.tfrecord").write_bytes(tfrecord(payloads))
    boxes = read_waymo_boxes(waymo_v1.find_frames(next(folder.iterdir())))
    assert [each.key for each in boxes] == ["car", "here"] * 3 and boxes[0].size_m.tolist() == [4.0, 2.0, 1.5]
    expected = scans()[0].vehicle_pose @ transform(turn(0, 0, 0.1), CENTRES[0])
    np.testing.assert_allclose(boxes[0].pose, expected, atol=1e-9)
    check_waymo(tmp_path)


def test_waymo_v2_frames_join(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    write_v2(tmp_path / "training", scans())
    rows = []
    for number, scan in enumerate(scans()):
        row = {"key.frame_timestamp_micros": scan.stamp_us, "key.laser_object_id": "car"}
        numbers = (*CENTRES[number], 4.0, 2.0, 1.5, 0.1)
        names = ("center.x", "center.y", "center.z", "size.x", "size.y", "size.z", "heading")
        rows.append(row | {f"[LiDARBoxComponent].box.{name}": x for name, x in zip(names, numbers, strict=True)})
    (tmp_path / "training" / "lidar_box").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "training" / "lidar_box" / f"{SEGMENT}.parquet")
    check_waymo(tmp_path)
    (tmp_path / "training" / "lidar_box" / f"{SEGMENT}.parquet").unlink()
    (scene,) = find_scenes(Waymo(tmp_path, "train"), ALL)
    assert next(scene.open().read([0])).moving is None


def test_boxes_of_a_real_waymo_frame() -> None:
    boxes = read_waymo_boxes(waymo_v1.find_frames(real_data("waymo", "frame_without_lasers_val.tfrecord")))
    assert len(boxes) > 10 and len({each.key for each in boxes}) == len(boxes)
    sizes = np.array([each.size_m for each in boxes])
    assert (sizes > 0.02).all() and (sizes < 30).all()  # signs are thin
    vehicles = sizes[sizes[:, :2].max(1) > 3.5]
    assert len(vehicles) and (vehicles[:, 0] > vehicles[:, 1]).all()  # length before width
    places = np.array([each.pose[:3, 3] for each in boxes])
    assert np.linalg.norm(places - np.median(places, axis=0), axis=1).max() < 200


def test_rooms_are_no_sequences(tmp_path: Path) -> None:
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\n")
    (tmp_path / "scans" / "scene0000_00").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"scannet clouds are no sequences with poses, give street \| semantickitti"):
        find_scenes(ScanNet(tmp_path, "train"), ALL)
