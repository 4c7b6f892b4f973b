# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Agreement, IoU, confusion and calibration of two networks against counts made one point at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srkd.calibration import BINS
from srkd.errors import CloudError
from srkd_ros.comparison import Comparison, Window, confusion

CLASSES = 4
Points = list[tuple[int, int, float]]
ids = st.sampled_from([*range(CLASSES), 255])
stated = st.floats(0, 1, width=32) | st.sampled_from([0.0, 1.0, math.nan, -0.5, 2.0, math.inf])
points = st.lists(st.tuples(ids, ids, stated), max_size=60)


def comparison(cloud: Points, kl: tuple[float, int] = (0.0, 0)) -> Comparison:
    teacher, student = (np.array([point[side] for point in cloud], np.uint8) for side in (0, 1))
    return Comparison.of(teacher, student, np.array([point[2] for point in cloud], np.float32), kl, CLASSES)


def by_hand(cloud: Points) -> list[list[tuple[float, bool]]]:
    """Probability and whether both agree, of the points in each bin."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for teacher, student, probability in cloud:
        if 255 in (teacher, student) or not 0 <= probability <= 1:
            continue
        place = next(k for k in range(BINS) if probability * BINS < k + 1 or k == BINS - 1)
        bins[place].append((probability, teacher == student))
    return bins


@settings(max_examples=200, deadline=None)
@given(points)
def test_one_cloud_against_counting_by_hand(cloud: Points) -> None:
    found = comparison(cloud)
    both = [(teacher, student) for teacher, student, _ in cloud if 255 not in (teacher, student)]
    for teacher in range(CLASSES):
        for student in range(CLASSES):
            assert found.confusion[teacher, student] == both.count((teacher, student))
        union = [pair for pair in both if teacher in pair]
        wanted = both.count((teacher, teacher)) / len(union) if union else np.nan
        np.testing.assert_equal(found.iou()[teacher], wanted)
    same = [teacher == student for teacher, student in both]
    np.testing.assert_equal(found.agreement, np.mean(same) if same else np.nan)
    assert found.num_points == len(both)


@settings(max_examples=200, deadline=None)
@given(points)
def test_calibration_against_bins_filled_by_hand(cloud: Points) -> None:
    found, bins = comparison(cloud).calibration, by_hand(cloud)
    total = sum(map(len, bins))
    error = 0.0
    for place, held in enumerate(bins):
        assert found.count[place] == len(held)
        assert found.agreeing[place] == sum(agrees for _, agrees in held)
        wanted = np.mean([probability for probability, _ in held]) if held else math.nan
        np.testing.assert_allclose(found.mean_probability()[place], wanted, rtol=1e-12)
        if held:
            error += len(held) / total * abs(np.mean([agrees for _, agrees in held]) - wanted)
    np.testing.assert_allclose(found.error(), error if total else math.nan, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.lists(points, max_size=12), st.integers(1, 5))
def test_the_window_is_the_sum_of_the_newest(clouds: list[Points], size: int) -> None:
    window = Window(CLASSES)
    for number, cloud in enumerate(clouds):
        window.add(comparison(cloud, (0.5 * number, number)), (float(number), math.nan), size)
    newest = range(len(clouds))[-size:]
    wanted = comparison([point for number in newest for point in clouds[number]])
    assert len(window) == len(newest)
    np.testing.assert_array_equal(window.total.confusion, wanted.confusion)
    np.testing.assert_array_equal(window.total.calibration.count, wanted.calibration.count)
    np.testing.assert_array_equal(window.total.calibration.agreeing, wanted.calibration.agreeing)
    np.testing.assert_allclose(window.total.calibration.probability, wanted.calibration.probability, atol=1e-12)
    np.testing.assert_allclose(window.total.mean_kl, 0.5 if sum(newest) else math.nan)
    np.testing.assert_equal(window.median_ms(), (np.median(newest) if len(newest) else math.nan, math.nan))


@pytest.mark.parametrize("point", [(CLASSES, 0), (0, 254)])
def test_classes_beyond_the_scheme_are_refused(point: tuple[int, int]) -> None:
    with pytest.raises(CloudError, match="different schemes"):
        confusion(*np.array(point, np.uint8).reshape(2, 1), CLASSES)


def test_clouds_of_different_length_are_refused() -> None:
    with pytest.raises(CloudError):
        confusion(np.zeros(3, np.uint8), np.zeros(4, np.uint8), CLASSES)
