# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From completed runs to the table of a comparison, and what `gap` says beyond it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srkd.checkpoint import read_header
from srkd_train.cli import checkpoint_path
from srkd_train.experiments.pool import Pool, Result
from srkd_train.experiments.rows import BASELINE, DISTILLED, TEACHER, Comparison, Row
from srkd_train.experiments.run import Run
from srkd_train.experiments.setup import Setup
from srkd_train.experiments.statistics import LEAST_GAP, gap_closed
from srkd_train.experiments.table import Line, Table, make_line
from srkd_train.machine import describe_machine


def run_comparison(name: str, comparison: Comparison, setup: Setup, pool: Pool, *, command: Sequence[str]) -> Table:
    """Complete every run of a comparison and tabulate the scores.

    Raises:
        SrkdError, Stopped: see :meth:`Pool.complete`.
    """
    rows = comparison.rows(setup)
    if comparison.prepare is not None:
        comparison.prepare(setup)
    results = pool.complete([run for row in rows for run in row.runs.values()])
    lines = [_line(row, results) for row in rows]
    clouds = dict.fromkeys(str(results[run].scores["clouds"]) for row in rows for run in row.runs.values())
    notes = comparison.notes(setup)
    facts: dict[str, Any] = {
        "experiment": name,
        "command": list(command),
        "machine": describe_machine(),
        "seeds": list(setup.seeds),
    }
    if name == "gap":
        more, note = _gap(lines)
        facts |= more
        notes = [*notes, note]
    facts["runs"] = [_facts(row, seed, results) for row in rows for seed in row.runs]
    title = comparison.about[0].upper() + comparison.about[1:]
    return Table(title, lines, list(clouds), notes, comparison.x_label, facts, comparison.reference)


def weights_of(run: Run, results: Mapping[Run, Result]) -> Path:
    """The checkpoint that a run made or scored."""
    if run.verb != "evaluate":
        return results[run].weights
    return results[run.source].weights if isinstance(run.source, Run) else checkpoint_path(run.source)


def _line(row: Row, results: Mapping[Run, Result]) -> Line:
    scores = {seed: results[run].scores for seed, run in row.runs.items()}
    return make_line(row, scores, read_header(weights_of(next(iter(row.runs.values())), results)))


def _facts(row: Row, seed: int, results: Mapping[Run, Result]) -> dict[str, Any]:
    run = row.runs[seed]
    result, header = results[run], read_header(weights_of(run, results))
    return {
        "row": row.name,
        "seed": seed,
        "run": result.path.name,
        "architecture": header.architecture,
        "steps": header.training.get("steps"),
        "minutes": header.training.get("minutes"),
        "weights_sha256": header.weights_sha256,
        "noise": run.noise[0],
        **{key: result.scores[key] for key in ("miou", "macc", "all_acc", "iou")},
    }


def _gap(lines: Sequence[Line]) -> tuple[dict[str, Any], str]:
    """What `gap` says in JSON, and in words."""
    miou = {line.row.series: line.miou for line in lines}
    teacher, baseline, distilled = (miou[name] for name in (TEACHER, BASELINE, DISTILLED))
    closed = gap_closed(teacher, baseline, distilled)
    gap, gain = teacher.minus(baseline), distilled.minus(baseline)
    facts = {
        "gap_closed": {**closed.to_dict(), "least_gap": LEAST_GAP},
        "gap": gap.to_dict(),
        "gain": gain.to_dict(),
        **{name: miou[name].to_dict() for name in (TEACHER, BASELINE, DISTILLED)},
    }
    differences = f"Teacher over baseline {gap.percent(sign=True)} points, distilled {gain.percent(sign=True)} points."
    least = f"the gap is below {100 * LEAST_GAP:g} points"
    if closed.mean is None:
        return facts, f"{differences} No share of the gap is quoted: {least} for every seed."
    some = "" if len(closed.known) == len(closed.per_seed) else f" (of {len(closed.known)} seeds, for others {least})"
    return facts, f"{differences} Share of the gap that is closed: {closed.percent()} %{some}."
