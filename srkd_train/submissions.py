# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels in the form that the benchmark servers of nuScenes-lidarseg and SemanticKITTI take.

nuScenes: `lidarseg/SPLIT/TOKEN_lidarseg.bin`, uint8 1 to 16 a point, and `SPLIT/submission.json`. SemanticKITTI:
`sequences/XX/predictions/NNNNNN.label`, uint32 raw ids. Sources: the README of nuscenes-devkit's eval/lidarseg,
semantic-kitti.org, "Submission". Both want a class for every point.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import ConfigError
from srkd.io.atomic import write_atomic
from srkd.labels import IGNORE
from srkd_train.data.loader import LabelledClouds

FORMATS = ("nuscenes", "semantickitti")
META = {"use_camera": False, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False}


class Submission:
    """A folder of labels that is there in full or not at all: a context, and left with an error nothing remains.

    Args:
        folder: must not exist.
        data: nuscenes or semantickitti.
        split: names the folders of nuScenes.
        clouds: the data set; nuScenes' gives the `token` of each cloud.

    Raises:
        ConfigError: the folder exists, or the data set has no such benchmark.
        OSError: it cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], data: str, split: str, clouds: LabelledClouds) -> None:
        self.folder = Path(folder)
        if data not in FORMATS:
            raise ConfigError(f"--submission: {data} has no known form, it is for {' and '.join(FORMATS)}")
        if self.folder.exists():
            raise ConfigError(f"--submission {folder} exists: give another folder, nothing is overwritten")
        self.data = data
        self.split = split
        self.clouds: Any = clouds
        self.written = 0
        self.filled = 0
        """Points that the network gave no class and that got the most frequent one of their cloud."""
        self._partial = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.partial")

    def __enter__(self) -> Submission:
        self._partial.mkdir(parents=True)
        if self.data == "nuscenes":
            self._write(f"{self.split}/submission.json", json.dumps({"meta": META}, indent=2).encode() + b"\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self.folder.exists():
            self._partial.rename(self.folder)
            return
        shutil.rmtree(self._partial, ignore_errors=True)
        if kind is None:
            raise ConfigError(f"--submission {self.folder} was made by somebody else meanwhile: give another folder")

    def add(self, index: int, name: str, class_id: npt.NDArray[np.uint8]) -> None:
        """Writes the labels of one cloud.

        Args:
            index: of the cloud in the data set.
            name: its sample's name, SemanticKITTI's "XX/NNNNNN".
            class_id: (N,) uint8 classes of the scheme, 255 for none.
        """
        complete, filled = fill(class_id)
        if self.data == "nuscenes":
            path, raw = f"lidarseg/{self.split}/{self.clouds.token(index)}_lidarseg.bin", complete + np.uint8(1)
        else:
            sequence, scan = name.split("/")
            path, raw = f"sequences/{sequence}/predictions/{scan}.label", self.clouds.scheme.to_raw(complete)
        self._write(path, raw.astype(raw.dtype.newbyteorder("<")).tobytes())
        self.written += 1
        self.filled += filled

    def _write(self, name: str, content: bytes) -> None:
        write_atomic(self._partial / name, [content])


def fill(class_id: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], int]:
    """Points without a class get the most frequent one of the cloud (class 0 where there is none at all).

    Returns:
        (N,) uint8 without 255, and how many points were filled.
    """
    counts = np.bincount(class_id, minlength=256)
    complete = np.where(class_id == IGNORE, np.uint8(counts[:IGNORE].argmax()), class_id)
    return complete, int(counts[IGNORE])
