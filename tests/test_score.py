# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd.score` against torchmetrics; pairing and tallying of live clouds against hand-made cases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srkd.errors import CloudError
from srkd.io.pointcloud2 import Field
from srkd.score import Score, count
from srkd_ros.matching import StampMatcher
from srkd_ros.tally import Tally

NAMES = ("road", "car", "pole")


@pytest.mark.parametrize("seed", range(5))
def test_score_is_that_of_torchmetrics(seed: int) -> None:
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    random = np.random.default_rng(seed)
    label = random.choice([0, 1, 2, 255], 4000).astype(np.uint8)
    prediction = random.choice([0, 0, 1, 2, 255], 4000).astype(np.uint8)
    halves = [count(label[part], prediction[part]) for part in (slice(0, 1234), slice(1234, None))]
    score = Score.from_counts(NAMES, halves[0] + halves[1])

    counted = torch.from_numpy((label != 255) & (prediction != 255))
    truth, found = torch.from_numpy(label).long()[counted], torch.from_numpy(prediction).long()[counted]
    iou = classification.MulticlassJaccardIndex(3, average=None)(found, truth)
    recall = classification.MulticlassAccuracy(3, average=None)(found, truth)
    np.testing.assert_allclose(score.iou, iou.numpy(), atol=1e-6)
    np.testing.assert_allclose(score.accuracy, recall.numpy(), atol=1e-6)
    assert score.miou == pytest.approx(float(iou.mean()), abs=1e-6)
    assert score.ignored == (label == 255).sum()
    assert score.unpredicted == ((label != 255) & (prediction == 255)).sum()


def test_classes_without_a_name_and_arrays_that_do_not_match_are_refused() -> None:
    ids = np.array([0, 3], np.uint8)
    with pytest.raises(CloudError, match="predictions: class 3, expected 0 to 2"):
        Score.from_counts(NAMES, count(np.zeros(2, np.uint8), ids))
    with pytest.raises(CloudError, match="labels: class 3"):
        Score.from_counts(NAMES, count(ids, np.zeros(2, np.uint8)))
    with pytest.raises(CloudError, match="expected"):
        count(ids, ids[:1])
    with pytest.raises(CloudError, match="uint8"):
        count(ids, ids.astype(np.int64))  # type: ignore[arg-type]
    assert Score.from_counts(NAMES, count(ids[:0], ids[:0])).counts.sum() == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_pairs_are_those_of_a_matcher_without_limit_and_nothing_is_lost(events: list[tuple[bool, int]]) -> None:
    matcher: StampMatcher[int, int] = StampMatcher(100)
    waiting: tuple[set[int], set[int]] = (set(), set())
    pairs = replaced = 0
    for number, (second, stamp) in enumerate(events):
        found = (matcher.second if second else matcher.first)(stamp, number)
        mine, theirs = waiting[second], waiting[not second]
        assert (found is not None) == (stamp in theirs)
        if stamp in theirs:
            theirs.remove(stamp)
            pairs += 1
        else:
            replaced += stamp in mine
            mine.add(stamp)
    assert sum(matcher.unmatched) + 2 * pairs == len(events)
    assert sum(matcher.unmatched) == replaced + len(waiting[0]) + len(waiting[1])


def test_the_oldest_waits_no_longer_when_the_buffer_is_full() -> None:
    matcher: StampMatcher[str, str] = StampMatcher(2)
    for stamp in (1, 2, 3):
        assert matcher.first(stamp, f"a{stamp}") is None
    assert matcher.second(1, "b1") is None, "1 had to go"
    assert matcher.second(3, "b3") == ("a3", "b3")
    assert matcher.unmatched == (2, 1)


def cloud(stamp_s: int, class_ids: list[int], datatype: int = 2, name: str = "class_id") -> Any:
    """What a tally reads of a message."""
    dtype = {2: "<u1", 7: "<f4"}[datatype]
    rows = np.zeros(len(class_ids), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("c", dtype)])
    rows["c"] = class_ids
    fields = [Field(axis, 4 * index, 7) for index, axis in enumerate("xyz")] + [Field(name, 12, datatype)]
    step = rows.dtype.itemsize
    stamp = SimpleNamespace(sec=stamp_s, nanosec=5)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp),
        height=1,
        width=len(rows),
        fields=fields,
        is_bigendian=False,
        point_step=step,
        row_step=step * len(rows),
        data=rows.tobytes(),
        is_dense=True,
    )


def test_a_tally_counts_pairs_in_any_order_and_says_what_it_left_out() -> None:
    tally = Tally(10)
    tally.add_truth(cloud(1, [0, 0, 1, 255]))
    tally.add_labels(cloud(1, [0, 1, 1, 1]))
    tally.add_labels(cloud(2, [2, 2]))
    tally.add_truth(cloud(2, [2, 255]))
    assert tally.left_out() == ""
    assert tally.score(NAMES).confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 1))

    tally.add_labels(cloud(3, [0]))
    tally.add_truth(cloud(4, [0]))
    tally.add_truth(cloud(5, [0]))
    tally.add_labels(cloud(6, [0]))
    tally.add_truth(cloud(6, [0, 0]))
    assert "1 labelled points, 2 true ones" in tally.last_fault
    tally.add_truth(cloud(7, [0], name="other"))
    assert "class_id" in tally.last_fault
    tally.add_labels(cloud(8, [0], datatype=7))
    assert tally.to_dict() == {
        "clouds": 2,
        "labels_without_truth": 1,
        "truth_without_labels": 2,
        "different_sizes": 1,
        "malformed": 2,
    }
    assert tally.left_out().count(",") == 3
