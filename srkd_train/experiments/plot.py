# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores as a picture: bars of rows, or curves; matplotlib without its global state, so without a display."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from srkd_train.experiments.rows import BASELINE, DISTILLED, TEACHER, Row
from srkd_train.experiments.statistics import Summary

_COLORS = {BASELINE: "#8b94a7", DISTILLED: "#2a6ab5", TEACHER: "#eba23b", "no projector": "#2f9e77"}
_OTHER = "#66a3dc"
_INK = "#1f2733"


def draw(title: str, rows: Sequence[tuple[Row, Summary]], x_label: str) -> bytes | None:
    """A PNG of mIoU in percent, a dot a seed and a whisker of one standard deviation; None without matplotlib.

    Rows with a place along an axis become curves over evenly spaced places, the others horizontal lines across them;
    without any such row every row is a bar.
    """
    places = sorted({row.x for row, _ in rows if row.x is not None})
    if places:
        return _figure(title, 4.2, lambda axes: _curves(axes, rows, places, x_label))
    return _figure(title, 1.2 + 0.42 * len(rows), lambda axes: _bars(axes, rows))


def draw_bars(title: str, values: Mapping[str, float], unit: str) -> bytes | None:
    """A PNG of one bar a value; None without matplotlib."""

    def bars(axes: Any) -> None:
        drawn = axes.barh(range(len(values)), list(values.values()), color=_OTHER, height=0.62)
        axes.bar_label(drawn, fmt="%.0f", padding=3, color=_INK, fontsize=9)
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.set_xlabel(unit, color=_INK, fontsize=9)

    return _figure(title, 1.2 + 0.42 * len(values), bars)


def _figure(title: str, height: float, fill: Callable[[Any], None]) -> bytes | None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(7.2, height), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    fill(axes)
    axes.set_title(title, loc="left", color=_INK, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=9)
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()


def _bars(axes: Any, rows: Sequence[tuple[Row, Summary]]) -> None:
    for place, (row, miou) in enumerate(rows):
        mean = 100 * (miou.mean or 0.0)
        spread = None if miou.std is None else 100 * miou.std
        style = {"ecolor": _INK, "capsize": 3, "height": 0.62}
        axes.barh(place, mean, xerr=spread, color=_COLORS.get(row.series, _OTHER), **style)
        axes.plot([100 * value for value in miou.known], [place] * len(miou.known), ".", color=_INK, markersize=4)
    axes.set_yticks(range(len(rows)), [row.name for row, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel("mIoU in %", color=_INK, fontsize=9)
    values = [100 * value for _, miou in rows for value in miou.known]
    if values:
        room = max(0.15 * (max(values) - min(values)), 1.0)
        axes.set_xlim(max(0.0, min(values) - 3 * room), max(values) + room)


def _curves(axes: Any, rows: Sequence[tuple[Row, Summary]], places: Sequence[float], x_label: str) -> None:
    for series in dict.fromkeys(row.series for row, _ in rows):
        color = _COLORS.get(series, _OTHER)
        points = [(row.x, miou) for row, miou in rows if row.series == series and miou.mean is not None]
        along = [(places.index(x), miou) for x, miou in points if x is not None]
        if along:
            means = [100 * (miou.mean or 0.0) for _, miou in along]
            spreads = [100 * (miou.std or 0.0) for _, miou in along]
            at = [place for place, _ in along]
            axes.errorbar(at, means, yerr=spreads, color=color, marker="o", markersize=4, capsize=3, label=series)
            for place, miou in along:
                dots = [100 * value for value in miou.known]
                axes.plot([place] * len(dots), dots, ".", color=color, alpha=0.45, markersize=5)
        for x, miou in points:
            if x is None:
                axes.axhline(100 * (miou.mean or 0.0), color=color, linestyle="--", linewidth=1, label=series)
    axes.set_xticks(range(len(places)), [f"{place:g}" for place in places])
    axes.set_xlabel(x_label, color=_INK, fontsize=9)
    axes.set_ylabel("mIoU in %", color=_INK, fontsize=9)
    axes.grid(axis="y", color="#e3e7ee", linewidth=0.8)
    axes.legend(frameon=False, fontsize=9)
