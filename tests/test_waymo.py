# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Waymo in both formats: points against a wall in closed form, labels, returns, order, what is missing or damaged."""

from __future__ import annotations

import json
import pickle
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from real_data import real_data
from waymo_makers import (
    BEAMS,
    SEGMENT,
    SENSOR,
    WALL_M,
    WIDTH,
    Scan,
    chunk,
    frame_message,
    integer,
    tfrecord,
    write_v1,
    write_v2,
)

from srkd.errors import CloudError, ConfigError
from srkd.labels import IGNORE
from srkd_train.data.sample import Sample
from srkd_train.data.waymo import Waymo
from srkd_train.data.waymo.range_image import TopFrame, to_sample
from srkd_train.data.waymo.v1 import find_frames

T0 = 1_600_000_000_000_000


def write(root: Path, release: str, scans: list[Scan], split: str = "training", segment: str = SEGMENT) -> None:
    if release == "v2":
        pytest.importorskip("pyarrow")
        write_v2(root / split, scans, segment)
    else:
        write_v1(root / split, scans, segment)


def in_world(sample: Sample) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    assert sample.pose is not None
    return np.asarray(sample.cloud.xyz.astype(np.float64) @ sample.pose[:3, :3].T + sample.pose[:3, 3])


@pytest.mark.parametrize("release", ["v1", "v2"])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("moves", [True, False])
def test_a_wall_is_flat_whatever_moves(tmp_path: Path, release: str, listed: bool, moves: bool) -> None:
    scan = Scan(listed=listed, moves=moves)
    write(tmp_path, release, [scan])
    sample = Waymo(tmp_path)[0]
    first = len(scan.hits[0])
    assert len(sample.cloud) == first + len(scan.hits[1]) and first > 20 and len(scan.hits[1]) > 5
    world = in_world(sample)
    # float32 of a pose 5 km from the origin is good to half a millimetre
    np.testing.assert_allclose(world[:first, 0], WALL_M, atol=2e-3)
    np.testing.assert_allclose(world[first:, 0], WALL_M - 1, atol=2e-3)
    np.testing.assert_allclose(world, np.concatenate(scan.hits), atol=2e-3)
    assert sample.pose is not None and sample.pose.dtype == np.float64
    np.testing.assert_allclose(sample.pose, scan.vehicle_pose, atol=5e-4)


def test_a_sphere_about_the_sensor_is_round() -> None:
    """Equal ranges everywhere: all points at that distance from the sensor, and beams at their pitch above it."""
    scan = Scan()
    image = np.full((BEAMS, WIDTH, 4), 7, np.float32)
    frame = TopFrame((image,), (None,), None, scan.vehicle_pose, scan.extrinsic, np.array([-0.5, -0.1, 0.0, 0.4]))
    sample = to_sample(frame, Waymo.scheme, "sphere")
    away = (sample.cloud.xyz - np.array(SENSOR)).reshape(BEAMS, WIDTH, 3)
    np.testing.assert_allclose(np.linalg.norm(away, axis=2), 7, atol=1e-5)
    pitch = np.arcsin(away[..., 2] / 7)
    np.testing.assert_allclose(pitch, np.broadcast_to([[0.4], [0.0], [-0.1], [-0.5]], pitch.shape), atol=1e-5)
    heading = np.arctan2(away[0, :, 1], away[0, :, 0])
    np.testing.assert_allclose(np.diff(heading), -2 * np.pi / WIDTH, atol=1e-5)
    assert heading[WIDTH // 2 - 1] > 0 > heading[WIDTH // 2], "the middle of the image is straight ahead"
    assert sample.instance is None and (sample.label == IGNORE).all()


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_every_point_has_the_label_intensity_and_beam_of_its_pixel(tmp_path: Path, release: str) -> None:
    scan = Scan()
    scan.labels[0][1, :, 1] = 0
    write(tmp_path, release, [scan])
    sample = Waymo(tmp_path)[0]
    count = len(scan.hits[0])
    assert sample.cloud.intensity is not None and sample.cloud.ring is not None and sample.instance is not None
    row, column = np.divmod(sample.cloud.intensity.astype(int), 1000)
    assert sample.cloud.ring.tolist() == row.tolist()
    expected = column.copy()
    expected[:count][row[:count] == 1] = IGNORE
    assert sample.label.tolist() == expected.tolist()
    assert sample.instance.tolist() == (10 * row + (np.arange(len(row)) >= count)).tolist()
    assert (np.diff(row[:count] * WIDTH + column[:count]) > 0).all() and (column[count:] % 2 == 1).all()
    alone = Waymo(tmp_path, returns=1)[0]
    np.testing.assert_array_equal(alone.cloud.xyz, sample.cloud.xyz[:count])
    assert alone.label.tolist() == sample.label[:count].tolist()


@pytest.mark.parametrize("release", ["v1", "v2"])
def test_a_split_is_read_by_segment_and_time(tmp_path: Path, release: str) -> None:
    scans = [Scan(T0 + stamp, labelled=stamp != 2) for stamp in (3, 1, 2)]
    write(tmp_path, release, scans, segment="b")
    write(tmp_path, release, [Scan(T0 + 9)], segment="a")
    write(tmp_path, release, [Scan(T0 + 5, labelled=False)], "testing", segment="c")
    data = Waymo(tmp_path, "train")
    assert [data.name(index) for index in range(len(data))] == [f"a/{T0 + 9}", f"b/{T0 + 1}", f"b/{T0 + 3}"]
    assert [data[index].name for index in range(3)] == [data.name(index) for index in range(3)]
    assert [data.scene(index) for index in range(3)] == ["a", "b", "b"] and data.has_labels(0)
    copy = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(copy[2].cloud.xyz, data[2].cloud.xyz)
    test = Waymo(tmp_path, "test")
    assert len(test) == 1 and not test.has_labels(0)
    assert (test[0].label == IGNORE).all() and test[0].instance is None and len(test[0].cloud) == len(data[0].cloud)
    assert data.problems() == [f"{tmp_path / 'training'}: 2 of the 798 segments of train"]
    with pytest.raises(IndexError):
        data[3]


def test_both_releases_give_the_same_clouds(tmp_path: Path) -> None:
    scans = [Scan(T0 + stamp) for stamp in range(6)]  # more than fit a row group
    write(tmp_path / "1", "v1", scans)
    write(tmp_path / "2", "v2", scans)
    one, two = Waymo(tmp_path / "1"), Waymo(tmp_path / "2")
    assert [one.name(index) for index in range(6)] == [two.name(index) for index in range(6)]
    for index in (5, 0, 3):
        np.testing.assert_allclose(one[index].cloud.xyz, two[index].cloud.xyz, atol=1e-3)
        assert one[index].label.tolist() == two[index].label.tolist()


def test_a_frame_without_a_second_return_is_read(tmp_path: Path) -> None:
    payload = frame_message(Scan())
    path = write_v1(tmp_path / "training", [Scan()])
    whole = Waymo(tmp_path)[0]
    (frame,) = find_frames(path)
    assert frame.record.length == len(payload)
    scan = Scan()
    scan.returns[1][..., 0] = -1
    write_v1(tmp_path / "training", [scan])
    assert len(Waymo(tmp_path)[0].cloud) == len(Waymo(tmp_path, returns=1)[0].cloud) < len(whole.cloud)


def test_the_list_of_frames_is_kept_and_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def find(path: Path) -> object:
        looked.append(path.name)
        return find_frames(path)

    monkeypatch.setattr("srkd_train.data.waymo.v1.find_frames", find)
    root, kept = tmp_path / "data", tmp_path / "kept"
    write_v1(root / "training", [Scan(T0)], "a")
    path = write_v1(root / "training", [Scan(T0)], "b")
    names = [Waymo(root, index_dir=kept).name(index) for index in range(2)]
    assert len(looked) == 2 and names == [f"a/{T0}", f"b/{T0}"]
    again = Waymo(root, index_dir=kept)
    assert len(looked) == 2 and [again.name(index) for index in range(2)] == names
    assert len(again[1].cloud) == len(Scan().hits[0]) + len(Scan().hits[1])
    write_v1(root / "training", [Scan(T0), Scan(T0 + 1)], "b")
    assert len(Waymo(root, index_dir=kept)) == 3 and looked[2:] == [path.name]
    path.write_bytes(b"\x00" * 40)
    write_v1(root / "training", [Scan(T0 + 7)], "a")
    with pytest.raises(CloudError, match="damaged length"):
        Waymo(root, index_dir=kept)
    (index,) = kept.iterdir()
    assert str(T0 + 7) in index.read_text(), "what was found before the damaged file is kept"
    index.write_text(json.dumps({"version": 0, "files": {}}))
    path.unlink()
    assert Waymo(root, index_dir=kept).name(0) == f"a/{T0 + 7}"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'trian'.*train \| val \| test"):
        Waymo(tmp_path, "trian")
    with pytest.raises(ConfigError, match="returns: 3"):
        Waymo(tmp_path, returns=3)
    with pytest.raises(CloudError, match=r"validation: neither \*\.tfrecord nor lidar_segmentation/\*\.parquet"):
        Waymo(tmp_path, "val")
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "._segment.tfrecord").write_bytes(b"junk of a file system")
    with pytest.raises(CloudError, match="neither"):
        Waymo(tmp_path, "val")
    write_v1(tmp_path / "validation", [Scan(labelled=False)])
    with pytest.raises(CloudError, match=r"validation: no frame has segmentation labels"):
        Waymo(tmp_path, "val")


def test_damaged_tfrecords_are_named(tmp_path: Path) -> None:
    path = write_v1(tmp_path / "training", [Scan(), Scan(T0 + 1)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(CloudError, match=r"\.tfrecord: \d+ bytes, the record at byte \d+ ends at"):
        Waymo(tmp_path)
    path.write_bytes(whole)
    data = Waymo(tmp_path)
    damaged = bytearray(whole)
    damaged[len(whole) // 4] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CloudError, match=r"the record at byte 12 does not match its checksum"):
        data[0]
    path.unlink()
    with pytest.raises(CloudError, match=r"\.tfrecord: cannot be read"):
        data[1]
    path.write_bytes(tfrecord([b"\x0b no message"]))
    with pytest.raises(CloudError, match=r"the frame at byte 12: field 1 is of wire type 3"):
        Waymo(tmp_path)


def test_frames_of_wrong_content_are_named(tmp_path: Path) -> None:
    def read(scan: Scan, old: bytes = b"", new: bytes = b"") -> Sample:
        folder = tmp_path / "training"
        folder.mkdir(exist_ok=True)
        payload = frame_message(scan)
        assert old in payload and len(old) == len(new)
        (folder / "a.tfrecord").write_bytes(tfrecord([payload.replace(old, new)]))
        return Waymo(tmp_path)[0]

    scan = Scan()
    scan.labels[0][...] = 23
    with pytest.raises(CloudError, match=r"a\.tfrecord, frame at 16\d+: labels: raw ids 23 are not in scheme waymo"):
        read(scan)
    scan = Scan()
    scan.labels[1] = scan.labels[1][:, :-1]
    with pytest.raises(
        CloudError, match=r"at byte 12: segmentation label of shape \(4, 15, 2\), expected \(4, 16, 2\)"
    ):
        read(scan)
    scan = Scan()
    assert scan.pixel_pose is not None
    scan.pixel_pose = scan.pixel_pose[..., :5]
    with pytest.raises(CloudError, match=r"pixel pose of shape \(4, 16, 5\)"):
        read(scan)
    scan = Scan()
    scan.extrinsic = scan.extrinsic[:3]
    with pytest.raises(CloudError, match=r"extrinsic of 12 numbers, expected 16"):
        read(scan)
    scan = Scan()
    scan.vehicle_pose = scan.vehicle_pose * np.nan
    with pytest.raises(CloudError, match=r"vehicle pose of 16 numbers, expected 16 finite"):
        read(scan)
    scan = Scan()
    scan.returns = [np.zeros((5, WIDTH, 4), np.float32)] * 2
    scan.labels, scan.pixel_pose = [np.zeros((5, WIDTH, 2), np.int32)] * 2, None
    with pytest.raises(CloudError, match="4 beam inclinations, but the range image has 5 rows"):
        read(scan)
    image = zlib.compress(chunk(1, b"\x00" * 8) + chunk(2, integer(1, 1) + integer(1, 2) + integer(1, 4)))
    top = integer(1, 1) + chunk(2, chunk(2, image) + chunk(6, b"x"))
    calibration = chunk(1, chunk(3, integer(1, 1)))
    folder = tmp_path / "training"
    for payload, reason in (
        (chunk(5, top), "no calibration of the TOP LiDAR"),
        (chunk(5, top) + calibration, r"shape \(1, 2, 4\) has 2 numbers"),
        (chunk(5, integer(1, 1) + chunk(2, chunk(6, b"x"))), "no range image of the TOP LiDAR"),
        (chunk(5, integer(1, 1) + chunk(2, chunk(2, b"xx") + chunk(6, b"x"))) + calibration, "does not inflate"),
    ):
        (folder / "a.tfrecord").write_bytes(tfrecord([payload]))
        with pytest.raises(CloudError, match=rf"the frame at byte 12: .*{reason}"):
            Waymo(tmp_path)[0]


def test_missing_and_damaged_components_are_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")

    def fresh(name: str) -> tuple[Waymo, Path]:
        """Under a new name: what was read of a file is remembered."""
        write_v2(tmp_path / name / "training", [Scan(), Scan(T0 + 1)])
        return Waymo(tmp_path / name), tmp_path / name / "training"

    data, folder = fresh("a")
    (folder / "lidar_pose" / f"{SEGMENT}.parquet").unlink()
    assert data.problems()[1:] == [f"{folder}/lidar_pose/{SEGMENT}.parquet: missing"]
    with pytest.raises(CloudError, match=r"lidar_pose/1000_0_20_0\.parquet: missing"):
        data[0]
    data, folder = fresh("b")
    path = folder / "lidar" / f"{SEGMENT}.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CloudError, match=r"lidar/1000_0_20_0\.parquet: no Parquet file"):
        data[0]
    data, folder = fresh("c")
    shutil.copy(folder / "lidar_segmentation" / f"{SEGMENT}.parquet", folder / "lidar" / f"{SEGMENT}.parquet")
    with pytest.raises(CloudError, match=r"lidar/.*: no column \[LiDARComponent\]\.range_image_return1\.values"):
        data[0]
    data, folder = fresh("d")
    write_v2(tmp_path / "other", [Scan(T0 + 5)])
    shutil.copy(tmp_path / "other" / "lidar_pose" / f"{SEGMENT}.parquet", folder / "lidar_pose")
    with pytest.raises(CloudError, match=rf"lidar_pose/.*: no row of the TOP LiDAR at {T0}"):
        data[0]
    data, folder = fresh("e")
    shutil.copy(tmp_path / "other" / "vehicle_pose" / f"{SEGMENT}.parquet", folder / "vehicle_pose")
    with pytest.raises(CloudError, match=rf"vehicle_pose/.*: no row of key\.frame_timestamp_micros {T0}"):
        data[0]
    (folder / "lidar_segmentation" / f"{SEGMENT}.parquet").write_bytes(b"")
    with pytest.raises(CloudError, match=r"lidar_segmentation/.*: no Parquet file"):
        write_v2(tmp_path / "f" / "training", [Scan()])
        (tmp_path / "f" / "training" / "lidar_segmentation" / f"{SEGMENT}.parquet").write_bytes(b"")
        Waymo(tmp_path / "f")


def test_without_pyarrow_the_fix_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "training" / "lidar_segmentation"
    folder.mkdir(parents=True)
    (folder / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'srkd_ros\[waymo\]'"):
        Waymo(tmp_path)


def test_the_real_frame_without_range_images(tmp_path: Path) -> None:
    path = real_data("waymo", "frame_without_lasers_val.tfrecord")
    (frame,) = find_frames(path)
    assert (frame.segment, frame.stamp_us) == ("1071392229495085036_1844_790_1864_790", 1507315488219118)
    assert not frame.has_labels
    (tmp_path / "testing").mkdir()
    shutil.copy(path, tmp_path / "testing")
    with pytest.raises(CloudError, match="no range image of the TOP LiDAR; it is not a whole frame"):
        Waymo(tmp_path, "test")[0]


def test_the_real_vehicle_poses(tmp_path: Path) -> None:
    """A segment of ours whose poses are the real file's."""
    pytest.importorskip("pyarrow")
    segment = "10023947602400723454_1120_000_1140_000"
    path = real_data("waymo", f"v2_vehicle_pose_{segment}.parquet")
    stamps = (1552440195362591, 1552440195462613)
    write_v2(tmp_path / "training", [Scan(stamp) for stamp in stamps], segment)
    shutil.copy(path, tmp_path / "training" / "vehicle_pose" / f"{segment}.parquet")
    poses = [Waymo(tmp_path)[index].pose for index in range(2)]
    assert poses[0] is not None and poses[1] is not None
    np.testing.assert_allclose(poses[0][:3, :3] @ poses[0][:3, :3].T, np.eye(3), atol=1e-6)
    assert poses[0][:3, 3].tolist() == pytest.approx([860.5948, 15568.6748, -651.4410], abs=1e-3)
    assert np.linalg.norm((poses[1] - poses[0])[:3, 3]) < 0.5, "a tenth of a second in a town"
