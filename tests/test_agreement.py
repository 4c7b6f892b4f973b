# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The status that tells how far student and teacher agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

from srkd.calibration import Calibration
from srkd_ros.agreement import AgreementLimits, AgreementReading, Books, judge_agreement
from srkd_ros.comparison import Comparison, Window
from srkd_ros.counts import Counts
from srkd_ros.diagnostics import ERROR, OK, WARN, Status
from srkd_ros.disagreement_recorder import RecordCounts

LIMITS = AgreementLimits(agreement_warn=0.8, agreement_error=0.5, agreement_min_frames=10)


def judged(agreement: float, frames: int = 10, state: str = "active", books: Books | None = None) -> Status:
    reading = AgreementReading(frames=frames, agreement=agreement)
    return judge_agreement(state, "t.safetensors", "cpu", reading, books or Books(), LIMITS, RecordCounts(recorded=7))


@pytest.mark.parametrize(
    ("agreement", "level", "limit"),
    [(0.81, OK, ""), (0.8, OK, ""), (0.79, WARN, "agreement_warn is 80 %"), (0.49, ERROR, "agreement_error is 50 %")],
)
def test_agreement_below_a_limit_is_told(agreement: float, level: int, limit: str) -> None:
    status = judged(agreement)
    assert (status.level, limit in status.message) == (level, True)
    assert f"{100 * agreement:.1f} %" in status.message


def test_few_clouds_none_and_a_node_at_rest_are_not_judged() -> None:
    assert (judged(0.1, frames=9).level, "judged from 10 on" in judged(0.1, frames=9).message) == (OK, True)
    assert judged(math.nan, frames=0).message == "active, no cloud compared yet"
    assert judged(math.nan, frames=20).level == OK, "not a point that both labelled"
    assert (judged(0.1, state="inactive").level, judged(0.1, state="inactive").message) == (OK, "inactive")


def test_keys_are_fixed_and_hold_the_books() -> None:
    books = Books(Counts(9, labelled=3, dropped=2, rejected=1, skipped=2), clouds=12, labels=10, unmatched=3, waiting=1)
    one, other = judged(0.9, books=books), judged(math.nan, frames=0, state="unconfigured")
    assert list(one.values) == list(other.values)
    counted = [one.values[name] for name in ("clouds", "labels", "matched", "unmatched", "waiting")]
    assert counted == ["12", "10", "9", "3", "1"]
    assert [one.values[name] for name in ("compared", "skipped", "rejected")] == ["3", "4", "1"]
    assert one.values["recorded"] == "7"


def test_a_reading_is_that_of_the_window() -> None:
    window = Window(3)
    counts = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    window.add(Comparison(counts, Calibration.none(), 4.0, 8), (10.0, 100.0), 5)
    window.add(Comparison(counts, Calibration.none(), 2.0, 4), (math.nan, 300.0), 5)
    reading = AgreementReading.of(window, 7.0)
    assert (reading.frames, reading.agreement, reading.mean_kl) == (2, 7 / 8, 0.5)
    assert reading.miou == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert (reading.latency_ms, reading.compared_s) == ((10.0, 200.0), 7.0)
