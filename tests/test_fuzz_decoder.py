# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The decoder on arbitrary messages: what was put in comes out, and what is broken is refused in one line.

`SRKD_FUZZ=100000` (`make fuzz`) draws so many messages.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import numpy as np
import pytest
from cloud_strategies import MadeCloud, RawCloud, as_float32, broken_clouds, fuzz, made_clouds
from hypothesis import event, given
from hypothesis import strategies as st

from srkd.errors import CloudError
from srkd.io.pointcloud2 import decode, read_fields, select_points

pytestmark = pytest.mark.filterwarnings("error")


def snapshot(message: RawCloud) -> tuple[Any, ...]:
    return tuple(
        bytes(value) if isinstance(value, bytearray) else value.tobytes() if hasattr(value, "tobytes") else value
        for value in (message.height, message.width, list(message.fields), message.data)
    )


def expected_intensity(values: dict[str, list[float]]) -> str | None:
    """The field that intensity should be from, by the rule in words."""
    if "intensity" not in values:
        return "reflectivity" if "reflectivity" in values else None
    some = any(v != 0 and not math.isnan(v) for v in as_float32(values["intensity"]).tolist())
    return "intensity" if some or "reflectivity" not in values or not values["intensity"] else "reflectivity"


@given(made_clouds())
@fuzz(0.3)
def test_what_was_put_in_comes_out(made: MadeCloud) -> None:
    before = snapshot(made.message)
    decoded = decode(made.message)
    cloud, values = decoded.cloud, made.values
    assert (decoded.height, decoded.width) == (made.message.height, made.message.width)
    np.testing.assert_array_equal(cloud.xyz, made.xyz())
    assert np.array_equal(np.signbit(cloud.xyz), np.signbit(made.xyz()))
    assert decoded.intensity_field == expected_intensity(values)
    if decoded.intensity_field is None:
        assert cloud.intensity is None
    else:
        np.testing.assert_array_equal(cloud.intensity, as_float32(values[decoded.intensity_field]))
    ring = next((name for name in ("ring", "channel", "line") if name in values), None)
    if ring is None or cloud.ring is None:
        assert ring is None and cloud.ring is None
    else:
        cut = [
            v if isinstance(v, int) else int(min(max(v, -1), 65535)) if math.isfinite(v) else -1 for v in values[ring]
        ]
        assert cloud.ring.tolist() == cut
    valid = [all(abs(v) < 1e4 for v in p) and any(v != 0 for v in p) for p in made.xyz().tolist()]
    assert decoded.valid.tolist() == valid
    assert snapshot(made.message) == before
    for column in (cloud.xyz, cloud.intensity):
        assert column is None or (column.flags.c_contiguous and column.flags.aligned and column.flags.writeable)


@given(made_clouds(), st.data())
@fuzz(0.1)
def test_any_field_can_be_read_and_be_the_intensity(made: MadeCloud, data: st.DataObject) -> None:
    single = {field.name: field for field in made.message.fields if field.count == 1}
    name = data.draw(st.sampled_from(sorted(single)))
    column = read_fields(made.message, [name])[name]
    assert column.dtype == np.dtype(["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"][single[name].datatype - 1])
    np.testing.assert_array_equal(column, np.array(made.values[name], column.dtype))
    decoded = decode(made.message, intensity_field=name)
    if len(column):
        assert decoded.intensity_field == name
        np.testing.assert_array_equal(decoded.cloud.intensity, as_float32(made.values[name]))
    for field in made.message.fields:
        if field.count > 1:
            with pytest.raises(CloudError, match="values a point"):
                read_fields(made.message, [field.name])
            if len(column):
                with pytest.raises(CloudError, match="values a point"):
                    decode(made.message, intensity_field=field.name)


@given(made_clouds(), st.randoms(use_true_random=False))
@fuzz(0.1)
def test_selected_points_keep_their_bytes(made: MadeCloud, source: Any) -> None:
    message = made.message
    mask = np.array([source.random() < 0.5 for _ in range(message.height * message.width)], bool)
    data, step = bytes(message.data), message.point_step
    starts = [r * message.row_step + c * step for r in range(message.height) for c in range(message.width)]
    expected = b"".join(data[s : s + step] for s, keep in zip(starts, mask, strict=True) if keep)
    assert select_points(message, mask).tobytes() == expected
    with pytest.raises(CloudError, match="mask"):
        select_points(message, np.zeros(len(mask) + 1, bool))


@given(broken_clouds(), st.sampled_from(("", "", "intensity", "x", "signal", "no\nsuch")))
@fuzz(0.5)
def test_a_broken_message_is_refused_in_one_line_or_is_as_large_as_it_says(message: RawCloud, field: str) -> None:
    started = time.perf_counter()
    try:
        decoded = decode(message, intensity_field=field, max_points=1000)
    except CloudError as error:
        assert "\n" not in str(error) and 10 < len(str(error)) < 700
        event("refused")
    else:
        event("decoded" if len(decoded.cloud) else "decoded, empty")
        size = message.height * message.width
        assert size * message.point_step <= len(bytes(message.data)) and size <= 1000
        cloud = decoded.cloud
        columns = (cloud.xyz, cloud.intensity, cloud.ring, cloud.color, cloud.normal, decoded.valid)
        assert all(len(column) == size for column in columns if column is not None)
        assert len(select_points(message, decoded.valid)) == message.point_step * int(decoded.valid.sum())
    assert time.perf_counter() - started < 2


@given(broken_clouds(), made_clouds())
@fuzz(0.05)
def test_a_broken_message_leaves_nothing_behind(message: RawCloud, made: MadeCloud) -> None:
    for _ in range(2):
        with contextlib.suppress(CloudError):
            decode(message)
        np.testing.assert_array_equal(decode(made.message).cloud.xyz, made.xyz())
