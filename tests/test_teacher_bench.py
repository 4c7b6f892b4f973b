# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `srkd bench-teacher` makes of its runs; its processes are those of the demo and of bench-live."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest

from srkd_train.live.outcome import join
from srkd_train.live.teacher_bench import books, cases, figures_of, growth, markdown, met, verdict
from srkd_train.live.teacher_session import Watched

COUNTERS = {"clouds": 3, "labels": 3, "matched": 2, "unmatched": 1, "waiting": 1, "compared": 1, "skipped": 1}
S = 1_000_000_000


def comparison(**changes: int) -> Any:
    return SimpleNamespace(**{**COUNTERS, "rejected": 0, "in_work": 0, "teacher_ms": 50.0, **changes})


def run(p50: float, wait_s: float | None = 0.5, **changes: Any) -> dict[str, Any]:
    return {
        "frames": {"in": 3, "out": 3, "unaccounted": 0},
        "student_ms": {"p50": p50, "p95": p50 + 1},
        "teacher_ms": {"p50": 50.0},
        "comparisons_per_s": 2.0,
        "longest_wait_s": wait_s,
        "books": {**COUNTERS, "add_up": True},
        "memory_mib": {"segment": [100.0] * 9, "teacher": [100.0] * 6 + [101.0] * 3},
        **changes,
    }


@pytest.fixture
def runs() -> dict[str, list[dict[str, Any]]]:
    each = cases([4, 5])
    beside = [run(99), run(10.5), run(10.4)]
    return {
        each.alone_on_one.name: [run(10.0, None), run(10.0, None), run(9.0, None)],
        each.beside.name: beside,
        each.alone_on_two.name: [run(5, None)],
        each.shared.name: [run(6, 1.0), run(6, 5.0), run(6, 1.5)],
        each.inside.name: [run(7)],
        each.soak.name: [run(8)],
    }


def test_bars_go_by_the_median_of_the_runs(runs: dict[str, list[dict[str, Any]]]) -> None:
    found = verdict(runs, cases([4, 5]))
    assert found["beside"] == {"ratio": 1.05, "bar": 1.1, "met": True}
    assert (found["shared"]["longest_wait_s"], found["shared"]["met"]) == (1.5, True)
    assert (found["shared"]["ratio"], found["shared"]["ratio_in_one_process"]) == (1.2, 1.4)
    assert found["soak"]["memory_growth"] == {"segment": 0.0, "teacher": 0.01} and met(found)


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("beside", {"student_ms": {"p50": 12.0, "p95": 12.0}}),
        ("beside", {"student_ms": {"p50": None, "p95": None}}),
        ("shared", {"longest_wait_s": None}),
        ("shared", {"longest_wait_s": 2.1}),
        ("soak", {"frames": {"in": 3, "out": 2, "unaccounted": 1}}),
        ("soak", {"frames": {"in": 4, "out": 4, "unaccounted": 0}}),  # the teacher has heard 3
        ("soak", {"books": None}),
        ("soak", {"books": {**COUNTERS, "add_up": False}}),
        ("soak", {"memory_mib": {"segment": [100.0] * 9, "teacher": [100.0] * 6 + [103.0] * 3}}),
        ("soak", {"memory_mib": {"segment": [100.0] * 9}}),
    ],
)
def test_a_bar_that_is_missed_is_said(runs: dict[str, list[dict[str, Any]]], case: str, change: dict[str, Any]) -> None:
    settings = cases([4, 5])
    name = getattr(settings, case).name
    runs[name] = [{**each, **copy.deepcopy(change)} for each in runs[name]]
    found = verdict(runs, settings)
    assert not met(found)
    figures = {
        "student": {"name": "s"}, "teacher": {"name": "t"}, "drive": {"points_per_frame": 1},
        "machine": {"processor": "p"}, "bars": found,
        "cases": [{"name": name, "rate_hz": 5.0, "runs": each} for name, each in runs.items()],
    }  # fmt: skip
    assert markdown(figures).count("NOT met") == 1


def test_growth_is_from_the_second_third_to_the_last() -> None:
    assert growth([50, 80, 100, 100, 110, 110]) == pytest.approx(0.1)
    assert growth([1, 2, 3, 4, 5]) is None


def test_reports_that_do_not_add_up_are_found() -> None:
    assert books([]) is None
    assert books([comparison(), comparison()]) == {**COUNTERS, "rejected": 0, "in_work": 0, "add_up": True}
    for changes in ({"clouds": 4}, {"skipped": 0}):
        found = books([comparison(**changes), comparison()])
        assert found is not None and not found["add_up"]


def test_the_longest_wait_counts_from_the_first_cloud_to_the_last() -> None:
    outcome = join([(0, 10 * S), (1, 11 * S)], [(0, 10 * S + 5_000_000), (1, 11 * S + 7_000_000)], {})
    watched = Watched(outcome, (comparison(), comparison()), (13 * S, 14 * S), (10 * S, 11 * S), {"segment": (1.0,)})
    figures = figures_of(watched)
    assert figures["longest_wait_s"] == 3.0 and figures["comparisons"] == 2 and figures["comparisons_per_s"] == 2.0
    assert figures["end_to_end_ms"]["p50"] == 6.0 and figures["teacher_ms"]["p50"] == 50.0
    assert figures_of(Watched(outcome, (), (), (10 * S, 11 * S), {}))["longest_wait_s"] is None
    starved = Watched(outcome, (comparison(),), (11 * S,), (10 * S, 19 * S), {})
    assert figures_of(starved)["longest_wait_s"] == 8.0
