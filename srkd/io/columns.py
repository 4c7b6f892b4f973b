# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Named columns to a `Cloud`: the one place that knows what drivers and file writers call things."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.errors import CloudError

Array = npt.NDArray[Any]

INTENSITY_NAMES = ("intensity", "remission", "scalar_Intensity", "scalar_intensity", "reflectivity")
_FALLBACK = "reflectivity"
_RING_NAMES = ("ring", "channel", "line")
_PACKED_COLOR_NAMES = ("rgb", "rgba")
_COLOR_NAMES = (("red", "green", "blue"), ("r", "g", "b"))
_NORMAL_NAMES = (("normal_x", "normal_y", "normal_z"), ("nx", "ny", "nz"))


def cloud_from_columns(
    names: Collection[str],
    column: Callable[[str], Array],
    xyz: npt.NDArray[np.float32] | None = None,
    *,
    intensity: str = "",
) -> tuple[Cloud, str | None]:
    """Builds a cloud from the columns it recognises; others are never asked for.

    Intensity is the first of `INTENSITY_NAMES`, or `reflectivity` if that is zero throughout (as Ouster may send it).

    Args:
        names: names of all columns.
        column: gives the (N,) native array of a name.
        xyz: (N, 3) float32 where the caller has it already.
        intensity: the column, of those in `names`, that intensity is from instead.

    Returns:
        The cloud, and the name of the column its intensity is from, or None.

    Raises:
        CloudError: x, y or z is missing.
    """
    if missing := [axis for axis in "xyz" if axis not in names]:
        found = " ".join(names)[:200] or "(none)"
        raise CloudError(f"columns {found}: no {' '.join(missing)}; x, y and z are needed")

    def stack(parts: tuple[str, ...], convert: Callable[[Array], Array]) -> Array:
        return np.stack([convert(column(name)) for name in parts], axis=1)

    def first(choices: tuple[Any, ...]) -> Any:
        return next((c for c in choices if all(name in names for name in ([c] if isinstance(c, str) else c))), None)

    source = intensity or first(INTENSITY_NAMES)
    values = None if source is None else as_float(column(source))
    if values is not None and not intensity and _FALLBACK in names and len(values) and not (np.abs(values) > 0).any():
        source = _FALLBACK
        values = as_float(column(source))
    packed, parts, normal, ring = map(first, (_PACKED_COLOR_NAMES, _COLOR_NAMES, _NORMAL_NAMES, _RING_NAMES))
    color = None if packed is None else _unpack_color(column(packed))
    if color is None and parts is not None:
        color = stack(parts, _as_color)
    cloud = Cloud(
        stack(("x", "y", "z"), as_float) if xyz is None else xyz,
        intensity=values,
        color=color,
        normal=None if normal is None else stack(normal, as_float),
        ring=None if ring is None else as_integer(column(ring)),
    )
    return cloud, source


def as_float(column: Array) -> npt.NDArray[np.float32]:
    """(N,) float32; what is beyond float32 becomes infinite, quietly."""
    with np.errstate(over="ignore", invalid="ignore"):
        return column.astype(np.float32, copy=False)


def as_integer(column: Array) -> Array:
    """(N,) integers; floats are cut to -1 to 65535, not-finite ones become -1."""
    if column.dtype.kind in "iu":
        return column
    finite = np.nan_to_num(column, nan=-1, posinf=-1, neginf=-1)
    return np.clip(finite, -1, 65535).astype(np.int32)


def _unpack_color(packed: Array) -> npt.NDArray[np.uint8] | None:
    """(N, 3) uint8 of 32 bits that hold blue, green, red from the lowest byte up, be they declared float or integer.

    None where a value has not 32 bits: it may hold anything.
    """
    if packed.dtype.itemsize != 4:
        return None
    value = np.ascontiguousarray(packed).view(np.uint32)
    return np.stack([value >> 16 & 255, value >> 8 & 255, value & 255], axis=1).astype(np.uint8)


def _as_color(column: Array) -> npt.NDArray[np.uint8]:
    """(N,) uint8; 16-bit colours are halved in bits, floats are 0 to 1 if none is above 1, else 0 to 255."""
    if column.dtype == np.uint16:
        return (column >> 8).astype(np.uint8)
    if column.dtype.kind == "f":
        column = np.nan_to_num(column, nan=0, posinf=0, neginf=0)
        column = np.rint(column.clip(0, 1) * 255 if len(column) and column.max() <= 1 else column)
    return np.clip(column, 0, 255).astype(np.uint8)
