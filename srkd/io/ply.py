# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PLY files: ascii and binary of either byte order, vertex properties by name; coloured clouds are written.

Source: "The PLY Polygon File Format", Greg Turk, Stanford.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.errors import CloudError
from srkd.io.atomic import write_atomic
from srkd.io.columns import Array, cloud_from_columns

_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"}
_TYPES |= {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4"}
_TYPES |= {"double": "f8", "float64": "f8"}
_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER_BYTES = 1 << 16


@dataclass
class _Element:
    """Rows of scalars and lists; a list has the type of its length in `length_type`."""

    name: str
    rows: int
    properties: list[tuple[str, np.dtype[np.generic], np.dtype[np.generic] | None]] = field(default_factory=list)

    @property
    def scalars(self) -> np.dtype[np.void]:
        return np.dtype([(name, dtype) for name, dtype, length_type in self.properties if length_type is None])

    @property
    def has_lists(self) -> bool:
        return any(length_type is not None for _, _, length_type in self.properties)


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
        is_ascii, elements, start = _read_header(data)
        vertices = (_read_ascii if is_ascii else _read_binary)(elements, data, start)
        return {
            name: vertices[name].astype(vertices[name].dtype.newbyteorder("=")) for name in vertices.dtype.names or ()
        }
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


def _read_header(data: bytes) -> tuple[bool, list[_Element], int]:
    """Whether ascii, the elements in file order, and where their rows start."""
    elements: list[_Element] = []
    order, is_ascii, at, line = "", False, 0, ""
    if data[:3] != b"ply":
        raise CloudError(f"starts with {data[:4]!r}, expected b'ply'; not a PLY file")
    while line != "end_header":
        end = data.find(b"\n", at, _MAX_HEADER_BYTES)
        if end < 0:
            raise CloudError(f"PLY header: no end_header line in the first {min(len(data), _MAX_HEADER_BYTES)} bytes")
        line = data[at:end].decode("latin-1").strip()
        at = end + 1
        match line.split():
            case ["format", name, "1.0"] if name in _ORDERS:
                order, is_ascii = _ORDERS[name], name == "ascii"
            case ["element", name, rows] if rows.isascii() and rows.isdigit() and len(rows) < 19:
                elements.append(_Element(name, int(rows)))
            case ["property", kind, name] if kind in _TYPES and elements and order:
                elements[-1].properties.append((name, np.dtype(order + _TYPES[kind]), None))
            case ["property", "list", size, kind, name] if size in _TYPES and kind in _TYPES and elements and order:
                length_type = np.dtype(order + _TYPES[size])
                if length_type.kind == "f":
                    raise CloudError(f"PLY header: {line[:60]!r}, expected a list length of an integer type")
                elements[-1].properties.append((name, np.dtype(order + _TYPES[kind]), length_type))
            case [] | ["ply"] | ["end_header"] | ["comment" | "obj_info", *_]:
                pass
            case _:
                raise CloudError(f"PLY header: {line[:60]!r} is no format, element or property line of PLY 1.0")
    names = [element.name for element in elements]
    if not order or "vertex" not in names:
        raise CloudError(f"PLY header: {'no vertex element' if order else 'no format line'}; not a point cloud")
    for element in elements:
        properties = [name for name, _, _ in element.properties]
        if len(set(properties)) != len(properties):
            raise CloudError(f"PLY header: element {element.name[:40]} names a property twice")
    return is_ascii, elements[: names.index("vertex") + 1], at


def _read_binary(elements: list[_Element], data: bytes, at: int) -> Array:
    """The scalars of the last element, (N,) structured."""
    rows: Array = np.empty(0, elements[-1].scalars)
    for element in elements:
        if element.has_lists:
            rows, at = _walk_lists(element, data, at)
            continue
        needed = element.rows * element.scalars.itemsize
        if len(data) - at < needed:
            raise CloudError(
                f"{element.name[:40]}: {len(data) - at} bytes, expected {element.rows} x {element.scalars.itemsize} = "
                f"{needed}; the file is cut off"
            )
        rows = np.frombuffer(data, element.scalars, element.rows, at) if needed else np.empty(0, element.scalars)
        at += needed
    return rows


def _walk_lists(element: _Element, data: bytes, at: int) -> tuple[Array, int]:
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


def _read_ascii(elements: list[_Element], data: bytes, at: int) -> Array:
    """The scalars of the last element, (N,) structured; a row is a line."""
    lines = [line for line in data[at:].splitlines() if line.strip()]
    vertex = elements[-1]
    skip = sum(element.rows for element in elements[:-1] if element.properties)
    if len(lines) - skip < vertex.rows:
        raise CloudError(f"vertex: {max(len(lines) - skip, 0)} lines, expected {vertex.rows}; the file is cut off")
    rows = np.empty(vertex.rows, vertex.scalars)
    columns: list[list[float]] = [[] for _ in vertex.scalars.names or ()]
    try:
        for line in lines[skip : skip + vertex.rows]:
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
