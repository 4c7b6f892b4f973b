# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The JSON tables of nuScenes, read without the devkit: LiDAR sweeps with scene, time, pose and label file.

Source: nuScenes schema, docs/schema_nuscenes.md of nuscenes-devkit. The tables `sample_data` and `ego_pose` of
v1.0-trainval hold 2.6 million rows each, most of them of cameras and radars, so that only the rows that are needed are
found in the mapped file and decoded; their rows are flat objects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd_train.data.json_tables import Row, map_table, read_table, row_around

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
    mount: npt.NDArray[np.float64] | None = None
    """(4, 4), sensor frame to that of the vehicle."""
    labels: str | None = None
    """Its lidarseg file, relative to the root."""


def scene_folders(root: str | os.PathLike[str]) -> dict[str, Path]:
    """The scenes of all releases under a root by name, each with the folder of its tables.

    A scene of v1.0-mini is one of v1.0-trainval too: the smaller tables are taken where both are there.

    Raises:
        CloudError: a table of scenes is damaged.
    """
    found: dict[str, Path] = {}
    for path in sorted(Path(root).glob("v1.0-*/scene.json")):
        for row in read_table(path, "token", "name"):
            found.setdefault(row["name"], path.parent)
    return found


def sweeps(root: str | os.PathLike[str], scene: str) -> list[Sweep]:
    """All turns of the LiDAR in a scene, key frames and those between them (20 a second), in order of time.

    Args:
        root: the folder that holds `v1.0-*`.
        scene: name such as "scene-0061".

    Raises:
        CloudError: no table has the scene, or a table is missing or damaged.
    """
    folder = scene_folders(root).get(scene)
    if folder is None:
        looked = ", ".join(sorted(path.parent.name for path in Path(root).glob("v1.0-*/scene.json")))
        raise CloudError(
            f"{root}: no scene {scene!r} in its tables ({looked or 'no v1.0-*/scene.json'}); give a name such as"
            " scene-0061"
        )
    return read_sweeps(folder, scenes=(scene,))


def read_sweeps(version: Path, *, scenes: Collection[str] | None = None, key_frames: bool = False) -> list[Sweep]:
    """LiDAR sweeps of a release in order of scene name and time.

    Args:
        version: the folder of the tables, e.g. `v1.0-trainval`. Without `lidarseg.json` no sweep has labels; all other
            tables are needed.
        scenes: names of those to take; all by default.
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
    if scenes is not None:
        wanted = frozenset(scenes)
        rows = [row for row in rows if scene_of[row["sample_token"]] in wanted]
    poses = read_poses(version, rows)
    found = []
    for row in rows:
        in_map, mount = poses[row["token"]]
        found.append(
            Sweep(
                token=row["token"],
                filename=row["filename"],
                scene=scene_of[row["sample_token"]],
                stamp_us=int(row["timestamp"]),
                is_key_frame=bool(row["is_key_frame"]),
                pose=in_map,
                mount=mount,
                labels=labels.get(row["token"]) if row["is_key_frame"] else None,
            )
        )
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
    text = map_table(path)
    rows = []
    at = text.find(_LIDAR)
    while at >= 0:
        row, end = row_around(path, text, at, keys)
        rows.append(row)
        at = text.find(_LIDAR, end)
    return rows


def read_poses(version: Path, rows: list[Row]) -> dict[str, tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Pose of the LiDAR, (4, 4) from its frame to the global one and to the vehicle's, by token of `sample_data` rows.

    The ego pose is the vehicle's at the time of the row, the calibration the sensor's place on the vehicle.
    """
    place = ("token", "translation", "rotation")
    sensors = {row["token"]: row for row in read_table(version / "calibrated_sensor.json", *place)}
    path = version / "ego_pose.json"
    text = map_table(path)
    wanted = {row["ego_pose_token"].encode() for row in rows}
    egos = {}
    for match in _TOKEN.finditer(text):
        if match[1] in wanted:
            ego, _ = row_around(path, text, match.start(), place)
            egos[ego["token"]] = place_of(path, ego)
    try:
        in_vehicle = {
            token: place_of(version / "calibrated_sensor.json", sensors[token])
            for token in {row["calibrated_sensor_token"] for row in rows}
        }
        found = {}
        for row in rows:
            mount = in_vehicle[row["calibrated_sensor_token"]]
            found[row["token"]] = (egos[row["ego_pose_token"]] @ mount, mount)
        return found
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


def place_of(path: Path, row: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """(4, 4) of a row's translation x y z and rotation, the quaternion w x y z.

    Raises:
        CloudError: it has none of these.
    """
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
