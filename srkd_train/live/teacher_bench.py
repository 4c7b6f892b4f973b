# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `srkd bench-teacher` measures: the student's latency with and without a teacher, and a soak of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from srkd_train.live.outcome import percentiles
from srkd_train.live.teacher_session import Setting, Watched

RATE_HZ, SOAK_HZ, SOAK_S = 5.0, 10.0, 180.0
"""A heap finds its level within the first few hundred clouds, which on a busy machine take the teacher a minute."""
LATENCY_RATIO = 1.1
"""Bar: the student's median latency beside a teacher on another core, over that alone on its core."""
LONGEST_WAIT_S = 2.0
"""Bar: where both share two cores, a comparison comes at least this often."""
MEMORY_GROWTH = 0.02
"""Bar: memory in the last third of the soak over that in the second third, less 1."""


@dataclass(frozen=True)
class Cases:
    """The settings, for two CPUs."""

    alone_on_one: Setting
    beside: Setting
    alone_on_two: Setting
    shared: Setting
    inside: Setting
    soak: Setting

    @property
    def timed(self) -> tuple[Setting, ...]:
        """All but the soak."""
        return (self.alone_on_one, self.beside, self.alone_on_two, self.shared, self.inside)


def cases(cpus: Sequence[int]) -> Cases:
    """The settings on the first two of the CPUs."""
    one, other = frozenset(cpus[:1]), frozenset(cpus[1:2])
    both = one | other
    return Cases(
        Setting("alone on one core", RATE_HZ, "none", one, other),
        Setting("teacher on another core", RATE_HZ, "process", one, other),
        Setting("alone on two cores", RATE_HZ, "none", both, both),
        Setting("teacher on the same two cores", RATE_HZ, "process", both, both),
        Setting("teacher in the same process, two cores", RATE_HZ, "inside", both, both),
        Setting("soak of both, two cores", SOAK_HZ, "process", both, both),
    )


def figures_of(watched: Watched) -> dict[str, Any]:
    """The figures of a run, plain values."""
    frames, seconds = watched.outcome.frames, watched.outcome.time_s
    span_s = seconds[-1] if seconds else 0.0
    wait_s = watched.longest_wait_s
    return {
        "frames": frames.to_dict(),
        "faults": frames.faults(),
        "student_ms": percentiles(watched.outcome.stage_ms.get("total", ())),
        "end_to_end_ms": percentiles(watched.outcome.stage_ms["end_to_end"]),
        "comparisons": len(watched.comparisons),
        "comparisons_per_s": round(len(watched.comparisons) / span_s, 3) if span_s else None,
        "longest_wait_s": None if wait_s is None else round(wait_s, 2),
        "teacher_ms": percentiles(float(report.teacher_ms) for report in watched.comparisons),
        "books": books(watched.comparisons),
        "memory_mib": {name: list(values) for name, values in watched.memory_mib.items()},
    }


def books(reports: Sequence[Any]) -> dict[str, Any] | None:
    """The counters of the last report, and whether every report adds up; None without any."""
    if not reports:
        return None
    names = ("clouds", "labels", "matched", "unmatched", "waiting", "compared", "skipped", "rejected", "in_work")
    return {**{name: int(getattr(reports[-1], name)) for name in names}, "add_up": all(map(_adds_up, reports))}


def _adds_up(report: Any) -> bool:
    """Every message is in a pair, waits or has left; every pair is compared, skipped, rejected or in work."""
    return bool(
        report.clouds + report.labels == 2 * report.matched + report.unmatched + report.waiting
        and report.matched == report.compared + report.skipped + report.rejected + report.in_work
    )


def growth(values: Sequence[float]) -> float | None:
    """Mean of the last third over that of the second third, less 1; None for fewer than six values."""
    third = len(values) // 3
    return None if third < 2 else fmean(values[2 * third :]) / fmean(values[third : 2 * third]) - 1


def verdict(runs: Mapping[str, Sequence[Mapping[str, Any]]], settings: Cases) -> dict[str, Any]:
    """Every bar with what was found and whether it is met; of several runs of a setting the median."""

    def p50_ms(setting: Setting) -> float | None:
        found = [run["student_ms"]["p50"] for run in runs[setting.name]]
        return None if None in found else median(found)

    def ratio(case: Setting, alone: Setting) -> float | None:
        here, there = p50_ms(case), p50_ms(alone)
        return None if here is None or there is None else round(here / there, 3)

    beside = ratio(settings.beside, settings.alone_on_one)
    waits = [run["longest_wait_s"] for run in runs[settings.shared.name]]
    wait_s = None if None in waits else median(waits)
    soak = runs[settings.soak.name][0]
    grown = {name: growth(soak["memory_mib"].get(name, [])) for name in ("segment", "teacher")}
    book = soak["books"]
    return {
        "beside": {"ratio": beside, "bar": LATENCY_RATIO, "met": beside is not None and beside <= LATENCY_RATIO},
        "shared": {
            "longest_wait_s": wait_s,
            "bar_s": LONGEST_WAIT_S,
            "met": wait_s is not None and wait_s <= LONGEST_WAIT_S,
            "ratio": ratio(settings.shared, settings.alone_on_two),
            "ratio_in_one_process": ratio(settings.inside, settings.alone_on_two),
        },
        "soak": {
            "memory_growth": {name: None if value is None else round(value, 4) for name, value in grown.items()},
            "bar": MEMORY_GROWTH,
            "memory_met": all(value is not None and value <= MEMORY_GROWTH for value in grown.values()),
            "unaccounted": soak["frames"]["unaccounted"],
            "accounted_met": soak["frames"]["unaccounted"] == 0
            and bool(book and book["add_up"] and book["clouds"] == soak["frames"]["in"]),
        },
    }


def met(found: Mapping[str, Any]) -> bool:
    """Whether every bar is."""
    return bool(
        found["beside"]["met"]
        and found["shared"]["met"]
        and found["soak"]["memory_met"]
        and found["soak"]["accounted_met"]
    )


def markdown(figures: Mapping[str, Any]) -> str:
    """The runs as a table, and the bars under it."""
    drive, bars = figures["drive"], figures["bars"]
    lines = [
        f"{figures['student']['name']} and {figures['teacher']['name']}, clouds of about"
        f" {drive['points_per_frame']} points, {figures['machine']['processor']}. The student's milliseconds are its"
        " own, from a cloud's arrival to its labels.",
        "",
        "| | clouds | student p50 | p95 | labelled | comparisons/s | longest wait for one | teacher p50 |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for case in figures["cases"]:
        for run in case["runs"]:
            frames = run["frames"]
            cells = (
                f"{case['name']}, {case['rate_hz']:g} Hz",
                frames["in"],
                _number(run["student_ms"]["p50"]),
                _number(run["student_ms"]["p95"]),
                frames["out"],
                _number(run["comparisons_per_s"]),
                _number(run["longest_wait_s"], " s"),
                _number(run["teacher_ms"]["p50"]),
            )
            lines.append(f"| {' | '.join(map(str, cells))} |")
    beside, shared, soak = bars["beside"], bars["shared"], bars["soak"]
    lines += [
        "",
        f"- Teacher on another core: {_number(beside['ratio'])} times the latency alone, bar {beside['bar']}:"
        f" {_met(beside['met'])}.",
        f"- Both on two cores: a comparison within {_number(shared['longest_wait_s'], ' s')}, bar {shared['bar_s']} s:"
        f" {_met(shared['met'])}; the student takes {_number(shared['ratio'])} times as long as alone,"
        f" {_number(shared['ratio_in_one_process'])} in one process.",
        f"- Soak: memory grows by {_percent(soak['memory_growth']['segment'])} (student) and"
        f" {_percent(soak['memory_growth']['teacher'])} (teacher) from its second third to its last, bar"
        f" {100 * soak['bar']:g} %: {_met(soak['memory_met'])}; {soak['unaccounted']} clouds unaccounted for:"
        f" {_met(soak['accounted_met'])}.",
        "",
    ]
    return "\n".join(lines)


def _met(yes: bool) -> str:
    return "met" if yes else "NOT met"


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.4g}{unit}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
