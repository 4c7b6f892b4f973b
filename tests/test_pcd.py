# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PCD files: all three encodings against a writer of the test's own, damage, and LZF by hand."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srkd.errors import CloudError
from srkd.io.lzf import decompress
from srkd.io.pcd import read_pcd

settings.register_profile("files", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
files = settings.get_profile("files")

HAND_WRITTEN = b"""# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z rgb
SIZE 4 4 4 4
TYPE F F F F
COUNT 1 1 1 1
WIDTH 3
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS 3
DATA ascii
0.93773 0.33763 0 4.2108e+06
nan nan nan 4.808e+06
-1e-3 2 3.5 0
"""


def compress(data: bytes, window: int = 8191) -> bytes:
    """A slow LZF compressor: the longest earlier match of 3 to 264 bytes, overlapping or not, or a literal."""
    out, literal, at = bytearray(), bytearray(), 0

    def flush() -> None:
        for start in range(0, len(literal), 32):
            run = literal[start : start + 32]
            out.append(len(run) - 1)
            out.extend(run)
        literal.clear()

    while at < len(data):
        best, distance = 0, 0
        for back in range(1, min(at, window, 64) + 1):
            length = 0
            while at + length < len(data) and length < 264 and data[at + length] == data[at - back + length]:
                length += 1
            if length > best:
                best, distance = length, back
        if best < 3:
            literal.append(data[at])
            at += 1
            continue
        flush()
        short = best - 2
        out.append((min(short, 7) << 5) | ((distance - 1) >> 8))
        if short >= 7:
            out.append(short - 7)
        out.append((distance - 1) & 255)
        at += best
    flush()
    return bytes(out)


def write_pcd(path: Path, points: np.ndarray[Any, Any], encoding: str, *, height: int = 1) -> bytes:
    names = points.dtype.names or ()
    kinds = [points.dtype[name] for name in names]
    shapes = [kind.subdtype or (kind, (1,)) for kind in kinds]
    header = (
        "# written by a test\nVERSION .7\n"
        f"FIELDS {' '.join(name if not name.startswith('_') else '_' for name in names)}\n"
        f"SIZE {' '.join(str(base.itemsize) for base, _ in shapes)}\n"
        f"TYPE {' '.join(base.kind.upper() for base, _ in shapes)}\n"
        f"COUNT {' '.join(str(shape[0]) for _, shape in shapes)}\n"
        f"WIDTH {len(points) // height}\nHEIGHT {height}\nVIEWPOINT 0 0 0 1 0 0 0\n"
        f"POINTS {len(points)}\nDATA {encoding}\n"
    ).encode()
    if encoding == "ascii":
        rows = [" ".join(repr(v) for name in names for v in np.atleast_1d(point[name]).tolist()) for point in points]
        body = "".join(row + "\n" for row in rows).encode()
    elif encoding == "binary":
        body = points.tobytes()
    else:
        plain = b"".join(np.ascontiguousarray(points[name]).tobytes() for name in names)
        packed = compress(plain)
        body = struct.pack("<II", len(packed), len(plain)) + packed
    path.write_bytes(header + body)
    return header + body


@st.composite
def point_arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    scalar = st.sampled_from(["<f4", "<f8", "<i1", "<i2", "<i4", "<u1", "<u2", "<u4"])
    fields: list[Any] = [(axis, draw(st.sampled_from(["<f4", "<f8"]))) for axis in "xyz"]
    fields += [
        (name, draw(scalar)) for name in draw(st.lists(st.sampled_from(["intensity", "ring", "stamp"]), unique=True))
    ]
    if draw(st.booleans()):
        fields.append(("_pad", "<u1", (draw(st.integers(2, 5)),)))
    dtype = np.dtype(draw(st.permutations(fields)))
    count = draw(st.integers(0, 12))
    data = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
    points = np.frombuffer(data, dtype).copy() if count else np.empty(0, dtype)
    if draw(st.booleans()):
        for name in dtype.names or ():
            points[name] = draw(st.integers(0, 100))
    return points


@given(points=point_arrays(), encoding=st.sampled_from(["ascii", "binary", "binary_compressed"]))
@settings(files, max_examples=120)
def test_every_encoding_goes_round(tmp_path: Path, points: np.ndarray[Any, Any], encoding: str) -> None:
    path = tmp_path / "cloud.pcd"
    write_pcd(path, points, encoding)
    cloud = read_pcd(path)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = np.stack([points[axis].astype(np.float32) for axis in "xyz"], axis=1)
        np.testing.assert_array_equal(cloud.xyz, expected)
        assert (cloud.intensity is None) == ("intensity" not in (points.dtype.names or ()))
        if cloud.intensity is not None:
            np.testing.assert_array_equal(cloud.intensity, points["intensity"].astype(np.float32))
    if cloud.ring is not None and points["ring"].dtype.kind in "iu":
        np.testing.assert_array_equal(cloud.ring, points["ring"])


def test_the_file_of_the_format_page(tmp_path: Path) -> None:
    path = tmp_path / "page.pcd"
    path.write_bytes(HAND_WRITTEN)
    cloud = read_pcd(path)
    np.testing.assert_array_equal(cloud.xyz[[0, 2]], np.float32([[0.93773, 0.33763, 0], [-1e-3, 2, 3.5]]))
    assert np.isnan(cloud.xyz[1]).all()
    packed = struct.unpack("<I", struct.pack("<f", 4.2108e06))[0]
    assert cloud.color is not None
    assert cloud.color[0].tolist() == [packed >> 16 & 255, packed >> 8 & 255, packed & 255]


def test_organised_normals_and_windows_line_ends(tmp_path: Path) -> None:
    names = ["x", "y", "z", "normal_x", "normal_y", "normal_z"]
    points = np.arange(36, dtype=np.float32).reshape(6, 6).copy().view([(name, "<f4") for name in names])[:, 0]
    path = tmp_path / "cloud.pcd"
    data = write_pcd(path, points, "ascii", height=2)
    path.write_bytes(data.replace(b"\n", b"\r\n"))
    cloud = read_pcd(path)
    assert cloud.normal is not None
    np.testing.assert_array_equal(cloud.normal[:, 2], points["normal_z"])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"DATA ascii", b"DATA zip", "DATA 'zip', expected ascii"),
        (b"DATA ascii\n", b"", "unknown line '0.93773'"),
        (b"POINTS 3", b"POINTS 4", "POINTS 4, but WIDTH x HEIGHT = 3"),
        (b"WIDTH 3", b"WIDTH 999999999999", "POINTS 3, but"),
        (b"WIDTH 3", b"WIDTH -3", "WIDTH '-3'"),
        (b"POINTS 3\n", b"POINTS\n", "POINTS with 0 numbers"),
        (b"SIZE 4 4 4 4", b"SIZE 4 4 4", "4 FIELDS"),
        (b"SIZE 4 4 4 4", b"SIZE 4 4 4 3", "TYPE F of SIZE 3"),
        (b"COUNT 1 1 1 1", b"COUNT 1 1 1 0", "COUNT 0"),
        (b"FIELDS x y z rgb", b"FIELDS x y w rgb", "no z"),
        (b"FIELDS x y z rgb", b"FIELDS x y z x", "names one twice"),
        (b"HEIGHT 1\n", b"", "no HEIGHT line"),
        (b"-1e-3 2 3.5 0\n", b"", "8 numbers, expected 3 points x 4"),
        (b"nan nan nan", b"nan nan dog", "ascii points: .*dog"),
        (HAND_WRITTEN, b"", "no DATA line in the first 0 bytes"),
        (HAND_WRITTEN, bytes(1000), "no DATA line"),
    ],
)
def test_damage_is_named(tmp_path: Path, old: bytes, new: bytes, reason: str) -> None:
    path = tmp_path / "bad.pcd"
    assert old in HAND_WRITTEN
    path.write_bytes(HAND_WRITTEN.replace(old, new))
    with pytest.raises(CloudError, match=reason) as caught:
        read_pcd(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["binary", "binary_compressed"])
def test_a_cut_file_is_named(tmp_path: Path, encoding: str) -> None:
    points = (
        np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32).view([(axis, "<f4") for axis in "xyz"])[:, 0]
    )
    path = tmp_path / "cut.pcd"
    whole = write_pcd(path, points, encoding)
    for length in range(whole.index(b"DATA"), len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CloudError, match=r"cut off|no DATA line|DATA "):
            read_pcd(path)
    with pytest.raises(CloudError, match="cannot be read"):
        read_pcd(tmp_path / "none.pcd")


@given(
    at=st.integers(0, 400),
    junk=st.binary(min_size=1, max_size=20),
    encoding=st.sampled_from(["ascii", "binary_compressed"]),
)
@settings(files, max_examples=120)
def test_garbage_is_read_or_refused_in_one_line(tmp_path: Path, at: int, junk: bytes, encoding: str) -> None:
    points = np.zeros(5, [(axis, "<f4") for axis in "xyz"])
    path = tmp_path / "junk.pcd"
    whole = write_pcd(path, points, encoding)
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])
    try:
        read_pcd(path)
    except CloudError as error:
        assert "\n" not in str(error)


@given(st.lists(st.binary(max_size=20) | st.builds(lambda b, n: b * n, st.binary(max_size=4), st.integers(0, 300))))
@settings(max_examples=100, deadline=None)
def test_lzf_goes_round(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert decompress(compress(data), len(data)) == data


def test_lzf_by_hand_and_its_limits() -> None:
    assert decompress(b"\x02abc\x20\x02", 6) == b"abcabc"
    assert decompress(b"\x00a\xe0\x03\x00", 13) == b"a" * 13
    with pytest.raises(CloudError, match="before the start"):
        decompress(b"\x00a\x20\x05", 4)
    with pytest.raises(CloudError, match="cut off"):
        decompress(b"\x00a\xe0", 9)
    with pytest.raises(CloudError, match="unpacks to 3 bytes, expected 4"):
        decompress(b"\x02abc", 4)
    with pytest.raises(CloudError, match="cannot hold 4294967295"):
        decompress(b"\x02abc", 2**32 - 1)


@given(st.binary(max_size=60), st.integers(0, 500))
@settings(max_examples=120, deadline=None)
def test_lzf_of_garbage_ends(packed: bytes, size: int) -> None:
    with suppress(CloudError):
        assert len(decompress(packed, size)) == size
