# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes LiDAR key frames: samples/LIDAR_TOP/*.pcd.bin, with nuScenes-lidarseg labels and poses from the tables.

The devkit is not needed; `nuscenes_tables` reads v1.0-*/*.json.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from srkd.errors import CloudError, ConfigError
from srkd.io.files import read_bin
from srkd.io.label_files import read_raw_labels
from srkd.labels import IGNORE, SCHEMES
from srkd_train.data.nuscenes_splits import SPLITS
from srkd_train.data.nuscenes_tables import Sweep, read_labels_table, read_lidar_rows, read_raw_ids, read_sweeps
from srkd_train.data.sample import Sample

_POINT_BYTES = 20
_POSE_TABLES = ("scene", "sample", "sample_data", "calibrated_sensor", "ego_pose")


class NuScenes(Dataset[Sample]):
    """LiDAR key frames with classes of the 16-class scheme; points in the sensor's frame (x right, y forward, z up).

    Args:
        root: the folder that holds `samples` and, for a split, `v1.0-*` and `lidarseg`.
        split: "train" (700 scenes), "val" (150) or "test" (150, without labels: all 255), or "mini_train" (8) or
            "mini_val" (2) of v1.0-mini: their frames in order of scene and time. None takes all key frames under the
            root in order of their file names, with or without tables; a frame without a lidarseg file has all labels
            255 then.

    Raises:
        ConfigError: the split is unknown.
        CloudError: there are no key frames, a table is missing or damaged, or a frame of a labelled split has no label
            file in the tables.
    """

    scheme = SCHEMES["nuscenes"]

    def __init__(self, root: str | os.PathLike[str], split: str | None = None) -> None:
        self.root = Path(root)
        self.split = split
        if split is None:
            self._frames, self._raw_ids = _all_key_frames(self.root)
        elif split in SPLITS:
            self._frames, self._raw_ids = _split_frames(self.root, split)
        else:
            raise ConfigError(f"split: unknown {split!r}, expected {' | '.join(SPLITS)}")

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        """Reads key frame `index`.

        Raises:
            CloudError: its points or labels are missing or damaged.
        """
        return read_sweep(self.root, self._frames[index], self._raw_ids)

    def name(self, index: int) -> str:
        """Name of the file of key frame `index` without its ending."""
        return sweep_name(self._frames[index])

    def path(self, index: int) -> Path:
        """The `.pcd.bin` file of key frame `index`."""
        return self.root / self._frames[index].filename

    def has_labels(self, index: int) -> bool:
        """Whether key frame `index` has a lidarseg file."""
        return self._frames[index].labels is not None

    def token(self, index: int) -> str:
        """The `sample_data` token of key frame `index`, by which a submission names it.

        Raises:
            CloudError: the tables do not know the frame.
        """
        token = self._frames[index].token
        if not token:
            raise CloudError(
                f"{self.path(index)}: in no table v1.0-*/sample_data.json; give the folder that holds them"
            )
        return token

    def scene(self, index: int) -> str | None:
        """Name of the scene of key frame `index`, None where no table tells."""
        return self._frames[index].scene

    def problems(self) -> list[str]:
        """One line for every file that is missing or of the wrong size; no file is read."""
        found = []
        for index, frame in enumerate(self._frames):
            size = _size(self.path(index))
            if size is None:
                found.append(f"{self.path(index)}: missing")
            elif size == 0 or size % _POINT_BYTES:
                found.append(f"{self.path(index)}: {size} bytes, expected a multiple of {_POINT_BYTES}")
            if frame.labels is None:
                continue
            labels = _size(self.root / frame.labels)
            if labels is None:
                found.append(f"{self.root / frame.labels}: missing")
            elif size is not None and labels != size // _POINT_BYTES:
                found.append(f"{self.root / frame.labels}: {labels} labels, expected {size // _POINT_BYTES}")
        return found


def read_sweep(root: Path, sweep: Sweep, raw_ids: npt.NDArray[np.uint8] | None) -> Sample:
    """The points of a sweep with its classes, all 255 where it has no label file.

    Args:
        root: the folder that its file names begin from.
        sweep: which.
        raw_ids: what the numbers in the label files mean, see `read_raw_ids`.

    Raises:
        CloudError: its points or labels are missing or damaged.
    """
    path = root / sweep.filename
    cloud = read_bin(path)
    label = np.full(len(cloud), IGNORE, np.uint8)
    if sweep.labels is not None:
        file, scheme = root / sweep.labels, NuScenes.scheme
        raw = read_raw_labels(file, scheme, len(cloud))
        try:
            label = scheme.from_raw(raw if raw_ids is None else raw_ids[raw])
        except CloudError as error:
            raise CloudError(f"{file}: {error}") from None
    return Sample(cloud, label, sweep_name(sweep), sweep.pose)


def sweep_name(sweep: Sweep) -> str:
    """Name of the file of a sweep without its ending."""
    return Path(sweep.filename).name.removesuffix(".pcd.bin")


def _split_frames(root: Path, split: str) -> tuple[list[Sweep], npt.NDArray[np.uint8] | None]:
    """Key frames of a split, and the raw ids of its label files."""
    wanted = SPLITS[split]
    version = root / wanted.version
    needed = (*_POSE_TABLES, "lidarseg") if wanted.labelled else _POSE_TABLES
    if missing := [f"{name}.json" for name in needed if not (version / f"{name}.json").is_file()]:
        raise CloudError(
            f"{version}: no {' '.join(missing)}; split {split} needs the tables of nuScenes"
            + (" and nuScenes-lidarseg unpacked over them" if "lidarseg.json" in missing else "")
        )
    frames = [frame for frame in read_sweeps(version, key_frames=True) if wanted.holds(str(frame.scene))]
    if not frames:
        raise CloudError(f"{version}: no key frame of split {split}; its scenes are not in scene.json")
    if not wanted.labelled:
        return [replace(frame, labels=None) for frame in frames], None
    if bare := next((frame for frame in frames if frame.labels is None), None):
        raise CloudError(f"{version / 'lidarseg.json'}: no row of sample_data {bare.token} ({bare.filename})")
    return frames, read_raw_ids(version)


def _all_key_frames(root: Path) -> tuple[list[Sweep], npt.NDArray[np.uint8] | None]:
    """Key frames by file name, with what the tables tell of them, and the raw ids of the label files."""
    folder = Path("samples", "LIDAR_TOP")
    names = sorted(path.name for path in (root / folder).glob("*.pcd.bin"))
    if not names:
        raise CloudError(f"{root / folder}: no key frame *.pcd.bin; give the folder that holds samples/")
    known: dict[str, Sweep] = {}
    raw_ids = None
    for version in sorted(root.glob("v1.0-*/")):
        if all((version / f"{name}.json").is_file() for name in _POSE_TABLES):
            sweeps = read_sweeps(version, key_frames=True)
        elif (version / "lidarseg.json").is_file():
            labels = read_labels_table(version)
            rows = read_lidar_rows(version, "token", "filename")
            sweeps = [Sweep(row["token"], row["filename"], labels=labels.get(row["token"])) for row in rows]
        else:
            continue
        raw_ids = read_raw_ids(version) if raw_ids is None else raw_ids
        known.update((Path(sweep.filename).name, sweep) for sweep in sweeps)
    return [known.get(name) or Sweep("", str(folder / name)) for name in names], raw_ids


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
