# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for PointCloud2 messages: well-formed ones with the values put in, and broken ones.

Well-formed messages are written field by field with `struct`, which is the oracle: it shares nothing with the decoder.
"""

from __future__ import annotations

import math
import os
import random
import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from srkd.io.message_layout import Field, RawCloud

FORMAT = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
SIZE = {datatype: struct.calcsize("<" + code) for datatype, code in FORMAT.items()}
CONTAINERS: list[Callable[[bytes], Any]] = [
    bytes,
    bytearray,
    memoryview,
    lambda data: array("B", data),
    lambda data: np.frombuffer(data, np.uint8),  # read-only
    lambda data: np.frombuffer(data, np.uint8).copy(),
    lambda data: memoryview(bytearray(data)).toreadonly(),
]
EXTRAS = ("intensity", "reflectivity", "ring", "channel", "line", "time", "t", "tag", "range", "signal", "rgb", "_")

# Coordinates that matter: ordinary, no-return, not a number, infinite, absurd, beyond the sensor, beyond the lattice.
ODD_FLOATS = (0.0, -0.0, math.nan, math.inf, -math.inf, 1e30, -1e30, 3e38, 1e-30, 9999.5, 1e4, -1e4, 5000.0)


def fuzz(share: float) -> settings:
    """Settings of a property that gets a share of the examples of `SRKD_FUZZ` (default 2500)."""
    examples = max(1, round(share * int(os.environ.get("SRKD_FUZZ") or 2500)))
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=examples, deadline=None, suppress_health_check=checks)


@dataclass(frozen=True)
class MadeCloud:
    """A message, and by field name the value put into each point, in order (the first one of several)."""

    message: RawCloud
    values: dict[str, list[float]]

    def xyz(self) -> np.ndarray[Any, Any]:
        """(N, 3) float32: what the coordinates put in are in single precision."""
        return np.stack([as_float32(self.values[axis]) for axis in "xyz"], axis=1)


def as_float32(values: list[Any]) -> np.ndarray[Any, Any]:
    """(N,) float32, rounded once."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array(values, np.float64).astype(np.float32)


def _value(source: random.Random, datatype: int, name: str) -> float:
    if datatype < 7:
        bits = 8 * SIZE[datatype]
        low = -(2 ** (bits - 1)) if datatype % 2 else 0
        return source.choice(
            (0, 1, low, low + 2**bits - 1, source.randrange(low, low + 2**bits), source.randrange(100))
        )
    if name in "xyz" and source.random() < 0.8:
        value = source.uniform(-4, 4)
    else:
        value = source.choice((*ODD_FLOATS, source.random(), float(source.randrange(256)), source.uniform(-60, 60)))
    return struct.unpack("<f", struct.pack("<f", value))[0] if datatype == 7 else value


def pack(made: dict[str, list[Any]], cloud: RawCloud, filler: random.Random) -> bytes:
    """The data of a message, field by field; bytes that no field covers are random, as pad bytes of drivers are."""
    data = bytearray(filler.randbytes(cloud.height * cloud.row_step))
    order = ">" if cloud.is_bigendian else "<"
    for row in range(cloud.height):
        for column in range(cloud.width):
            start = row * cloud.row_step + column * cloud.point_step
            for field in cloud.fields:
                value = made[field.name][row * cloud.width + column]
                for index in range(field.count):
                    place = start + field.offset + index * SIZE[field.datatype]
                    struct.pack_into(order + FORMAT[field.datatype], data, place, value)
    return bytes(data)


@st.composite
def made_clouds(
    draw: st.DrawFn, *, min_size: int = 0, max_width: int = 5, max_height: int = 3, plain: bool = False
) -> MadeCloud:
    """Well-formed messages: fields in any order and type with any gaps, padded rows, either byte order, any shape.

    Plain ones are little-endian, without row padding.
    """
    source = random.Random(draw(st.integers(0, 2**32 - 1)))
    kinds: list[tuple[str, int, int]] = []
    if draw(st.booleans()):
        kinds = [(axis, 7, 1) for axis in "xyz"]
    else:
        kinds = [(axis, draw(st.sampled_from((7, 8))), 1) for axis in "xyz"]
    for name in draw(st.lists(st.sampled_from(EXTRAS), unique=True, max_size=5)):
        count = draw(st.sampled_from((1, 2, 3))) if name in ("_", "tag") else 1
        kinds.append((name, draw(st.integers(1, 8)), count))
    if draw(st.booleans()):
        kinds = draw(st.permutations(kinds))
    gaps = draw(st.booleans())
    end, fields = 0, []
    for name, datatype, count in kinds:
        end += source.randrange(4) if gaps else 0
        fields.append(Field(name, end, datatype, count))
        end += SIZE[datatype] * count
    step = end + (source.randrange(5) if gaps else 0)
    height, width = draw(st.integers(min_size, max_height)), draw(st.integers(min_size, max_width))
    row_step = width * step + (0 if plain else draw(st.sampled_from((0, 0, 1, 7))))
    if draw(st.booleans()):
        source.shuffle(fields)  # not in the order of their offsets
    cloud = RawCloud(height, width, fields, not plain and draw(st.booleans()), step, row_step, b"")
    values = {f.name: [_value(source, f.datatype, f.name) for _ in range(height * width)] for f in fields}
    if draw(st.booleans()) and "intensity" in values:
        values["intensity"] = [0 for _ in values["intensity"]]
    return MadeCloud(replace(cloud, data=draw(st.sampled_from(CONTAINERS))(pack(values, cloud, source))), values)


NAMES = st.sampled_from(("x", "y", "z", *EXTRAS, "normal_x", "normal_y", "normal_z", "rgba", "r", "g", "b", "", "a\nb"))
NUMBERS = st.integers(0, 40) | st.sampled_from((2**16, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1))
WILD = NUMBERS | st.sampled_from((-1, 2**32, 2**63, 2**64, 10**30, 10**400))
"""Numbers that no message of ROS can hold, as an object in Python may."""
NOT_BYTES: tuple[Any, ...] = (
    None, "text", [1, 2, 3], 7, object(), memoryview(bytes(64))[::2], np.zeros(4, np.float32), np.zeros((2, 2), "u1").T,
    np.zeros(3, "M8[s]"), np.array(["a"], object), array("d", [1.0]),
)  # fmt: skip


def _mutate(draw: st.DrawFn, cloud: RawCloud) -> RawCloud:
    """One defect, most of which leave the message malformed."""
    what = draw(
        st.sampled_from(
            ("number", "number", "field", "drop", "double", "cut", "grow", "bytes", "bytes", "wild", "data")
        )
    )
    fields, data = list(cloud.fields), bytes(cloud.data)
    index = draw(st.integers(0, max(0, len(fields) - 1)))
    if what == "number":
        name = draw(st.sampled_from(("height", "width", "point_step", "row_step")))
        near = getattr(cloud, name) + draw(st.integers(-3, 3))
        return replace(cloud, **{name: draw(NUMBERS | st.just(max(0, near)))})
    if what == "wild":
        name = draw(st.sampled_from(("height", "width", "point_step", "row_step", "is_bigendian", "fields")))
        return replace(cloud, **{name: draw(WILD | st.none() | st.floats() | st.text(max_size=3))})
    if what == "data":
        return replace(cloud, data=draw(st.sampled_from(NOT_BYTES)))
    if what in ("field", "drop", "double") and fields:
        if what == "drop":
            del fields[index]
        elif what == "double":
            fields.insert(0, replace(fields[index], offset=draw(st.integers(0, 8))))
        else:
            name = draw(st.sampled_from(("name", "offset", "datatype", "count")))
            choices = {"name": NAMES, "offset": st.integers(0, 16) | NUMBERS, "datatype": st.integers(0, 9) | NUMBERS}
            fields[index] = replace(fields[index], **{name: draw(choices.get(name, NUMBERS))})
        return replace(cloud, fields=fields)
    if what == "cut":
        return replace(cloud, data=data[: draw(st.integers(0, max(0, len(data) - 1)))])
    if what == "grow":
        return replace(cloud, data=data + bytes(draw(st.integers(1, 40))))
    noise = random.Random(draw(st.integers(0, 2**32 - 1)))
    return replace(cloud, data=noise.randbytes(len(data)))


def _is_plain(cloud: RawCloud) -> bool:
    """Whether the attributes have the types of ROS."""
    numbers = (cloud.height, cloud.width, cloud.point_step, cloud.row_step)
    bytes_or_not = not any(cloud.data is value for value in NOT_BYTES)
    return bytes_or_not and isinstance(cloud.fields, list) and all(isinstance(number, int) for number in numbers)


@st.composite
def broken_clouds(draw: st.DrawFn, base: RawCloud | None = None) -> RawCloud:
    """Messages with defects: a well-formed one (base, if given) with one or two, or one made of arbitrary parts."""
    if base is not None or draw(st.integers(0, 3)):
        cloud = base or draw(made_clouds(min_size=1)).message
        cloud = _mutate(draw, cloud)
        if _is_plain(cloud) and not draw(st.integers(0, 2)):
            cloud = _mutate(draw, cloud)
        return cloud
    field = st.builds(Field, NAMES, NUMBERS, NUMBERS | st.integers(1, 8), st.integers(0, 3) | NUMBERS)
    data = draw(st.binary(max_size=100))
    step = draw(NUMBERS)
    fields = draw(st.lists(field, max_size=6))
    if draw(st.booleans()):
        fields += [Field(axis, draw(st.integers(0, 20)), draw(st.sampled_from((7, 8)))) for axis in "xyz"]
        step = draw(st.integers(0, 32))
    height, width = draw(st.integers(0, 4) | NUMBERS), draw(st.integers(0, 4) | NUMBERS)
    row_step = draw(NUMBERS | st.just(width * step))
    if height * row_step < 4000 and draw(st.booleans()):
        data = random.Random(len(data)).randbytes(height * row_step)
    return RawCloud(height, width, fields, draw(st.booleans()), step, row_step, data)
