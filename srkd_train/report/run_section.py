# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a page says of a training run."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from srkd_train.report.charts import SMALL, Axis, Line, Values, legend, line_chart, share_axis
from srkd_train.report.matrices import confusion_chart
from srkd_train.report.numbers import grouped, number, percent, significant
from srkd_train.report.page import facts, section, tile
from srkd_train.report.palette import AMBER, BLUE, GREEN, LIGHT_BLUE
from srkd_train.report.run import Run
from srkd_train.report.tables import class_table

_SCORES = {"val_miou": ("mIoU", BLUE), "val_macc": ("mean accuracy", GREEN), "val_all_acc": ("of all points", AMBER)}
_SMOOTH = 15
"""A smoothed curve has about so many independent parts."""


def run_tiles(run: Run) -> str:
    """The figures that stand out."""
    tiles = []
    if run.score is not None:
        tiles.append(tile("mean IoU at the end", percent(run.score["miou"]), "%"))
    if run.best is not None:
        tiles.append(tile("best validation mIoU", percent(run.best[1]), f"% at step {grouped(run.best[0])}"))
    if run.last_step:
        of = f"of {grouped(run.planned_steps)}" if run.planned_steps else ""
        tiles.append(tile("steps", grouped(run.last_step), of))
    if not math.isnan(run.minutes):
        tiles.append(tile("time", *_time(run.minutes)))
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def run_sections(run: Run) -> str:
    """All sections of a run."""
    parts = []
    if run.terms:
        text = "As logged, without their weights: each point (light) and the running median (dark), over steps."
        charts = "".join(_term(run, name, values) for name, values in run.terms.items())
        parts.append(section("Loss terms", text, f'<div class="small">{charts}</div>'))
    if run.validations.get("val_miou"):
        parts.append(_validation(run))
    if len(run.steps):
        parts.append(_pace(run))
    if run.score is not None:
        parts.append(_final(run))
    parts.append(_made(run))
    return "".join(parts)


def run_lacking(run: Run) -> list[str]:
    """What is left out and why, a line each."""
    lines = list(run.notes)
    if not run.config:
        lines.append("No config.yaml: the settings are not known.")
    if not run.last_step:
        lines.append("metrics.csv is missing or empty: no curves.")
    elif run.planned_steps and run.last_step < run.planned_steps:
        lines.append(f"The run is at step {run.last_step} of {run.planned_steps}: it was stopped, or is not over.")
    if run.last_step and not run.validations.get("val_miou"):
        lines.append("No validation yet: no mIoU over steps.")
    if run.score is None:
        lines.append("No final evaluation (evaluation.json): no IoU by class.")
    elif "confusion" not in run.score:
        lines.append("The final scores come without a confusion matrix.")
    return lines


def smooth(values: Values) -> Values:
    """Running median over about a fifteenth of the values; NaN are left out."""
    half = max(len(values) // _SMOOTH // 2, 1)
    windows = (values[max(index - half, 0) : index + half + 1] for index in range(len(values)))
    return np.array([np.nanmedian(each) if np.isfinite(each).any() else math.nan for each in windows])


def step_axis(last: float) -> Axis:
    """From step 0 to the last."""
    return Axis.time(max(last, 1), "")


def _term(run: Run, name: str, values: Values) -> str:
    steps = [float(step) for step in run.steps]
    lines = [
        Line(name, steps, list(values), LIGHT_BLUE, 1.2),
        Line(name, steps, list(smooth(values)), BLUE),
    ]
    y = Axis.of_loss(values)
    weight = run.weight(name)
    known = values[np.isfinite(values)]
    notes = [f"at the end {significant(float(smooth(values)[-1]))}" if len(known) else "no number"]
    notes += [f"weight {weight:g}"] if weight is not None else []
    notes += ["log scale"] if y.log else []
    chart = line_chart(lines, step_axis(run.last_step), y, f"{name} over steps", SMALL)
    return f"<div><h3>{name.replace('_', ' ')}</h3><p>{', '.join(notes)}</p>{chart}</div>"


def _validation(run: Run) -> str:
    lines = [
        Line(
            name,
            [step for step, _ in run.validations[key]],
            [share for _, share in run.validations[key]],
            color,
            dots=True,
        )
        for key, (name, color) in reversed(_SCORES.items())
        if run.validations.get(key)
    ]
    if max(len(line.x) for line in lines) < 2:
        said = ", ".join(f"{line.name} {percent(line.y[-1])} %" for line in reversed(lines))
        return section("Validation", f"Once, at step {grouped(int(lines[-1].x[-1]))}: {said}.")
    chart = line_chart(lines, step_axis(run.last_step), share_axis(lines), "Validation scores in percent over steps")
    best = "" if run.best is None else f" Best mIoU: {percent(run.best[1])} % at step {grouped(run.best[0])}."
    names = legend({line.name: line.color for line in reversed(lines)})
    return section("Validation", f"Over steps, in percent.{best}", chart, names)


def _pace(run: Run) -> str:
    steps, charts = [float(step) for step in run.steps], []
    waiting = np.divide(
        run.rates.get("data_s", np.zeros(len(steps))),
        run.rates.get("step_s", np.zeros(len(steps))),
        out=np.full(len(steps), math.nan),
        where=run.rates.get("step_s", np.zeros(len(steps))) > 0,
    )
    for title, note, values in (
        ("learning rate", "highest of all parameter groups", run.rates.get("lr")),
        ("seconds a step", "", run.rates.get("step_s")),
        ("waiting for data", "percent of a step", 100 * waiting),
    ):
        if values is None or not np.isfinite(values).any():
            continue
        y = Axis.linear(float(np.nanmax(values)) or 1.0, parts=3)
        chart = line_chart([Line(title, steps, list(values), BLUE, 1.6)], step_axis(run.last_step), y, title, SMALL)
        charts.append(
            f"<div><h3>{title}</h3><p>{note or f'median {number(float(np.nanmedian(values)), 2)} s'}</p>{chart}</div>"
        )
    return section("Learning rate and speed", "Over steps.", f'<div class="small">{"".join(charts)}</div>')


def _final(run: Run) -> str:
    score = run.score or {}
    clouds = score.get("clouds")
    text = f"The last weights on {escape(clouds)}." if clouds else "The last weights."
    if score.get("all_acc") is not None:
        text += f" {percent(score['all_acc'])} % of the points have their true class."
    cards = section("Final scores", text, class_table(score, run.colors()))
    if "confusion" in score:
        text = "Of the points of each true class, the percentage that got each label."
        cards += section("Confusion", text, confusion_chart(np.array(score["confusion"], np.int64), list(score["iou"])))
    return cards


def _made(run: Run) -> str:
    """How the run was made."""
    batch, devices = run.setting("trainer", "batch_size"), run.setting("trainer", "devices")
    on_each = f" on each of {devices} devices" if devices not in (None, 1) else ""
    values = {
        "Command": f"srkd {run.command}" if run.command else None,
        "Network": run.setting("model", "name"),
        "Starts from": _name(run.setting("model", "init")),
        "Teacher": _name(run.setting("teacher")),
        "Objective": run.setting("objective", "preset"),
        "Data": run.header.training.get("data") if run.header else run.setting("data", "name"),
        "Voxel size": f"{run.setting('data', 'input', 'voxel_size_m')} m" if run.setting("data", "input") else None,
        "Batch": None if batch is None else f"{batch} clouds{on_each}",
        "Peak learning rate": run.setting("optim", "lr"),
        "Precision": run.setting("trainer", "precision"),
        "Seed": run.setting("trainer", "seed"),
        "Weights": f"sha256 {run.header.weights_sha256}" if run.header else None,
    }
    return section(
        "How this was made", "", facts({name: str(value) for name, value in values.items() if value is not None})
    )


def _name(path: object) -> str | None:
    """The last part of a path: where files lie is nothing for a page that travels."""
    return None if path is None else str(path).rpartition("/")[2]


def _time(minutes: float) -> tuple[str, str]:
    return (number(minutes / 60), "h") if minutes >= 120 else (number(minutes), "min")
