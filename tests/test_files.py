# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud files by suffix: .bin of two layouts, .npy, what is refused, and finding clouds in folders."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_data import real_data

from srkd.errors import CloudError
from srkd.io.atomic import write_atomic
from srkd.io.files import find_clouds, read_cloud

files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def kitti(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(count).uniform(-50, 50, (count, 4)).astype("<f4")


def nuscenes(count: int) -> np.ndarray[Any, Any]:
    ring = np.arange(count).astype("<f4")[:, None] % 32
    return np.concatenate([kitti(count), ring], axis=1)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 20, 80])
def test_bin_columns_are_told_apart_by_name_then_size_then_rings(tmp_path: Path, count: int) -> None:
    """20 nuScenes points are as many bytes as 25 of KITTI."""
    places = [
        ("velodyne/000000.bin", kitti),
        ("a.pcd.bin", nuscenes),
        ("n__LIDAR_TOP__1.bin", nuscenes),
        ("k.bin", kitti),
    ]
    if count > 1:
        places.append(("n.bin", nuscenes))
    for name, make in places:
        points = make(count)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        points.tofile(path)
        cloud = read_cloud(path)
        np.testing.assert_array_equal(cloud.xyz, points[:, :3])
        np.testing.assert_array_equal(cloud.intensity, points[:, 3])
        assert (cloud.ring is None) == (make is kitti)
        if cloud.ring is not None:
            np.testing.assert_array_equal(cloud.ring, points[:, 4].astype(int))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.bin", b"", "0 bytes"),
        ("a.bin", bytes(17), r"17 bytes, expected a multiple of 16 \(KITTI.* or 20 \(nuScenes"),
        ("a.pcd.bin", bytes(32), "32 bytes, expected a multiple of 20"),
        ("velodyne/a.bin", bytes(40), "40 bytes, expected a multiple of 16"),
        ("a.bin", np.random.default_rng(0).normal(size=(100, 4)).tobytes(), "of 200 points lie beyond 10 km"),
        ("a.bin", kitti(100).astype(">f4").tobytes(), "lie beyond 10 km"),
        ("a.las", b"LASF", "unknown suffix '.las', expected .bin .npy .pcd .ply"),
        ("a.npy", b"", "no .npy file"),
        ("a.npy", b"\x93NUMPY\x01\x00", "no .npy file"),
    ],
)
def test_what_is_no_cloud_is_refused_in_one_line(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with pytest.raises(CloudError, match=reason) as caught:
        read_cloud(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".bin", ".npy", ".pcd", ".ply"])
def test_a_missing_file_or_a_folder_is_named(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"folder{suffix}").mkdir()
    for name in ("none", "folder"):
        with pytest.raises(CloudError, match=f"{name}{suffix}: cannot be read"):
            read_cloud(tmp_path / f"{name}{suffix}")


def test_npy_by_columns_and_by_names(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    full = np.random.default_rng(0).integers(0, 200, (6, 9))
    for columns, dtype in ((3, "<f4"), (4, "<f8"), (5, ">f4"), (6, "u1"), (9, "<f2")):
        table = full[:, :columns].astype(dtype)
        np.save(path, np.asfortranarray(table) if columns == 4 else table)
        cloud = read_cloud(path)
        np.testing.assert_array_equal(cloud.xyz, full[:, :3])
        has = [c is not None for c in (cloud.intensity, cloud.ring, cloud.color, cloud.normal)]
        assert has == [columns in (4, 5), columns == 5, columns >= 6, columns == 9]
        if cloud.normal is not None:
            np.testing.assert_array_equal(cloud.normal, full[:, 6:])
    named = np.zeros(3, [("ring", ">u2"), ("z", "<f8"), ("x", "<f4"), ("tag", "S3"), ("y", "<i2"), ("box", "<f4", 2)])
    named["ring"], named["z"] = [1, 2, 3], 1e300
    np.save(path, named)
    cloud = read_cloud(path)
    assert cloud.ring is not None
    assert cloud.ring.tolist() == [1, 2, 3] and np.isinf(cloud.xyz[:, 2]).all()
    np.save(path, np.empty((0, 4), np.float32))
    assert len(read_cloud(path)) == 0


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 7)), r"float64 \(3, 7\), expected named fields, or rows of 3 \(x y z\)"),
        (np.zeros(3), r"float64 \(3,\)"),
        (np.zeros((2, 3), complex), "complex128"),
        (np.zeros(2, [("x", "<f4"), ("y", "<f4")]), "no z"),
        (np.zeros((2, 2), [("x", "<f4")]), "expected named fields"),
    ],
)
def test_npy_of_another_shape_is_refused(tmp_path: Path, array: np.ndarray[Any, Any], reason: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(CloudError, match=reason):
        read_cloud(tmp_path / "a.npy")


def test_npy_headers_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([[object()] * 3], object), allow_pickle=True)
    with pytest.raises(CloudError, match="expected numbers"):
        read_cloud(path)
    for shape in ((10**12, 4), (-1, -4), (2**62, 2**62), (0, 10**30), (3, 10**30)):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
        header += b" " * (-(len(header) + 11) % 64) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64))
        tracemalloc.start()
        with pytest.raises(CloudError):
            read_cloud(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # numpy parses the header as a Python literal
@given(at=st.integers(0, 200), junk=st.binary(min_size=1, max_size=30))
@settings(files, max_examples=200)
def test_npy_garbage_is_read_or_refused_in_one_line(tmp_path: Path, at: int, junk: bytes) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ones((4, 4), np.float32))
    whole = buffer.getvalue()
    path = tmp_path / "a.npy"
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    try:
        read_cloud(path)
    except CloudError as error:
        assert "\n" not in str(error)


def touch(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return [root / name for name in names]


def test_clouds_of_a_plain_folder_are_found_below_it_and_sorted(tmp_path: Path) -> None:
    clouds = touch(tmp_path, "a.bin", "b/c.PLY", "b/d.pcd", "e.pcd.bin")
    touch(tmp_path, ".a.bin", "a.txt", "x_lidarseg.bin", "room.labels.ply", "folder.bin/readme.md")
    assert find_clouds([tmp_path]) == clouds
    assert find_clouds([str(tmp_path / "e.pcd.bin"), tmp_path]) == [clouds[3], *clouds[:3]]


def test_dataset_roots_give_their_scans_only(tmp_path: Path) -> None:
    scans = touch(tmp_path, *(f"kitti/sequences/{s}/velodyne/00000{n}.bin" for s in ("00", "08") for n in (0, 1)))
    touch(tmp_path, "kitti/sequences/00/labels/000000.label", "kitti/sequences/00/other.bin", "kitti/a.npy")
    assert find_clouds([tmp_path / "kitti"]) == scans
    assert find_clouds([tmp_path / "kitti/sequences/08"]) == scans[2:]
    frames = touch(tmp_path, "nu/samples/LIDAR_TOP/a.pcd.bin", "nu/samples/LIDAR_TOP/b.pcd.bin")
    touch(tmp_path, "nu/samples/RADAR/a.pcd", "nu/lidarseg/v1.0-mini/0_lidarseg.bin")
    assert find_clouds([tmp_path / "nu"]) == frames


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    for paths, reason in (
        ([tmp_path], "no cloud in this folder"),
        ([tmp_path / "none.bin"], "does not exist"),
        ([tmp_path / "a.txt"], "unknown suffix '.txt'"),
        ([], "no path given"),
    ):
        with pytest.raises(CloudError, match=reason):
            find_clouds(paths)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    write_atomic(path, [b"old"])

    def failing() -> Any:
        yield b"new"
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, failing())
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("out.bin", b"old")]


def test_real_files() -> None:
    full = read_cloud(real_data("semantickitti_full", "sequences", "00", "velodyne", "000000.bin"))
    assert len(full) == 124_668 and full.intensity is not None and full.intensity.max() <= 0.99 + 1e-6
    frames = find_clouds([real_data("nuscenes")])
    assert len(frames) == 1
    frame = read_cloud(frames[0])
    assert len(frame) == 34_688 and frame.intensity is not None and frame.ring is not None
    assert frame.intensity.max() == 255 and np.bincount(frame.ring).tolist() == [1084] * 32
    assert len(find_clouds([real_data("semantickitti")])) == 26
