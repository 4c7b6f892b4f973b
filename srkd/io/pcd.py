# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PCD files of the Point Cloud Library: ascii, binary and binary_compressed, fields by name.

Source: "The PCD (Point Cloud Data) file format", pointclouds.org.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from srkd.cloud import Cloud
from srkd.errors import CloudError
from srkd.io.columns import Array, cloud_from_columns
from srkd.io.lzf import decompress

_TYPES = {("F", size): f"<f{size}" for size in (4, 8)}
_TYPES |= {(kind, size): f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
_MAX_HEADER_BYTES = 1 << 16
_KEYS = ("VERSION", "FIELDS", "COLUMNS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA")


class _Header(NamedTuple):
    names: tuple[str, ...]
    dtypes: tuple[np.dtype[np.generic], ...]
    counts: tuple[int, ...]
    points: int
    encoding: str

    @property
    def point_bytes(self) -> int:
        return sum(dtype.itemsize * count for dtype, count in zip(self.dtypes, self.counts, strict=True))


def read_pcd(path: str | os.PathLike[str]) -> Cloud:
    """Reads a PCD file. Fields: x y z, and where present intensity, rgb, normal_x.., ring (see `srkd.io.columns`).

    Raises:
        CloudError: the file is missing, cut off, damaged, or has no x, y and z; the message starts with the path.
    """
    try:
        data = Path(path).read_bytes()
        header, start = _read_header(data)
        if header.encoding == "ascii":
            columns = _ascii_columns(header, data[start:])
        elif header.encoding == "binary":
            columns = _binary_columns(header, data, start)
        else:
            columns = _compressed_columns(header, data, start)
        return cloud_from_columns(columns, columns.__getitem__)[0]
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); give the path of a .pcd file") from None
    except CloudError as error:
        raise CloudError(f"{path}: {error}") from None


def _read_header(data: bytes) -> tuple[_Header, int]:
    """Parses the header; returns it and where the points start."""
    values: dict[str, list[str]] = {}
    at = 0
    while "DATA" not in values:
        end = data.find(b"\n", at, _MAX_HEADER_BYTES)
        if end < 0:
            raise CloudError(f"PCD header: no DATA line in the first {min(len(data), _MAX_HEADER_BYTES)} bytes")
        words = data[at:end].decode("latin-1").split("#")[0].split()
        at = end + 1
        if words:
            key = words[0].upper()
            if key not in _KEYS:
                raise CloudError(f"PCD header: unknown line {words[0][:40]!r}, expected {' '.join(_KEYS)}")
            values["FIELDS" if key == "COLUMNS" else key] = words[1:]
    for key in ("FIELDS", "SIZE", "TYPE", "WIDTH", "HEIGHT"):
        if key not in values:
            raise CloudError(f"PCD header: no {key} line")
    names = values["FIELDS"]
    sizes, counts = _integers("SIZE", values), _integers("COUNT", values) if "COUNT" in values else [1] * len(names)
    if not len(names) == len(sizes) == len(values["TYPE"]) == len(counts):
        raise CloudError(f"PCD header: {len(names)} FIELDS, but SIZE, TYPE or COUNT has another number of entries")
    if any(count < 1 for count in counts):
        raise CloudError(f"PCD header: COUNT {min(counts)}, expected at least 1")
    kinds = list(zip(values["TYPE"], sizes, strict=True))
    for kind in kinds:
        if kind not in _TYPES:
            raise CloudError(f"PCD header: TYPE {kind[0][:8]} of SIZE {kind[1]}, expected F 4 8, I or U 1 2 4 8")
    size = _integer("WIDTH", values) * _integer("HEIGHT", values)
    points = _integer("POINTS", values) if "POINTS" in values else size
    if points != size:
        raise CloudError(f"PCD header: POINTS {points}, but WIDTH x HEIGHT = {size}")
    encoding = " ".join(values["DATA"]).lower()
    if encoding not in ("ascii", "binary", "binary_compressed"):
        raise CloudError(f"PCD header: DATA {encoding[:40]!r}, expected ascii, binary or binary_compressed")
    dtypes = tuple(np.dtype(_TYPES[kind]) for kind in kinds)
    header = _Header(tuple(names), dtypes, tuple(counts), points, encoding)
    useful = [name for name in names if name != "_"]  # "_" is padding, as often as needed
    if len(set(useful)) != len(useful):
        raise CloudError(f"PCD header: FIELDS {' '.join(names)[:200]} names one twice")
    return header, at


def _integers(key: str, values: dict[str, list[str]]) -> list[int]:
    words = values[key]
    if not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        raise CloudError(f"PCD header: {key} {' '.join(words)[:60]!r}, expected whole numbers from 0")
    return [int(word) for word in words]


def _integer(key: str, values: dict[str, list[str]]) -> int:
    numbers = _integers(key, values)
    if len(numbers) != 1:
        raise CloudError(f"PCD header: {key} with {len(numbers)} numbers, expected 1")
    return numbers[0]


def _ascii_columns(header: _Header, text: bytes) -> dict[str, Array]:
    words = text.split()
    width = sum(header.counts)
    if len(words) != header.points * width:
        raise CloudError(
            f"{len(words)} numbers, expected {header.points} points x {width}; the file is cut off or its header wrong"
        )
    try:
        table = np.fromiter(map(float, words), np.float64, len(words)).reshape(header.points, width)
    except ValueError as error:
        raise CloudError(f"ascii points: {str(error)[:80]}; expected numbers") from None
    columns: dict[str, Array] = {}
    at = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for name, dtype, count in zip(header.names, header.dtypes, header.counts, strict=True):
            if count == 1:
                columns[name] = table[:, at].astype(dtype)
            at += count
    return columns


def _binary_columns(header: _Header, data: bytes, start: int) -> dict[str, Array]:
    needed, found = header.points * header.point_bytes, len(data) - start
    if found < needed:
        raise CloudError(
            f"{found} bytes of points, expected {header.points} x {header.point_bytes} = {needed}; the file is cut off"
        )
    columns: dict[str, Array] = {}
    offset = start
    for name, dtype, count in zip(header.names, header.dtypes, header.counts, strict=True):
        if count == 1:
            steps = (header.point_bytes,)
            view: Array = (
                np.ndarray((header.points,), dtype, data, offset, steps) if header.points else np.empty(0, dtype)
            )
            columns[name] = view.copy()
        offset += dtype.itemsize * count
    return columns


def _compressed_columns(header: _Header, data: bytes, start: int) -> dict[str, Array]:
    needed = header.points * header.point_bytes
    if needed == 0:
        return {name: np.empty(0, dtype) for name, dtype in zip(header.names, header.dtypes, strict=True)}
    packed_size, size = (int.from_bytes(data[start + i : start + i + 4], "little") for i in (0, 4))
    packed = data[start + 8 : start + 8 + packed_size]
    if len(packed) != packed_size or packed_size == 0:
        raise CloudError(f"{len(packed)} bytes of compressed points, expected {packed_size}; the file is cut off")
    if size != needed:
        raise CloudError(
            f"compressed points of {size} bytes, expected {header.points} x {header.point_bytes} = {needed}"
        )
    plain = decompress(packed, size)
    columns: dict[str, Array] = {}
    at = 0
    for name, dtype, count in zip(header.names, header.dtypes, header.counts, strict=True):  # one field after another
        if count == 1:
            columns[name] = np.frombuffer(plain, dtype, header.points, at).copy()
        at += dtype.itemsize * count * header.points
    return columns
