# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes of sensor_msgs/PointCloud2 to columns and back, without ROS.

A message is anything with the attributes of the ROS type, or a `RawCloud`. What an encoder returns can be assigned to
`message.data` as it is: `array("B")` is the only type that rclpy takes without a walk over all bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud, usable_points
from srkd.errors import CloudError
from srkd.io.columns import INTENSITY_NAMES, cloud_from_columns
from srkd.io.message_layout import Field, MessageReader, PointCloud2Like, RawCloud

__all__ = [
    "COLORED_FIELDS",
    "COLORED_POINT_STEP",
    "LABELLED_FIELDS",
    "LABELLED_POINT_STEP",
    "Decoded",
    "Field",
    "PointCloud2Like",
    "RawCloud",
    "decode",
    "encode_colored",
    "encode_labelled",
    "read_fields",
    "select_points",
]

_UINT8, _FLOAT32 = 2, 7

LABELLED_FIELDS = (
    Field("x", 0, _FLOAT32),
    Field("y", 4, _FLOAT32),
    Field("z", 8, _FLOAT32),
    Field("class_id", 12, _UINT8),
    Field("probability", 16, _FLOAT32),
    Field("entropy", 20, _FLOAT32),
)
"""The labelled point, byte-compatible with Autoware's PointXYZCPE; bytes 13 to 15 are zero."""
LABELLED_POINT_STEP = 24
COLORED_FIELDS = (*LABELLED_FIELDS[:3], Field("rgb", 12, _FLOAT32))
"""The coloured point of RViz: red, green and blue packed into the low 24 bits of a float's bytes."""
COLORED_POINT_STEP = 16


@dataclass(frozen=True, eq=False)
class Decoded:
    """A message as a `Cloud`, one point per input point in input order.

    Args:
        cloud: xyz, and intensity, ring, color and normal where the message has them.
        height, width: of the message; `height * width == len(cloud)`.
        intensity_field: the field that `cloud.intensity` is from, or None.
    """

    cloud: Cloud
    height: int
    width: int
    intensity_field: str | None

    @cached_property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: finite, |coordinate| < 10 km and not exactly (0, 0, 0); `is_dense` is not trusted."""
        return usable_points(self.cloud.xyz)


def decode(message: PointCloud2Like, *, intensity_field: str = "", max_points: int | None = None) -> Decoded:
    """Decodes a message by field names.

    Intensity is the field `intensity`, or `reflectivity` where that is absent or zero throughout (Ouster does so).
    Ring is `ring`, `channel` or `line`. Packed `rgb` or `rgba` becomes color, `normal_x` and so on become normal; where
    these cannot be read (a colour of 8 bytes, say) the cloud has none.

    Args:
        message: it is not changed.
        intensity_field: the field that intensity is from instead; it must be there.
        max_points: messages that claim more are refused.

    Raises:
        CloudError: x, y, z or the intensity field is missing, or sizes, offsets, counts or types contradict each other
            or the data, or there are too many points.
    """
    reader = MessageReader(message, max_points)
    chosen = intensity_field if reader.size else ""
    if chosen:
        reader.need(chosen)
    needed = (*INTENSITY_NAMES, chosen)
    names = [name for name, column in reader.layout.columns.items() if name in needed or not column.problem]
    cloud, source = cloud_from_columns(names, reader.column, reader.xyz(), intensity=chosen)
    return Decoded(cloud, reader.height, reader.width, source)


def read_fields(message: PointCloud2Like, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The named fields as new (N,) arrays of their own types, e.g. class_id and probability of a labelled cloud.

    Raises:
        CloudError: a field is missing, or as for `decode`.
    """
    reader = MessageReader(message)
    reader.need(*names)
    return {name: reader.column(name) for name in names}


def select_points(message: PointCloud2Like, mask: npt.NDArray[np.bool_]) -> array[int]:
    """The bytes of the points where mask (N,) is true, `point_step` each, for a message of height 1 of the same fields.

    Raises:
        CloudError: the mask has another length, or as for `decode`.
    """
    reader = MessageReader(message)
    if mask.shape != (reader.size,) or mask.dtype != np.bool_:
        raise CloudError(f"mask: {mask.dtype} {mask.shape}, expected bool ({reader.size},)")
    if not reader.size:
        return array("B")
    points = reader.view(0, np.dtype(f"V{reader.point_step}"))
    data = array("B")
    data.frombytes(points[mask.reshape(points.shape)].view(np.uint8).data)
    return data


def encode_labelled(xyz: npt.NDArray[np.float32], labels: Any) -> array[int]:
    """The data of N labelled points of `LABELLED_FIELDS`, to be assigned to a message as it is.

    Args:
        xyz: (N, 3) float32.
        labels: an object with class_id (N,) uint8, probability (N,) float32 and entropy (N,) float32.

    Raises:
        CloudError: an array has another length or dtype.
    """
    data = _new_points(xyz, LABELLED_POINT_STEP)
    columns = (("class_id", np.uint8, 12), ("probability", np.float32, 16), ("entropy", np.float32, 20))
    for name, dtype, offset in columns:
        column = getattr(labels, name)
        if column.shape != (len(xyz),) or column.dtype != dtype:
            raise CloudError(f"{name}: {column.dtype} {column.shape}, expected {np.dtype(dtype).name} ({len(xyz)},)")
        _write(data, column, LABELLED_POINT_STEP, offset)
    return data


def encode_colored(xyz: npt.NDArray[np.float32], rgb: npt.NDArray[np.uint8]) -> array[int]:
    """The data of N coloured points of `COLORED_FIELDS`; xyz (N, 3) float32, rgb (N, 3) uint8.

    Raises:
        CloudError: an array has another length or dtype.
    """
    data = _new_points(xyz, COLORED_POINT_STEP)
    if rgb.shape != xyz.shape or rgb.dtype != np.uint8:
        raise CloudError(f"rgb: {rgb.dtype} {rgb.shape}, expected uint8 {xyz.shape}")
    wide = rgb.astype("<u4")
    _write(data, wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2], COLORED_POINT_STEP, 12)
    return data


def _new_points(xyz: npt.NDArray[np.float32], point_step: int) -> array[int]:
    if xyz.ndim != 2 or xyz.shape[1] != 3 or xyz.dtype != np.float32:
        raise CloudError(f"xyz: {xyz.dtype} {xyz.shape}, expected float32 (N, 3)")
    data = array("B", [0]) * (point_step * len(xyz))
    _write(data, np.ascontiguousarray(xyz, "<f4").view("V12").reshape(-1), point_step, 0)
    return data


def _write(data: array[int], column: npt.NDArray[Any], point_step: int, offset: int) -> None:
    if len(column):
        little = column.dtype.newbyteorder("<")
        np.ndarray(column.shape, little, data, offset, (point_step,))[...] = column
