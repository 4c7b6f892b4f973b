# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Charts over time or steps as inline SVG: lines, and stacked bars. Nothing to load, nothing to run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from srkd_train.report.numbers import nice_step, significant

Values = npt.NDArray[np.float64]
_TICK_ROOM = 18
"""Pixels that half a number below the axis may take."""
_LOG_SPAN = 20.0
"""Largest over smallest value from which on losses are drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Size:
    """Of a chart in its own pixels, with the margins around its area."""

    width: int = 1040
    height: int = 300
    left: int = 70
    right: int = 12
    top: int = 16
    bottom: int = 34

    def x(self, share: float) -> float:
        """Pixel of a share of the area's width."""
        return self.left + (self.width - self.left - self.right) * share

    def y(self, share: float) -> float:
        """Pixel of a share of the area's height, from below."""
        return self.height - self.bottom - (self.height - self.top - self.bottom) * share


WIDE = Size()
LOW = Size(height=210)
SMALL = Size(width=340, height=170, left=56, right=10, top=10, bottom=28)


@dataclass(frozen=True)
class Axis:
    """From values to shares of an area; `unit` is said once."""

    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str = ""
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value is, 0 at `low` and 1 at `high`."""
        low, high, value = (map(math.log10, (self.low, self.high, value))) if self.log else (self.low, self.high, value)
        return (value - low) / (high - low)

    @staticmethod
    def linear(high: float, *, low: float = 0.0, parts: int = 4, unit: str = "", whole: bool = False) -> Axis:
        """From a round number at or below `low` to one at or above `high`, which is above `low`; `whole` for counts."""
        step = max(nice_step((high - low) * 1.05 / parts), 1.0 if whole else 0.0)
        first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
        return Axis(first * step, last * step, tuple(index * step for index in range(first, last + 1)), unit)

    @staticmethod
    def time(end: float, unit: str) -> Axis:
        """From 0 to `end`, with about ten round numbers between."""
        step = nice_step(end / 10)
        return Axis(0, end, tuple(index * step for index in range(int(end / step + 1e-6) + 1)), unit)

    @staticmethod
    def of_loss(values: Values) -> Axis:
        """From 0, or logarithmic where positive values span more than 20 times."""
        known = values[np.isfinite(values)]
        high = float(known.max()) if len(known) and known.max() > 0 else 1.0
        low = float(known.min()) if len(known) else 0.0
        if low <= 0 or high / low < _LOG_SPAN:
            return Axis.linear(high, low=min(low, 0.0), parts=3)
        powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        steps = [factor * 10.0**power for power in powers for factor in ((1, 3) if high / low < 1000 else (1,))]
        inside = tuple(step for step in steps if low * 0.999 <= step <= high * 1.001)
        return Axis(low * 0.9, high * 1.1, inside, log=True)


PERCENT = Axis(0, 1, (0, 0.25, 0.5, 0.75, 1), " %")
"""Shares in [0, 1]."""
_HIGH_PERCENT = (
    Axis(0.95, 1, (0.95, 0.96, 0.97, 0.98, 0.99, 1), " %"),
    Axis(0.8, 1, (0.8, 0.85, 0.9, 0.95, 1), " %"),
    Axis(0.5, 1, (0.5, 0.6, 0.7, 0.8, 0.9, 1), " %"),
)


def share_axis(lines: Sequence[Line]) -> Axis:
    """Percent, from the highest of a few beginnings that shows all of the lines."""
    low = min((value for line in lines for value in line.y if math.isfinite(value)), default=0.0)
    return next((axis for axis in _HIGH_PERCENT if axis.low <= low), PERCENT)


@dataclass(frozen=True)
class Line:
    """One line of a chart; where a value is not finite it is interrupted."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    width: float = 2.0
    dots: bool = False


def line_chart(lines: Sequence[Line], x: Axis, y: Axis, about: str, size: Size = LOW) -> str:
    """Lines over a common axis; `about` is for those who cannot see it."""
    parts = _grid(x, y, size)
    for line in lines:
        places = [
            (size.x(x.share(at)), size.y(y.share(value)))
            if math.isfinite(value) and not (y.log and value <= 0)
            else None
            for at, value in zip(line.x, line.y, strict=True)
        ]
        path, pen_up = [], True
        for place in places:
            if place is not None:
                path.append(f"{'M' if pen_up else 'L'}{place[0]:.1f} {place[1]:.1f}")
            pen_up = place is None
        parts.append(
            f'<path d="{"".join(path)}" fill="none" stroke="{line.color}" stroke-width="{line.width:g}"'
            ' stroke-linejoin="round" stroke-linecap="round"/>'
        )
        if line.dots:
            for place, at, value in zip(places, line.x, line.y, strict=True):
                if place is not None:
                    said = f"{escape(line.name)} {x.unit.strip()} {at:g}: {_label(value, y)}"
                    parts.append(
                        f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="3.4" fill="{line.color}">'
                        f"<title>{said}</title></circle>"
                    )
    return _svg(parts, about, size)


def stacked_bars(
    time_s: Sequence[float],
    width_s: float,
    layers: Mapping[str, Values],
    colors: Mapping[str, str],
    budget: tuple[float, str] | None,
    about: str,
    size: Size = WIDE,
) -> str:
    """A bar of layers a moment, in milliseconds.

    Args:
        time_s: when each bar begins.
        width_s: how long each lasts.
        layers: from the bottom up, a value a bar.
        colors: of the layers.
        budget: a level that is drawn across, and its name; or None.
        about: for those who cannot see it.
    """
    total = np.sum(list(layers.values()), axis=0)
    y = Axis.linear(max(float(total.max()), 0.0 if budget is None else budget[0], 1e-3) * 1.02, unit=" ms")
    x = Axis.time(time_s[-1] + width_s, " s")
    parts = _grid(x, y, size)
    width = max(size.x(x.share(width_s)) - size.x(0) - 1, 0.8)
    for index, at in enumerate(time_s):
        bars, base = "", 0.0
        for name, values in layers.items():
            low, base = base, base + float(values[index])
            if base > low:
                top, bottom = size.y(y.share(base)), size.y(y.share(low))
                bars += (
                    f'<rect x="{size.x(x.share(at)):.1f}" width="{width:.1f}" y="{top:.1f}"'
                    f' height="{bottom - top:.1f}" fill="{colors[name]}"/>'
                )
        parts.append(f"<g><title>{at:.1f} s: {total[index]:.0f} ms</title>{bars}</g>")
    if budget is not None:
        line, right = size.y(y.share(budget[0])), size.width - size.right
        parts.append(
            f'<line x1="{size.left}" x2="{right}" y1="{line:.1f}" y2="{line:.1f}" class="budget"/>'
            f'<text x="{right}" y="{line - 6:.1f}" text-anchor="end" class="budget-text">{escape(budget[1])}</text>'
        )
    return _svg(parts, about, size)


def legend(entries: Mapping[str, str]) -> str:
    """Names with their colours."""
    items = "".join(f'<span><i style="background:{color}"></i>{escape(name)}</span>' for name, color in entries.items())
    return f'<div class="legend">{items}</div>'


def _label(value: float, axis: Axis) -> str:
    return f"{100 * value:.4g}" if axis.unit == " %" else f"{value:g}"


def _grid(x: Axis, y: Axis, size: Size) -> list[str]:
    parts = []
    for index, tick in enumerate(y.ticks):
        at = size.y(y.share(tick))
        unit = y.unit if index == len(y.ticks) - 1 else ""
        text = significant(tick) if y.log else _label(tick, y)
        parts.append(
            f'<line x1="{size.left}" x2="{size.width - size.right}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>'
            f'<text x="{size.left - 8}" y="{at + 4:.1f}" text-anchor="end">{text}{unit}</text>'
        )
    every = 1 if size.width > SMALL.width else 2 * math.ceil(len(x.ticks) / 8)
    for index, tick in enumerate(x.ticks):
        if index % every == 0:
            unit = x.unit if index == 0 else ""
            at = size.x(x.share(tick))
            place = f'x="{at:.1f}" y="{size.height - 12}" text-anchor="middle"'
            if at > size.width - _TICK_ROOM:
                place = f'x="{size.width - 1}" y="{size.height - 12}" text-anchor="end"'
            parts.append(f"<text {place}>{tick:g}{unit}</text>")
    return parts


def _svg(parts: Sequence[str], about: str, size: Size) -> str:
    kind = "small-chart" if size.width <= SMALL.width else "wide"
    view = f'viewBox="0 0 {size.width} {size.height}"'
    return f'<svg {view} class="{kind}" role="img" aria-label="{escape(about)}">{"".join(parts)}</svg>'
