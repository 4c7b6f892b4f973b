# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes in PLY files: every encoding, other elements and properties around the faces, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ply_files import ORDERS, Element, Properties, write_ply

from srkd.errors import CloudError
from srkd.io.ply_mesh import read_ply_mesh

files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
AXES: Properties = [("float", axis) for axis in "xyz"]
VERTICES = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]]
TRIANGLES = [[0, 1, 2], [0, 2, 3], [4, 1, 2]]


def mesh(path: Path, encoding: str, faces: list[list[int]] | None = None, kind: str = "int") -> bytes:
    rows: list[list[Any]] = [[corners] for corners in (TRIANGLES if faces is None else faces)]
    elements: list[Element] = [
        ("vertex", AXES, VERTICES),
        ("face", [("list", "uchar", kind, "vertex_indices")], rows),
    ]
    return write_ply(path, elements, encoding)


@pytest.mark.parametrize("encoding", sorted(ORDERS))
@pytest.mark.parametrize("kind", ["int", "uint", "short", "uchar"])
def test_every_encoding_goes_round(tmp_path: Path, encoding: str, kind: str) -> None:
    path = tmp_path / "mesh.ply"
    mesh(path, encoding, kind=kind)
    found = read_ply_mesh(path)
    assert found.faces.tolist() == TRIANGLES and found.faces.dtype == np.int64
    assert np.stack([found.columns[axis] for axis in "xyz"], axis=1).tolist() == VERTICES


@pytest.mark.parametrize("encoding", sorted(ORDERS))
def test_faces_among_other_elements_and_properties(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "mesh.ply"
    face: Properties = [("uchar", "flags"), ("list", "int", "uint", "vertex_index"), ("list", "uchar", "float", "uv")]
    elements: list[Element] = [
        ("camera", [("float", "focal"), ("list", "uchar", "int", "sizes")], [[1.5, [3]], [2.5, [4, 5]]]),
        ("vertex", [("uchar", "red"), *AXES], [[9, *row] for row in VERTICES]),
        ("edge", [("int", "a"), ("int", "b")], [[0, 1], [1, 2]]),
        ("face", face, [[7, corners, [0.5, 0.25]] for corners in TRIANGLES]),
        ("tail", [("int", "a")], [[1]]),
    ]
    write_ply(path, elements, encoding)
    found = read_ply_mesh(path)
    assert found.faces.tolist() == TRIANGLES
    assert found.columns["red"].tolist() == [9] * 5 and list(found.columns) == ["red", "x", "y", "z"]


@pytest.mark.parametrize("encoding", sorted(ORDERS))
def test_no_faces(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "cloud.ply"
    mesh(path, encoding, faces=[])
    assert read_ply_mesh(path).faces.shape == (0, 3)
    write_ply(path, [("vertex", AXES, VERTICES)], encoding)
    assert read_ply_mesh(path).faces.shape == (0, 3)


@pytest.mark.parametrize("encoding", sorted(ORDERS))
@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        ([[0, 1, 2, 3], [1, 2, 3, 4]], "4 corners|no list of three"),
        ([[0, 1, 2], [1, 2, 3, 4], [0, 1]], "different lengths|no list of three"),
        ([[0, 1, 5]], "names vertex 5, the file has 5"),
        ([[0, 1, -1]], "names vertex -1"),
        ([[]], "0 corners|no list of three"),
    ],
)
def test_what_is_no_triangle_mesh_is_named(tmp_path: Path, encoding: str, faces: list[list[int]], reason: str) -> None:
    path = tmp_path / "mesh.ply"
    mesh(path, encoding, faces)
    with pytest.raises(CloudError, match=reason) as caught:
        read_ply_mesh(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_face_without_corners_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    write_ply(path, [("vertex", AXES, VERTICES), ("face", [("uchar", "flags")], [[1]])], "binary_little_endian")
    with pytest.raises(CloudError, match="no list vertex_indices or vertex_index"):
        read_ply_mesh(path)


@pytest.mark.parametrize("encoding", sorted(ORDERS))
def test_a_cut_file_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "cut.ply"
    whole = mesh(path, encoding)
    # The last bytes of a text are its line end and the digit before it, which may be missed without being missing.
    for length in range(0, len(whole) - (2 if encoding == "ascii" else 0), 2):
        path.write_bytes(whole[:length])
        with pytest.raises(CloudError, match=r"cut off|end_header|not a PLY|PLY header|damaged|no list of three"):
            read_ply_mesh(path)
    with pytest.raises(CloudError, match="cannot be read"):
        read_ply_mesh(tmp_path / "none.ply")


@given(at=st.integers(0, 300), junk=st.binary(min_size=1, max_size=20), encoding=st.sampled_from(sorted(ORDERS)))
@settings(files, max_examples=150)
def test_garbage_is_read_or_refused_in_one_line(tmp_path: Path, at: int, junk: bytes, encoding: str) -> None:
    path = tmp_path / "junk.ply"
    whole = mesh(path, encoding)
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    try:
        found = read_ply_mesh(path)
    except CloudError as error:
        assert "\n" not in str(error)
    else:
        assert found.faces.ndim == 2 and found.faces.shape[1] == 3
