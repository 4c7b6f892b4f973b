# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PLY files: every encoding against a writer of the test's own, lists, ScanNet's form, damage, and what is written."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ply_files import CODES, ORDERS, Element, Properties, write_ply

from srkd.errors import CloudError
from srkd.io.ply import read_ply, read_ply_columns, write_colored_ply

files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def values_of(kind: str) -> st.SearchStrategy[Any]:
    if kind in ("float", "double", "float32", "float64"):
        return st.floats(width=32)
    size = struct.calcsize("<" + CODES[kind])
    low, high = (0, 256**size - 1) if CODES[kind].isupper() else (-(256**size) // 2, 256**size // 2 - 1)
    return st.integers(low, high)


@st.composite
def elements_of_files(draw: st.DrawFn) -> list[Element]:
    kinds = st.sampled_from(sorted(CODES))

    def element(name: str, fixed: Properties, others: list[str]) -> Element:
        properties = list(fixed)
        for other in draw(st.lists(st.sampled_from(others), unique=True, max_size=3)):
            is_list = draw(st.booleans()) and other != "intensity"
            properties.append(
                ("list", draw(st.sampled_from(["uchar", "int"])), draw(kinds), other)
                if is_list
                else (draw(kinds), other)
            )
        properties = draw(st.permutations(properties))
        value = [st.lists(values_of(p[2]), max_size=3) if p[0] == "list" else values_of(p[0]) for p in properties]
        return name, properties, draw(st.lists(st.tuples(*value).map(list), max_size=5)) if properties else []

    axes: Properties = [(draw(st.sampled_from(["float", "double", "float32"])), axis) for axis in "xyz"]
    before = [element("camera", [], ["a", "b"])] if draw(st.booleans()) else []
    after = [element("face", [("list", "uchar", "int", "vertex_indices")], ["c"])] if draw(st.booleans()) else []
    return [*before, element("vertex", axes, ["intensity", "quality", "flags"]), *after]


@given(elements=elements_of_files(), encoding=st.sampled_from(sorted(ORDERS)))
@settings(files, max_examples=120)
def test_every_encoding_goes_round(tmp_path: Path, elements: list[Element], encoding: str) -> None:
    path = tmp_path / "cloud.ply"
    write_ply(path, elements, encoding)
    _, properties, rows = next(e for e in elements if e[0] == "vertex")
    columns = read_ply_columns(path)
    scalars = [(p[1], index) for index, p in enumerate(properties) if p[0] != "list"]
    assert list(columns) == [name for name, _ in scalars]
    for name, index in scalars:
        np.testing.assert_array_equal(
            columns[name].astype(np.float64), np.array([row[index] for row in rows], np.float64)
        )
        assert columns[name].dtype.isnative
    cloud = read_ply(path)
    assert len(cloud) == len(rows)
    assert (cloud.intensity is None) == ("intensity" not in columns)


def scannet(path: Path, encoding: str = "binary_little_endian") -> bytes:
    kinds = (
        [("float", axis) for axis in "xyz"]
        + [("uchar", c) for c in ("red", "green", "blue", "alpha")]
        + [("ushort", "label")]
    )
    vertices = [[1.5, -2.0, 0.25, 10, 20, 30, 255, 39], [0.0, 0.5, 1.0, 200, 100, 0, 255, 1]]
    faces = [[[0, 1, 1]]]
    return write_ply(
        path, [("vertex", kinds, vertices), ("face", [("list", "uchar", "int", "vertex_indices")], faces)], encoding
    )


def test_scannet_vertices_colours_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "scene0000_00_vh_clean_2.labels.ply"
    scannet(path)
    cloud = read_ply(path)
    assert cloud.color is not None
    assert cloud.xyz.tolist() == [[1.5, -2.0, 0.25], [0.0, 0.5, 1.0]]
    assert cloud.color.tolist() == [[10, 20, 30], [200, 100, 0]]
    assert read_ply_columns(path)["label"].tolist() == [39, 1]


def test_colours_of_other_types(tmp_path: Path) -> None:
    path = tmp_path / "cloud.ply"
    for kind, row, expected in (("float", [1.0, 0.5, 0.0], [255, 128, 0]), ("ushort", [65535, 256, 255], [255, 1, 0])):
        kinds = [("float", axis) for axis in "xyz"] + [(kind, c) for c in ("red", "green", "blue")]
        write_ply(path, [("vertex", kinds, [[0.0, 0.0, 1.0, *row]])], "binary_big_endian")
        cloud = read_ply(path)
        assert cloud.color is not None and cloud.color.tolist() == [expected]


def test_what_is_written_is_as_declared(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    xyz, rgb = rng.normal(size=(7, 3)).astype(np.float32), rng.integers(0, 256, (7, 3), dtype=np.uint8)
    class_id = rng.integers(0, 256, 7, dtype=np.uint8)
    path = tmp_path / "new" / "out.ply"
    write_colored_ply(path, xyz, rgb, class_id)
    head, _, body = path.read_bytes().partition(b"end_header\n")
    assert head.splitlines()[:3] == [b"ply", b"format binary_little_endian 1.0", b"element vertex 7"]
    rows = [struct.unpack_from("<3f4B", body, 16 * index) for index in range(7)]
    assert len(body) == 7 * 16
    np.testing.assert_array_equal(np.float32([row[:3] for row in rows]), xyz)
    assert [row[6] for row in rows] == class_id.tolist()
    cloud = read_ply(path)
    np.testing.assert_array_equal(cloud.color, rgb)
    assert [p.name for p in path.parent.iterdir()] == ["out.ply"]
    write_colored_ply(path, xyz[:0], rgb[:0], class_id[:0])
    assert len(read_ply(path)) == 0
    with pytest.raises(CloudError, match=r"class_id \(6,\)"):
        write_colored_ply(path, xyz, rgb, class_id[:6])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"ply\n", b"plx\n", "not a PLY file"),
        (b"end_header", b"end", "'end' is no format"),
        (b" 1.0", b" 2.0", "is no format, element or property line"),
        (b"format binary_little_endian 1.0\n", b"", "is no format|no format line"),
        (b"element vertex", b"element vertices", "no vertex element"),
        (b"element vertex 2", b"element vertex -2", "'element vertex -2'"),
        (b"element vertex 2", b"element vertex 999999999999", "expected 999999999999 x 18"),
        (b"property float x", b"property float w", "no x"),
        (b"property float x", b"property half x", "'property half x'"),
        (b"property float x", b"property float y", "names a property twice"),
        (b"property float x", b"property list float int x", "list length of an integer type"),
        (b"property uchar red", b"property list uchar int red", "cut off"),
        (b"property uchar red", b"property list char double red", "cut off|length -"),
    ],
)
def test_damage_is_named(tmp_path: Path, old: bytes, new: bytes, reason: str) -> None:
    path = tmp_path / "bad.ply"
    whole = scannet(path)
    assert old in whole
    path.write_bytes(whole.replace(old, new, 1))
    with pytest.raises(CloudError, match=reason) as caught:
        read_ply(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", sorted(ORDERS))
def test_a_cut_file_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "cut.ply"
    whole = scannet(path, encoding)
    vertices_end = whole.index(b"end_header\n") + 11 + (2 * 18 if encoding != "ascii" else len(whole))
    for length in range(0, min(vertices_end, len(whole) - 8), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(CloudError, match=r"cut off|end_header|not a PLY|PLY header|damaged"):
            read_ply(path)
    with pytest.raises(CloudError, match="cannot be read"):
        read_ply(tmp_path / "none.ply")


@given(at=st.integers(0, 400), junk=st.binary(min_size=1, max_size=20), encoding=st.sampled_from(sorted(ORDERS)))
@settings(files, max_examples=150)
def test_garbage_is_read_or_refused_in_one_line(tmp_path: Path, at: int, junk: bytes, encoding: str) -> None:
    path = tmp_path / "junk.ply"
    whole = scannet(path, encoding)
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    try:
        read_ply(path)
    except CloudError as error:
        assert "\n" not in str(error)
