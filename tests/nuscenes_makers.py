# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small nuScenes: tables, points and label files in the published layout, with what they must be read as."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

POINTS = 4
YAW_90 = (0.5**0.5, 0.0, 0.0, 0.5**0.5)
"""Quaternion w x y z of a quarter turn to the left about z."""


def make_nuscenes(
    root: Path, version: str = "v1.0-trainval", scenes: Sequence[str] = ("scene-0003", "scene-0001")
) -> Path:
    """Two key frames a scene, half a second apart, with one sweep between them; cameras in the tables too.

    The LiDAR sits at (1, 0, 2) of the vehicle, turned by 90 degrees; the vehicle is turned by 90 degrees too and at
    x = 10 k at its k-th sweep of a scene. Key frame k of scene s (counted over all) holds points of x = 2 s + k, and
    raw labels 17 (car), 24 (driveable_surface), 31 (vehicle.ego, ignored) and k ? 30 : 1. Returns the table folder.
    """
    lidarseg = version != "v1.0-test"
    tables: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("scene", "sample", "sample_data", "ego_pose", "lidarseg")
    }
    for number, scene in enumerate(scenes):
        tables["scene"].append({"token": f"s{number}", "name": scene, "description": "a {brace} and a ]"})
        for step, kind in enumerate(("samples", "sweeps", "samples")):
            key = kind == "samples"
            stamp_us = 1_500_000_000_000_000 + number * 1_000_000 + step * 250_000
            token = f"d{number}{step}"
            sample = f"p{number}{0 if step == 0 else 1}"
            filename = f"{kind}/LIDAR_TOP/n__LIDAR_TOP__{stamp_us}.pcd.bin"
            if key:
                tables["sample"].append({"token": sample, "scene_token": f"s{number}", "timestamp": stamp_us})
            row = {
                "token": token,
                "sample_token": sample,
                "ego_pose_token": f"e{number}{step}",
                "calibrated_sensor_token": "lidar",
                "timestamp": stamp_us,
                "is_key_frame": key,
                "filename": filename,
            }
            camera = row | {"token": f"c{token}", "filename": f"{kind}/CAM_FRONT/n__CAM_FRONT__{stamp_us}.jpg"}
            tables["sample_data"] += [camera | {"calibrated_sensor_token": "camera"}, row]
            pose = {"token": f"e{number}{step}", "rotation": YAW_90, "translation": [10.0 * step, 0.0, 0.0]}
            tables["ego_pose"] += [pose, pose | {"token": f"unused{number}{step}"}]
            (root / filename).parent.mkdir(parents=True, exist_ok=True)
            np.full((POINTS, 5), 2 * number + step // 2, "<f4").tofile(root / filename)
            if key and lidarseg:
                name = f"lidarseg/{version}/{token}_lidarseg.bin"
                tables["lidarseg"].append({"token": token, "sample_data_token": token, "filename": name})
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(bytes([17, 24, 31, 30 if step else 1]))
    tables["sample_data"].reverse()
    if not lidarseg:
        del tables["lidarseg"]
    folder = root / version
    folder.mkdir()
    for name, rows in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=0))
    sensors = [
        {"token": "camera", "translation": [0, 0, 0], "rotation": [1, 0, 0, 0]},
        {"token": "lidar", "translation": [1.0, 0.0, 2.0], "rotation": YAW_90},
    ]
    (folder / "calibrated_sensor.json").write_text(json.dumps(sensors))
    return folder
