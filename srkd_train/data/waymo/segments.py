# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whole segments of the Waymo Open Dataset by name: all their frames, labelled or not, in order of time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from srkd.errors import CloudError, ConfigError
from srkd.labels import SCHEMES
from srkd_train.data.sample import Sample
from srkd_train.data.waymo import v1, v2
from srkd_train.data.waymo.dataset import FOLDERS
from srkd_train.data.waymo.range_image import TopFrame, to_sample
from srkd_train.data.waymo.v1 import V1Frame
from srkd_train.data.waymo.v2 import V2Frame


@dataclass(frozen=True)
class Segment:
    """Where a segment of 20 s is: a TFRecord file (1.4.x), or a folder of components (2.0.x)."""

    name: str
    path: Path

    def frames(self) -> list[V1Frame] | list[V2Frame]:
        """Its frames in order of time.

        Raises:
            CloudError: a file is missing or damaged.
            ConfigError: pyarrow is needed and not installed.
        """
        if self.path.is_dir():
            return v2.find_frames(self.path, self.name, labelled=False)
        return sorted(v1.find_frames(self.path), key=lambda frame: frame.stamp_us)


def find_segments(root: str | os.PathLike[str]) -> dict[str, Segment]:
    """The segments of all splits under a root by name, whichever release they are of.

    Args:
        root: the folder that holds `training`, `validation` or `testing`, or one of these, or a single TFRecord file.

    Raises:
        CloudError: there are none, or a file without a published name is damaged.
    """
    given = Path(root)
    found: dict[str, Segment] = {}
    folders = () if given.is_file() else (given, *(given / name for name in FOLDERS.values()))
    records = [given] if given.is_file() else [path for folder in folders for path in sorted(folder.glob("*.tfrecord"))]
    for path in records:
        if not path.name.startswith("."):  # left by file systems that keep attributes in files
            found.setdefault(name := v1.segment_name(path), Segment(name, path))
    for folder in folders:
        for path in sorted((folder / "lidar").glob("*.parquet")):
            if not path.name.startswith("."):
                found.setdefault(path.stem, Segment(path.stem, folder))
    if not found:
        raise CloudError(
            f"{given}: neither *.tfrecord nor lidar/*.parquet in it or in its {', '.join(FOLDERS.values())}; give the"
            " folder that holds them"
        )
    return found


def read_samples(frames: Sequence[V1Frame | V2Frame], returns: int) -> Iterator[tuple[V1Frame | V2Frame, Sample]]:
    """Frames of one segment with their points, as `Waymo` reads them, one by one.

    Args:
        frames: of one release, in order of time.
        returns: 2 for both returns of every laser pulse, 1 for the first.

    Raises:
        ConfigError: the number of returns is unknown, or pyarrow is needed and not installed.
        CloudError: a file is missing, cut off or damaged.
    """
    if returns not in (1, 2):
        raise ConfigError(f"returns: {returns!r}, expected 1 (first returns) or 2 (both)")
    for frame, scan in zip(frames, _scans(frames, returns), strict=True):
        try:
            sample = to_sample(scan, SCHEMES["waymo"], f"{frame.segment}/{frame.stamp_us}")
        except CloudError as error:
            where = frame.path if isinstance(frame, V1Frame) else frame.path(v2.LABELS)
            raise CloudError(f"{where}, frame at {frame.stamp_us}: {error}") from None
        yield frame, sample


def _scans(frames: Sequence[V1Frame | V2Frame], returns: int) -> Iterator[TopFrame]:
    yield from (v1.read_frame(frame, returns) for frame in frames if isinstance(frame, V1Frame))
    yield from v2.read_frames((frame for frame in frames if isinstance(frame, V2Frame)), returns)
