# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The boxes of objects in frames of the Waymo Open Dataset. Source: label.proto, v2/perception/box.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from srkd.errors import CloudError
from srkd_train.data.box import Box
from srkd_train.data.waymo import v1, v2
from srkd_train.data.waymo.tfrecord import read_record
from srkd_train.data.waymo.v1 import V1Frame
from srkd_train.data.waymo.v2 import V2Frame
from srkd_train.data.waymo.wire import Message

_LABELS, _BOX, _ID = 6, 1, 4  # Frame, then Label
_NUMBERS = range(1, 8)
"""Label.Box: centre x y z, width (across), length (along), height, heading."""
_STAMP, _KEY = "key.frame_timestamp_micros", "key.laser_object_id"
_COLUMNS = tuple(
    f"[LiDARBoxComponent].box.{part}"
    for part in ("center.x", "center.y", "center.z", "size.y", "size.x", "size.z", "heading")
)


def read_boxes(frames: Sequence[V1Frame] | Sequence[V2Frame]) -> list[Box]:
    """The boxes of frames of one segment, in the world; none of release 2 without the component `lidar_box`.

    Raises:
        CloudError: a file is missing, cut off or damaged.
        ConfigError: pyarrow is needed and not installed.
    """
    found: list[Box] = []
    for frame in frames:
        if isinstance(frame, V1Frame):
            found += _first_release(frame)
    newer = {frame.stamp_us: frame for frame in frames if isinstance(frame, V2Frame)}
    path = next((frame.path("lidar_box") for frame in newer.values()), None)
    if path is not None and path.is_file():
        found += _second_release(path, newer)
    return found


def _first_release(frame: V1Frame) -> Iterator[Box]:
    try:
        # Its checksum is held against the record when points are read.
        message = Message(read_record(Path(frame.path), frame.record, check=False))
        vehicle = v1.vehicle_pose(message)
        for label in message.messages(_LABELS):
            numbers = [label.message(_BOX).double(number) for number in _NUMBERS]
            if key := label.text(_ID):
                yield _box(key, frame.stamp_us, numbers, vehicle)
    except CloudError as error:
        raise CloudError(f"{frame.path}: the frame at byte {frame.record.start}: {error}") from None


def _second_release(path: Path, frames: dict[int, V2Frame]) -> Iterator[Box]:
    vehicles = {stamp_us: v2.vehicle_pose(frame) for stamp_us, frame in frames.items()}
    for row in v2.small_table(str(path)):
        if row.get(_STAMP) in vehicles and row.get(_KEY):
            numbers = [float("nan") if row.get(column) is None else float(row[column]) for column in _COLUMNS]
            try:
                yield _box(row[_KEY], row[_STAMP], numbers, vehicles[row[_STAMP]])
            except CloudError as error:
                raise CloudError(f"{path}: {error}") from None


def _box(
    key: str, stamp_us: int, numbers: Sequence[float], vehicle: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> Box:
    """A box from its numbers in the vehicle's frame, in the order of Label.Box."""
    if not np.isfinite(numbers).all():
        raise CloudError(f"box {key} lacks one of its {len(numbers)} numbers; it is damaged")
    *centre, width, length, height, heading = numbers
    pose = np.eye(4)
    pose[:2, :2] = (np.cos(heading), -np.sin(heading)), (np.sin(heading), np.cos(heading))
    pose[:3, 3] = centre
    return Box(key, stamp_us, vehicle @ pose, np.array([length, width, height]))
