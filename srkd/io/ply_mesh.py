# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes in PLY files: the vertices as columns, the faces as one array, without a step per face."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.io.columns import Array
from srkd.io.ply import ascii_lines, native_columns, read_ascii_rows, read_binary_rows
from srkd.io.ply_header import Element, Header, read_header

_CORNERS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True, eq=False)
class PlyMesh:
    """Vertices and triangles."""

    columns: dict[str, Array]
    """Scalar vertex properties by name, (N,) each."""
    faces: npt.NDArray[np.int64]
    """(F, 3) vertices of each triangle; empty where the file has no faces."""


def read_ply_mesh(path: str | os.PathLike[str]) -> PlyMesh:
    """Reads the vertices and the triangles of a PLY file.

    Raises:
        CloudError: the file is missing, cut off or damaged, or a face is no triangle; the message starts with the path.
    """
    try:
        data = Path(path).read_bytes()
        header = read_header(data)
        mesh = _read_ascii(header, data) if header.is_ascii else _read_binary(header, data)
        count = len(next(iter(mesh.columns.values()), ()))
        if mesh.faces.size and (mesh.faces.min() < 0 or mesh.faces.max() >= count):
            worst = mesh.faces.min() if mesh.faces.min() < 0 else mesh.faces.max()
            raise CloudError(f"face: names vertex {worst}, the file has {count}; the file is damaged")
        return mesh
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); give the path of a .ply file") from None
    except CloudError as error:
        raise CloudError(f"{path}: {error}") from None


def _read_binary(header: Header, data: bytes) -> PlyMesh:
    columns: dict[str, Array] = {}
    faces = np.empty((0, 3), np.int64)
    at = header.start
    for element in header.elements:
        if element.name == "face":
            faces, at = _triangles(element, data, at)
            continue
        rows, at = read_binary_rows(element, data, at)
        if element.name == "vertex":
            columns = native_columns(rows)
    return PlyMesh(columns, faces)


def _triangles(element: Element, data: bytes, at: int) -> tuple[npt.NDArray[np.int64], int]:
    """The corners of an element's rows, (F, 3), and the end of the rows.

    All lists of a property have one length in a triangle mesh, so a row has a fixed layout, that of the first row.
    """
    layout: list[tuple[str, np.dtype[np.generic], int]] = []
    end = at
    for name, dtype, length_type in element.properties if element.rows else ():
        length = 1
        if length_type is not None:
            raw = data[end : end + length_type.itemsize]
            length = int(np.frombuffer(raw, length_type)[0]) if len(raw) == length_type.itemsize else 0
            if not 0 <= length <= len(data):
                raise CloudError(f"face: list {name[:40]} of length {length}; the file is damaged")
            layout.append((f"length of {name}", length_type, 1))
            end += length_type.itemsize
        layout.append((name, dtype, length))
        end += length * dtype.itemsize
    row = np.dtype([(name, dtype, (length,)) for name, dtype, length in layout])
    if len(data) - at < element.rows * row.itemsize:
        raise CloudError(f"face: ends within its rows, expected {element.rows}; the file is cut off")
    rows = np.frombuffer(data, row, element.rows, at) if element.rows else np.empty(0, row)
    for name, _, length_type in element.properties if element.rows else ():
        if length_type is not None and (rows[f"length of {name}"] != rows[name].shape[1]).any():
            raise CloudError(f"face: lists {name[:40]} of different lengths, expected triangles; triangulate the mesh")
    return _corners({name: rows[name] for name, _, _ in layout}), at + element.rows * row.itemsize


def _read_ascii(header: Header, data: bytes) -> PlyMesh:
    columns = native_columns(read_ascii_rows(header.until("vertex"), data, header.start))
    elements = header.until("face")
    if not elements or not elements[-1].rows:
        return PlyMesh(columns, np.empty((0, 3), np.int64))
    values: dict[str, list[list[float]]] = {name: [] for name, _, _ in elements[-1].properties}
    try:
        for line in ascii_lines(elements, data, header.start):
            words = iter(line.split())
            for name, _, length_type in elements[-1].properties:
                length = 1 if length_type is None else int(next(words))
                values[name].append([float(next(words)) for _ in range(length)])
        return PlyMesh(columns, _corners({name: np.array(rows) for name, rows in values.items()}))
    except (ValueError, StopIteration):
        raise CloudError("face: a line is no list of three vertices; triangulate the mesh") from None


def _corners(lists: dict[str, Array]) -> npt.NDArray[np.int64]:
    """(F, 3) of the property that names the corners."""
    if not any(len(rows) for rows in lists.values()):
        return np.empty((0, 3), np.int64)
    found = next((lists[name] for name in _CORNERS if name in lists), None)
    if found is None:
        raise CloudError(f"face: no list {' or '.join(_CORNERS)}; not a mesh")
    if found.shape[1] != 3:
        raise CloudError(f"face: {found.shape[1]} corners, expected triangles; triangulate the mesh")
    return found.astype(np.int64)
