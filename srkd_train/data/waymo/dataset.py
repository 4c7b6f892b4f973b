# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Waymo Open Dataset: labelled clouds of the TOP LiDAR, from v1.4.x TFRecord files or v2.0.x Parquet files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import Dataset

from srkd.errors import CloudError, ConfigError
from srkd.labels import SCHEMES
from srkd_train.data.sample import Sample
from srkd_train.data.waymo import v1, v2
from srkd_train.data.waymo.index import indexed
from srkd_train.data.waymo.range_image import to_sample
from srkd_train.data.waymo.v1 import V1Frame
from srkd_train.data.waymo.v2 import V2Frame

FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
"""Folder of each split."""
SEGMENTS = {"train": 798, "val": 202, "test": 150}
"""Segments of each split as published."""


class Waymo(Dataset[Sample]):
    """The frames of a split with classes of the 22-class scheme, instance ids and poses, by segment and time.

    Points are those of the TOP LiDAR, the only one with labels, in the vehicle's frame. Of train and val only the
    frames with labels are taken, about 30 of a segment's 200; of test all, their labels 255.

    Args:
        root: the folder that holds `training` and `validation`, each with *.tfrecord (v1.4.x), or with
            `lidar`, `lidar_calibration`, `lidar_pose`, `lidar_segmentation` and `vehicle_pose` (v2.0.x).
        split: "train", "val" or "test".
        returns: 2 for both returns of every laser pulse, 1 for the first.
        index_dir: keep the list of frames of TFRecord files here, for the next time.
        check: hold every record of a TFRecord file against its checksum when it is read.
        damaged: takes a line for each TFRecord file whose frames cannot be listed, which is then left out; None: that
            is an error.

    Raises:
        ConfigError: the split or number of returns is unknown, or pyarrow is needed and not installed.
        CloudError: the folder holds neither kind of file, a file is missing or damaged, or no frame has labels.
    """

    scheme = SCHEMES["waymo"]

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        *,
        returns: int = 2,
        index_dir: str | os.PathLike[str] | None = None,
        check: bool = True,
        damaged: list[str] | None = None,
    ) -> None:
        if split not in FOLDERS:
            raise ConfigError(f"split: unknown {split!r}, expected {' | '.join(FOLDERS)}")
        if returns not in (1, 2):
            raise ConfigError(f"returns: {returns!r}, expected 1 (first returns) or 2 (both)")
        self.split = split
        self.folder = Path(root) / FOLDERS[split]
        self.returns = returns
        self._check = check
        labelled = split != "test"
        self._frames: Sequence[V1Frame | V2Frame]
        if files := _files(self.folder, "*.tfrecord"):
            self.segments = len(files)
            kept = None if index_dir is None else Path(index_dir)
            self._frames = [
                frame
                for frames in indexed(files, v1.find_frames, kept, damaged)
                for frame in sorted(frames, key=lambda frame: frame.stamp_us)
                if frame.has_labels or not labelled
            ]
        elif files := _files(self.folder / (v2.LABELS if labelled else "lidar"), "*.parquet"):
            self.segments = len(files)
            self._frames = [
                frame for path in files for frame in v2.find_frames(self.folder, path.stem, labelled=labelled)
            ]
        else:
            raise CloudError(
                f"{self.folder}: neither *.tfrecord nor {v2.LABELS if labelled else 'lidar'}/*.parquet; "
                f"give the folder that holds {FOLDERS[split]}/"
            )
        if not self._frames:
            raise CloudError(f"{self.folder}: no frame has segmentation labels; they came with Waymo 1.4.0 and 2.0.0")

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        """Reads frame `index`.

        Raises:
            CloudError: its file is missing, cut off or damaged.
        """
        frame = self._frames[index]
        if isinstance(frame, V1Frame):
            scan, where = v1.read_frame(frame, self.returns, check=self._check), frame.path
        else:
            scan, where = v2.read_frame(frame, self.returns), str(frame.path(v2.LABELS))
        try:
            return to_sample(scan, self.scheme, self.name(index))
        except CloudError as error:
            raise CloudError(f"{where}, frame at {frame.stamp_us}: {error}") from None

    def name(self, index: int) -> str:
        """Segment and time in microseconds of frame `index`, as "SEGMENT/TIME"."""
        return f"{self._frames[index].segment}/{self._frames[index].stamp_us}"

    def scene(self, index: int) -> str:
        """The segment of frame `index`."""
        return self._frames[index].segment

    def has_labels(self, index: int) -> bool:
        """Whether frame `index` has segmentation labels."""
        return self._frames[index].has_labels

    def problems(self) -> list[str]:
        """One line for every file that is missing; a v1 file that is cut off is found when the data set is opened."""
        found = []
        if self.segments < SEGMENTS[self.split]:
            found.append(f"{self.folder}: {self.segments} of the {SEGMENTS[self.split]} segments of {self.split}")
        seen: set[str] = set()
        for frame in self._frames:
            if isinstance(frame, V2Frame) and frame.segment not in seen:
                seen.add(frame.segment)
                paths = [frame.path(component) for component in v2.COMPONENTS]
                found += [f"{path}: missing" for path in paths if not path.is_file()]
        return found


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
