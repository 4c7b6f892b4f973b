# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The header of a PLY file: its encoding, and the elements whose rows follow.

Source: "The PLY Polygon File Format", Greg Turk, Stanford.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from srkd.errors import CloudError

_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"}
_TYPES |= {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4"}
_TYPES |= {"double": "f8", "float64": "f8"}
_ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
_MAX_HEADER_BYTES = 1 << 16


@dataclass
class Element:
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


@dataclass(frozen=True)
class Header:
    """What a PLY file holds, and where."""

    is_ascii: bool
    """Rows are lines of text."""
    elements: tuple[Element, ...]
    """Elements in file order; one of them is named vertex."""
    start: int
    """Where the first row starts."""

    def until(self, name: str) -> tuple[Element, ...]:
        """The elements up to and with the first of a name; none where there is no such element."""
        names = [element.name for element in self.elements]
        return self.elements[: names.index(name) + 1] if name in names else ()


def read_header(data: bytes) -> Header:
    """Reads the header of a whole file.

    Raises:
        CloudError: it is no PLY header, or declares no vertices.
    """
    elements: list[Element] = []
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
                elements.append(Element(name, int(rows)))
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
    return Header(is_ascii, tuple(elements), at)
