# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 bytes: against struct, point by point, over random layouts; refusals; real messages; speed."""

from __future__ import annotations

import math
import struct
import time
import tracemalloc
from array import array
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import real_data

from srkd.errors import CloudError
from srkd.io.pointcloud2 import (
    COLORED_FIELDS,
    COLORED_POINT_STEP,
    LABELLED_FIELDS,
    LABELLED_POINT_STEP,
    Field,
    RawCloud,
    decode,
    encode_colored,
    encode_labelled,
    read_fields,
    select_points,
)

FORMAT = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
XYZ = (Field("x", 0, 7), Field("y", 4, 7), Field("z", 8, 7))
XYZI = (*XYZ, Field("intensity", 12, 7))


@dataclass
class Labels:
    class_id: np.ndarray[Any, Any]
    probability: np.ndarray[Any, Any]
    entropy: np.ndarray[Any, Any]


def by_struct(message: RawCloud, name: str) -> list[Any]:
    """The slow and plain way to read a field of a message."""
    field = next(f for f in message.fields if f.name == name)
    code = (">" if message.is_bigendian else "<") + FORMAT[field.datatype]
    data = bytes(message.data)
    return [
        struct.unpack_from(code, data, row * message.row_step + column * message.point_step + field.offset)[0]
        for row in range(message.height)
        for column in range(message.width)
    ]


def as_float32(values: list[Any]) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(values, np.float64).astype(np.float32)


def message_of(points: np.ndarray[Any, Any], fields: tuple[Field, ...], height: int = 1) -> RawCloud:
    step = points.dtype.itemsize
    return RawCloud(height, len(points) // height, fields, False, step, len(points) // height * step, points.tobytes())


@st.composite
def messages(draw: st.DrawFn) -> RawCloud:
    """Well-formed messages: any order, types, gaps, overlaps, row padding, byte order and shape."""
    names = draw(st.lists(st.sampled_from(["intensity", "ring", "time", "reflectivity", "line", "a"]), unique=True))
    packed = draw(st.booleans())
    if packed:
        start = draw(st.integers(0, 6))
        fields = [Field(axis, start + 4 * index, 7) for index, axis in enumerate("xyz")]
    else:
        fields = [Field(axis, draw(st.integers(0, 30)), draw(st.integers(1, 8))) for axis in "xyz"]
    fields += [Field(name, draw(st.integers(0, 40)), draw(st.integers(1, 8))) for name in names]
    fields = draw(st.permutations(fields))
    step = max(f.offset + struct.calcsize("<" + FORMAT[f.datatype]) for f in fields) + draw(st.integers(0, 3))
    height, width = draw(st.integers(0, 3)), draw(st.integers(0, 4))
    row_step = width * step + draw(st.integers(0, 5))
    data = draw(st.binary(min_size=height * row_step, max_size=height * row_step))
    kind = draw(
        st.sampled_from([bytes, bytearray, memoryview, lambda b: array("B", b), lambda b: np.frombuffer(b, "u1")])
    )
    return RawCloud(height, width, fields, draw(st.booleans()), step, row_step, kind(data))  # type: ignore[operator]


@given(messages())
@settings(max_examples=150, deadline=None)
def test_decode_agrees_with_struct_and_leaves_the_message_alone(message: RawCloud) -> None:
    before = bytes(message.data)
    decoded = decode(message)
    assert len(decoded.cloud) == message.height * message.width
    assert (decoded.height, decoded.width) == (message.height, message.width)
    for index, axis in enumerate("xyz"):
        np.testing.assert_array_equal(decoded.cloud.xyz[:, index], as_float32(by_struct(message, axis)))
    names = [field.name for field in message.fields]
    if decoded.intensity_field is None:
        assert decoded.cloud.intensity is None and not {"intensity", "reflectivity"} & set(names)
    else:
        expected = as_float32(by_struct(message, decoded.intensity_field))
        np.testing.assert_array_equal(decoded.cloud.intensity, expected)
        if "intensity" in names and decoded.intensity_field == "reflectivity":
            assert not (np.abs(as_float32(by_struct(message, "intensity"))) > 0).any()
    ring = next((name for name in ("ring", "channel", "line") if name in names), None)
    assert (decoded.cloud.ring is None) == (ring is None)
    if ring is not None and decoded.cloud.ring is not None:
        expected_ring = [
            v if isinstance(v, int) else -1 if not math.isfinite(v) else int(min(max(v, -1), 65535))
            for v in by_struct(message, ring)
        ]
        assert decoded.cloud.ring.tolist() == expected_ring
    expected_valid = [
        all(math.isfinite(v) and abs(v) < 1e4 for v in p) and any(v != 0 for v in p) for p in decoded.cloud.xyz.tolist()
    ]
    assert decoded.valid.tolist() == expected_valid
    assert bytes(message.data) == before
    for column in (decoded.cloud.xyz, decoded.cloud.intensity):
        assert column is None or (column.flags.c_contiguous and column.flags.aligned and column.flags.writeable)


numbers = st.integers(-3, 40) | st.sampled_from([2**31, 2**32 - 1, 2**63, 2**64, 10**30])


@st.composite
def garbage(draw: st.DrawFn) -> RawCloud:
    names = st.sampled_from(["x", "y", "z", "intensity", "ring", "rgb", "_", ""])
    field = st.builds(Field, names, numbers, numbers | st.integers(1, 8), st.integers(0, 3) | numbers)
    good = st.permutations(list(XYZI))
    data = draw(st.binary(max_size=100))
    return RawCloud(
        draw(numbers),
        draw(numbers),
        draw(st.lists(field, max_size=6) | good),
        draw(st.booleans()),
        draw(numbers),
        draw(numbers | st.just(len(data))),
        data,
    )


@given(garbage())
@settings(max_examples=400, deadline=None)
def test_garbage_is_decoded_or_refused_in_one_line(message: RawCloud) -> None:
    try:
        decoded = decode(message)
    except CloudError as error:
        assert "\n" not in str(error)
    else:
        assert len(decoded.cloud) == message.height * message.width
        assert len(select_points(message, decoded.valid)) == message.point_step * int(decoded.valid.sum())


def xyzi(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32).view("V16")[:, 0]


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"data": b""}, "data: 0 bytes, expected height 1 x row_step 64 = 64"),
    ({"data": bytes(65)}, "data: 65 bytes"),
    ({"height": 2}, "data: 64 bytes, expected height 2"),
    ({"width": 5}, "row_step 64: less than width 5 x point_step 16"),
    ({"height": 4_000_000_000, "width": 4_000_000_000}, "row_step 64: less than"),
    ({"height": 4_000_000_000}, "data: 64 bytes, expected height 4000000000"),
    ({"height": -1, "row_step": -64}, "no negative size|less than"),
    ({"point_step": 0}, "field 'x': bytes 0 to 4 of a point, expected to end by point_step 0"),
    ({"point_step": 15}, "field 'intensity': bytes 12 to 16"),
    ({"fields": XYZI[1:]}, "fields y z intensity: no x"),
    ({"fields": ()}, "none.*no x y z"),
    ({"fields": (*XYZI, Field("x", 0, 7))}, "field 'x': appears twice"),
    ({"fields": (*XYZ, Field("intensity", 12, 99))}, "field 'intensity': datatype 99"),
    ({"fields": (*XYZ, Field("intensity", 12, 7, 0))}, "field 'intensity': count 0"),
    ({"fields": (*XYZ, Field("intensity", 12, 2, 4))}, "field 'intensity': 4 values a point"),
    ({"fields": (*XYZ, Field("intensity", -4, 7))}, "field 'intensity': bytes -4 to 0"),
    ({"fields": (*XYZ, Field("rgb", 8, 8))}, "rgb: float64, expected 4 bytes"),
    ({"data": [0] * 64}, "message: .*bytes-like"),
    ({"width": 4.0}, "message: .*float"),
    ({"data": memoryview(bytes(128))[::2]}, "contiguous"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSALS)
def test_contradictions_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(CloudError, match=reason):
        decode(replace(message_of(xyzi(4), XYZI), **change))


def test_a_header_that_claims_too_much_costs_nothing() -> None:
    huge = replace(message_of(xyzi(4), XYZI), width=4_000_000_000, row_step=64_000_000_000)
    with pytest.raises(CloudError):  # warms the layout cache
        decode(huge)
    tracemalloc.start()
    started = time.perf_counter()
    for _ in range(100):
        with pytest.raises(CloudError):
            decode(huge)
    elapsed_s, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert elapsed_s < 1 and peak < 1 << 20


def test_an_object_of_another_kind_is_refused() -> None:
    with pytest.raises(CloudError, match=r"message: .*height"):
        decode(object())  # type: ignore[arg-type]


def test_empty_clouds_are_clouds() -> None:
    for height, width in ((0, 0), (0, 7), (1, 0)):
        decoded = decode(RawCloud(height, width, XYZI, False, 16, 16 * width, b""))
        assert len(decoded.cloud) == 0 and decoded.valid.shape == (0,) and decoded.intensity_field == "intensity"
    assert (
        len(encode_labelled(np.empty((0, 3), np.float32), Labels(*(np.empty(0, t) for t in ("u1", "f4", "f4"))))) == 0
    )


def test_constant_zero_intensity_falls_back_to_reflectivity() -> None:
    dtype = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("reflectivity", "<u2")])
    fields = (*XYZI, Field("reflectivity", 16, 4))
    points = np.zeros(4, dtype)
    points["reflectivity"] = [1, 2, 300, 0]
    points["intensity"][1] = np.nan
    decoded = decode(message_of(points, fields))
    assert decoded.intensity_field == "reflectivity"
    np.testing.assert_array_equal(decoded.cloud.intensity, np.float32([1, 2, 300, 0]))
    points["intensity"][0] = 1e-3
    assert decode(message_of(points, fields)).intensity_field == "intensity"
    absent = decode(message_of(points, (*XYZ, Field("reflectivity", 16, 4))))
    assert absent.intensity_field == "reflectivity"
    assert decode(message_of(points, XYZ)).cloud.intensity is None


def test_a_layout_change_between_messages_is_followed() -> None:
    points = xyzi(6)
    first, second = message_of(points, XYZI), message_of(points, (*XYZ[::-1], Field("intensity", 12, 6)))
    for message in (first, second, first):
        np.testing.assert_array_equal(decode(message).cloud.xyz[:, 0], as_float32(by_struct(message, "x")))


@given(st.integers(0, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_labelled_points_are_the_24_bytes_of_the_contract(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    xyz = rng.normal(size=(count, 3)).astype(np.float32)
    xyz[rng.random(count) < 0.2] = np.nan
    labels = Labels(
        rng.integers(0, 256, count, dtype=np.uint8), rng.random(count, np.float32), rng.random(count, np.float32)
    )
    data = encode_labelled(xyz, labels)
    assert isinstance(data, array) and data.typecode == "B"
    expected = b"".join(
        struct.pack("<3fB3xff", *point, label, p, e)
        for point, label, p, e in zip(xyz.tolist(), *(c.tolist() for c in vars(labels).values()), strict=True)
    )
    assert data.tobytes() == expected
    message = RawCloud(1, count, LABELLED_FIELDS, False, LABELLED_POINT_STEP, 24 * count, data)
    np.testing.assert_array_equal(decode(message).cloud.xyz, xyz)
    back = read_fields(message, ("class_id", "probability", "entropy"))
    for name, column in back.items():
        np.testing.assert_array_equal(column, getattr(labels, name))


def test_encoders_refuse_arrays_that_do_not_match() -> None:
    good = Labels(np.zeros(2, np.uint8), np.zeros(2, np.float32), np.zeros(2, np.float32))
    xyz = np.zeros((2, 3), np.float32)
    for labels in (
        replace(good, class_id=np.zeros(3, np.uint8)),
        replace(good, probability=np.zeros(2)),
        replace(good, entropy=np.zeros((2, 1), np.float32)),
    ):
        with pytest.raises(CloudError, match="expected"):
            encode_labelled(xyz, labels)
    with pytest.raises(CloudError, match="xyz"):
        encode_labelled(xyz.astype(np.float64), good)
    with pytest.raises(CloudError, match="rgb"):
        encode_colored(xyz, np.zeros((1, 3), np.uint8))
    with pytest.raises(CloudError, match="field 'class_id': missing"):
        read_fields(message_of(xyzi(2), XYZI), ("class_id",))


def test_colours_go_round() -> None:
    rng = np.random.default_rng(0)
    xyz, rgb = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(0, 256, (50, 3), dtype=np.uint8)
    data = encode_colored(xyz, rgb)
    assert struct.unpack_from("<I", data, 12)[0] == int(rgb[0, 0]) << 16 | int(rgb[0, 1]) << 8 | int(rgb[0, 2])
    cloud = decode(RawCloud(1, 50, COLORED_FIELDS, False, COLORED_POINT_STEP, 50 * 16, data)).cloud
    np.testing.assert_array_equal(cloud.color, rgb)
    np.testing.assert_array_equal(cloud.xyz, xyz)


@given(messages(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_selected_points_keep_their_bytes(message: RawCloud, random: Any) -> None:
    count = message.height * message.width
    mask = np.array([random.random() < 0.5 for _ in range(count)], bool)
    data, step = bytes(message.data), message.point_step
    starts = [r * message.row_step + c * step for r in range(message.height) for c in range(message.width)]
    expected = b"".join(data[s : s + step] for s, keep in zip(starts, mask, strict=True) if keep)
    assert select_points(message, mask).tobytes() == expected
    with pytest.raises(CloudError, match="mask"):
        select_points(message, np.zeros(count + 1, bool))


@pytest.mark.parametrize(
    ("bag", "size", "invalid", "intensity", "rings"),
    [
        ("velodyne_vlp16_xyzirt22", None, None, "intensity", 16),
        ("ouster_os1_128_organized48", 128 * 1024, 23425, "reflectivity", 128),
        ("autoware_xyzircaedt32_vlp16_1msg", None, 0, "intensity", 16),
        ("realsense_d435_xyz16_5msgs", None, 0, None, None),
    ],
)
def test_real_messages(
    bag: str, size: int | None, invalid: int | None, intensity: str | None, rings: int | None
) -> None:
    path = real_data("bags", bag)
    highlevel = pytest.importorskip("rosbags.highlevel", reason="needs rosbags (the `bags` extra)")
    with highlevel.AnyReader([path]) as reader:
        connection, _, raw = next(reader.messages())
        message = reader.deserialize(raw, connection.msgtype)
    decoded = decode(message)
    assert len(decoded.cloud) == message.height * message.width == (size or len(decoded.cloud))
    plain = RawCloud(**{name: getattr(message, name) for name in RawCloud.__dataclass_fields__})
    for index, axis in enumerate("xyz"):
        np.testing.assert_array_equal(decoded.cloud.xyz[:, index], as_float32(by_struct(plain, axis)))
    assert decoded.intensity_field == intensity
    if intensity is not None:
        np.testing.assert_array_equal(decoded.cloud.intensity, as_float32(by_struct(plain, intensity)))
        assert decoded.cloud.intensity is not None and decoded.cloud.intensity.max() > 1
    assert invalid is None or int((~decoded.valid).sum()) == invalid
    assert (decoded.cloud.ring is None) == (rings is None)
    if decoded.cloud.ring is not None:
        assert set(decoded.cloud.ring[decoded.valid].tolist()) <= set(range(rings or 0))


def test_decode_and_encode_of_120k_points_take_under_5_ms() -> None:
    count = 120_000
    rng = np.random.default_rng(0)
    dtype = np.dtype([("xyzi", "<f4", 4), ("ring", "<u2"), ("time", "<f4")])
    points = np.zeros(count, dtype)
    points["xyzi"] = rng.normal(size=(count, 4))
    assert dtype.itemsize == 22
    message = message_of(points, (*XYZI, Field("ring", 16, 4), Field("time", 18, 7)))
    labels = Labels(np.zeros(count, np.uint8), np.zeros(count, np.float32), np.zeros(count, np.float32))
    times_ms = []
    for _ in range(30):
        started = time.perf_counter()
        decoded = decode(message)
        assert decoded.valid.all()
        encode_labelled(decoded.cloud.xyz, labels)
        times_ms.append(1e3 * (time.perf_counter() - started))
    assert min(times_ms) < 5
