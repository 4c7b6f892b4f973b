# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The boxes of nuScenes' key frames. Source: nuScenes schema, sample_annotation of docs/schema_nuscenes.md.

The table has 1.2 million rows in v1.0-trainval: it is gone through once, and only rows of the scenes asked for stay.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from srkd.errors import CloudError
from srkd_train.data.box import Box
from srkd_train.data.json_tables import map_table, read_table, row_around
from srkd_train.data.nuscenes_tables import place_of

_SAMPLE = b'"sample_token"'
_KEYS = ("token", "sample_token", "instance_token", "translation", "size", "rotation")


def read_boxes(version: Path, scenes: Collection[str]) -> dict[str, list[Box]]:
    """The boxes of some scenes by name, in the global frame; empty where there is no `sample_annotation.json`.

    Args:
        version: the folder of the tables, e.g. `v1.0-trainval`.
        scenes: names.

    Raises:
        CloudError: a table is damaged.
    """
    path = version / "sample_annotation.json"
    if not path.exists():
        return {}
    wanted = frozenset(scenes)
    names = {row["token"]: row["name"] for row in read_table(version / "scene.json", "token", "name")}
    samples = {
        row["token"]: (names[row["scene_token"]], int(row["timestamp"]))
        for row in read_table(version / "sample.json", "token", "scene_token", "timestamp")
        if names.get(row["scene_token"]) in wanted
    }
    found: dict[str, list[Box]] = {name: [] for name in wanted}
    text = map_table(path)
    at = text.find(_SAMPLE)
    while at >= 0:
        row, end = row_around(path, text, at, _KEYS)
        if row["sample_token"] in samples:
            scene, stamp_us = samples[row["sample_token"]]
            try:
                width, length, height = (float(value) for value in row["size"])
            except (TypeError, ValueError):
                raise CloudError(f"{path}: row {row['token']} has no size of 3 numbers") from None
            size_m = np.array([length, width, height])
            found[scene].append(Box(row["instance_token"], stamp_us, place_of(path, row), size_m))
        at = text.find(_SAMPLE, end)
    return found
