# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PLY files: ascii and binary of either byte order, vertex properties by name; coloured clouds are written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.errors import CloudError
from srkd.io.atomic import write_atomic
from srkd.io.columns import Array, cloud_from_columns
from srkd.io.ply_header import Element, read_header


def read_ply(path: str | os.PathLike[str]) -> Cloud:
    """Reads the vertices of a PLY file: x y z, and where present intensity, red green blue, nx ny nz, ring.

    Raises:
        CloudError: the file is missing, cut off, damaged, or has no x, y and z; the message starts with the path.
    """
    columns = read_ply_columns(path)
    try:
        return cloud_from_columns(columns, columns.__getitem__)[0]
    except CloudError as error:
        raise CloudError(f"{path}: {error}") from None


def read_ply_columns(path: str | os.PathLike[str]) -> dict[str, Array]:
    """All scalar vertex properties of a PLY file by name, e.g. `label` of ScanNet's `*.labels.ply`. List properties are
    skipped.

    Raises:
        CloudError: the file is missing, cut off or damaged; the message starts with the path.
    """
    try:
        data = Path(path).read_bytes()
        header = read_header(data)
        if header.is_ascii:
            return native_columns(read_ascii_rows(header.until("vertex"), data, header.start))
        at = header.start
        for element in header.until("vertex"):
            vertices, at = read_binary_rows(element, data, at)
        return native_columns(vertices)
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); give the path of a .ply file") from None
    except CloudError as error:
        raise CloudError(f"{path}: {error}") from None


def write_colored_ply(
    path: str | os.PathLike[str],
    xyz: npt.NDArray[np.float32],
    rgb: npt.NDArray[np.uint8],
    class_id: npt.NDArray[np.uint8],
) -> None:
    """Writes a binary little-endian PLY, in full or not at all: x y z float, red green blue class_id uchar.

    Args:
        path: where to; an existing file is replaced.
        xyz: (N, 3) float32.
        rgb: (N, 3) uint8, e.g. `scheme.palette()[class_id]`.
        class_id: (N,) uint8.

    Raises:
        CloudError: the arrays do not match.
        OSError: the file cannot be written.
    """
    count = len(xyz)
    if xyz.shape != (count, 3) or rgb.shape != (count, 3) or class_id.shape != (count,):
        raise CloudError(f"xyz {xyz.shape} rgb {rgb.shape} class_id {class_id.shape}, expected (N, 3) (N, 3) (N,)")
    kinds = (*(("float", axis) for axis in "xyz"), *(("uchar", name) for name in ("red", "green", "blue", "class_id")))
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n"
        + "".join(f"property {kind} {name}\n" for kind, name in kinds)
        + "end_header\n"
    )
    rows = np.empty(count, [("xyz", "<f4", 3), ("rgb", "u1", 3), ("class_id", "u1")])
    rows["xyz"], rows["rgb"], rows["class_id"] = xyz, rgb, class_id
    write_atomic(path, (header.encode(), rows.tobytes()))


def native_columns(rows: Array) -> dict[str, Array]:
    """(N,) structured rows as columns in the byte order of this machine."""
    return {name: rows[name].astype(rows[name].dtype.newbyteorder("=")) for name in rows.dtype.names or ()}


def read_binary_rows(element: Element, data: bytes, at: int) -> tuple[Array, int]:
    """The scalars of an element whose rows start at `at`, (N,) structured, and the end of its rows.

    Raises:
        CloudError: the file ends before the rows do, or a list is damaged.
    """
    if element.has_lists:
        return _walk_lists(element, data, at)
    needed = element.rows * element.scalars.itemsize
    if len(data) - at < needed:
        raise CloudError(
            f"{element.name[:40]}: {len(data) - at} bytes, expected {element.rows} x {element.scalars.itemsize} = "
            f"{needed}; the file is cut off"
        )
    rows = np.frombuffer(data, element.scalars, element.rows, at) if needed else np.empty(0, element.scalars)
    return rows, at + needed


def _walk_lists(element: Element, data: bytes, at: int) -> tuple[Array, int]:
    """Steps through rows of varying length; returns their scalars and the end. A list takes a byte at least, so the
    size of the data bounds the steps."""
    kept = bytearray()
    for _ in range(element.rows):
        for name, dtype, length_type in element.properties:
            if length_type is None:
                kept += data[at : at + dtype.itemsize]
                at += dtype.itemsize
            else:
                raw = data[at : at + length_type.itemsize]
                signed = length_type.kind == "i"
                length = int.from_bytes(raw, "big" if length_type.str[0] == ">" else "little", signed=signed)
                if length < 0:
                    raise CloudError(f"{element.name[:40]}: list {name[:40]} of length {length}; the file is damaged")
                at += length_type.itemsize + length * dtype.itemsize
        if at > len(data):
            raise CloudError(f"{element.name[:40]}: ends within its rows, expected {element.rows}; the file is cut off")
    return np.frombuffer(bytes(kept), element.scalars) if kept else np.empty(0, element.scalars), at


def ascii_lines(elements: Sequence[Element], data: bytes, at: int) -> list[bytes]:
    """The lines of the last element, one a row.

    Raises:
        CloudError: there are fewer.
    """
    lines = [line for line in data[at:].splitlines() if line.strip()]
    last = elements[-1]
    skip = sum(element.rows for element in elements[:-1] if element.properties)
    if len(lines) - skip < last.rows:
        left = max(len(lines) - skip, 0)
        raise CloudError(f"{last.name[:40]}: {left} lines, expected {last.rows}; the file is cut off")
    return lines[skip : skip + last.rows]


def read_ascii_rows(elements: Sequence[Element], data: bytes, at: int) -> Array:
    """The scalars of the last element, the vertices, (N,) structured.

    Raises:
        CloudError: lines are missing or hold something else.
    """
    lines = ascii_lines(elements, data, at)
    vertex = elements[-1]
    rows = np.empty(vertex.rows, vertex.scalars)
    columns: list[list[float]] = [[] for _ in vertex.scalars.names or ()]
    try:
        for line in lines:
            words = iter(line.split())
            scalar = iter(columns)
            for _, _, length_type in vertex.properties:
                if length_type is None:
                    next(scalar).append(float(next(words)))
                else:
                    for _ in range(int(next(words))):
                        next(words)
            if next(words, None) is not None:
                raise CloudError(f"vertex line {line[:60]!r} has more numbers than properties")
    except (ValueError, StopIteration) as error:
        reason = str(error)[:80] or "a line has fewer numbers than properties"
        raise CloudError(f"vertex: {reason}; the file is damaged") from None
    with np.errstate(over="ignore", invalid="ignore"):
        for name, column in zip(vertex.scalars.names or (), columns, strict=True):
            rows[name] = column
    return rows
