# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Agreement, IoU and confusion of two networks against counts made one point at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srkd.errors import CloudError
from srkd_ros.comparison import Window, agreement, confusion, iou

CLASSES = 4
ids = st.sampled_from([*range(CLASSES), 255])
pairs = st.lists(st.tuples(ids, ids), max_size=60)


def arrays(points: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(points, np.uint8).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_one_cloud_against_counting_by_hand(points: list[tuple[int, int]]) -> None:
    counts = confusion(*arrays(points), CLASSES)
    both = [(teacher, student) for teacher, student in points if 255 not in (teacher, student)]
    for teacher in range(CLASSES):
        for student in range(CLASSES):
            assert counts[teacher, student] == both.count((teacher, student))
        union = [pair for pair in both if teacher in pair]
        wanted = both.count((teacher, teacher)) / len(union) if union else np.nan
        np.testing.assert_equal(iou(counts)[teacher], wanted)
    same = [teacher == student for teacher, student in both]
    np.testing.assert_equal(agreement(counts), np.mean(same) if same else np.nan)


@settings(max_examples=50, deadline=None)
@given(st.lists(pairs, max_size=12), st.integers(1, 5))
def test_the_window_is_the_sum_of_the_newest(clouds: list[list[tuple[int, int]]], size: int) -> None:
    window = Window(CLASSES)
    for cloud in clouds:
        window.add(confusion(*arrays(cloud), CLASSES), size)
    newest = [point for cloud in clouds[-size:] for point in cloud]
    assert len(window) == min(size, len(clouds))
    np.testing.assert_array_equal(window.counts, confusion(*arrays(newest), CLASSES))


@pytest.mark.parametrize("points", [[(CLASSES, 0)], [(0, 254)]])
def test_classes_beyond_the_scheme_are_refused(points: list[tuple[int, int]]) -> None:
    with pytest.raises(CloudError, match="different schemes"):
        confusion(*arrays(points), CLASSES)


def test_clouds_of_different_length_are_refused() -> None:
    with pytest.raises(CloudError):
        confusion(np.zeros(3, np.uint8), np.zeros(4, np.uint8), CLASSES)
