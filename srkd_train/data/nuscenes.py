# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes LiDAR key frames: samples/LIDAR_TOP/*.pcd.bin, and nuScenes-lidarseg labels where they are.

The label file of a frame is found through the tables v1.0-*/{sample_data,lidarseg}.json. The devkit is not needed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from srkd.errors import CloudError
from srkd.io.files import read_bin
from srkd.io.label_files import read_labels
from srkd.labels import IGNORE, SCHEMES
from srkd_train.data.sample import Sample


class NuScenes(Dataset[Sample]):
    """The LiDAR key frames under a root in order of their file names, with classes of the 16-class scheme.

    A frame without a lidarseg file has all labels 255. Points are in the sensor's frame (x right, y forward, z up).

    Args:
        root: the folder that holds `samples`.

    Raises:
        CloudError: there are no key frames, or a table is damaged.
    """

    scheme = SCHEMES["nuscenes"]

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        folder = self.root / "samples" / "LIDAR_TOP"
        self._paths = sorted(str(path) for path in folder.glob("*.pcd.bin"))
        if not self._paths:
            raise CloudError(f"{folder}: no key frame *.pcd.bin; give the folder that holds samples/")
        self._labels = _lidarseg_files(self.root)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Sample:
        """Reads key frame `index`.

        Raises:
            CloudError: its points or labels are missing or damaged.
        """
        path = Path(self._paths[index])
        cloud = read_bin(path)
        labels = self._labels.get(path.name)
        if labels is None:
            label = np.full(len(cloud), IGNORE, np.uint8)
        else:
            label = read_labels(labels, self.scheme, len(cloud))
        return Sample(cloud, label, path.name.removesuffix(".pcd.bin"))

    def path(self, index: int) -> Path:
        """The `.pcd.bin` file of key frame `index`."""
        return Path(self._paths[index])

    def has_labels(self, index: int) -> bool:
        """Whether key frame `index` has a lidarseg file."""
        return Path(self._paths[index]).name in self._labels


def _lidarseg_files(root: Path) -> dict[str, str]:
    """Label file by name of the key frame, over all `v1.0-*` tables under a root."""
    files: dict[str, str] = {}
    for table in sorted(root.glob("v1.0-*/lidarseg.json")):
        label_of_token = {row["sample_data_token"]: row["filename"] for row in _rows(table, "sample_data_token")}
        for row in _rows(table.with_name("sample_data.json"), "token"):
            if row["token"] in label_of_token:
                files[Path(row["filename"]).name] = str(root / label_of_token[row["token"]])
    return files


def _rows(path: Path, key: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_bytes())
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); lidarseg.json needs it") from None
    except ValueError as error:
        raise CloudError(f"{path}: no JSON ({str(error)[:80]})") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {key, "filename"} <= row.keys() for row in rows):
        raise CloudError(f"{path}: expected a list of rows with {key} and filename")
    return rows
