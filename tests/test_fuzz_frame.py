# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From arbitrary messages to labels: a label for every point, none for what is no measurement, nothing left behind.

`SRKD_FUZZ=100000` (`make fuzz`) draws more messages.
"""

from __future__ import annotations

import functools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cloud_strategies import Field, MadeCloud, RawCloud, broken_clouds, fuzz, made_clouds, pack
from hypothesis import event, given
from hypothesis import strategies as st
from real_data import real_data
from small_networks import SCHEME, SPEC, small_ptv3

from srkd.errors import CloudError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.segmenter import Labels, Segmenter
from srkd_ros.frame import FrameOptions, LabelledFrame, label_frame

pytestmark = pytest.mark.filterwarnings("error")

SPECS = (
    SPEC,
    replace(SPEC, intensity="divide_255"),
    replace(SPEC, intensity="tanh"),
    replace(SPEC, max_range_m=3.0),
    replace(SPEC, range_m=(-2.0, -1.0, -3.0, 3.0, 2.0, 1.0)),
)
BLIND = InputSpec(0.1, ("x", "y", "z"))
LATTICE_M = (2**15 - 1) * 0.1


@functools.cache
def segmenter(spec: InputSpec = SPEC) -> Segmenter:
    network = small_ptv3(in_channels=len(spec.features))
    return Segmenter(network, Header.of(network, "test", spec, SCHEME))


def same(one: Labels, other: Labels) -> bool:
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("class_id", "probability", "entropy")
    )


def usable(xyz: list[list[float]], spec: InputSpec) -> list[bool]:
    """By the rule in words, point by point."""

    def is_usable(point: list[float]) -> bool:
        inside = all(abs(value) < min(LATTICE_M, 1e4) for value in point) and any(value != 0 for value in point)
        if inside and spec.max_range_m is not None:
            inside = sum(value * value for value in point) <= spec.max_range_m**2
        if inside and spec.range_m is not None:
            low, high = spec.range_m[:3], spec.range_m[3:]
            inside = all(a <= value <= b for a, value, b in zip(low, point, high, strict=True))
        return inside

    return [is_usable(point) for point in xyz]


def check(frame: LabelledFrame, count: int) -> None:
    """A label or none for each point, and numbers that agree."""
    labels, void = frame.labels, frame.labels.class_id == 255
    assert len(frame.decoded.cloud) == count
    assert labels.class_id.shape == labels.probability.shape == labels.entropy.shape == (count,)
    assert ((labels.class_id < 12) | void).all()
    np.testing.assert_array_equal(labels.probability == 0, void)
    np.testing.assert_array_equal(np.isnan(labels.entropy), void)
    assert frame.num_valid == int((~void).sum()) >= frame.num_voxels >= (frame.num_valid > 0)
    assert frame.stage_ms["decode"] > 0 and all("\n" not in note for note in frame.notes)


@functools.cache
def good_cloud() -> RawCloud:
    """40 ordinary points of 22 bytes."""
    source = random.Random(7)
    fields = [Field("x", 0, 7), Field("y", 4, 7), Field("z", 8, 7), Field("intensity", 12, 7), Field("ring", 16, 4)]
    fields.append(Field("time", 18, 7))
    values: dict[str, list[Any]] = {field.name: [source.uniform(-3, 3) for _ in range(40)] for field in fields}
    values["intensity"], values["ring"] = (
        [source.random() for _ in range(40)],
        [source.randrange(16) for _ in range(40)],
    )
    cloud = RawCloud(1, 40, fields, False, 22, 40 * 22, b"")
    return replace(cloud, data=pack(values, cloud, source))


@functools.cache
def good_labels() -> Labels:
    return label_frame(good_cloud(), Segmenter(small_ptv3(), segmenter().header), FrameOptions()).labels


@given(made_clouds(max_width=12), st.sampled_from((*SPECS, BLIND)))
@fuzz(0.05)
def test_every_usable_point_of_any_layout_has_a_label_and_no_other(made: MadeCloud, spec: InputSpec) -> None:
    frame = label_frame(made.message, segmenter(spec), FrameOptions())
    check(frame, made.message.height * made.message.width)
    assert (frame.labels.class_id != 255).tolist() == usable(made.xyz().astype(float).tolist(), spec)
    again = label_frame(made.message, segmenter(spec), FrameOptions())
    assert same(frame.labels, again.labels) and frame.notes == again.notes


@given(
    broken_clouds(), st.sampled_from((FrameOptions(), FrameOptions("time"), FrameOptions(missing_intensity="reject")))
)
@fuzz(0.1)
def test_after_any_message_a_good_cloud_is_labelled_as_before(message: RawCloud, options: FrameOptions) -> None:
    check_survives(message, options)


def check_survives(message: RawCloud, options: FrameOptions) -> None:
    try:
        frame = label_frame(message, segmenter(), options)
    except CloudError as error:
        event("refused")
        assert "\n" not in str(error)
    else:
        event("labelled" if frame.num_valid else "labelled, no usable point")
        check(frame, message.height * message.width)
    good = label_frame(good_cloud(), segmenter(), FrameOptions())
    assert good.notes == () and same(good.labels, good_labels())


@functools.cache
def real_cloud(bag: str) -> RawCloud:
    """60 points of a recording, from its middle, as they were sent."""
    highlevel = pytest.importorskip("rosbags.highlevel", reason="needs rosbags (the `bags` extra)")
    with highlevel.AnyReader([real_data("bags", bag)]) as reader:
        connection, _, raw = next(reader.messages())
        message = reader.deserialize(raw, connection.msgtype)
    fields = [Field(field.name, field.offset, field.datatype, field.count) for field in message.fields]
    step = message.point_step
    start = message.height * message.width // 2 * step
    data = message.data[start : start + 60 * step].tobytes()
    return RawCloud(1, 60, fields, bool(message.is_bigendian), step, 60 * step, data)


@pytest.mark.parametrize(
    "bag",
    [
        "autoware_xyzircaedt32_vlp16_1msg",
        "ouster_os1_128_organized48",
        "realsense_d435_xyz16_5msgs",
        "velodyne_vlp16_xyzirt22",
    ],
)
@given(data=st.data())
@fuzz(0.01)
def test_defects_of_real_messages_leave_nothing_behind(bag: str, data: st.DataObject) -> None:
    cloud = real_cloud(bag)
    assert label_frame(cloud, segmenter(), FrameOptions()).num_valid > 10
    check_survives(data.draw(broken_clouds(cloud)), FrameOptions())
