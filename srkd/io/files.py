# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud files by suffix: `.bin` (KITTI, nuScenes), `.npy`, `.pcd`, `.ply`; and finding them in folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from srkd.cloud import MAX_COORDINATE_M, Cloud
from srkd.errors import CloudError
from srkd.io.columns import as_float, as_integer
from srkd.io.npy import read_npy
from srkd.io.pcd import read_pcd
from srkd.io.ply import read_ply

SUFFIXES = (".bin", ".npy", ".pcd", ".ply")
"""What `read_cloud` reads; nuScenes' `.pcd.bin` is a `.bin`."""
_NOT_CLOUDS = ("_lidarseg.bin", ".labels.ply")
_KITTI_BYTES, _NUSCENES_BYTES = 16, 20


def read_cloud(path: str | os.PathLike[str]) -> Cloud:
    """Reads one file of points by its suffix; every point of the file, in its order.

    `.bin` is raw float32, x y z intensity (KITTI) or x y z intensity ring (nuScenes), see `read_bin`. `.npy` is an
    array of 3 to 9 columns or of named fields, see `read_npy`. `.pcd` and `.ply` have named fields.

    Raises:
        CloudError: missing, empty, cut off, of unknown type or damaged; the message starts with the path.
    """
    name = os.fspath(path).lower()
    if name.endswith(".pcd"):
        return read_pcd(path)
    if name.endswith(".ply"):
        return read_ply(path)
    if name.endswith(".npy"):
        return read_npy(path)
    if name.endswith(".bin"):
        return read_bin(path)
    raise CloudError(f"{path}: unknown suffix {Path(path).suffix!r}, expected {' '.join(SUFFIXES)}")


def read_bin(path: str | os.PathLike[str]) -> Cloud:
    """Reads raw little-endian float32 of 4 (KITTI) or 5 (nuScenes) columns.

    A file does not say which. `*.pcd.bin` and `*LIDAR_TOP*` have 5, files of a folder `velodyne` have 4. Otherwise the
    size decides, as a multiple of 16 or of 20 bytes; where it is both, the file has 5 columns if its fifth holds laser
    indices, whole numbers from 0 to 255 that are not all equal.

    Raises:
        CloudError: as for `read_cloud`.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); give the path of a .bin file") from None
    if not data:
        raise CloudError(f"{path}: 0 bytes, expected float32 points; copy it again")
    point_bytes = _point_bytes(Path(path), data)
    if point_bytes is None or len(data) % point_bytes:
        expected = {
            None: "16 (KITTI, x y z intensity) or 20 (nuScenes, and ring)",
            _KITTI_BYTES: "16 (x y z intensity float32)",
            _NUSCENES_BYTES: "20 (x y z intensity ring float32)",
        }[point_bytes]
        raise CloudError(
            f"{path}: {len(data)} bytes, expected a multiple of {expected}; it is cut off or of another type"
        )
    points = np.frombuffer(data, "<f4").reshape(-1, point_bytes // 4)
    with np.errstate(invalid="ignore"):
        absurd = (np.isfinite(points[:, :3]) & (np.abs(points[:, :3]) >= MAX_COORDINATE_M)).any(axis=1)
    if int(absurd.sum()) * 10 > len(points):
        raise CloudError(
            f"{path}: {int(absurd.sum())} of {len(points)} points lie beyond 10 km; "
            f"expected float32 metres in {point_bytes // 4} columns, is it another type or byte order?"
        )
    ring = as_integer(points[:, 4]) if point_bytes == _NUSCENES_BYTES else None
    return Cloud(as_float(points[:, :3].copy()), intensity=as_float(points[:, 3].copy()), ring=ring)


def _point_bytes(path: Path, data: bytes) -> int | None:
    if path.name.lower().endswith(".pcd.bin") or "LIDAR_TOP" in path.name:
        return _NUSCENES_BYTES
    if path.absolute().parent.name == "velodyne":
        return _KITTI_BYTES
    fits_kitti, fits_nuscenes = len(data) % _KITTI_BYTES == 0, len(data) % _NUSCENES_BYTES == 0
    if fits_kitti and fits_nuscenes:
        fifth = np.frombuffer(data, "<f4").reshape(-1, 5)[:, 4]
        with np.errstate(invalid="ignore"):
            is_ring = (
                bool(((fifth >= 0) & (fifth <= 255) & (fifth == np.floor(fifth))).all()) and fifth.min() != fifth.max()
            )
        return _NUSCENES_BYTES if is_ring else _KITTI_BYTES
    if fits_kitti:
        return _KITTI_BYTES
    return _NUSCENES_BYTES if fits_nuscenes else None


def find_clouds(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The cloud files among files and folders, each once: those of each argument sorted, arguments in the order given.

    A SemanticKITTI root or sequence gives its `velodyne/*.bin`, a nuScenes root its `samples/LIDAR_TOP/*.pcd.bin`; any
    other folder all files of a known suffix in it and below it, hidden ones and label files left out.

    Raises:
        CloudError: a path does not exist, a file has an unknown suffix, or a folder holds no cloud.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = _clouds_of_folder(path)
            if not inside:
                raise CloudError(f"{path}: no cloud in this folder, expected files of type {' '.join(SUFFIXES)}")
            found.update(dict.fromkeys(inside))
        elif not path.exists():
            raise CloudError(f"{path}: does not exist; give a file or folder of clouds")
        elif path.suffix.lower() not in SUFFIXES:
            raise CloudError(f"{path}: unknown suffix {path.suffix!r}, expected {' '.join(SUFFIXES)}")
        else:
            found[path] = None
    if not found:
        raise CloudError("no path given; give files or folders of clouds")
    return list(found)


def _clouds_of_folder(folder: Path) -> list[Path]:
    for pattern in ("sequences/*/velodyne/*.bin", "velodyne/*.bin", "samples/LIDAR_TOP/*.pcd.bin", "**/*"):
        found = [path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES and path.is_file()]
        if found := [p for p in found if not p.name.startswith(".") and not p.name.lower().endswith(_NOT_CLOUDS)]:
            return sorted(found)
    return []
