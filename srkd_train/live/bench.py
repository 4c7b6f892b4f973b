# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `srkd bench-live` measures, what it wants, and how it says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srkd_train.live.compare import labelled_share, read_labels, read_messages
from srkd_train.live.outcome import join, latency, read_log
from srkd_train.live.session import LABELS, POINTS, REPORT, Session


@dataclass(frozen=True)
class Case:
    """How fast the clouds come, and how many cores node, replayer and recorder share."""

    rate_hz: float
    cores: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.rate_hz:g} Hz on {self.cores} core{'' if self.cores == 1 else 's'}"

    @property
    def key(self) -> str:
        """For names of folders."""
        return f"{self.rate_hz:g}hz_{self.cores}cores"

    def cpus(self, available: Sequence[int]) -> frozenset[int]:
        """The first so many of the CPUs that this process may use."""
        return frozenset(available[: self.cores])


CASES = (Case(10, 2), Case(5, 2), Case(10, 1), Case(5, 1))
"""The first is the one with the bar."""


@dataclass(frozen=True)
class Bar:
    """What the best run must reach."""

    p95_ms: float = 100.0
    labelled_share: float = 0.95
    range_m: float = 60.0

    def verdict(self, best: Mapping[str, Any]) -> dict[str, Any]:
        """The bar and whether a run meets it."""
        p95_ms = best["latency_ms"]["end_to_end"]["p95"]
        return {
            "p95_ms": self.p95_ms,
            "lost_frames": 0,
            "labelled_share": self.labelled_share,
            "range_m": self.range_m,
            "met": bool(
                p95_ms is not None
                and p95_ms <= self.p95_ms
                and lost(best) == 0
                and best["labelled_share"] >= self.labelled_share
            ),
        }


BAR = Bar()


def figures_of(session: Session, bag: Path) -> dict[str, Any]:
    """Frames, milliseconds by stage, and the share of near returns that got a label.

    Raises:
        BagError: the run's files cannot be read.
    """
    outcome = join(
        read_log(session.sent_log, POINTS, "publish_ns"),
        read_log(session.received_log, LABELS, "receive_ns"),
        read_messages(session.recorded, REPORT),
    )
    share = labelled_share(bag, POINTS, read_labels(session.recorded, LABELS), BAR.range_m)
    return {
        "frames": outcome.frames.to_dict(),
        "latency_ms": latency(outcome),
        "labelled_share": round(share, 5),
    }


def lost(run: Mapping[str, Any]) -> int:
    """Clouds that did not come back, for whatever reason."""
    return int(run["frames"]["in"] - run["frames"]["out"])


def summarize(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The runs and the best of them: fewest lost frames, then lowest p95."""

    def rank(run: Mapping[str, Any]) -> tuple[int, float]:
        p95_ms = run["latency_ms"]["end_to_end"]["p95"]
        return lost(run), float("inf") if p95_ms is None else p95_ms

    return {"best": min(runs, key=rank), "runs": list(runs)}


def markdown(figures: Mapping[str, Any]) -> str:
    """The runs as a table, the stages of each case's best run as another, and the verdict."""
    drive, bar = figures["drive"], figures["bar"]
    lines = [
        f"{figures['checkpoint']['name']}, {drive['frames']} clouds of about {drive['points_per_frame']} points,"
        f" {figures['machine']['processor']}. Milliseconds from the replayer's publish to the recorder's callback.",
        "",
        f"| case | run | p50 | p95 | p99 | sent | labelled | dropped | of returns within {BAR.range_m:.0f} m |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for case in figures["cases"]:
        for number, run in enumerate(case["runs"], 1):
            frames, best = run["frames"], " (best)" if run == case["best"] and len(case["runs"]) > 1 else ""
            times = " | ".join(_ms(run["latency_ms"]["end_to_end"][key]) for key in ("p50", "p95", "p99"))
            lines.append(
                f"| {Case(case['rate_hz'], case['cores']).name} | {number}{best} | {times} | {frames['in']} |"
                f" {frames['out']} | {lost(run)} | {100 * run['labelled_share']:.1f} % |"
            )
    stages = list(figures["cases"][0]["best"]["latency_ms"])
    names = [Case(case["rate_hz"], case["cores"]).name for case in figures["cases"]]
    lines += ["", f"| stage, p50 / p95 ms | {' | '.join(names)} |", "|---" + "|--:" * len(names) + "|"]
    for stage in stages:
        cells = []
        for case in figures["cases"]:
            row = case["best"]["latency_ms"].get(stage, {"p50": None, "p95": None})
            cells.append(f"{_ms(row['p50'])} / {_ms(row['p95'])}")
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    verdict = "met" if bar["met"] else "NOT met"
    lines += [
        "",
        f"Bar ({names[0]}: p95 at most {bar['p95_ms']:.0f} ms, no frame lost, {100 * bar['labelled_share']:.0f} %"
        f" labelled): {verdict}.",
        "",
    ]
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
