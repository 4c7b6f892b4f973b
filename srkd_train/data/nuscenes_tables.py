# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The JSON tables of nuScenes, read without the devkit: LiDAR sweeps with scene, time, pose and label file.

Source: nuScenes schema, docs/schema_nuscenes.md of nuscenes-devkit. The tables `sample_data` and `ego_pose` of
v1.0-trainval hold 2.6 million rows each, most of them of cameras and radars, so that only the rows that are needed are
found in the mapped file and decoded; their rows are flat objects.
"""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError

CATEGORIES = (
    "noise", "animal", "human.pedestrian.adult", "human.pedestrian.child", "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility", "human.pedestrian.police_officer", "human.pedestrian.stroller",
    "human.pedestrian.wheelchair", "movable_object.barrier", "movable_object.debris",
    "movable_object.pushable_pullable", "movable_object.trafficcone", "static_object.bicycle_rack", "vehicle.bicycle",
    "vehicle.bus.bendy", "vehicle.bus.rigid", "vehicle.car", "vehicle.construction", "vehicle.emergency.ambulance",
    "vehicle.emergency.police", "vehicle.motorcycle", "vehicle.trailer", "vehicle.truck", "flat.driveable_surface",
    "flat.other", "flat.sidewalk", "flat.terrain", "static.manmade", "static.other", "static.vegetation",
    "vehicle.ego",
)  # fmt: skip
"""Names of the 32 categories in the order of the raw ids of SCHEMES["nuscenes"]."""
_LIDAR = b"LIDAR_TOP"
_SWEEP_KEYS = (
    "token", "filename", "sample_token", "timestamp", "is_key_frame", "ego_pose_token", "calibrated_sensor_token",
)  # fmt: skip
_TOKEN = re.compile(rb'"token"\s*:\s*"([^"]*)"')

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Sweep:
    """One turn of the LiDAR, a row of `sample_data` with what other tables say of it."""

    token: str
    """Its `sample_data` token, by which submissions name it."""
    filename: str
    """Its points, relative to the root."""
    scene: str | None = None
    """Name of its scene."""
    stamp_us: int | None = None
    """Unix time, microseconds."""
    is_key_frame: bool = True
    """Whether it is one of the two a second that are annotated."""
    pose: npt.NDArray[np.float64] | None = None
    """(4, 4), sensor frame to the global frame of its map."""
    labels: str | None = None
    """Its lidarseg file, relative to the root."""


def sweeps(root: str | os.PathLike[str], scene: str) -> list[Sweep]:
    """All turns of the LiDAR in a scene, key frames and those between them (20 a second), in order of time.

    Args:
        root: the folder that holds `v1.0-*`.
        scene: name such as "scene-0061".

    Raises:
        CloudError: no table has the scene, or a table is missing or damaged.
    """
    root = Path(root)
    versions = sorted(path.parent for path in root.glob("v1.0-*/scene.json"))
    for version in versions:
        if any(row["name"] == scene for row in read_table(version / "scene.json", "token", "name")):
            return read_sweeps(version, scene=scene)
    looked = ", ".join(path.name for path in versions) or "no v1.0-*/scene.json"
    raise CloudError(f"{root}: no scene {scene!r} in its tables ({looked}); give a name such as scene-0061")


def read_sweeps(version: Path, *, scene: str | None = None, key_frames: bool = False) -> list[Sweep]:
    """LiDAR sweeps of a release in order of scene name and time.

    Args:
        version: the folder of the tables, e.g. `v1.0-trainval`. Without `lidarseg.json` no sweep has labels; all other
            tables are needed.
        scene: name of the one scene to take.
        key_frames: leave out the sweeps between key frames.

    Raises:
        CloudError: a table is missing or damaged, or refers to a row that is not there.
    """
    names = {row["token"]: row["name"] for row in read_table(version / "scene.json", "token", "name")}
    samples = read_table(version / "sample.json", "token", "scene_token")
    scene_of = {row["token"]: names.get(row["scene_token"]) for row in samples}
    labels = read_labels_table(version)
    rows = [row for row in read_lidar_rows(version, *_SWEEP_KEYS) if row["is_key_frame"] or not key_frames]
    if lost := next((row for row in rows if scene_of.get(row["sample_token"]) is None), None):
        raise CloudError(f"{version / 'sample_data.json'}: row {lost['token']} is of a sample or scene in no table")
    if scene is not None:
        rows = [row for row in rows if scene_of[row["sample_token"]] == scene]
    poses = read_poses(version, rows)
    found = [
        Sweep(
            token=row["token"],
            filename=row["filename"],
            scene=scene_of[row["sample_token"]],
            stamp_us=int(row["timestamp"]),
            is_key_frame=bool(row["is_key_frame"]),
            pose=poses[row["token"]],
            labels=labels.get(row["token"]) if row["is_key_frame"] else None,
        )
        for row in rows
    ]
    return sorted(found, key=lambda sweep: (sweep.scene, sweep.stamp_us))


def read_labels_table(version: Path) -> dict[str, str]:
    """Label file by `sample_data` token; none where there is no `lidarseg.json`."""
    path = version / "lidarseg.json"
    if not path.exists():
        return {}
    return {row["sample_data_token"]: row["filename"] for row in read_table(path, "sample_data_token", "filename")}


def read_lidar_rows(version: Path, *keys: str) -> list[Row]:
    """The rows of `sample_data` that are of the LiDAR, each with at least the keys asked for."""
    path = version / "sample_data.json"
    text = _map_table(path)
    rows = []
    at = text.find(_LIDAR)
    while at >= 0:
        row, end = _row_around(path, text, at, keys)
        rows.append(row)
        at = text.find(_LIDAR, end)
    return rows


def read_poses(version: Path, rows: list[Row]) -> dict[str, npt.NDArray[np.float64]]:
    """Pose of the LiDAR, (4, 4) from its frame to the global one, by token of rows of `sample_data`.

    The ego pose is the vehicle's at the time of the row, the calibration the sensor's place on the vehicle.
    """
    place = ("token", "translation", "rotation")
    sensors = {row["token"]: row for row in read_table(version / "calibrated_sensor.json", *place)}
    path = version / "ego_pose.json"
    text = _map_table(path)
    wanted = {row["ego_pose_token"].encode() for row in rows}
    egos = {}
    for match in _TOKEN.finditer(text):
        if match[1] in wanted:
            ego, _ = _row_around(path, text, match.start(), place)
            egos[ego["token"]] = _matrix(path, ego)
    try:
        in_vehicle = {
            token: _matrix(version / "calibrated_sensor.json", sensors[token])
            for token in {row["calibrated_sensor_token"] for row in rows}
        }
        return {row["token"]: egos[row["ego_pose_token"]] @ in_vehicle[row["calibrated_sensor_token"]] for row in rows}
    except KeyError as error:
        raise CloudError(f"{version}: no row {error} in ego_pose.json or calibrated_sensor.json") from None


def read_raw_ids(version: Path) -> npt.NDArray[np.uint8] | None:
    """Raw id of SCHEMES["nuscenes"] by the id that the label files of a release hold, (256,); None if they are equal.

    The ids in the files are the `index` of `category.json`; releases before lidarseg have none.

    Raises:
        CloudError: the table is damaged, or an indexed category is none of the 32.
    """
    path = version / "category.json"
    if not path.exists():
        return None
    indexed = [row for row in read_table(path, "name") if "index" in row]
    table = np.full(256, 255, np.uint8)  # 255 is no raw id, so that such labels are refused
    for row in indexed:
        if row["name"] not in CATEGORIES or not isinstance(row["index"], int) or not 0 <= row["index"] < 255:
            raise CloudError(f"{path}: {row['name']!r} of index {row['index']!r} is none of the 32 categories")
        table[row["index"]] = CATEGORIES.index(row["name"])
    same = np.arange(len(CATEGORIES), dtype=np.uint8)
    return None if not indexed or np.array_equal(table[: len(same)], same) else table


def read_table(path: Path, *keys: str) -> list[Row]:
    """A whole table, every row with at least the keys asked for."""
    try:
        rows = json.loads(path.read_bytes())
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); copy the tables of nuScenes again") from None
    except ValueError as error:
        raise CloudError(f"{path}: no JSON ({str(error)[:80]}); it is cut off or damaged") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and set(keys) <= row.keys() for row in rows):
        raise CloudError(f"{path}: expected a list of rows with {' '.join(keys)}")
    return rows


def _map_table(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as stream:
            text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); copy the tables of nuScenes again") from None
    except ValueError:
        raise CloudError(f"{path}: 0 bytes, expected a list of rows; copy it again") from None
    if not (text[:64].lstrip().startswith(b"[") and text[-64:].rstrip().endswith(b"]")):
        raise CloudError(f"{path}: expected a list of rows from [ to ]; it is cut off or of another type")
    return text


def _row_around(path: Path, text: mmap.mmap, at: int, keys: tuple[str, ...]) -> tuple[Row, int]:
    """The flat JSON object around a place, and where it ends."""
    start, end = text.rfind(b"{", 0, at), text.find(b"}", at) + 1
    try:
        if start < 0 or end == 0:
            raise ValueError("no braces around it")
        row = json.loads(text[start:end])
    except ValueError as error:
        raise CloudError(f"{path}: no JSON row at byte {at} ({str(error)[:80]}); it is damaged") from None
    if not set(keys) <= row.keys():
        raise CloudError(f"{path}: expected a list of rows with {' '.join(keys)}")
    return row, end


def _matrix(path: Path, row: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """(4, 4) of a translation x y z and a rotation, the quaternion w x y z."""
    try:
        translation = np.array(row["translation"], np.float64).reshape(3)
        w, x, y, z = np.array(row["rotation"], np.float64).reshape(4)
        norm = float(np.sqrt(w * w + x * x + y * y + z * z))
        if not 0.9 < norm < 1.1:
            raise ValueError
    except (TypeError, ValueError):
        raise CloudError(f"{path}: row {row['token']} has no translation of 3 and unit rotation of 4 numbers") from None
    w, x, y, z = w / norm, x / norm, y / norm, z / norm
    matrix = np.eye(4)
    matrix[:3, 3] = translation
    matrix[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return matrix
