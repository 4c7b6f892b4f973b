# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Range views: where points land, what covers what, and which gaps are filled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from srkd_train.range_view import render_range

RED, GREEN = (255, 0, 0), (0, 255, 0)
EMPTY = (15, 18, 25)


def draw(
    points: Sequence[Sequence[float]], colors: list[tuple[int, int, int]], front: list[bool] | None = None
) -> np.ndarray:
    mask = np.zeros(len(points), bool) if front is None else np.array(front)
    return render_range(
        np.array(points, np.float32).reshape(-1, 3), np.array(colors, np.uint8).reshape(-1, 3), mask, 360
    )


def place(image: np.ndarray, channel: int) -> tuple[float, float]:
    """Mean row and column of the pixels that are brightest in a channel."""
    rows, columns = np.nonzero(image[..., channel] >= 200)
    return float(rows.mean()), float(columns.mean())


@pytest.mark.parametrize(("point", "column"), [((3, 0, 0), 180), ((0, 3, 0), 90), ((0, -3, 0), 270), ((2, 2, 0), 135)])
def test_ahead_is_the_middle_and_left_is_left(point: tuple[float, ...], column: int) -> None:
    assert place(draw([list(point)], [RED]), 0)[1] == pytest.approx(column, abs=1.5)


def test_up_is_up_and_pixels_are_square_in_angle() -> None:
    image = draw([[3, 0, 0], [3 * np.cos(0.3), 3 * np.sin(0.3), 3 * np.tan(0.3)]], [RED, GREEN])
    (red_row, red_column), (green_row, green_column) = place(image, 0), place(image, 1)
    degrees = np.rad2deg(0.3)
    assert red_row - green_row == pytest.approx(degrees, abs=2)
    assert red_column - green_column == pytest.approx(degrees, abs=2)


def test_near_covers_far_and_front_covers_near() -> None:
    both = [[3, 0, 0], [9, 0, 0]]
    assert place(draw(both, [RED, GREEN]), 0) and not (draw(both, [RED, GREEN])[..., 1] > 200).any()
    assert (draw(both, [RED, GREEN], [False, True])[..., 1] > 150).any()


def test_gaps_between_beams_are_filled_and_the_sky_is_not() -> None:
    angles = np.deg2rad(np.arange(0, 360, 0.5))
    rings = [[3 * np.cos(a), 3 * np.sin(a), 3 * np.tan(np.deg2rad(e))] for e in range(-20, 21, 4) for a in angles]
    rings += [[3.0, 0.0, 3 * np.tan(np.deg2rad(60.0))]] * 40  # fewer would be left out as stray points
    image = draw(rings, [RED] * len(rings))
    taken = (image != EMPTY).any(axis=2).mean(axis=1)
    assert (taken[-38:] > 0.99).all() and taken[:-45].max() < 0.02


def test_points_that_are_not_finite_or_at_the_origin_are_left_out() -> None:
    image = draw([[np.nan, 0, 0], [0, 0, 0], [np.inf, 1, 0]], [RED] * 3)
    assert (image == EMPTY).all() and draw([], []).shape[1] == 360
