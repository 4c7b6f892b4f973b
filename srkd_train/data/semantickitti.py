# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SemanticKITTI: sequences/XX/{velodyne,labels}/NNNNNN.*, poses.txt, calib.txt, times.txt.

Source: semantic-kitti.org, "File format".
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from srkd.errors import CloudError, ConfigError
from srkd.io.files import read_bin
from srkd.io.label_files import read_raw_labels
from srkd.labels import IGNORE, SCHEMES
from srkd_train.data.sample import Sample

_MOVING = (252, 259)
"""First and last raw id of moving objects, which fold to the classes of those that stand."""
SPLITS = {
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
    "val": ("08",),
    "test": tuple(str(number) for number in range(11, 22)),
}


@dataclass(frozen=True)
class _Frame:
    sequence: str
    number: int
    velodyne: str
    labels: str | None


class SemanticKITTI(Dataset[Sample]):
    """The scans of a split in order, with classes of the 19-class scheme, instance ids and poses.

    Args:
        root: the folder that holds `sequences`.
        split: "train", "val" or "test"; the test sequences have no labels, all theirs are 255.
        sequences: take these instead of a split's, e.g. ("00",).

    Raises:
        ConfigError: the split is unknown.
        CloudError: a sequence, its scans or, where it has poses, its calibration is missing or damaged.
    """

    scheme = SCHEMES["semantickitti"]

    def __init__(
        self, root: str | os.PathLike[str], split: str = "train", sequences: Sequence[str] | None = None
    ) -> None:
        if sequences is None and split not in SPLITS:
            raise ConfigError(f"split: unknown {split!r}, expected {' | '.join(SPLITS)}, or give sequences")
        self.sequences = SPLITS[split] if sequences is None else tuple(sequences)
        folder = Path(root) / "sequences"
        if missing := [name for name in self.sequences if not (folder / name / "velodyne").is_dir()]:
            raise CloudError(
                f"{folder}: no {' '.join(f'{name}/velodyne' for name in missing)}; "
                "give the folder that holds sequences/, or name those you have with sequences="
            )
        self._frames: list[_Frame] = []
        self._poses: dict[str, npt.NDArray[np.float64] | None] = {}
        self._times: dict[str, npt.NDArray[np.float64] | None] = {}
        for name in self.sequences:
            frames = _frames(folder / name)
            self._frames += frames
            self._poses[name] = read_poses(folder / name)
            self._times[name] = _read_table(folder / name / "times.txt", columns=1)
            for what, table in (("poses.txt", self._poses[name]), ("times.txt", self._times[name])):
                if table is not None and len(table) <= frames[-1].number:
                    last = frames[-1].number
                    raise CloudError(f"{folder / name / what}: {len(table)} lines, but the last scan is number {last}")

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        """Reads scan `index`.

        Raises:
            CloudError: its points or labels are missing or damaged.
        """
        frame = self._frames[index]
        cloud = read_bin(frame.velodyne)
        if frame.labels is None:
            label, instance = np.full(len(cloud), IGNORE, np.uint8), None
        else:
            raw = read_raw_labels(frame.labels, self.scheme, len(cloud))
            try:
                label, instance = self.scheme.from_raw(raw), raw >> np.uint32(16)
            except CloudError as error:
                raise CloudError(f"{frame.labels}: {error}") from None
        poses = self._poses[frame.sequence]
        pose = None if poses is None else poses[frame.number]
        return Sample(cloud, label, self.name(index), pose, instance)

    def name(self, index: int) -> str:
        """Sequence and number of scan `index`, as "00/000001"."""
        frame = self._frames[index]
        return f"{frame.sequence}/{frame.number:06d}"

    def has_pose(self, index: int) -> bool:
        """Whether the sequence of scan `index` has poses."""
        return self._poses[self._frames[index].sequence] is not None

    def moving(self, index: int) -> npt.NDArray[np.bool_] | None:
        """(N,) which points of scan `index` are of moving objects; None where it has no labels.

        Raises:
            CloudError: its labels are missing or damaged.
        """
        frame = self._frames[index]
        if frame.labels is None:
            return None
        raw = read_raw_labels(frame.labels, self.scheme, Path(frame.velodyne).stat().st_size // 16) & np.uint32(0xFFFF)
        return np.asarray((raw >= _MOVING[0]) & (raw <= _MOVING[1]))

    def path(self, index: int) -> Path:
        """The `.bin` file of scan `index`."""
        return Path(self._frames[index].velodyne)

    def time_s(self, index: int) -> float | None:
        """Time of scan `index` since the start of its sequence, or None where there is no `times.txt`."""
        times = self._times[self._frames[index].sequence]
        return None if times is None else float(times[self._frames[index].number, 0])


def read_poses(sequence: Path) -> npt.NDArray[np.float64] | None:
    """Poses of a sequence folder in the LiDAR's frame, (N, 4, 4), scan n to scan 0's axes; None without `poses.txt`.

    The file has them between left-camera frames; `Tr` of calib.txt takes LiDAR to camera, so a pose is inv(Tr) P Tr.

    Raises:
        CloudError: poses.txt or calib.txt is damaged, or calib.txt is missing.
    """
    rows = _read_table(sequence / "poses.txt", columns=12)
    if rows is None:
        return None
    path = sequence / "calib.txt"
    try:
        lines = [line for line in path.read_text(encoding="ascii").splitlines() if line.startswith("Tr:")]
        transform = _square(np.array(lines[0].split()[1:], np.float64)[None])[0]
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); the poses need its Tr") from None
    except (IndexError, ValueError):
        raise CloudError(f"{path}: no line 'Tr:' with 12 numbers; the poses need it") from None
    return np.linalg.inv(transform) @ _square(rows) @ transform


def _frames(folder: Path) -> list[_Frame]:
    frames = []
    has_labels = (folder / "labels").is_dir()
    if not has_labels and folder.name not in SPLITS["test"]:
        raise CloudError(f"{folder / 'labels'}: missing; only the test sequences 11 to 21 have no labels")
    for path in sorted((folder / "velodyne").glob("*.bin")):
        if not path.stem.isdigit():
            continue
        labels = folder / "labels" / f"{path.stem}.label"
        frames.append(_Frame(folder.name, int(path.stem), str(path), str(labels) if has_labels else None))
    if not frames:
        raise CloudError(f"{folder / 'velodyne'}: no scan NNNNNN.bin")
    return frames


def _read_table(path: Path, *, columns: int) -> npt.NDArray[np.float64] | None:
    try:
        rows = [[float(word) for word in line.split()] for line in path.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CloudError(f"{path}: no table of numbers ({error})") from None
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise CloudError(f"{path}: line {number} has {len(row)} numbers, expected {columns}")
    return np.array(rows, np.float64).reshape(-1, columns)


def _square(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 12) row-major 3x4 to (N, 4, 4)."""
    matrices = np.tile(np.eye(4), (len(rows), 1, 1))
    matrices[:, :3] = rows.reshape(-1, 3, 4)
    return matrices
