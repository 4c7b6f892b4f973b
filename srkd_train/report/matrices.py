# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Confusion and calibration as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from srkd.calibration import BINS, Calibration
from srkd_train.report.numbers import grouped, percent
from srkd_train.report.page import facts
from srkd_train.report.palette import BLUE, SOFT

_WIDTH, _LEFT, _RIGHT, _TOP, _CELL_HEIGHT = 1040, 184, 56, 104, 30
_RIGHT_COLOR, _WRONG_COLOR = (42, 106, 181), (179, 38, 30)
_DARK = 0.55
"""Depth of a cell from which on its text is white."""


def confusion_chart(
    counts: npt.NDArray[np.int64], names: Sequence[str], rows: str = "truth", columns: str = "labels"
) -> str:
    """Shares of each row, in percent; classes that occur neither as row nor as column are left out.

    Args:
        counts: (C, C) points.
        names: of the C classes.
        rows, columns: what the two are.
    """
    shown = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    if not len(shown):
        return "<p>No point to compare.</p>"
    counts = counts[np.ix_(shown, shown)]
    labels = [escape(names[int(index)].replace("_", " ")) for index in shown]
    width = min((_WIDTH - _LEFT - _RIGHT) / len(shown), 90.0)
    height = _TOP + _CELL_HEIGHT * len(shown) + 8
    corner = f"{escape(rows)} \u2193 {escape(columns)} \u2192"
    parts = [f'<text x="{_LEFT - 10}" y="{_TOP - 10}" text-anchor="end">{corner}</text>']
    for place, label in enumerate(labels):
        x, y = _LEFT + (place + 0.5) * width, _TOP + (place + 0.5) * _CELL_HEIGHT + 4
        turn = f'transform="rotate(-40 {x:.1f} {_TOP - 8})"'
        parts.append(f'<text x="{x:.1f}" y="{_TOP - 8}" {turn} class="name">{label}</text>')
        parts.append(f'<text x="{_LEFT - 10}" y="{y:.1f}" text-anchor="end" class="name">{label}</text>')
    total = counts.sum(axis=1)
    for row, column in np.ndindex(*counts.shape):
        share = counts[row, column] / total[row] if total[row] else 0.0
        x, y = _LEFT + column * width, _TOP + row * _CELL_HEIGHT
        said = f"{labels[row]} as {labels[column]}: {100 * share:.2f} %, {grouped(int(counts[row, column]))} points"
        depth = share if row == column else share**0.5
        parts.append(
            f'<g><title>{said}</title><rect x="{x:.1f}" y="{y}" width="{width - 2:.1f}" height="{_CELL_HEIGHT - 2}"'
            f' rx="3" fill="{_shade(depth, _RIGHT_COLOR if row == column else _WRONG_COLOR)}"/>'
        )
        if share >= 0.005:
            dark = ' class="on-dark"' if depth > _DARK else ""
            middle = f'x="{x + width / 2 - 1:.1f}" y="{y + _CELL_HEIGHT / 2 + 3.5:g}"'
            parts.append(f'<text {middle} text-anchor="middle"{dark}>{100 * share:.0f}</text>')
        parts.append("</g>")
    about = f"Confusion: {columns} by {rows}, in percent of each row"
    return f'<svg viewBox="0 0 {_WIDTH} {height}" class="wide" role="img" aria-label="{about}">{"".join(parts)}</svg>'


def reliability_chart(calibration: Calibration) -> str:
    """How often a class is right, by the confidence given to it; below, how often such confidence is given."""
    width, height, left, bottom, depth = 560, 400, 52, 300, 52
    across, up = width - left - 12, bottom - 14
    step = across / BINS
    share = calibration.count / max(calibration.points, 1)
    agreement, probability = calibration.agreement(), calibration.mean_probability()
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        y, x = bottom - up * tick, left + across * tick
        parts.append(f'<line x1="{left}" x2="{width - 12}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(
            f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{100 * tick:g}{" %" if tick == 1 else ""}</text>'
        )
        parts.append(f'<text x="{x:.1f}" y="{height - 6}" text-anchor="middle">{100 * tick:g}</text>')
    for index in range(BINS):
        if not calibration.count[index]:
            continue
        accuracy, confidence = agreement[index], probability[index]
        x = left + index * step
        said = (
            f"confidence {100 * confidence:.1f} %: right {100 * accuracy:.1f} %,"
            f" {grouped(int(calibration.count[index]))} points"
        )
        tall = depth * share[index] / max(share.max(), 1e-12)
        across_bin = f'x="{x + 1:.1f}" width="{step - 2:.1f}"'
        parts.append(
            f"<g><title>{said}</title>"
            f'<rect {across_bin} y="{bottom - up * accuracy:.1f}" height="{up * accuracy:.1f}" rx="2" fill="{BLUE}"/>'
            f'<rect {across_bin} y="{bottom + 12 + depth - tall:.1f}" height="{max(tall, 0.8):.1f}" fill="{SOFT}"/></g>'
        )
    parts.append(f'<line x1="{left}" y1="{bottom}" x2="{width - 12}" y2="{bottom - up}" class="ideal"/>')
    about = "Share of points with their true class by confidence in percent, and below the share of points"
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{about}">{"".join(parts)}</svg>'


def calibration_pair(calibration: Calibration, agreement: str) -> str:
    """The chart, and beside it the figures; `agreement` is what the share of right points is called."""
    said, right = calibration.overall()
    values = {
        "Expected calibration error": f"{percent(calibration.error(), 2)} %",
        "Mean confidence": f"{percent(said, 2)} %",
        agreement: f"{percent(right, 2)} %",
        "Points": grouped(calibration.points),
    }
    return f'<div class="pair"><div>{reliability_chart(calibration)}</div><div>{facts(values)}</div></div>'


def _shade(depth: float, color: tuple[int, int, int]) -> str:
    empty = (241, 244, 248)
    red, green, blue = (round(low + depth * (high - low)) for low, high in zip(empty, color, strict=True))
    return f"rgb({red} {green} {blue})"
