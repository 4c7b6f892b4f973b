# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds, and what a network's input is made from."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srkd.cloud import Cloud, usable_points
from srkd.errors import CloudError, ConfigError
from srkd.input_spec import InputSpec


def cloud(count: int = 4) -> Cloud:
    rng = np.random.default_rng(0)
    return Cloud(
        rng.normal(size=(count, 3)).astype(np.float32),
        intensity=rng.uniform(0, 255, count).astype(np.float32),
        color=rng.integers(0, 256, (count, 3), dtype=np.uint8),
        normal=rng.normal(size=(count, 3)).astype(np.float32),
        ring=np.arange(count),
    )


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"xyz": np.zeros((4, 2), np.float32)}, r"xyz: shape \(4, 2\)"),
        ({"xyz": np.zeros((4, 3))}, "xyz: dtype float64, expected float32"),
        ({"xyz": [[0, 0, 0]]}, "xyz: list"),
        ({"xyz": None}, "xyz: NoneType"),
        ({"intensity": np.zeros(3, np.float32)}, r"intensity: shape \(3,\), expected \(4,\)"),
        ({"color": np.zeros((4, 3), np.float32)}, "color: dtype float32, expected uint8"),
        ({"ring": np.zeros(4, np.float32)}, "ring: dtype float32, expected an integer type"),
    ],
)
def test_a_cloud_checks_its_columns(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(CloudError, match=reason):
        Cloud(**{"xyz": np.zeros((4, 3), np.float32), **columns})


def test_cloud_from_array_and_select() -> None:
    points = np.arange(20, dtype=np.float64).reshape(4, 5)
    made = Cloud.from_array(points)
    assert made.intensity is not None
    assert made.intensity.tolist() == [3, 8, 13, 18]
    assert Cloud.from_array(points[:, :3]).intensity is None
    assert len(Cloud.from_array(np.empty((0, 4)))) == 0
    for bad in (np.zeros(3), np.zeros((3, 2)), np.zeros((2, 3), complex), [["a", "b", "c"]]):
        with pytest.raises(CloudError, match="points: shape"):
            Cloud.from_array(bad)
    picked = cloud().select(np.array([2, 0]))
    assert picked.ring is not None
    assert picked.ring.tolist() == [2, 0]
    assert len(cloud().select(np.zeros(4, bool))) == 0


coordinates = st.one_of(st.floats(width=32), st.sampled_from([0.0, -0.0, 1e4, 9999.0, -1e4, math.nan, math.inf, 1e30]))


@given(st.lists(st.tuples(coordinates, coordinates, coordinates), max_size=30))
@settings(max_examples=100, deadline=None)
def test_usable_points_is_the_plain_rule(rows: list[tuple[float, float, float]]) -> None:
    xyz = np.array(rows, np.float32).reshape(-1, 3)
    expected = [
        all(math.isfinite(v) and abs(v) < 1e4 for v in row) and any(v != 0 for v in row) for row in xyz.tolist()
    ]
    with np.errstate(all="raise"):
        assert usable_points(xyz).tolist() == expected
        assert InputSpec(0.1).valid_mask(xyz).tolist() == expected


def test_ranges_include_their_bounds() -> None:
    xyz = np.array([[3, 0, 4], [3, 0, 4.01], [-1, 0, 0], [1, 2, 3], [1.1, 2, 3], [np.nan, 1, 1]], np.float32)
    assert InputSpec(0.1, max_range_m=5).valid_mask(xyz).tolist() == [True, False, True, True, True, False]
    box = InputSpec(0.1, range_m=(-1, -1, -1, 1, 2, 3)).valid_mask(xyz)
    assert box.tolist() == [False, False, True, True, False, False]


def test_features_come_in_the_given_order() -> None:
    points = cloud()
    assert points.intensity is not None and points.color is not None and points.normal is not None
    lidar = InputSpec(0.05, features=("z", "intensity", "x"), intensity="divide_255").make_features(points)
    assert np.allclose(lidar, np.stack([points.xyz[:, 2], points.intensity / 255, points.xyz[:, 0]], 1))
    assert lidar.dtype == np.float32
    room = InputSpec(0.02, features=("r", "g", "b", "nx", "ny", "nz")).make_features(points)
    assert np.allclose(room, np.concatenate([points.color / 127.5 - 1, points.normal], 1))
    tanh = InputSpec(0.05, features=("intensity",), intensity="tanh").make_features(points)
    assert np.allclose(tanh[:, 0], np.tanh(points.intensity))
    as_is = InputSpec(0.05, features=("intensity",)).make_features(points)
    assert np.array_equal(as_is[:, 0], points.intensity)


def test_a_lacking_column_is_named() -> None:
    bare = Cloud(np.zeros((2, 3), np.float32))
    for name, column in (("intensity", "intensity"), ("r", "color"), ("nz", "normal")):
        with pytest.raises(CloudError, match=f"{column}: the cloud has none"):
            InputSpec(0.1, features=(name,)).make_features(bare)
    assert InputSpec(0.1).make_features(cloud(0)).shape == (0, 4)


def test_spec_goes_round_through_json() -> None:
    spec = InputSpec(0.1, ("x", "y", "z", "intensity"), "tanh", 80.0, (-50.0, -50.0, -4.0, 50.0, 50.0, 2.0))
    assert InputSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert InputSpec.from_dict({"voxel_size_m": 1, "features": ["x"]}) == InputSpec(1, ("x",))


@pytest.mark.parametrize(
    "change",
    [
        {"voxel_size_m": 0},
        {"voxel_size_m": "0.1"},
        {"voxel_size_m": math.nan},
        {"voxel_size_m": True},
        {"features": []},
        {"features": "xyz"},
        {"features": ["x", "w"]},
        {"features": ["x", "x"]},
        {"features": [["x"]]},
        {"intensity": "log"},
        {"intensity": ["as_is"]},
        {"max_range_m": -1},
        {"max_range_m": "far"},
        {"range_m": [0, 0, 0, 1, 1]},
        {"range_m": [0, 0, 0, 1, 1, 0]},
        {"range_m": [0, 0, 0, 1, 1, None]},
        {"range_m": 5},
        {"voxel": 1},
    ],
)
def test_a_bad_spec_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        InputSpec.from_dict({**InputSpec(0.1).to_dict(), **change})


def test_a_spec_without_its_needs_is_refused() -> None:
    with pytest.raises(ConfigError, match="required"):
        InputSpec.from_dict({"features": ["x"]})
    with pytest.raises(ConfigError, match="list, expected a mapping"):
        InputSpec.from_dict([])  # type: ignore[arg-type]
