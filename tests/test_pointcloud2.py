# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 bytes: refusals, encoders, real messages, speed. Arbitrary layouts are in test_fuzz_decoder.py."""

from __future__ import annotations

import itertools
import struct
import time
import tracemalloc
from array import array
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from cloud_strategies import FORMAT, as_float32
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
)

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


def message_of(points: np.ndarray[Any, Any], fields: tuple[Field, ...], height: int = 1) -> RawCloud:
    step = points.dtype.itemsize
    return RawCloud(height, len(points) // height, fields, False, step, len(points) // height * step, points.tobytes())


def xyzi(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32).view("V16")[:, 0]


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"data": b""}, "data: 0 bytes, expected height 1 x row_step 64 = 64"),
    ({"data": bytes(65)}, "data: 65 bytes"),
    ({"height": 2}, "data: 64 bytes, expected height 2"),
    ({"width": 5}, "row_step 64: less than width 5 x point_step 16"),
    ({"height": 4_000_000_000, "width": 4_000_000_000}, "row_step 64: less than"),
    ({"height": 4_000_000_000}, "data: 64 bytes, expected height 4000000000"),
    ({"height": -1}, "message: a number is below 0"),
    ({"row_step": 2**32}, "message: .*beyond 32 bits"),
    ({"point_step": 0}, "field 'x': bytes 0 to 4 of a point, expected to end by point_step 0"),
    ({"point_step": 15}, "field 'intensity': bytes 12 to 16"),
    ({"fields": XYZI[1:]}, "fields y z intensity: no x"),
    ({"fields": ()}, "none.*no x y z"),
    ({"fields": (*XYZ[1:], Field("a\nb", 0, 7))}, r"fields y z a\\nb: no x"),
    ({"fields": (*XYZI, Field("x", 0, 7))}, "field 'x': appears twice"),
    ({"fields": (*XYZI, Field("intensity", 12, 7))}, "field 'intensity': appears twice"),
    ({"fields": (Field("x", 0, 5), *XYZI[1:])}, "field 'x': int32, expected float32 or float64 in metres"),
    ({"fields": (Field("x", 0, 7, 2), *XYZI[1:])}, "field 'x': 2 values a point"),
    ({"fields": (Field("x", 0, 9), *XYZI[1:])}, "field 'x': datatype 9"),
    ({"fields": (*XYZ, Field("y\nz", 12, 7, 0))}, r"field 'y\\nz': count 0"),
    ({"fields": tuple(Field(f"f{i}", 0, 7) for i in range(257))}, "fields: 257, expected at most 256"),
    ({"fields": (*XYZ, Field("n" * 257, 12, 7))}, "fields: a name has more than 256 characters"),
    ({"fields": (*XYZ, Field("intensity", 12, 99))}, "field 'intensity': datatype 99"),
    ({"fields": (*XYZ, Field("intensity", 12, 7, 0))}, "field 'intensity': count 0"),
    ({"fields": (*XYZ, Field("intensity", 12, 2, 4))}, "field 'intensity': 4 values a point"),
    ({"fields": (*XYZ, Field("intensity", 2**32 - 4, 7))}, "field 'intensity': bytes 4294967292 to 4294967296"),
    ({"data": [0] * 64}, "message: .*bytes-like"),
    ({"width": 4.0}, "message: .*float"),
    ({"data": memoryview(bytes(128))[::2]}, "contiguous"),
    ({"data": np.zeros(16, np.float32)}, "not a row of bytes"),
    ({"data": np.zeros(8, "M8[s]")}, "message: "),
    ({"fields": None}, "message: "),
]


@pytest.mark.parametrize(("change", "reason"), REFUSALS)
def test_contradictions_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(CloudError, match=reason) as caught:
        decode(replace(message_of(xyzi(4), XYZI), **change))
    assert "\n" not in str(caught.value)


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


def test_a_cloud_without_fields_and_points_is_an_empty_cloud() -> None:
    decoded = decode(RawCloud(0, 0, [], False, 0, 0, array("B")), intensity_field="intensity")
    assert len(decoded.cloud) == 0 and (decoded.height, decoded.width) == (0, 0)


def test_more_points_than_wanted_are_refused_before_the_data_is_looked_at() -> None:
    message = message_of(xyzi(4), XYZI)
    assert len(decode(message, max_points=4).cloud) == 4
    with pytest.raises(CloudError, match="points: 1 x 4, more than max_points 3"):
        decode(message, max_points=3)
    for height, width in ((2**32 - 1, 2**32 - 1), (0, 2**32 - 1), (2**32 - 1, 0)):
        with pytest.raises(CloudError, match="more than max_points 1000"):
            decode(RawCloud(height, width, XYZI, False, 16, 16, b""), max_points=1000)


def test_what_nobody_reads_does_no_harm() -> None:
    padding = (Field("_", 12, 2), Field("_", 13, 2), Field("new", 14, 11), Field("rgb", 8, 8), Field("ring", 4, 7, 2))
    message = message_of(xyzi(4), (*XYZ, *padding))
    decoded = decode(message)
    np.testing.assert_array_equal(decoded.cloud.xyz[:, 2], as_float32(by_struct(message, "z")))
    assert decoded.cloud.color is None and decoded.cloud.ring is None
    for name, reason in (("_", "appears twice"), ("new", "datatype 11"), ("ring", "2 values")):
        with pytest.raises(CloudError, match=reason):
            read_fields(message, [name])


def test_the_configured_field_is_the_intensity() -> None:
    message = message_of(xyzi(4), (*XYZI, Field("reflectivity", 14, 4)))
    for name in ("reflectivity", "z"):
        decoded = decode(message, intensity_field=name)
        assert decoded.intensity_field == name
        np.testing.assert_array_equal(decoded.cloud.intensity, as_float32(by_struct(message, name)))
    with pytest.raises(CloudError, match="field 'signal': missing, the message has x y z intensity reflectivity"):
        decode(message, intensity_field="signal")


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


def test_fields_are_found_in_any_order() -> None:
    points = xyzi(5)
    for order in itertools.permutations(("x", "y", "z", "intensity")):
        message = message_of(points, tuple(Field(name, 4 * index, 7) for index, name in enumerate(order)))
        cloud = decode(message).cloud
        expected = [as_float32(by_struct(message, name)) for name in ("x", "y", "z", "intensity")]
        np.testing.assert_array_equal(cloud.xyz, np.stack(expected[:3], axis=1))
        np.testing.assert_array_equal(cloud.intensity, expected[3])


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


LAYOUTS = {
    "16": (XYZI, 16),
    "22 velodyne": ((*XYZI, Field("ring", 16, 4), Field("time", 18, 7)), 22),
    "26 hesai": ((*XYZI, Field("ring", 16, 4), Field("timestamp", 18, 8)), 26),
    "26 livox": ((*XYZI, Field("tag", 16, 2), Field("line", 17, 2), Field("timestamp", 18, 8)), 26),
    "32 autoware": ((*XYZ, Field("intensity", 12, 2), Field("channel", 14, 4), Field("distance", 24, 7)), 32),
    "48 ouster": ((*XYZ, Field("intensity", 16, 7), Field("reflectivity", 24, 4), Field("ring", 26, 4)), 48),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_decode_and_encode_of_120k_points_take_under_5_ms(layout: str) -> None:
    count = 120_000
    fields, step = LAYOUTS[layout]
    points = np.zeros((count, step), np.uint8)
    points[:, :12] = np.random.default_rng(0).normal(size=(count, 3)).astype("<f4").view(np.uint8)
    message = RawCloud(1, count, fields, False, step, count * step, array("B", points.tobytes()))
    labels = Labels(np.zeros(count, np.uint8), np.zeros(count, np.float32), np.zeros(count, np.float32))
    times_ms = []
    for _ in range(30):
        started = time.perf_counter()
        decoded = decode(message)
        assert decoded.valid.all()
        encode_labelled(decoded.cloud.xyz, labels)
        times_ms.append(1e3 * (time.perf_counter() - started))
    assert min(times_ms) < 5
