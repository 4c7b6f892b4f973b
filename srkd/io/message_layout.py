# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The layout of a sensor_msgs/PointCloud2: checked once, cached, and applied to each message as strided views.

Fields are found by name at their own offsets, so unaligned points (22 or 26 bytes), padding, padded rows, organised
clouds and big-endian data need no special case. Each message costs constant-time checks before the first allocation,
and all allocations are bounded by `len(data)`. The data of a message is read, never changed.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.io.columns import as_float

_NUMPY_OF_DATATYPE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


@dataclass(frozen=True)
class Field:
    """One sensor_msgs/PointField."""

    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass(frozen=True)
class RawCloud:
    """The parts of a PointCloud2 message that matter here, for callers without ROS."""

    height: int
    width: int
    fields: Sequence[Field]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Any


class PointCloud2Like(Protocol):
    """What is read of a message; `data` is any contiguous buffer of bytes."""

    @property
    def height(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def fields(self) -> Sequence[Any]: ...
    @property
    def is_bigendian(self) -> bool: ...
    @property
    def point_step(self) -> int: ...
    @property
    def row_step(self) -> int: ...
    @property
    def data(self) -> Any: ...


class Layout(NamedTuple):
    """Where the fields of a point are."""

    columns: dict[str, tuple[int, np.dtype[Any], int]]  # name -> offset, dtype, count
    xyz_packed: bool  # x y z are three consecutive float32


@lru_cache(maxsize=64)
def plan_layout(fields: tuple[tuple[str, int, int, int], ...], point_step: int, is_bigendian: bool) -> Layout:
    """Checks the fields of a point and finds their places.

    Raises:
        CloudError: a field is unknown in type, empty, doubled, or beyond the point; or x, y or z is missing.
    """
    order = ">" if is_bigendian else "<"
    columns: dict[str, tuple[int, np.dtype[Any], int]] = {}
    for name, offset, datatype, count in fields:
        if datatype not in _NUMPY_OF_DATATYPE:
            raise CloudError(f"field {name!r}: datatype {datatype} is unknown, expected 1 (int8) to 8 (float64)")
        if count < 1:
            raise CloudError(f"field {name!r}: count {count}, expected at least 1; the driver must set it")
        if name in columns:
            raise CloudError(f"field {name!r}: appears twice; names must be unique")
        dtype = np.dtype(order + _NUMPY_OF_DATATYPE[datatype])
        if offset < 0 or offset + dtype.itemsize * count > point_step:
            raise CloudError(
                f"field {name!r}: bytes {offset} to {offset + dtype.itemsize * count} of a point, expected to end by "
                f"point_step {point_step}"
            )
        columns[name] = (offset, dtype, count)
    if missing := [axis for axis in "xyz" if axis not in columns]:
        raise CloudError(f"fields {' '.join(columns)[:200] or '(none)'}: no {' '.join(missing)}; x, y and z are needed")
    offsets = [columns[axis][0] for axis in "xyz"]
    floats = all(columns[axis][1:] == (np.dtype(order + "f4"), 1) for axis in "xyz")
    return Layout(columns, floats and offsets[1] == offsets[0] + 4 and offsets[2] == offsets[0] + 8)


class MessageReader:
    """A checked message: its layout and strided views of its columns.

    Raises:
        CloudError: an attribute is missing or of a wrong type, or sizes contradict each other or the data.
    """

    def __init__(self, message: PointCloud2Like) -> None:
        try:
            self.height, self.width = operator.index(message.height), operator.index(message.width)
            self.point_step, self.row_step = operator.index(message.point_step), operator.index(message.row_step)
            fields = tuple(
                (str(f.name), operator.index(f.offset), operator.index(f.datatype), operator.index(f.count))
                for f in message.fields
            )
            self.data = memoryview(message.data)
        except (TypeError, AttributeError) as error:
            raise CloudError(f"message: {error}; expected the attributes of sensor_msgs/PointCloud2") from None
        self.layout = plan_layout(fields, self.point_step, bool(message.is_bigendian))
        if self.height < 0 or self.width < 0:
            raise CloudError(f"height {self.height} width {self.width}: expected no negative size")
        if self.row_step < self.width * self.point_step:
            raise CloudError(f"row_step {self.row_step}: less than width {self.width} x point_step {self.point_step}")
        if self.height * self.row_step != self.data.nbytes:
            raise CloudError(
                f"data: {self.data.nbytes} bytes, expected height {self.height} x row_step {self.row_step} = "
                f"{self.height * self.row_step}"
            )
        if not self.data.c_contiguous:
            raise CloudError("data: not contiguous, expected bytes, array('B') or a contiguous buffer")

    def __len__(self) -> int:
        return self.height * self.width

    def view(self, offset: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """The values at an offset of every point, (height, width) or empty, without a copy."""
        if not len(self):
            return np.empty((0, 0), dtype)
        return np.ndarray((self.height, self.width), dtype, self.data, offset, (self.row_step, self.point_step))

    def has(self, *names: str) -> bool:
        """Whether all fields of these names are there."""
        return all(name in self.layout.columns for name in names)

    def column(self, name: str) -> npt.NDArray[Any]:
        """A field as a new native (N,) array of its own type."""
        offset, own, count = self.layout.columns[name]
        if count != 1:
            raise CloudError(f"field {name!r}: {count} values a point, expected 1")
        return self.view(offset, own).astype(own.newbyteorder("="), order="C").reshape(-1)

    def xyz(self) -> npt.NDArray[np.float32]:
        """Coordinates as a new (N, 3) array, whatever their type in the message."""
        if not self.layout.xyz_packed:
            return np.stack([as_float(self.column(axis)) for axis in "xyz"], axis=1)
        offset, dtype, _ = self.layout.columns["x"]
        points = self.view(offset, np.dtype("V12")).copy()  # 12 bytes at a time: up to 3x faster
        return points.view(dtype).reshape(-1, 3).astype(np.float32, copy=False)
