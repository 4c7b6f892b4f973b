# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One point cloud in memory: what every reader returns and every network's input is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError

MAX_COORDINATE_M = 1e4
"""Coordinates of this size and beyond are no measurements; they would also overflow voxel indices."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of one sweep or scan, column by column, in the order they were read.

    Args:
        xyz: (N, 3) float32, metres, sensor frame. Not-finite rows are allowed: they mark no-returns.
        intensity: (N,) float32 in the sensor's own unit, or None.
        color: (N, 3) uint8 red, green, blue, or None.
        normal: (N, 3) float32 unit normals, or None.
        ring: (N,) integer laser index, or None.

    Raises:
        CloudError: a column has another length, shape or dtype.
    """

    xyz: npt.NDArray[np.float32]
    intensity: npt.NDArray[np.float32] | None = None
    color: npt.NDArray[np.uint8] | None = None
    normal: npt.NDArray[np.float32] | None = None
    ring: npt.NDArray[Any] | None = None

    def __post_init__(self) -> None:
        _check("xyz", self.xyz, columns=3, dtype=np.float32)
        count = len(self.xyz)
        _check("intensity", self.intensity, count=count, dtype=np.float32)
        _check("color", self.color, count=count, columns=3, dtype=np.uint8)
        _check("normal", self.normal, count=count, columns=3, dtype=np.float32)
        _check("ring", self.ring, count=count, dtype=np.integer)

    def __len__(self) -> int:
        return len(self.xyz)

    @classmethod
    def from_array(cls, points: npt.ArrayLike) -> Cloud:
        """Takes (N, >=3) numbers as x, y, z and, where there is a fourth column, intensity; more are dropped.

        Raises:
            CloudError: not a two-dimensional numeric array with at least 3 columns.
        """
        array = np.asarray(points)
        if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
            raise CloudError(
                f"points: shape {array.shape} of {array.dtype}, expected numbers of shape (N, 3) or (N, 4); "
                "give one row a point: x y z [intensity]"
            )
        xyz = array[:, :3].astype(np.float32, copy=False)
        intensity = array[:, 3].astype(np.float32, copy=False) if array.shape[1] > 3 else None
        return cls(xyz, intensity)

    def select(self, index: npt.NDArray[Any] | slice) -> Cloud:
        """The points of an index array, boolean mask or slice, in its order, with every column."""
        return Cloud(
            self.xyz[index],
            None if self.intensity is None else self.intensity[index],
            None if self.color is None else self.color[index],
            None if self.normal is None else self.normal[index],
            None if self.ring is None else self.ring[index],
        )


def usable_points(xyz: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which of the (N, 3) points are measurements: finite, |coordinate| < 10 km, and not exactly (0, 0, 0).

    Every comparison is false for NaN, so not-finite points need no test of their own. Returns (N,) bool.
    """
    columns = np.ascontiguousarray(xyz.T)
    small = np.abs(columns) < MAX_COORDINATE_M
    nonzero = columns != 0
    return np.asarray((small[0] & small[1] & small[2]) & (nonzero[0] | nonzero[1] | nonzero[2]))


def _check(name: str, value: Any, *, dtype: Any, count: int | None = None, columns: int | None = None) -> None:
    if value is None and name != "xyz":
        return
    length = "N" if count is None else str(count)
    expected = f"({length}, {columns})" if columns else f"({length},)"
    wanted = "an integer type" if dtype is np.integer else np.dtype(dtype).name
    if not isinstance(value, np.ndarray):
        raise CloudError(f"{name}: {type(value).__name__}, expected a numpy array {expected} of {wanted}")
    shape_ok = value.ndim == (2 if columns else 1) and (not columns or value.shape[1] == columns)
    if not shape_ok or (count is not None and len(value) != count):
        raise CloudError(f"{name}: shape {value.shape}, expected {expected}; every column needs one row a point")
    dtype_ok = np.issubdtype(value.dtype, np.integer) if dtype is np.integer else value.dtype == dtype
    if not dtype_ok:
        raise CloudError(f"{name}: dtype {value.dtype}, expected {wanted}; convert it with .astype")
