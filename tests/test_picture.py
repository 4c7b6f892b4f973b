# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: where points land, what covers what, and that they are written whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srkd.errors import CloudError, SrkdError
from srkd.labels import IGNORE, SCHEMES
from srkd_train.picture import bird_eye, comparison
from srkd_train.raster import render, ring_step

STREET = SCHEMES["street"]
RED, GREEN = np.array([[255, 0, 0]], np.uint8), np.array([[0, 255, 0]], np.uint8)


def draw(
    points: list[list[float]], colors: np.ndarray[Any, Any], front: list[bool] | None = None
) -> np.ndarray[Any, Any]:
    mask = np.ones(len(points), bool) if front is None else np.array(front)
    return render(np.array(points, np.float32).reshape(-1, 3), colors, mask, 100, 10.0)


def brightest(image: np.ndarray[Any, Any], channel: int) -> tuple[int, int]:
    row, column = np.unravel_index(int(image[..., channel].argmax()), image.shape[:2])
    return int(row), int(column)


def test_forward_is_up_and_left_is_left() -> None:
    ahead, left = brightest(draw([[9, 0, 0]], RED), 0), brightest(draw([[0, 9, 0]], RED), 0)
    assert ahead[0] == pytest.approx(5, abs=1) and ahead[1] == pytest.approx(50, abs=1)
    assert left[0] == pytest.approx(50, abs=1) and left[1] == pytest.approx(5, abs=1)


def test_higher_points_and_front_points_cover_others() -> None:
    both = np.concatenate([RED, GREEN])
    at = brightest(draw([[5, 5, 0]], RED), 0)
    assert draw([[5, 5, 1], [5, 5, 0]], both)[at].argmax() == 0
    assert draw([[5, 5, 0], [5, 5, 1]], both)[at].argmax() == 1
    assert draw([[5, 5, 1], [5, 5, 0]], both, [False, True])[at].argmax() == 1


def test_points_outside_and_not_finite_are_left_out() -> None:
    empty = draw([], np.empty((0, 3), np.uint8))
    outside = [[11, 0, 0], [0, -10.5, 0], [np.nan, 0, 0], [0, np.inf, 0], [1, 1, np.nan], [1e30, 0, 0]]
    np.testing.assert_array_equal(draw(outside, np.repeat(RED, 6, axis=0)), empty)


def test_rings_are_round_numbers() -> None:
    assert [ring_step(extent) for extent in (10, 30, 50, 60, 75, 100, 3)] == [2, 10, 10, 20, 20, 20, 1]


def scene(count: int = 3000) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    label = rng.integers(0, STREET.num_classes, count, dtype=np.uint8)
    label[::10] = IGNORE
    return rng.uniform(-20, 20, (count, 3)).astype(np.float32), label


def test_pictures_are_written_whole_and_repeat(tmp_path: Path) -> None:
    xyz, label = scene()
    path = tmp_path / "new" / "a.png"
    pyplot = "matplotlib.pyplot" in sys.modules  # of other packages' making, where other tests are collected too
    image = bird_eye(xyz, label, STREET, path, size_px=200, half_extent_m=20, title="a")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" and [p.name for p in path.parent.iterdir()] == ["a.png"]
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[1] > 200 < image.shape[0]
    np.testing.assert_array_equal(image, bird_eye(xyz, label, STREET, size_px=200, half_extent_m=20, title="a"))
    assert ("matplotlib.pyplot" in sys.modules) == pyplot


def test_errors_are_where_prediction_and_truth_differ(tmp_path: Path) -> None:
    xyz, truth = scene()
    right = comparison(xyz, truth, truth, STREET, tmp_path / "a.png", size_px=200, half_extent_m=20)
    wrong = comparison(xyz, truth, (truth + 1) % 12, STREET, size_px=200, half_extent_m=20)

    def reddish(image: np.ndarray[Any, Any]) -> int:
        panel = image[:, -200:].astype(int)
        return int(((panel[..., 0] > 120) & (panel[..., 0] > 2 * panel[..., 1])).sum())

    assert right.shape == wrong.shape and right.shape[1] > 600
    assert reddish(wrong) > 1000 > 20 * reddish(right)


def test_clouds_without_points_or_labels_have_a_picture() -> None:
    none = np.empty((0, 3), np.float32), np.empty(0, np.uint8)
    assert bird_eye(*none, STREET, size_px=100).ndim == 3
    assert comparison(*none, none[1], STREET, size_px=100).ndim == 3
    xyz, label = scene(50)
    assert comparison(xyz, np.full_like(label, IGNORE), label, STREET, size_px=100).ndim == 3


def test_arrays_that_do_not_match_are_refused() -> None:
    xyz, label = scene(10)
    with pytest.raises(CloudError, match="expected"):
        bird_eye(xyz, label[:9], STREET)
    with pytest.raises(CloudError, match="expected"):
        comparison(xyz, label, label.astype(np.int64), STREET)


def test_without_matplotlib_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SrkdError, match="pip install"):
        bird_eye(*scene(10), STREET, size_px=100)
