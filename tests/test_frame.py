# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One message to labels: intensity by policy, large and odd but valid clouds, and running out of memory."""

from __future__ import annotations

import gc
import time
import tracemalloc
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from real_data import real_data
from small_networks import SCHEME, SPEC, header_of, small_ptv3

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError, SrkdError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.intensity import POORER
from srkd.io.pointcloud2 import Field, RawCloud
from srkd.segmenter import STAGES, FrameStats, Inference, Labels, Segmenter
from srkd_ros.frame import FrameMemoryError, FrameOptions, label_frame

XYZ = (Field("x", 0, 7), Field("y", 4, 7), Field("z", 8, 7))
XYZI = (*XYZ, Field("intensity", 12, 7))
XYZIR = (*XYZI, Field("reflectivity", 16, 7))
BYTE = replace(SPEC, intensity="divide_255")
Points = npt.NDArray[np.float32]


def with_spec(spec: InputSpec) -> Segmenter:
    network = small_ptv3(in_channels=len(spec.features))
    return Segmenter(network, Header.of(network, "test", spec, SCHEME))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return with_spec(SPEC)


def scan(count: int = 300, seed: int = 0) -> Points:
    """x y z intensity of 0 to 1."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random((count, 3)) * 0.8 - 0.3, rng.random((count, 1))], axis=1).astype(np.float32)


def message_of(points: Points, fields: tuple[Field, ...] = XYZI, height: int = 1) -> RawCloud:
    """All columns are float32."""
    width, step = len(points) // height if height else 0, 4 * points.shape[1]
    return RawCloud(height, width, fields, False, step, width * step, points.astype("<f4").tobytes())


def same(one: Labels, other: Labels) -> bool:
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("class_id", "probability", "entropy")
    )


def test_labels_are_those_of_the_segmenter(segmenter: Segmenter) -> None:
    points = scan()
    points[5, :3] = np.nan
    frame = label_frame(message_of(points, height=3), segmenter, FrameOptions())
    assert same(frame.labels, segmenter(points)) and (frame.decoded.height, frame.decoded.width) == (3, 100)
    assert (frame.num_valid, frame.num_voxels) == (299, segmenter.last_frame.num_voxels)
    assert tuple(frame.stage_ms) == ("decode", *STAGES) and all(ms > 0 for ms in frame.stage_ms.values())
    assert frame.notes == ()


def test_labels_do_not_depend_on_frames_before(segmenter: Segmenter) -> None:
    dark = scan(seed=2)
    dark[:, 3] = np.arange(300) % 2  # bytes of a dark frame
    frames = [message_of(points) for points in (scan(seed=1), dark, scan(3), scan(0), scan(seed=3) * (1, 1, 1, 200))]
    frames.insert(1, message_of(scan()[:, :3], XYZ))
    fresh = [label_frame(frame, with_spec(SPEC), FrameOptions()) for frame in frames]
    for index in (5, 0, 3, 1, 1, 4, 2, 5):
        found = label_frame(frames[index], segmenter, FrameOptions())
        assert same(found.labels, fresh[index].labels) and found.notes == fresh[index].notes


# --- intensity ---


def test_bytes_are_brought_to_the_scale_of_the_network_with_a_note(segmenter: Segmenter) -> None:
    points = scan()
    points[:, 3] = np.floor(points[:, 3] * 256)
    frame = label_frame(message_of(points), segmenter, FrameOptions())
    assert frame.notes == ("intensity of 0 to 255 divided by 255: the network was trained on 0 to 1",)
    np.testing.assert_array_equal(frame.decoded.cloud.intensity, points[:, 3])
    assert same(frame.labels, segmenter(points * np.float32((1, 1, 1, 1 / 255))))
    raw = label_frame(message_of(points), segmenter, FrameOptions(match_intensity=False))
    assert same(raw.labels, segmenter(points))
    (note,) = raw.notes  # what contradicts the network is said though it is not changed
    assert frame.notes[0] in note and "match_intensity is off" in note and POORER in note


def test_counts_are_named(segmenter: Segmenter) -> None:
    points = scan()
    points[:, 3] *= 6455
    for network in (segmenter, with_spec(BYTE)):
        (note,) = label_frame(message_of(points), network, FrameOptions()).notes
        assert "counts" in note and not any(text in note for text in ("6455", "300"))


def test_zero_intensity_falls_back_to_reflectivity_with_a_note(segmenter: Segmenter) -> None:
    points = scan()
    both = np.concatenate([points, points[:, 3:]], axis=1)
    both[:, 3] = 0
    frame = label_frame(message_of(both, XYZIR), segmenter, FrameOptions())
    assert frame.notes == ("intensity from the field 'reflectivity': 'intensity' is absent or 0 throughout",)
    assert frame.decoded.intensity_field == "reflectivity" and same(frame.labels, segmenter(points))
    both[7, 3] = 0.5
    used = label_frame(message_of(both, XYZIR), segmenter, FrameOptions())
    assert used.notes == () and used.decoded.intensity_field == "intensity"
    alone = label_frame(message_of(both[:, :4], XYZI), segmenter, FrameOptions())
    assert same(used.labels, alone.labels)


def test_the_configured_field_is_taken_without_a_fallback(segmenter: Segmenter) -> None:
    both = np.concatenate([scan(), scan()[:, 3:]], axis=1)
    both[:, 4] *= 0.5
    frame = label_frame(message_of(both, XYZIR), segmenter, FrameOptions("reflectivity"))
    assert frame.notes == () and same(frame.labels, segmenter(both[:, [0, 1, 2, 4]]))
    both[:, 3] = 0
    zero = label_frame(message_of(both, XYZIR), segmenter, FrameOptions("intensity"))
    assert zero.notes == ("intensity is 0 throughout: expect poorer labels",)
    with pytest.raises(CloudError, match="field 'signal': missing, the message has x y z intensity reflectivity"):
        label_frame(message_of(both, XYZIR), segmenter, FrameOptions("signal"))


def test_a_missing_intensity_is_zero_or_refused(segmenter: Segmenter) -> None:
    message = message_of(scan()[:, :3], XYZ)
    zeros = segmenter(scan() * np.float32((1, 1, 1, 0)))
    for match in (True, False):
        frame = label_frame(message, segmenter, FrameOptions(match_intensity=match))
        assert frame.notes == ("no intensity: taken as 0, expect poorer labels",) and same(frame.labels, zeros)
    reject = FrameOptions(missing_intensity="reject")
    with pytest.raises(CloudError, match="intensity: the message has none"):
        label_frame(message, segmenter, reject)
    blind = with_spec(InputSpec(0.1, ("x", "y", "z")))
    assert label_frame(message, blind, reject).notes == ()


@pytest.mark.parametrize("options", [{"missing_intensity": "one"}, {"max_points": 0}], ids=str)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        FrameOptions(**options)


@pytest.mark.parametrize("spec", [SPEC, BYTE, replace(SPEC, intensity="tanh")], ids=lambda spec: spec.intensity)
@pytest.mark.parametrize(
    ("bag", "field"),
    [
        ("velodyne_vlp16_xyzirt22", ""),
        ("ouster_os1_128_organized48", ""),
        ("autoware_xyzircaedt32_vlp16_1msg", ""),
    ],
)
def test_the_scale_of_real_clouds_does_not_depend_on_the_frame(bag: str, field: str, spec: InputSpec) -> None:
    """Parts of a cloud, down to the darkest points, lead to the same note and the same numbers as the whole."""
    highlevel = pytest.importorskip("rosbags.highlevel", reason="needs rosbags (the `bags` extra)")
    from srkd.intensity import match_intensity
    from srkd.io.pointcloud2 import decode

    with highlevel.AnyReader([real_data("bags", bag)]) as reader:
        connection, _, raw = next(reader.messages())
        cloud = decode(reader.deserialize(raw, connection.msgtype), intensity_field=field).cloud
    whole, note = match_intensity(cloud, spec)
    assert cloud.intensity is not None and whole.intensity is not None
    order = np.argsort(np.where(cloud.intensity > 0, cloud.intensity, np.inf))
    rng = np.random.default_rng(0)
    parts = [order[:count] for count in (1, 10, 100, 1000)] + [rng.permutation(len(cloud))[:500] for _ in range(20)]
    for part in parts:
        found, found_note = match_intensity(cloud.select(part), spec)
        np.testing.assert_array_equal(found.intensity, whole.intensity[part])
        assert found_note == note or cloud.intensity[part].max() == 0


# --- large, odd, but valid ---

ODD: dict[str, Points] = {
    "no point": np.empty((0, 4), np.float32),
    "one point": scan(1),
    "nothing but NaN": np.full((100, 4), np.nan, np.float32),
    "nothing but no-returns": np.zeros((100, 4), np.float32),
    "absurd coordinates": np.full((100, 4), 1e30, np.float32),
    "one place": np.repeat(scan(1), 3000, axis=0),
    "two in each place": np.repeat(scan(), 2, axis=0),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_clouds_have_a_label_for_each_measurement(segmenter: Segmenter, name: str) -> None:
    points = ODD[name]
    frame = label_frame(message_of(points), segmenter, FrameOptions())
    measured = np.isfinite(points[:, 0]) & (np.abs(points[:, 0]) < 1e4) & points[:, :3].any(axis=1)
    np.testing.assert_array_equal(frame.labels.class_id != 255, measured)
    assert frame.num_valid == measured.sum()
    if name == "one place":
        assert frame.num_voxels == 1 and len(np.unique(frame.labels.probability)) == 1


def test_an_empty_cloud_has_empty_labels_whatever_its_header(segmenter: Segmenter) -> None:
    reject = FrameOptions("nothing", missing_intensity="reject")
    for message in (
        RawCloud(0, 0, XYZI, False, 16, 0, b""),
        RawCloud(0, 128, XYZ, False, 16, 128 * 16, b""),
        RawCloud(64, 0, XYZI, False, 16, 0, b""),
        RawCloud(0, 0, (), False, 0, 0, b""),
    ):
        frame = label_frame(message, segmenter, reject)
        assert len(frame.labels.class_id) == 0 and frame.notes == () and frame.num_voxels == 0


def test_points_beyond_the_lattice_have_no_label_and_move_no_other(segmenter: Segmenter) -> None:
    points = scan(100)
    near = label_frame(message_of(points), segmenter, FrameOptions()).labels
    far = np.concatenate([points, scan(1) + np.float32((3300, 0, 0, 0)), scan(1) - np.float32((0, 9000, 0, 0))])
    found = label_frame(message_of(far), segmenter, FrameOptions()).labels
    assert found.class_id[100:].tolist() == [255, 255]
    assert same(Labels(found.class_id[:100], found.probability[:100], found.entropy[:100]), near)
    fine = with_spec(replace(SPEC, voxel_size_m=0.001))  # the lattice ends at 33 m
    spread = scan(100) * np.float32((75, 75, 75, 1))  # 60 m
    labels = label_frame(message_of(spread), fine, FrameOptions()).labels
    inside = (np.abs(spread[:, :3]) < 32.767).all(axis=1)
    assert 0 < inside.sum() < 100
    np.testing.assert_array_equal(labels.class_id != 255, inside)


@pytest.mark.parametrize("intensity", [3e38, -3e38, np.inf, np.nan])
@pytest.mark.parametrize("spec", [SPEC, BYTE, replace(SPEC, intensity="tanh")], ids=lambda spec: spec.intensity)
def test_an_absurd_intensity_costs_no_other_point_its_label(spec: InputSpec, intensity: float) -> None:
    points = scan()
    points[11, 3] = intensity
    assert (label_frame(message_of(points), with_spec(spec), FrameOptions()).labels.class_id != 255).all()


def test_a_header_of_billions_of_points_costs_nothing(segmenter: Segmenter) -> None:
    size = 2**32 - 1
    claims = [
        RawCloud(height, width, XYZI, False, 16, row_step, bytes(64))
        for height, width, row_step in (
            (1, size, size),
            (size, 1, 16),
            (size, size, size),
            (0, size, size),
            (1, size, 64),
        )
    ]
    tracemalloc.start()
    started = time.perf_counter()
    for claim in claims * 40:
        with pytest.raises(CloudError, match="more than max_points 2000000"):
            label_frame(claim, segmenter, FrameOptions())
    elapsed_s, (_, peak) = time.perf_counter() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert elapsed_s < 1 and peak < 1 << 20


def test_max_points_is_the_last_size_that_is_taken(segmenter: Segmenter) -> None:
    assert label_frame(message_of(scan(30)), segmenter, FrameOptions(max_points=30)).num_valid == 30
    with pytest.raises(CloudError, match="points: 1 x 30, more than max_points 29"):
        label_frame(message_of(scan(30)), segmenter, FrameOptions(max_points=29))


# --- memory ---


class Hungry:
    """A segmenter that allocates, then asks for more than there is."""

    def __init__(self, ask: Any) -> None:
        self.header, self.device, self.last_frame = (
            header_of(small_ptv3()),
            torch.device("cpu"),
            FrameStats({}, 0, 0, 0),
        )
        self.ask = ask
        self.held: Any = None

    def infer(self, cloud: Cloud, seen: object) -> Inference:
        held = torch.zeros(1000)
        circle: list[Any] = [held]
        circle.append(circle)
        self.held = weakref.ref(held)
        self.ask()
        raise AssertionError(held)


def refuse_on_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee documentation")


def refuse_in_library() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (lambda: torch.empty(2**55), "allocate memory"),
        (lambda: np.empty(2**55), "Unable to allocate"),
        (lambda: bytearray(2**55), "no details"),
        (refuse_on_gpu, "CUDA out of memory"),
        (refuse_in_library, "ALLOC_FAILED"),
    ],
    ids=["torch", "numpy", "python", "cuda", "cublas"],
)
def test_no_memory_is_one_line_and_leaves_nothing_held(ask: Any, reason: str) -> None:
    hungry: Any = Hungry(ask)
    gc.disable()
    try:
        with pytest.raises(FrameMemoryError, match=reason) as caught:
            label_frame(message_of(scan()), hungry, FrameOptions())
    finally:
        gc.enable()
    assert hungry.held() is None and "\n" not in str(caught.value)
    assert str(caught.value).startswith("frame of 1 x 300 points: out of memory on cpu")
    assert isinstance(caught.value, SrkdError) and caught.value.__context__ is None


def test_other_failures_are_not_hidden() -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    hungry: Any = Hungry(fail)
    with pytest.raises(RuntimeError, match="illegal") as caught:
        label_frame(message_of(scan()), hungry, FrameOptions())
    assert not isinstance(caught.value, SrkdError)
