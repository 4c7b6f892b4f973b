# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Waymo Open Dataset 2.0.x: a Parquet file a component and segment, `lidar/SEGMENT.parquet` and so on.

Only pyarrow is needed. Source of the columns: waymo-open-dataset, v2/perception/*.py. A file is compressed in parts of
many rows (row groups), which are read from their start to the wanted row: see waymo-open-dataset#841 for files written
anew with few rows each, which are read faster.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError, ConfigError
from srkd_train.data.waymo.range_image import TOP, TopFrame, beam_inclinations

COMPONENTS = ("lidar", "lidar_calibration", "lidar_pose", "vehicle_pose")
"""Folders that every frame needs; a labelled one needs LABELS too."""
LABELS = "lidar_segmentation"
_SEGMENT, _STAMP, _LASER = "key.segment_context_name", "key.frame_timestamp_micros", "key.laser_name"
_RANGE_IMAGE, _LABEL_IMAGE = (
    "[LiDARComponent].range_image_return",
    "[LiDARSegmentationLabelComponent].range_image_return",
)
_PIXEL_POSE = "[LiDARPoseComponent].range_image_return1"
_CALIBRATION, _VEHICLE_POSE = "[LiDARCalibrationComponent].", "[VehiclePoseComponent].world_from_vehicle.transform"


@dataclass(frozen=True)
class V2Frame:
    """Where a frame is."""

    folder: str
    """The split's, which holds the components."""
    segment: str
    stamp_us: int
    has_labels: bool

    def path(self, component: str) -> Path:
        """The file of one component."""
        return Path(self.folder, component, f"{self.segment}.parquet")


def find_frames(folder: Path, segment: str, *, labelled: bool) -> list[V2Frame]:
    """The frames of a segment in order of time: those with labels, or all.

    Raises:
        CloudError: the file is missing or damaged.
        ConfigError: pyarrow is not installed.
    """
    path = folder / LABELS / f"{segment}.parquet"
    with_labels = _places(str(path)) if labelled or path.exists() else {}
    stamps = with_labels if labelled else _places(str(folder / "lidar" / path.name))
    return [V2Frame(str(folder), segment, stamp, stamp in with_labels) for stamp in sorted(stamps)]


def read_frame(frame: V2Frame, returns: int) -> TopFrame:
    """The TOP LiDAR of a frame; `returns` is 1 for the first returns only, 2 for both.

    Raises:
        CloudError: a component is missing, damaged, or lacks the frame.
        ConfigError: pyarrow is not installed.
    """
    with ExitStack() as stack:
        return _read_frame(frame, returns, _Images(stack))


def read_frames(frames: Iterable[V2Frame], returns: int) -> Iterator[TopFrame]:
    """The TOP LiDAR of frames of one segment, one by one; those in the order of its files cost one pass over them.

    Raises:
        CloudError, ConfigError: as `read_frame`.
    """
    with ExitStack() as stack:
        images = _Images(stack)
        for frame in frames:
            yield _read_frame(frame, returns, images)


def _read_frame(frame: V2Frame, returns: int, reader: _Images) -> TopFrame:
    wanted = [str(number) for number in range(1, returns + 1)]
    images = reader.read(frame, "lidar", [_RANGE_IMAGE + number for number in wanted], np.float32)
    if frame.has_labels:
        labels = reader.read(frame, LABELS, [_LABEL_IMAGE + number for number in wanted], np.int32)
    else:
        labels = [None] * len(images)
    both = [(image, label) for image, label in zip(images, labels, strict=True) if image is not None]
    (pixel_pose,) = reader.read(frame, "lidar_pose", [_PIXEL_POSE], np.float32)
    if not both or images[0] is None:
        raise CloudError(f"{frame.path('lidar')}: no first return of the TOP LiDAR at {frame.stamp_us}; it is damaged")
    calibration = _small_row(frame, "lidar_calibration", _LASER, TOP)
    try:
        return TopFrame(
            returns=tuple(image for image, _ in both),
            labels=tuple(label for _, label in both),
            pixel_pose=pixel_pose,
            vehicle_pose=vehicle_pose(frame),
            extrinsic=_transform(calibration.get(f"{_CALIBRATION}extrinsic.transform"), "extrinsic"),
            inclinations=beam_inclinations(
                np.array(calibration.get(f"{_CALIBRATION}beam_inclination.values") or (), np.float64),
                _number(calibration.get(f"{_CALIBRATION}beam_inclination.min")),
                _number(calibration.get(f"{_CALIBRATION}beam_inclination.max")),
                both[0][0].shape[0],
            ),
        )
    except CloudError as error:
        raise CloudError(f"{frame.folder}, segment {frame.segment} at {frame.stamp_us}: {error}") from None


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """A pyarrow ParquetFile; what goes wrong with it is one line."""
    with _one_line(path):
        import pyarrow.parquet

        # No read-ahead: of a column of hundreds of megabytes a few rows are wanted.
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            yield file


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        import pyarrow
    except ImportError:
        raise ConfigError("Waymo 2.0.x needs pyarrow, which is not installed: pip install 'srkd_ros[waymo]'") from None
    try:
        yield
    except FileNotFoundError:
        raise CloudError(f"{path}: missing; every component needs its file of every segment") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise CloudError(f"{path}: no Parquet file ({' '.join(str(error).split())[:80]}); copy it again") from None


@functools.lru_cache(maxsize=256)
def _places(path: str) -> dict[int, tuple[int, int]]:
    """Row group, and row in it, of the TOP LiDAR's rows of a file by frame time in microseconds."""
    places: dict[int, tuple[int, int]] = {}
    with _open(Path(path)) as file:
        _require(path, file.schema_arrow.names, [_STAMP, _LASER])
        for group in range(file.num_row_groups):
            keys = file.read_row_group(group, columns=[_STAMP, _LASER], use_threads=False)
            stamps, lasers = keys[_STAMP].to_numpy(), keys[_LASER].to_numpy()
            places.update((int(stamps[row]), (group, int(row))) for row in np.flatnonzero(lasers == TOP))
    return places


class _Images:
    """The range images of rows. Files stay open, each at the row it was last read to: going on costs what is new.

    Args:
        stack: closes the files.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._files: dict[tuple[Path, tuple[str, ...]], Any] = {}
        self._next: dict[tuple[Path, tuple[str, ...]], tuple[int, int, Any]] = {}

    def read(self, frame: V2Frame, component: str, columns: Sequence[str], dtype: Any) -> list[Any]:
        """The images of one row, (H, W, channels) each, None where a return is not there."""
        path = frame.path(component)
        place = _places(str(path)).get(frame.stamp_us)
        if place is None:
            raise CloudError(f"{path}: no row of the TOP LiDAR at {frame.stamp_us}; it does not belong to the others")
        names = tuple(f"{column}.{part}" for column in columns for part in ("values", "shape"))
        with _one_line(path):
            batch = self._row(path, names, *place)
            parts = {name: batch.column(name)[0].values for name in names}
        return [_shaped(path, parts[f"{each}.values"], parts[f"{each}.shape"], dtype) for each in columns]

    def _row(self, path: Path, names: tuple[str, ...], group: int, row: int) -> Any:
        key = path, names
        if key not in self._files:
            self._files[key] = file = self._stack.enter_context(_open(path))
            _require(str(path), file.schema_arrow.names, names)
        at_group, at_row, batches = self._next.get(key, (-1, 0, None))
        if at_group != group or at_row > row:
            batches = self._files[key].iter_batches(
                batch_size=1, row_groups=[group], columns=list(names), use_threads=False
            )
            at_row = 0
        self._next[key] = group, row + 1, batches
        return next(islice(batches, row - at_row, None))


def _shaped(path: Path, values: Any, shape: Any, dtype: Any) -> Any:
    if values is None or shape is None or len(values) == 0:
        return None
    size = tuple(shape.to_pylist())
    if math.prod(size) != len(values) or values.null_count:
        raise CloudError(f"{path}: a range image of shape {size} has {len(values)} numbers; it is damaged")
    return values.to_numpy(zero_copy_only=False).astype(dtype, copy=False).reshape(size)


def vehicle_pose(frame: V2Frame) -> npt.NDArray[np.float64]:
    """(4, 4), vehicle to world at a frame; raises CloudError where it is missing or damaged."""
    row = _small_row(frame, "vehicle_pose", _STAMP, frame.stamp_us)
    return _transform(row.get(_VEHICLE_POSE), "vehicle pose")


@functools.lru_cache(maxsize=64)
def small_table(path: str) -> list[dict[str, Any]]:
    """A component of few and short rows, whole; raises CloudError or ConfigError where it cannot be read."""
    with _open(Path(path)) as file:
        rows: list[dict[str, Any]] = file.read(use_threads=False).to_pylist()
        return rows


def _small_row(frame: V2Frame, component: str, key: str, value: int) -> dict[str, Any]:
    path = frame.path(component)
    row = next((row for row in small_table(str(path)) if row.get(key) == value), None)
    if row is None:
        raise CloudError(f"{path}: no row of {key} {value}; it does not belong to the others")
    return row


def _require(path: str, found: Sequence[str], needed: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in found]:
        raise CloudError(f"{path}: no column {missing[0]}; it is of another component or release")


def _transform(values: Any, what: str) -> npt.NDArray[np.float64]:
    if values is None or len(values) != 16 or not np.isfinite(matrix := np.array(values, np.float64)).all():
        raise CloudError(f"{what}: expected 16 finite numbers; it is damaged")
    return matrix.reshape(4, 4)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
