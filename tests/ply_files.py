# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A writer of PLY files for tests, value by value with `struct`; it shares nothing with the readers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

CODES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}
CODES |= {
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "float32": "f",
    "float64": "d",
}
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}

Properties = list[tuple[str, ...]]  # ("float", "x") or ("list", "uchar", "int", "vertex_indices")
Element = tuple[str, Properties, list[list[Any]]]  # a value a property, a list where it is one


def write_ply(path: Path, elements: list[Element], encoding: str) -> bytes:
    header = f"ply\nformat {encoding} 1.0\ncomment by a test\n"
    body = b""
    for name, properties, rows in elements:
        header += f"element {name} {len(rows)}\n" + "".join(f"property {' '.join(p)}\n" for p in properties)
        for row in rows:
            flat = [
                (code, value)
                for p, item in zip(properties, row, strict=True)
                for code, value in (
                    [(p[1], len(item)), *((p[2], value) for value in item)] if p[0] == "list" else [(p[0], item)]
                )
            ]
            if encoding == "ascii":
                body += (" ".join(repr(value) for _, value in flat) + "\n").encode()
            else:
                body += b"".join(struct.pack(ORDERS[encoding] + CODES[code], value) for code, value in flat)
    path.write_bytes(header.encode() + b"end_header\n" + body)
    return header.encode() + b"end_header\n" + body
