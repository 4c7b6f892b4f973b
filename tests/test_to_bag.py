# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd to_bag`: what goes in comes out, with ground truth and stamps, and comes back labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bag_makers import points, read_clouds, run_module
from real_data import real_data

from srkd.cloud import Cloud
from srkd.io.bags import BagReader, TopicQos, stamp_ns
from srkd.io.files import read_bin
from srkd.io.pointcloud2 import decode, read_fields
from srkd_train.__main__ import main
from srkd_train.cloud_messages import points_message

EPOCH_NS = 1_700_000_000_000_000_000
Capture = pytest.CaptureFixture[str]


def run(*arguments: object) -> int:
    return main(["to_bag", *map(str, arguments)])


def layout(message: object) -> dict[str, tuple[int, int]]:
    return {field.name: (field.offset, field.datatype) for field in message.fields}  # type: ignore[attr-defined]


def test_a_street_is_its_drive_with_ground_truth(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("embreex", reason="needs the `train` extra")
    from srkd_train.data.street import drive

    arguments = ("street", "--seed", 10003, "--sensor", "beams16", "--frames", 3)
    assert run(*arguments, tmp_path / "a") == 0
    assert "ground truth of street on /points/labels" in capsys.readouterr().out
    samples = list(drive(10003, "beams16", 3))
    clouds, truths = read_clouds(tmp_path / "a", "/points"), read_clouds(tmp_path / "a", "/points/labels")
    assert len(clouds) == len(truths) == 3
    for index, (message, truth, sample) in enumerate(zip(clouds, truths, samples, strict=True)):
        assert stamp_ns(message) == stamp_ns(truth) == EPOCH_NS + index * 100_000_000
        assert message.header.frame_id == truth.header.frame_id == "lidar"
        assert (message.point_step, message.is_dense) == (22, True)
        assert layout(message) == {
            "x": (0, 7), "y": (4, 7), "z": (8, 7), "intensity": (12, 7), "ring": (16, 4), "time": (18, 7)
        }  # fmt: skip
        assert layout(truth) == {"x": (0, 7), "y": (4, 7), "z": (8, 7), "class_id": (12, 2)}
        found = decode(message).cloud
        np.testing.assert_array_equal(found.xyz, sample.cloud.xyz)
        np.testing.assert_array_equal(found.intensity, sample.cloud.intensity)
        np.testing.assert_array_equal(found.ring, sample.cloud.ring)
        assert not read_fields(message, ["time"])["time"].any()
        np.testing.assert_array_equal(decode(truth).cloud.xyz, sample.cloud.xyz)
        np.testing.assert_array_equal(read_fields(truth, ["class_id"])["class_id"], sample.label)
    assert read_clouds(tmp_path / "a", "/points/label_scheme")[0].data == "street"
    assert run(*arguments, tmp_path / "b", "--storage", "sqlite3", "--metadata-version", 8) == 0
    with BagReader(tmp_path / "a") as one, BagReader(tmp_path / "b") as other:
        assert list(one.messages()) == list(other.messages()), "the same drive is the same bag"
        offered = {topic.name: topic.qos for topic in one.topics}
        assert offered["/points/label_scheme"] == TopicQos("reliable", "transient_local", "keep_last", 1)
        assert one.cloud_topics() == ("/points",)


def test_a_long_drive_gets_a_long_street() -> None:
    pytest.importorskip("embreex", reason="needs the `train` extra")
    from srkd_train.bag_sources import street_source

    source = street_source(10000, "beams16", 300)
    assert source.count == 300 and next(source.frames).label is not None


@pytest.mark.parametrize("sequence", ["00", "08"])
def test_semantickitti(sequence: str, tmp_path: Path) -> None:
    root = real_data("semantickitti")
    assert run("semantickitti", root, "--sequence", sequence, "--frames", 3, tmp_path / "bag") == 0
    clouds, truths = read_clouds(tmp_path / "bag", "/points"), read_clouds(tmp_path / "bag", "/points/labels")
    folder = root / "sequences" / sequence
    scans = sorted((folder / "velodyne").glob("*.bin"))[:3]
    times_s = (
        [float(line) for line in (folder / "times.txt").read_text().split()] if sequence == "00" else [0, 0.1, 0.2]
    )
    for path, time_s, message, truth in zip(scans, times_s, clouds, truths, strict=False):
        raw = np.fromfile(path, "<f4").reshape(-1, 4)
        assert stamp_ns(message) == stamp_ns(truth) == EPOCH_NS + round(time_s * 1e9)
        assert bytes(message.data) == raw.tobytes(), "the layout is the file's"
        assert truth.width == len(raw)
    first = read_fields(truths[0], ["class_id"])["class_id"]
    ids = np.fromfile(folder / "labels" / f"{scans[0].stem}.label", "<u4") & 0xFFFF
    assert (first[ids == 40] == 8).all() and (first[ids == 0] == 255).all(), "road is class 8, unlabelled has none"
    assert len(clouds) == len(truths) == len(scans)


def test_nuscenes_keeps_its_time_and_frames_come_back_with_as_many_labels(tmp_path: Path) -> None:
    root = real_data("nuscenes")
    assert run("nuscenes", root, tmp_path / "bag") == 0
    (message,) = read_clouds(tmp_path / "bag", "/points")
    (path,) = (root / "samples" / "LIDAR_TOP").glob("*.pcd.bin")
    assert stamp_ns(message) == int(path.name.split("__")[2].removesuffix(".pcd.bin")) * 1000
    expected, found = read_bin(path), decode(message).cloud
    np.testing.assert_array_equal(found.xyz, expected.xyz)
    np.testing.assert_array_equal(found.intensity, expected.intensity)
    np.testing.assert_array_equal(found.ring, expected.ring)
    ran = run_module("srkd_ros.label_bag", tmp_path / "bag", tmp_path / "labelled")
    assert ran.returncode == 0, ran.stderr
    (labels,) = read_clouds(tmp_path / "labelled", "/points/labels")
    assert labels.width * labels.height == len(expected) == 34688


def test_kitti_frames_come_back_with_as_many_labels(tmp_path: Path) -> None:
    root = real_data("semantickitti")
    assert run("semantickitti", root, "--sequence", "08", "--frames", 2, tmp_path / "bag") == 0
    ran = run_module("srkd_ros.label_bag", tmp_path / "bag", tmp_path / "labelled")
    assert ran.returncode == 0, ran.stderr
    went_in = [message.width for message in read_clouds(tmp_path / "labelled", "/points")]
    assert [message.width for message in read_clouds(tmp_path / "labelled", "/points/predicted")] == went_in


def test_files_keep_their_order_and_rate(tmp_path: Path) -> None:
    for name, count in (("b.npy", 5), ("a.npy", 7)):
        np.save(tmp_path / name, points(count))
    files = (tmp_path / "b.npy", tmp_path / "a.npy")
    assert run("files", "--rate-hz", 4, "--frame-id", "top", *files, tmp_path / "bag") == 0
    clouds = read_clouds(tmp_path / "bag", "/points")
    assert [(each.width, stamp_ns(each) - EPOCH_NS, each.header.frame_id) for each in clouds] == [
        (5, 0, "top"),
        (7, 250_000_000, "top"),
    ]
    assert bytes(clouds[0].data) == points(5).tobytes()
    with BagReader(tmp_path / "bag") as reader:
        assert [topic.name for topic in reader.topics] == ["/points"], "no ground truth, no topics for it"


def test_all_columns_of_a_cloud_survive() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.normal(size=(9, 3)).astype(np.float32)
    xyz[4] = np.nan
    cloud = Cloud(
        xyz,
        intensity=rng.random(9, np.float32),
        color=rng.integers(0, 256, (9, 3), np.uint8),
        normal=rng.normal(size=(9, 3)).astype(np.float32),
        ring=rng.integers(0, 128, 9),
    )
    message = points_message(cloud, 1, "lidar")
    assert not message.is_dense
    found = decode(message).cloud
    for name in ("xyz", "intensity", "color", "normal", "ring"):
        np.testing.assert_array_equal(getattr(found, name), getattr(cloud, name))


def test_a_damaged_frame_leaves_no_bag(tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "a.npy", points(5))
    (tmp_path / "b.npy").write_bytes(b"damaged")
    assert run("files", tmp_path / "a.npy", tmp_path / "b.npy", tmp_path / "bag") == 2
    assert "b.npy" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npy"]


def test_mistakes_are_one_line(tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "a.npy", points(5))
    (tmp_path / "there").mkdir()
    for arguments, named in (
        (("streets", tmp_path / "bag"), "expected street | semantickitti | nuscenes | waymo | files"),
        (("files", tmp_path / "a.npy", tmp_path / "there"), "exists already"),
        (("files", tmp_path / "absent.npy", tmp_path / "bag"), "absent.npy"),
        (("files", tmp_path / "a.npy", "--rate-hz", "0", tmp_path / "bag"), "rate_hz"),
        (("semantickitti", tmp_path, tmp_path / "bag"), "08/velodyne"),
        (("nuscenes", tmp_path, tmp_path / "bag"), "LIDAR_TOP"),
        (("street", "--sensor", "beams9", "--frames", "1", tmp_path / "bag"), "beams9"),
        (("street", "--frames", "0", tmp_path / "bag"), "frames: 0"),
    ):
        assert run(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("srkd to_bag: error: ") and named in line
        assert not (tmp_path / "bag").exists()
    with pytest.raises(SystemExit) as ended:
        run("files", tmp_path / "a.npy")
    assert ended.value.code == 2
    assert run() == 0
    assert "semantickitti" in capsys.readouterr().out
