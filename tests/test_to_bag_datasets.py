# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd to_bag` of data sets in their published formats: clouds, truth, stamps, frames and poses, read by others."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from bag_makers import path_without, points, run_module
from bag_oracles import matrix, moved, odometry, plain, read_by_mcap, read_by_rosbags, stamp_of, transforms, xyz
from nuscenes_makers import make_nuscenes
from real_data import real_data
from waymo_makers import WALL_M, Scan, transform, turn, write_v1, write_v2

from srkd.io.bags import BagReader, TopicQos, is_bag
from srkd_train.__main__ import main
from srkd_train.bag_sources import EPOCH_NS

Capture = pytest.CaptureFixture[str]
NUSCENES_US = 1_500_000_000_000_000
WAYMO_US = 1_600_000_000_000_000
LANDMARK = np.array([30.0, -4.0, 1.5])
"""A point of the world that every sweep of the made nuScenes sees first."""


def run(*arguments: object) -> int:
    return main(["to_bag", *map(str, arguments)])


def make_scenes(root: Path, **options: Any) -> Path:
    """The made nuScenes, where sweep k of a scene sees the landmark, and three points of its own."""
    folder = make_nuscenes(root, **options)
    for path in root.glob("*/LIDAR_TOP/*.pcd.bin"):
        step = int(path.name.split("__")[2].removesuffix(".pcd.bin")) % 1_000_000 // 250_000
        made = np.array([[0, 0, 0, 0, 0], [1, 2, 3, 255, 31], [4, 5, 6, 0.5, 7], [7, 8, 9, 128, 16]], "<f4")
        # Two quarter turns: the sensor looks backwards from (10 k, 1, 2), see test_nuscenes.py.
        made[0, :3] = (-1, -1, 1) * (LANDMARK - (10 * step, 1, 2))
        made.tofile(path)
    return folder


@pytest.mark.parametrize(("storage", "version"), [("mcap", 9), ("mcap", 8), ("sqlite3", 9), ("sqlite3", 8)])
def test_a_scene_of_nuscenes(storage: str, version: int, tmp_path: Path, capsys: Capture) -> None:
    make_scenes(tmp_path)
    bag = tmp_path / "bag"
    options = ("--storage", storage, "--metadata-version", version)
    assert run("nuscenes", tmp_path, "--scene", "scene-0001", *options, bag) == 0
    said = capsys.readouterr()
    assert said.out == (
        f"3 clouds, 12 points on /points, ground truth of nuscenes on /points/labels, 3 poses on /odom: {bag}\n"
    )
    assert "frames 3/3 (100 %)" in said.err

    found = read_by_rosbags(bag)
    stamps = [1000 * (NUSCENES_US + 1_000_000 + 250_000 * step) for step in range(3)]
    for topic in ("/points", "/odom"):
        assert [time_ns for time_ns, _ in found[topic]] == [stamp_of(message) for _, message in found[topic]] == stamps
    assert {message.header.frame_id for _, message in found["/points"] + found["/points/labels"]} == {"LIDAR_TOP"}
    second = found["/points"][1][1]
    assert {field.name: (field.offset, field.datatype) for field in second.fields} == {
        "x": (0, 7), "y": (4, 7), "z": (8, 7), "intensity": (12, 7), "ring": (16, 4)
    }  # fmt: skip
    rows = np.frombuffer(second.data, [("xyz", "<f4", 3), ("intensity", "<f4"), ("ring", "<u2")])
    assert rows["intensity"].tolist() == [0, 255, 0.5, 128] and rows["ring"].tolist() == [0, 31, 7, 16]
    assert (second.height, second.width, second.point_step) == (1, 4, 18)

    truths = [(stamp_of(message), bytes(message.data)[12::16]) for _, message in found["/points/labels"]]
    assert truths == [(stamps[0], bytes([3, 10, 255, 255])), (stamps[2], bytes([3, 10, 255, 15]))], "key frames only"
    assert [message.data for _, message in found["/points/label_scheme"]] == ["nuscenes"]

    poses = odometry(found)
    assert list(transforms(found)) == [("map", "base_link", stamp) for stamp in stamps]
    for (_, _, stamp), pose in transforms(found).items():
        np.testing.assert_allclose(pose, poses[stamp], atol=1e-12)
    ((_, mount),) = transforms(found, "/tf_static").items()
    np.testing.assert_allclose(mount, [[0, -1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]], atol=1e-12)
    for step, (_, message) in enumerate(found["/points"]):
        np.testing.assert_allclose(poses[stamps[step]][:3, 3], [10 * step, 0, 0], atol=1e-9)
        np.testing.assert_allclose(moved(poses[stamps[step]] @ mount, xyz(message))[0], LANDMARK, atol=1e-5)
    for _, message in found["/odom"]:
        assert (message.header.frame_id, message.child_frame_id) == ("map", "base_link")
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        # 10 m a quarter second along the world's x, which is to the right of a vehicle that faces its y.
        np.testing.assert_allclose([linear.x, linear.y, linear.z], [0, -40, 0], atol=1e-6)
        np.testing.assert_allclose([angular.x, angular.y, angular.z], 0, atol=1e-9)

    about = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (about["version"], about["storage_identifier"]) == (version, storage)
    notes = {"srkd.source": "nuscenes scene-0001", "srkd.label_scheme": "nuscenes"}
    assert about["custom_data"] == notes
    with BagReader(bag) as reader:
        assert reader.notes == notes and reader.cloud_topics() == ("/points",)
        qos = {topic.name: topic.qos for topic in reader.topics}
        assert qos["/tf_static"] == TopicQos("reliable", "transient_local", "keep_last", 1)
        assert qos["/tf"] == TopicQos("reliable", "volatile", "keep_last", 100)
        ours = Counter(message.topic for message in reader.messages())
    assert ours == {topic: len(messages) for topic, messages in found.items()}


def test_an_independent_reader_of_mcap_finds_the_same(tmp_path: Path) -> None:
    make_scenes(tmp_path)
    assert run("nuscenes", tmp_path, "--scene", "scene-0003", tmp_path / "bag") == 0
    ours, others = read_by_rosbags(tmp_path / "bag"), read_by_mcap(tmp_path / "bag")
    topics = {"/points", "/points/labels", "/points/label_scheme", "/odom", "/tf", "/tf_static"}
    assert set(ours) == set(others) == topics
    for topic in topics:
        assert [(time_ns, plain(message)) for time_ns, message in others[topic]] == [
            (time_ns, plain(message)) for time_ns, message in ours[topic]
        ]
    assert matrix(*[getattr(others["/odom"][1][1].pose.pose, name) for name in ("position", "orientation")])[0, 3] == 10


def test_scenes_are_chosen_by_name(tmp_path: Path, capsys: Capture) -> None:
    make_scenes(tmp_path, version="v1.0-mini")
    both = ("scene-0001", "scene-0003")
    assert run("nuscenes", tmp_path, "--scene", ",".join(both), "--key-frames", tmp_path / "two") == 0
    assert run("nuscenes", tmp_path, "--scene", "all", "--frames", 2, tmp_path / "all") == 0
    for name in both:
        assert len(read_by_rosbags(tmp_path / "two" / name)["/points"]) == 2
        assert len(read_by_rosbags(tmp_path / "two" / name)["/points/labels"]) == 2
        assert len(read_by_rosbags(tmp_path / "all" / name)["/points"]) == 2
        assert len(read_by_rosbags(tmp_path / "all" / name)["/points/labels"]) == 1
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == sorted(both), "nothing is left"
    capsys.readouterr()
    sweep = next((tmp_path / "sweeps" / "LIDAR_TOP").iterdir())
    sweep.unlink()
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "scene-0003").mkdir()
    for arguments, reason in (
        (("--scene", "scene-0002"), "no scene 'scene-0002'; did you mean scene-000"),
        (("--scene", "unlike"), "no scene 'unlike'; it has scene-0003 scene-0001"),
        ((), "2 scenes (scene-0003 scene-0001); name some"),
        (("--scene", "scene-0003", "--frames", 0), "frames: 0"),
        (("--scene", "scene-0003"), f"{sweep}: missing; unpack the sweeps too, or leave them out: --key-frames"),
    ):
        assert run("nuscenes", tmp_path, *arguments, tmp_path / "bag") == 2
        assert reason in capsys.readouterr().err and not (tmp_path / "bag").exists()
    assert run("nuscenes", tmp_path, "--scene", "all", "--key-frames", tmp_path / "one") == 2
    assert "scene-0003: exists already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["scene-0003"], "seen before the first is written"


def test_without_lidarseg_there_is_no_truth(tmp_path: Path) -> None:
    make_scenes(tmp_path, version="v1.0-test", scenes=("scene-0077",))
    assert run("nuscenes", tmp_path, "--frame-id", "top", tmp_path / "bag") == 0
    found = read_by_rosbags(tmp_path / "bag")
    assert set(found) == {"/points", "/odom", "/tf", "/tf_static"}, "its only scene needs no name"
    assert found["/points"][0][1].header.frame_id == "top"
    assert [key[:2] for key in transforms(found, "/tf_static")] == [("base_link", "top")]


def test_the_real_key_frame_by_real_poses(tmp_path: Path) -> None:
    """Tables of ours with a real pose and calibration: the real cloud comes to lie where nuScenes has it."""
    root = real_data("nuscenes")
    (path,) = root.glob("*.boxes.json")
    frame = json.loads(path.read_text())
    name = path.name.removesuffix(".boxes.json")
    ego, lidar = np.array(frame["ego2global"]), np.array(frame["lidar2ego"])
    for part in ("samples", "sweeps"):
        (tmp_path / part).symlink_to(root / part)
    tables: dict[str, list[dict[str, Any]]] = {
        "scene": [{"token": "s", "name": "scene-0061"}],
        "sample": [{"token": "p", "scene_token": "s"}],
        "sample_data": [
            {
                "token": "d", "sample_token": "p", "ego_pose_token": "e", "calibrated_sensor_token": "c",
                "filename": f"samples/LIDAR_TOP/{name}.pcd.bin", "is_key_frame": True,
                "timestamp": int(name.rpartition("__")[2]),
            }
        ],
        "ego_pose": [row("e", ego)],
        "calibrated_sensor": [row("c", lidar)],
    }  # fmt: skip
    (tmp_path / "v1.0-mini").mkdir()
    for table, rows in tables.items():
        (tmp_path / "v1.0-mini" / f"{table}.json").write_text(json.dumps(rows))
    assert run("nuscenes", tmp_path, tmp_path / "bag") == 0
    found = read_by_rosbags(tmp_path / "bag")
    ((stamp, pose),) = odometry(found).items()
    assert stamp == 1532402927647951000
    (mount,) = transforms(found, "/tf_static").values()
    np.testing.assert_allclose(pose, ego, atol=1e-5)
    np.testing.assert_allclose(mount, lidar, atol=1e-5)
    raw = np.fromfile(next((root / "samples" / "LIDAR_TOP").iterdir()), "<f4").reshape(-1, 5)
    np.testing.assert_array_equal(xyz(found["/points"][0][1]), raw[:, :3])
    height = moved(pose @ mount, xyz(found["/points"][0][1]))[:, 2]
    assert abs(np.median(height[height < 1])) < 0.3, "most of what is low is the ground, at the height of the map's"


def row(token: str, pose: Any) -> dict[str, Any]:
    """A row of ego_pose or calibrated_sensor; the quaternion by half the turn's cosine and the skewed part."""
    w = np.sqrt(1 + np.trace(pose[:3, :3])) / 2
    skewed = pose[:3, :3] - pose[:3, :3].T
    x, y, z = np.array([skewed[2, 1], skewed[0, 2], skewed[1, 0]]) / (4 * w)
    return {"token": token, "rotation": [w, x, y, z], "translation": pose[:3, 3].tolist()}


def make_drive(
    root: Path, release: str, count: int = 3, segment: str = "1000_0_20_0", split: str = "training"
) -> list[Scan]:
    """A drive along the wall of `waymo_makers`, every second frame labelled."""
    scans = []
    for index in range(count):
        scan = Scan(WAYMO_US + 100_000 * index, labelled=index % 2 == 0)
        scan.vehicle_pose = transform(turn(0.01, -0.02, 0.3 + 0.05 * index), (5000.0 + index, -3000.0, 20.0))
        scans.append(scan)
    if release == "v1":
        write_v1(root / split, scans[::-1], segment)
    else:
        pytest.importorskip("pyarrow")
        write_v2(root / split, scans[::-1], segment)
    return scans


@pytest.mark.parametrize("release", ["v1", "v2"])
@pytest.mark.parametrize("returns", [1, 2])
def test_a_segment_of_waymo(release: str, returns: int, tmp_path: Path) -> None:
    scans = make_drive(tmp_path, release)
    assert run("waymo", tmp_path, "--returns", returns, tmp_path / "bag") == 0
    found = read_by_rosbags(tmp_path / "bag")
    stamps = [1000 * scan.stamp_us for scan in scans]
    assert [stamp_of(message) for _, message in found["/points"]] == list(odometry(found)) == stamps
    assert [stamp_of(message) for _, message in found["/points/labels"]] == stamps[::2]
    assert [message.data for _, message in found["/points/label_scheme"]] == ["waymo"]
    assert "/tf_static" not in found, "the clouds are in the vehicle's frame"
    for scan, (_, message) in zip(scans, found["/points"], strict=True):
        assert message.header.frame_id == "base_link"
        pose = odometry(found)[stamp_of(message)]
        np.testing.assert_allclose(pose, scan.vehicle_pose, atol=5e-4)
        np.testing.assert_allclose(transforms(found)["map", "base_link", stamp_of(message)], pose, atol=1e-9)
        np.testing.assert_allclose(moved(pose, xyz(message)), np.concatenate(scan.hits[:returns]), atol=3e-3)
        rows = np.frombuffer(message.data, [("xyz", "<f4", 3), ("intensity", "<f4"), ("ring", "<u2")])
        assert (rows["intensity"] // 1000 == rows["ring"]).all() and rows["intensity"].max() > 3000, "raw, unbounded"
        if scan.labelled:
            truth = next(each for _, each in found["/points/labels"] if stamp_of(each) == stamp_of(message))
            assert list(bytes(truth.data)[12::16]) == (rows["intensity"].astype(int) % 1000).tolist()
            np.testing.assert_array_equal(xyz(truth), xyz(message))
    assert abs(moved(odometry(found)[stamps[2]], xyz(found["/points"][2][1]))[0, 0] - WALL_M) < 3e-3


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_segments_are_chosen_by_name(release: str, tmp_path: Path, capsys: Capture) -> None:
    make_drive(tmp_path / "data", release, 1, "1_0_2_0")
    make_drive(tmp_path / "data", release, 2, "3_0_4_0", "validation")
    assert run("waymo", tmp_path / "data", "--scene", "3_0_4_0", tmp_path / "bag") == 0
    assert len(read_by_rosbags(tmp_path / "bag")["/points"]) == 2
    assert run("waymo", tmp_path / "data", "--scene", "3_0_4_0,1_0_2_0", tmp_path / "both") == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["1_0_2_0", "3_0_4_0"]
    with BagReader(tmp_path / "both" / "1_0_2_0") as reader:
        assert reader.notes["srkd.source"] == "waymo 1_0_2_0"
    assert run("waymo", tmp_path / "data" / "validation", tmp_path / "split") == 0, "one split, of one segment"
    capsys.readouterr()
    for arguments, reason in (
        ((tmp_path / "data", "--scene", "3_0_4_1"), "no scene '3_0_4_1'; did you mean 3_0_4_0"),
        ((tmp_path / "data",), "2 scenes (1_0_2_0 3_0_4_0)"),
        ((tmp_path,), "neither *.tfrecord nor lidar/*.parquet"),
    ):
        assert run("waymo", *arguments, tmp_path / "none") == 2
        assert reason in capsys.readouterr().err


def test_a_tfrecord_under_any_name_is_its_segment(tmp_path: Path) -> None:
    make_drive(tmp_path, "v1", 1, "7_0_8_0", "testing")
    (path,) = (tmp_path / "testing").iterdir()
    path = path.rename(tmp_path / "mine.tfrecord")
    for root, name in ((tmp_path, "a"), (path, "b")):
        assert run("waymo", root, "--scene", "7_0_8_0", tmp_path / name) == 0
        assert len(read_by_rosbags(tmp_path / name)["/points"]) == 1


def test_a_segment_in_parquet_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    scans = [Scan(WAYMO_US + index) for index in range(6)]
    write_v2(tmp_path / "training", scans, row_group_size=1000)
    begun: list[str] = []
    iter_batches = parquet.ParquetFile.iter_batches

    def counted(self: Any, *given: Any, **options: Any) -> Any:
        begun.append(options["columns"][0])
        return iter_batches(self, *given, **options)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", counted)
    assert run("waymo", tmp_path, tmp_path / "bag") == 0
    assert len(begun) == len(set(begun)) == 3, "ranges, labels and pixel poses: one pass each over all six frames"
    for scan, (_, message) in zip(scans, read_by_rosbags(tmp_path / "bag")["/points"], strict=True):
        np.testing.assert_allclose(moved(scan.vehicle_pose, xyz(message)), np.concatenate(scan.hits), atol=3e-3)


def test_the_real_waymo_files(tmp_path: Path, capsys: Capture) -> None:
    """The real frame has no range images, which is said; the real poses of a segment come back as odometry."""
    record = real_data("waymo", "frame_without_lasers_val.tfrecord")
    assert run("waymo", record, "--scene", "1071392229495085036_1844_790_1864_790", tmp_path / "bag") == 2
    assert "no range image of the TOP LiDAR" in capsys.readouterr().err and not (tmp_path / "bag").exists()
    parquet = pytest.importorskip("pyarrow.parquet")
    segment = "10023947602400723454_1120_000_1140_000"
    path = real_data("waymo", f"v2_vehicle_pose_{segment}.parquet")
    known = parquet.read_table(path).to_pydict()
    stamps, values = known["key.frame_timestamp_micros"], known["[VehiclePoseComponent].world_from_vehicle.transform"]
    write_v2(tmp_path / "training", [Scan(stamp) for stamp in stamps[:12]], segment)
    (tmp_path / "training" / "vehicle_pose" / f"{segment}.parquet").write_bytes(path.read_bytes())
    assert run("waymo", tmp_path, tmp_path / "bag") == 0
    found = read_by_rosbags(tmp_path / "bag")
    for stamp, value in zip(stamps[:12], values, strict=False):
        np.testing.assert_allclose(odometry(found)[1000 * stamp], np.array(value).reshape(4, 4), atol=1e-5)
    speeds = [message.twist.twist.linear for _, message in found["/odom"]]
    assert all(-0.1 < each.x < 20 and abs(each.y) < 0.5 and abs(each.z) < 0.5 for each in speeds), "a car drives ahead"


def test_real_scans_of_kitti_lie_on_each_other(tmp_path: Path) -> None:
    root = real_data("semantickitti")
    assert run("semantickitti", root, "--scene", "00", tmp_path / "bag") == 0
    found = read_by_rosbags(tmp_path / "bag")
    folder = root / "sequences" / "00"
    times_s = np.loadtxt(folder / "times.txt")[:21]
    poses = odometry(found)
    assert list(poses) == [EPOCH_NS + round(time_s * 1e9) for time_s in times_s]
    calibration = next(line for line in (folder / "calib.txt").read_text().splitlines() if line.startswith("Tr:"))
    to_camera = np.vstack([np.array(calibration.split()[1:], float).reshape(3, 4), [0, 0, 0, 1]])
    for pose, camera in zip(poses.values(), np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4), strict=False):
        np.testing.assert_allclose(to_camera @ pose, np.vstack([camera, [0, 0, 0, 1]]) @ to_camera, atol=1e-4)
    assert {key[:2] for key in transforms(found)} == {("map", "velo_link")} and "/tf_static" not in found
    for (_, _, stamp), pose in transforms(found).items():
        np.testing.assert_allclose(pose, poses[stamp], atol=1e-12)
    ahead = [message.twist.twist.linear.x for _, message in found["/odom"]]
    steps = np.diff([pose[:3, 3] for pose in poses.values()], axis=0)
    np.testing.assert_allclose(ahead[1:], np.linalg.norm(steps, axis=1) / np.diff(times_s), rtol=0.02)

    def agreement(later: int, use_poses: bool) -> float:
        """Share of the 0.2 m cells, of those in the first and a later scan, whose points have the same class."""
        cells = []
        for index in (0, later):
            truth = found["/points/labels"][index][1]
            where = moved(poses[stamp_of(truth)], xyz(truth)) if use_poses else xyz(truth)
            kinds: dict[tuple[int, ...], set[int]] = {}
            for cell, kind in zip(np.floor(where / 0.2).astype(int).tolist(), bytes(truth.data)[12::16], strict=True):
                kinds.setdefault(tuple(cell), set()).add(kind)
            cells.append({cell: kind.pop() for cell, kind in kinds.items() if len(kind) == 1})
        shared = cells[0].keys() & cells[1].keys()
        return sum(cells[0][cell] == cells[1][cell] for cell in shared) / len(shared)

    assert agreement(1, True) > 0.975 > agreement(1, False), "the known agreement of neighbouring scans"
    assert agreement(10, True) > agreement(10, False) + 0.1


def test_sequences_of_kitti_by_name(tmp_path: Path) -> None:
    root = real_data("semantickitti")
    assert run("semantickitti", root, "--scene", "all", "--frames", 1, tmp_path / "all") == 0
    assert set(read_by_rosbags(tmp_path / "all" / "00")) > {"/odom", "/tf"}
    assert set(read_by_rosbags(tmp_path / "all" / "08")) == {"/points", "/points/labels", "/points/label_scheme"}


def test_a_street_stands_still_under_its_odometry(tmp_path: Path) -> None:
    pytest.importorskip("embreex", reason="needs the `train` extra")
    from srkd_train.data.street import drive

    assert run("street", "--seed", 10002, "--sensor", "beams16", "--frames", 3, tmp_path / "bag") == 0
    found = read_by_rosbags(tmp_path / "bag")
    for sample, (_, message) in zip(drive(10002, "beams16", 3), found["/points"], strict=True):
        np.testing.assert_allclose(odometry(found)[stamp_of(message)], sample.pose, atol=1e-9)
        assert message.header.frame_id == "lidar"
    assert {key[:2] for key in transforms(found)} == {("map", "lidar")}
    with BagReader(tmp_path / "bag") as reader:
        assert reader.notes == {"srkd.source": "street 10002 beams16", "srkd.label_scheme": "street"}


def test_neither_ros_nor_its_messages_are_needed(tmp_path: Path) -> None:
    make_scenes(tmp_path, scenes=("scene-0001",))
    (tmp_path / "stubs").mkdir()
    absent = path_without(
        tmp_path / "stubs", "rclpy", "sensor_msgs", "geometry_msgs", "nav_msgs", "tf2_msgs", "std_msgs"
    )
    environment = {"PYTHONPATH": absent, "AMENT_PREFIX_PATH": ""}
    ran = run_module("srkd_train", "to_bag", "nuscenes", tmp_path, tmp_path / "bag", **environment)
    assert ran.returncode == 0, ran.stderr
    assert len(read_by_rosbags(tmp_path / "bag")["/tf"]) == 3


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_what_a_killed_run_leaves_is_no_bag(storage: str, tmp_path: Path) -> None:
    (tmp_path / "clouds").mkdir()
    for index in range(2000):
        (tmp_path / "clouds" / f"{index:04d}.npy").symlink_to(tmp_path / "cloud.npy")
    np.save(tmp_path / "cloud.npy", points(20_000))
    out = tmp_path / "out"
    command = ["-m", "srkd_train", "to_bag", "files", "--storage", storage, str(tmp_path / "clouds"), str(out / "bag")]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) < 5_000_000:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "bag").exists() and list(out.rglob("metadata.yaml")) == []
    assert all(path.name.startswith(".bag.") and not is_bag(path) for path in out.iterdir())
    assert run("files", "--storage", storage, tmp_path / "cloud.npy", out / "bag") == 0
    assert len(read_by_rosbags(out / "bag")["/points"]) == 1


FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
from srkd_train.__main__ import main
sys.exit(main(["to_bag", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_full_disk_is_one_line_and_leaves_no_bag(storage: str, tmp_path: Path) -> None:
    """A file may not grow beyond a megabyte, which fails as a full disk does."""
    (tmp_path / "clouds").mkdir()
    for index in range(10):
        np.save(tmp_path / "clouds" / f"{index}.npy", points(20_000))
    command = [
        sys.executable,
        "-c",
        FULL,
        "files",
        "--storage",
        storage,
        str(tmp_path / "clouds"),
        str(tmp_path / "bag"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1 and ran.stdout == ""
    assert ran.stderr.splitlines()[-1].startswith("srkd to_bag: error: ") and "Traceback" not in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["clouds"]
