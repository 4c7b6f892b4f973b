# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Waymo Open Dataset 1.4.x: `*.tfrecord` of `Frame` messages. Source of the field numbers: dataset.proto."""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd_train.data.waymo.range_image import TOP, TopFrame, beam_inclinations
from srkd_train.data.waymo.tfrecord import Record, find_records, map_file, read_record
from srkd_train.data.waymo.wire import Message

_CONTEXT, _STAMP, _POSE, _LASERS = 1, 2, 3, 5  # Frame
_NAME, _CALIBRATIONS = 1, 3  # Context
_INCLINATIONS, _LOWEST, _HIGHEST, _EXTRINSIC = 2, 3, 4, 5  # LaserCalibration, and LaserName in 1
_FIRST, _SECOND = 2, 3  # Laser, and LaserName in 1
_RANGES, _PIXEL_POSE, _LABELS = 2, 4, 6  # RangeImage
_PUBLISHED = re.compile(r"segment-(\d[\d_]*)_with_camera_labels$")


@dataclass(frozen=True)
class V1Frame:
    """Where a frame is."""

    path: str
    record: Record
    segment: str
    stamp_us: int
    has_labels: bool


def segment_name(path: Path) -> str:
    """Name of the segment that a file holds: from its own name as published, or from its first frame.

    Raises:
        CloudError: the file is missing, cut off or damaged.
    """
    if match := _PUBLISHED.search(path.stem):
        return match[1]
    data = map_file(path)
    record = find_records(path, data)[0]
    try:
        return Message(data[record.start : record.start + record.length]).message(_CONTEXT).text(_NAME)
    except CloudError as error:
        raise CloudError(f"{path}: the frame at byte {record.start}: {error}") from None


def find_frames(path: Path) -> list[V1Frame]:
    """The frames of a file in its order; camera images and range images are skipped, not read.

    Raises:
        CloudError: the file is missing, cut off or damaged.
    """
    data = map_file(path)
    frames = []
    for record in find_records(path, data):
        try:
            frame = Message(data[record.start : record.start + record.length])
            top = _top(frame)
            has_labels = top is not None and top.message(_FIRST).has(_LABELS)
            segment = frame.message(_CONTEXT).text(_NAME)
            frames.append(V1Frame(str(path), record, segment, frame.integer(_STAMP), has_labels))
        except CloudError as error:
            raise CloudError(f"{path}: the frame at byte {record.start}: {error}") from None
    return frames


def read_frame(frame: V1Frame, returns: int, *, check: bool = True) -> TopFrame:
    """The TOP LiDAR of a frame.

    Args:
        frame: where it is.
        returns: 1 for the first returns only, 2 for both.
        check: hold the record against its checksum.

    Raises:
        CloudError: the file is missing, cut off or damaged.
    """
    payload = read_record(Path(frame.path), frame.record, check=check)
    try:
        return _decode(Message(payload), returns)
    except CloudError as error:
        raise CloudError(f"{frame.path}: the frame at byte {frame.record.start}: {error}") from None


def _decode(frame: Message, returns: int) -> TopFrame:
    top = _top(frame)
    first = None if top is None else top.message(_FIRST)
    if top is None or first is None or not first.has(_RANGES):
        raise CloudError("no range image of the TOP LiDAR; it is not a whole frame")
    images = [first, top.message(_SECOND)][:returns]
    images = [image for image in images if image.has(_RANGES)]
    calibrations = frame.message(_CONTEXT).messages(_CALIBRATIONS)
    calibration = next((each for each in calibrations if each.integer(1) == TOP), None)
    if calibration is None:
        raise CloudError("no calibration of the TOP LiDAR")
    ranges = tuple(_floats(image, _RANGES) for image in images)
    return TopFrame(
        returns=ranges,
        labels=tuple(_integers(image, _LABELS) if image.has(_LABELS) else None for image in images),
        pixel_pose=_floats(first, _PIXEL_POSE) if first.has(_PIXEL_POSE) else None,
        vehicle_pose=vehicle_pose(frame),
        extrinsic=_transform(calibration.message(_EXTRINSIC), "extrinsic"),
        inclinations=beam_inclinations(
            calibration.doubles(_INCLINATIONS),
            calibration.double(_LOWEST),
            calibration.double(_HIGHEST),
            ranges[0].shape[0],
        ),
    )


def vehicle_pose(frame: Message) -> npt.NDArray[np.float64]:
    """(4, 4), vehicle to world at a frame; raises CloudError where it is missing or damaged."""
    return _transform(frame.message(_POSE), "vehicle pose")


def _top(frame: Message) -> Message | None:
    return next((laser for laser in frame.messages(_LASERS) if laser.integer(1) == TOP), None)


def _transform(message: Message, what: str) -> npt.NDArray[np.float64]:
    values = message.doubles(1)
    if len(values) != 16 or not np.isfinite(values).all():
        raise CloudError(f"{what} of {len(values)} numbers, expected 16 finite ones")
    return values.reshape(4, 4)


def _floats(image: Message, number: int) -> npt.NDArray[np.float32]:
    matrix = _inflate(image, number)
    values = matrix.floats(1)
    return values.reshape(_shape(matrix, len(values)))


def _integers(image: Message, number: int) -> npt.NDArray[np.int32]:
    matrix = _inflate(image, number)
    values = matrix.integers(1)
    return values.astype(np.int32).reshape(_shape(matrix, len(values)))


def _inflate(image: Message, number: int) -> Message:
    """The MatrixFloat or MatrixInt32 of a field of a RangeImage."""
    try:
        return Message(zlib.decompress(image.data(number)))
    except zlib.error as error:
        raise CloudError(f"range image field {number} does not inflate ({error}); copy the file again") from None


def _shape(matrix: Message, count: int) -> tuple[int, ...]:
    shape = tuple(matrix.message(2).integers(1).tolist())
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) != count:
        raise CloudError(f"a range image of shape {shape} has {count} numbers; it is damaged")
    return shape
