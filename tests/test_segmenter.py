# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segmenter on good, bad and absurd clouds; labels against the network's own softmax, voxel by voxel."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from small_networks import SPEC, header_of, small_cdsegnet, small_ptv3

from srkd.checkpoint import save_checkpoint
from srkd.cloud import Cloud
from srkd.device import resolve_device
from srkd.errors import CheckpointError, CloudError, ConfigError
from srkd.plan_build import build_plan
from srkd.segmenter import STAGES, Labels, Segmenter

Points = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    network = small_ptv3()
    return Segmenter(network, header_of(network))


def scan(count: int = 400, seed: int = 0) -> Points:
    """x y z intensity, several points a voxel of 0.1 m."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random((count, 3)) * 0.8 - 0.3, rng.random((count, 1))], axis=1).astype(np.float32)


def same(one: Labels, other: Labels) -> bool:
    return (
        np.array_equal(one.class_id, other.class_id)
        and np.array_equal(one.probability, other.probability)
        and np.array_equal(one.entropy, other.entropy, equal_nan=True)
    )


def check_void(labels: Labels, void: npt.NDArray[np.bool_]) -> None:
    """Exactly the given points have no label."""
    assert (labels.class_id.dtype, labels.probability.dtype, labels.entropy.dtype) == (np.uint8, np.float32, np.float32)
    assert labels.class_id.shape == labels.probability.shape == labels.entropy.shape == void.shape
    np.testing.assert_array_equal(labels.class_id == 255, void)
    np.testing.assert_array_equal(labels.probability == 0, void)
    np.testing.assert_array_equal(np.isnan(labels.entropy), void)


def test_labels_are_the_networks_softmax_spread_to_the_points_in_input_order(segmenter: Segmenter) -> None:
    points = scan()
    points[[3, 70]] = np.nan
    labels = segmenter(points)
    usable = ~np.isnan(points[:, 0])
    cells = np.floor(points[usable, :3].astype(np.float64) / 0.1).astype(np.int64)
    cells -= cells.min(axis=0)
    unique, first, inverse = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    assert 100 < len(unique) < usable.sum()
    network = segmenter.network
    with torch.no_grad():
        plan = build_plan(torch.from_numpy(unique), [len(unique)], network.plan_spec)
        logits = network(torch.from_numpy(points[usable][first]), plan).double().numpy()
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    rows = inverse.reshape(-1)
    check_void(labels, ~usable)
    np.testing.assert_array_equal(labels.class_id[usable], share.argmax(axis=1)[rows])
    np.testing.assert_allclose(labels.probability[usable], share.max(axis=1)[rows], atol=1e-5)
    entropy = -(share * np.log(share)).sum(axis=1) / math.log(12)
    np.testing.assert_allclose(labels.entropy[usable], entropy[rows], atol=1e-5)
    frame = segmenter.last_frame
    assert (frame.num_points, frame.num_valid, frame.num_voxels) == (400, 398, len(unique))
    assert tuple(segmenter.last_timing) == STAGES and all(ms > 0 for ms in segmenter.last_timing.values())


def test_the_same_cloud_gives_the_same_bits(segmenter: Segmenter) -> None:
    first = segmenter(scan())
    segmenter(scan(seed=1))
    assert same(first, segmenter(scan()))
    teacher = small_cdsegnet()
    noisy = Segmenter(teacher, header_of(teacher))
    assert same(noisy(scan()), noisy(scan()))


def test_a_cloud_and_its_array_are_one(segmenter: Segmenter) -> None:
    points = scan()
    assert same(segmenter(points), segmenter(Cloud.from_array(points)))
    assert same(segmenter(points), segmenter(points.astype(np.float64)))
    assert same(segmenter(points), segmenter(np.asfortranarray(points)))
    assert same(segmenter(points), segmenter(np.concatenate([points, points], axis=1)))


def test_the_cloud_is_not_written_to(segmenter: Segmenter) -> None:
    points = scan()
    points[5, 3] = np.nan
    points.flags.writeable = False
    before = points.copy()
    segmenter(points)
    np.testing.assert_array_equal(points, before)


def place(points: Points, *rows: Any) -> Points:
    out = points.copy()
    for index, row in enumerate(rows):
        out[index, : len(row)] = row
    return out


VOID = {
    "not a number": (np.nan, 0, 0),
    "infinite": (0, -np.inf, 0),
    "absurd": (1e30, 0, 0),
    "negative and absurd": (0, 0, -1e30),
    "ten kilometres": (0, 1e4, 0),
    "out of the lattice": (0, 0, 3300.0),
    "no return": (0, 0, 0),
    "no return, negative zero": (-0.0, 0, -0.0),
}


@pytest.mark.parametrize("row", VOID.values(), ids=VOID)
def test_a_point_that_is_no_measurement_has_no_label_and_moves_no_other(
    segmenter: Segmenter, row: tuple[float, float, float]
) -> None:
    points = scan()
    labels = segmenter(place(points, row))
    check_void(labels, np.arange(400) == 0)
    alone = segmenter(points[1:])
    assert same(Labels(labels.class_id[1:], labels.probability[1:], labels.entropy[1:]), alone)


def test_two_groups_far_apart_are_both_labelled(segmenter: Segmenter) -> None:
    points = scan()
    points[200:, 0] += 3000
    check_void(segmenter(points), np.zeros(400, bool))


def test_groups_ten_kilometres_apart_do_not_fail(segmenter: Segmenter) -> None:
    points = scan()
    points[:200, 0] -= 5000
    points[200:, 0] += 5000
    check_void(segmenter(points), np.ones(400, bool))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_point(segmenter: Segmenter, count: int) -> None:
    check_void(segmenter(scan()[:count]), np.zeros(count, bool))
    assert segmenter.last_frame.num_points == count


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e30, 1e-30, 0.5])
def test_clouds_of_one_value(segmenter: Segmenter, value: float) -> None:
    points = np.full((50, 4), value, np.float32)
    usable = value in (1e-30, 0.5)
    labels = segmenter(points)
    check_void(labels, np.full(50, not usable))
    assert len(np.unique(labels.class_id)) == 1 and segmenter.last_frame.num_voxels == usable


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_intensity_that_is_no_number_counts_as_zero(segmenter: Segmenter, value: float) -> None:
    assert same(segmenter(place(scan(), (0.1, 0.1, 0.1, value))), segmenter(place(scan(), (0.1, 0.1, 0.1, 0))))


def test_numbers_that_overflow_give_no_label_instead_of_a_wrong_one(segmenter: Segmenter) -> None:
    labels = segmenter(place(scan(), (0.1, 0.1, 0.1, 3e38)))
    void = labels.class_id == 255
    assert void.any()
    check_void(labels, void)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((5, 2), np.float32), r"shape \(5, 2\)"),
        (np.zeros(5, np.float32), r"shape \(5,\)"),
        (np.zeros((5, 3, 1), np.float32), r"shape \(5, 3, 1\)"),
        (np.zeros((5, 4), complex), "complex128"),
        (np.full((5, 4), "x"), "<U1"),
        (np.zeros((5, 4), bool), "bool"),
        (np.zeros((5, 3), np.float32), "intensity: the cloud has none"),
        (np.zeros((0, 3), np.float32), "intensity: the cloud has none"),
        (Cloud(np.zeros((5, 3), np.float32)), "intensity: the cloud has none"),
    ],
    ids=str,
)
def test_what_is_no_cloud_is_one_line(segmenter: Segmenter, points: Any, message: str) -> None:
    with pytest.raises(CloudError, match=message) as caught:
        segmenter(points)
    assert "\n" not in str(caught.value)


def test_a_million_points(segmenter: Segmenter) -> None:
    rng = np.random.default_rng(0)
    points = rng.random((1_000_000, 4), dtype=np.float32)
    points[:, :3] = points[:, :3] * 0.8 + 0.05
    labels = segmenter(points)
    check_void(labels, np.zeros(1_000_000, bool))
    assert segmenter.last_frame.num_voxels <= 9**3
    cells = np.floor(points[:, :3].astype(np.float64) / 0.1).astype(int) @ [81, 9, 1]
    for cell in np.unique(cells)[::100]:
        assert len(np.unique(labels.probability[cells == cell])) == 1


def test_range_and_transform_of_the_header_are_used() -> None:
    network = small_ptv3()
    plain, points = Segmenter(network, header_of(network)), scan()
    near = Segmenter(network, replace(header_of(network), input=replace(SPEC, max_range_m=0.4)))
    far = np.linalg.norm(points[:, :3], axis=1) > 0.4
    check_void(near(points), far)
    divided = Segmenter(network, replace(header_of(network), input=replace(SPEC, intensity="divide_255")))
    raw = points.copy()
    raw[:, 3] *= 255
    np.testing.assert_allclose(divided(raw).probability, plain(points).probability, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_stays_close(segmenter: Segmenter, precision: str) -> None:
    low = Segmenter(segmenter.network, segmenter.header, precision=precision)
    found, expected = low(scan()), segmenter(scan())
    assert float(np.abs(found.probability - expected.probability).mean()) < 0.05
    assert float((found.class_id == expected.class_id).mean()) > 0.9


def test_a_checkpoint_is_loaded_and_its_pin_checked(segmenter: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, segmenter.network, segmenter.header)
    assert same(Segmenter.load(path)(scan()), segmenter(scan()))
    with pytest.raises(CheckpointError, match="expected 00"):
        Segmenter.load(path, expected_sha256="00")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precision": "fp8"}, "precision 'fp8' is unknown: use one of fp32, bf16, fp16"),
        ({"backend": "cudnn"}, "backend 'cudnn' is unknown"),
        ({"device": "gpu"}, "device 'gpu' is unknown"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not there"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
        ({"device": "hpu"}, "device 'hpu' cannot be used here"),
    ],
    ids=str,
)
def test_unknown_settings_are_one_line(segmenter: Segmenter, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Segmenter(segmenter.network, segmenter.header, **arguments)
    assert "\n" not in str(caught.value)
    assert next(segmenter.network.parameters()).device.type == "cpu"


def test_auto_is_a_device_of_this_machine() -> None:
    assert resolve_device("auto").type in ("cpu", "cuda") and resolve_device("cpu") == torch.device("cpu")
