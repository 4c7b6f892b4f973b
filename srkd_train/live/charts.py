# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Charts of a live run as inline SVG and HTML: nothing to load, nothing to run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from srkd_train.live.outcome import Outcome

LAYERS = {
    "transport": ("DDS, both ways", "#b6bdca"),
    "wait": ("waiting for the frame before", "#eba23b"),
    "decode": ("decode", "#cfe2f5"),
    "voxelize": ("voxelize", "#a3c8ec"),
    "plan": ("plan", "#66a3dc"),
    "network": ("network", "#2a6ab5"),
    "labels": ("labels", "#174a82"),
    "rest": ("encode, publish and the rest", "#10294a"),
}
"""Layers of the stacked chart from the bottom up: stage to (name, colour); together they are the whole way."""
_WIDTH, _HEIGHT = 1040, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 16, 34


@dataclass(frozen=True)
class _Scale:
    """From seconds and milliseconds to pixels."""

    duration_s: float
    top_ms: float

    def x(self, time_s: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * time_s / self.duration_s

    def y(self, value_ms: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value_ms / self.top_ms


def latency_over_time(outcome: Outcome, period_ms: float) -> str:
    """A stacked bar a frame: from the replayer's publish to the recorder's callback, by stage.

    Args:
        outcome: of the run.
        period_ms: between two frames, drawn as a line.
    """
    layers = _layers(outcome)
    total = np.array(outcome.stage_ms["end_to_end"])
    if not len(total):
        return "<p>No frame came back.</p>"
    period_s = period_ms / 1e3
    step = nice_step(max(float(total.max()), period_ms) * 1.05 / 4)
    top_ms = step * math.ceil(max(float(total.max()), period_ms) * 1.02 / step)
    scale = _Scale(outcome.time_s[-1] + period_s, top_ms)
    parts = [*_grid(scale, step)]
    width = max(scale.x(period_s) - scale.x(0) - 1, 0.8)
    base = np.zeros(len(total))
    corners = {}
    for name, values in layers.items():
        corners[name] = (base, base + values)
        base = base + values
    for index, time_s in enumerate(outcome.time_s):
        bars = "".join(
            f'<rect x="{scale.x(time_s):.1f}" width="{width:.1f}" y="{scale.y(high[index]):.1f}"'
            f' height="{scale.y(low[index]) - scale.y(high[index]):.1f}" fill="{LAYERS[name][1]}"/>'
            for name, (low, high) in corners.items()
            if high[index] > low[index]
        )
        parts.append(f"<g><title>{time_s:.1f} s: {total[index]:.0f} ms</title>{bars}</g>")
    line = scale.y(period_ms)
    parts.append(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{line:.1f}" y2="{line:.1f}" class="budget"/>'
        f'<text x="{_WIDTH - _RIGHT}" y="{line - 6:.1f}" text-anchor="end" class="budget-text">'
        f"next frame arrives after {period_ms:.0f} ms</text>"
    )
    label = f"Latency of {len(total)} frames in milliseconds over time in seconds, by stage"
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return svg + _legend({name: LAYERS[name] for name in layers})


def stage_table(latency_ms: Mapping[str, Mapping[str, float | None]]) -> str:
    """Percentiles by stage as a table with a bar for p50 and a mark at p95."""
    names = {
        "end_to_end": "end to end",
        "total": "in the node",
        "transport": "DDS, both ways",
        "wait": "waiting",
    }
    largest = max((row["p95"] or 0.0 for row in latency_ms.values()), default=0.0) or 1.0
    rows = []
    for name, row in latency_ms.items():
        strong = ' class="strong"' if name in ("end_to_end", "total") else ""
        color = LAYERS.get(name, ("", "#10294a"))[1]
        cells = "".join(f"<td>{number(row[key])}</td>" for key in ("p50", "p95", "p99"))
        bar = _bar((row["p50"] or 0) / largest, color, mark=(row["p95"] or 0) / largest)
        rows.append(f'<tr{strong}><th>{names.get(name, name)}</th><td class="bar">{bar}</td>{cells}</tr>')
    percentiles = "<th>p50 ms</th><th>p95 ms</th><th>p99 ms</th>"
    head = f"<tr><th>stage</th><th class='bar'>p50, mark at p95</th>{percentiles}</tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def class_table(score: Mapping[str, Any], colors: Mapping[str, tuple[int, int, int]]) -> str:
    """IoU, accuracy and points by class, the most frequent first; classes that do not occur are at the end.

    Args:
        score: `Score.to_dict()`.
        colors: red, green and blue of each class.
    """
    rows = []
    for name in sorted(score["iou"], key=lambda name: -score["points"][name]):
        iou, accuracy, points = score["iou"][name], score["accuracy"][name], score["points"][name]
        red, green, blue = colors[name]
        color = f"rgb({red} {green} {blue})"
        rows.append(
            f'<tr><th><i style="background:{color}"></i>{escape(name.replace("_", " "))}</th>'
            f'<td class="bar">{_bar(iou or 0.0, color)}</td><td>{percent(iou)}</td><td>{percent(accuracy)}</td>'
            f"<td>{points:,}</td></tr>".replace(",", "\u202f")
        )
    rows.append(
        f'<tr class="strong"><th>mean</th><td class="bar">{_bar(score["miou"] or 0.0, "#10294a")}</td>'
        f"<td>{percent(score['miou'])}</td><td>{percent(score['macc'])}</td>"
        f"<td>{score['counted_points']:,}</td></tr>".replace(",", "\u202f")
    )
    head = "<tr><th>class</th><th class='bar'></th><th>IoU %</th><th>accuracy %</th><th>points</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def number(value: float | None) -> str:
    """Milliseconds for a table."""
    return "-" if value is None else f"{value:.1f}"


def percent(value: float | None) -> str:
    """A share in [0, 1] for a table."""
    return "-" if value is None else f"{100 * value:.1f}"


def nice_step(target: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is at least `target`."""
    power = 10.0 ** math.floor(math.log10(target))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= target * 0.9999)


def _layers(outcome: Outcome) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    stages = {name: np.nan_to_num(np.array(values, float)) for name, values in outcome.stage_ms.items()}
    if "total" not in stages:
        return {"transport": stages["end_to_end"]}
    layers = {name: stages[name].clip(0) for name in LAYERS if name in stages}
    layers["rest"] = (stages["end_to_end"] - sum(layers.values())).clip(0)
    return layers


def _grid(scale: _Scale, step_ms: float) -> Sequence[str]:
    parts = []
    for index in range(round(scale.top_ms / step_ms) + 1):
        y = scale.y(index * step_ms)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        unit = " ms" if index * step_ms >= scale.top_ms - step_ms / 2 else ""
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{index * step_ms:g}{unit}</text>')
    step_s = nice_step(scale.duration_s / 10)
    for index in range(int(scale.duration_s / step_s + 1e-6) + 1):
        x = scale.x(index * step_s)
        unit = " s" if index == 0 else ""
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{index * step_s:g}{unit}</text>')
    return parts


def _legend(layers: Mapping[str, tuple[str, str]]) -> str:
    items = "".join(f'<span><i style="background:{color}"></i>{text}</span>' for text, color in layers.values())
    return f'<div class="legend">{items}</div>'


def _bar(share: float, color: str, *, mark: float | None = None) -> str:
    tick = "" if mark is None else f'<b style="left:{100 * min(mark, 1):.1f}%"></b>'
    return f'<div class="track"><div style="width:{100 * min(share, 1):.1f}%;background:{color}"></div>{tick}</div>'
