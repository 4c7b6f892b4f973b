# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores against sets of points counted by hand."""

import json
import math

import numpy as np
import pytest
import torch

from srkd_train.metrics import Score, ScoreMeter

NAMES = ("road", "car", "pole")


def naive(prediction: np.ndarray, label: np.ndarray, classes: int) -> list[float]:
    """IoU by sets; NaN where a class has no labelled point."""
    points = [n for n in range(len(label)) if label[n] != 255 and prediction[n] != 255]
    out = []
    for c in range(classes):
        truth = {n for n in points if label[n] == c}
        found = {n for n in points if prediction[n] == c}
        out.append(len(truth & found) / len(truth | found) if truth else math.nan)
    return out


def test_equals_sets_over_several_batches() -> None:
    rng = np.random.default_rng(0)
    prediction, label = rng.choice([0, 1, 2, 255], 900), rng.choice([0, 1, 2, 255], 900)
    meter = ScoreMeter(NAMES)
    for part in np.split(np.arange(900), 9):
        meter.update(
            torch.from_numpy(prediction[part].astype(np.uint8)), torch.from_numpy(label[part].astype(np.uint8))
        )
    score = meter.compute()
    np.testing.assert_allclose(score.iou, naive(prediction, label, 3))
    assert score.miou == pytest.approx(np.mean(naive(prediction, label, 3)))
    counted = (label != 255) & (prediction != 255)
    assert score.all_acc == pytest.approx((prediction == label)[counted].mean())
    recall = [(prediction == c)[counted & (label == c)].mean() for c in range(3)]
    assert score.macc == pytest.approx(np.mean(recall))
    assert score.ignored == (label == 255).sum()
    assert score.unpredicted == ((label != 255) & (prediction == 255)).sum()
    meter.reset()
    assert meter.compute().counts.sum() == 0


def test_the_matrix_is_summed_before_the_ratio() -> None:
    meter = ScoreMeter(NAMES)
    meter.update(torch.zeros(90, dtype=torch.int64), torch.zeros(90, dtype=torch.int64))
    meter.update(torch.full((10,), 1), torch.zeros(10, dtype=torch.int64))
    assert meter.compute().iou[0] == pytest.approx(0.9)


def test_absent_classes_are_left_out_or_zero() -> None:
    counts = ((8, 2, 0), (0, 10, 0), (0, 0, 0))
    out, zero = Score(NAMES, counts), Score(NAMES, counts, absent_as_zero=True)
    assert out.absent == zero.absent == ("pole",)
    assert math.isnan(out.iou[2]) and zero.iou[2] == 0
    assert out.miou == pytest.approx((0.8 + 10 / 12) / 2)
    assert zero.miou == pytest.approx((0.8 + 10 / 12) / 3)
    assert "left out of the means: pole" in out.to_markdown()
    assert "counted as 0: pole" in zero.to_markdown()


def test_a_class_predicted_but_never_labelled_is_absent() -> None:
    assert Score(NAMES, ((8, 0, 2), (0, 5, 0), (0, 0, 0))).absent == ("pole",)


def test_nothing_counted_is_nan_not_a_crash() -> None:
    score = ScoreMeter(NAMES).compute()
    assert math.isnan(score.miou) and math.isnan(score.all_acc)
    assert score.to_dict()["miou"] is None


def test_dict_is_strict_json_and_table_has_every_class() -> None:
    score = Score(NAMES, ((1, 0, 0), (0, 1, 0), (0, 0, 0)), ignored=3, unpredicted=2)
    loaded = json.loads(json.dumps(score.to_dict(), allow_nan=False))
    assert loaded["ignored_points"] == 3 and loaded["iou"]["pole"] is None and loaded["counted_points"] == 2
    table = score.to_markdown()
    assert all(f"| {name} |" in table for name in NAMES)
    assert "3 points without a label" in table and "2 labelled points out of the input range" in table
