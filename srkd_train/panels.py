# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Square pictures side by side, with titles, range rings' distances and a legend of classes below.

Matplotlib is used without its global state, so pictures can be drawn in any thread and without a display.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from srkd.errors import SrkdError
from srkd.io.atomic import write_atomic
from srkd.labels import LabelScheme
from srkd_train.raster import Image, ring_step

UNLABELLED = (36, 40, 50)
"""Colour of points without a class."""
BACKGROUND = (11, 13, 18)
TEXT = "#e8ebf2"
MUTED = "#8b94a7"
_MIN_LUMA = 72
DPI = 100


@dataclass(frozen=True)
class Panel:
    """One picture with a heading."""

    title: str
    note: str
    """At the right end of the heading."""
    image: Image
    """(size, size, 3)."""


def class_colors(scheme: LabelScheme) -> Image:
    """(256, 3) colours of the scheme, the darkest ones mixed with white until they stand out from the background."""
    palette = scheme.palette().astype(np.float64)
    luma = palette @ (0.299, 0.587, 0.114)
    share = np.clip((_MIN_LUMA - luma) / (255 - luma).clip(1), 0, 1)[:, None]
    palette = palette + share * (255 - palette)
    palette[scheme.num_classes :] = UNLABELLED
    return np.rint(palette).astype(np.uint8)


def compose(
    panels: Sequence[Panel],
    entries: Sequence[tuple[int, str]],
    scheme: LabelScheme,
    path: str | os.PathLike[str] | None,
    half_extent_m: float,
    text_scale: float = 1.0,
) -> Image:
    """Panels in a row, titles above, the legend of (class, value) below; written to `path` and returned.

    Raises:
        SrkdError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise SrkdError("pictures need matplotlib; pip install '.[viz]' in the source folder") from None
    size = panels[0].image.shape[0]
    margin, head, font = round(0.035 * size), round(0.085 * size * text_scale), size / 52 * text_scale
    width = len(panels) * (size + margin) + margin
    figure = Figure(figsize=(width / DPI, 1), dpi=DPI, facecolor=np.array(BACKGROUND) / 255)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    bottom = _draw_legend(axes, entries, scheme, font, left=margin, right=width - margin, top=head + size + margin)
    height = round(bottom + 0.6 * margin)
    figure.set_size_inches(width / DPI, height / DPI)
    axes.set_axis_off()
    for index, panel in enumerate(panels):
        _draw_panel(axes, panel, font, left=margin + index * (size + margin), top=head, half_extent_m=half_extent_m)
    axes.set(xlim=(0, width), ylim=(height, 0))
    canvas.draw()
    image: Image = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    if path is not None:
        buffer = io.BytesIO()
        canvas.print_png(buffer)
        write_atomic(path, (buffer.getbuffer(),))
    return image


def _draw_panel(axes: Any, panel: Panel, font: float, *, left: float, top: float, half_extent_m: float) -> None:
    from matplotlib.patches import Polygon

    size = panel.image.shape[0]
    middle = np.array((left + size / 2, top + size / 2))
    axes.imshow(panel.image, extent=(left, left + size, top + size, top), interpolation="none")
    baseline = top - 1.35 * font
    axes.text(left, baseline, panel.title, color=TEXT, fontsize=_points(1.5 * font), fontweight="bold")
    axes.text(left + size, baseline, panel.note, color=MUTED, fontsize=_points(1.15 * font), ha="right")
    arrow = 0.9 * font * np.array(((0, -1), (0.62, 0.7), (0, 0.35), (-0.62, 0.7)))
    axes.add_patch(Polygon(middle + arrow, facecolor="white", edgecolor="black", linewidth=0.8, zorder=3))
    step = ring_step(half_extent_m)
    box = {"boxstyle": "round,pad=0.25", "facecolor": np.array(BACKGROUND) / 255, "edgecolor": "none", "alpha": 0.72}
    for number in range(1, int(0.98 * half_extent_m / step) + 1):
        across = number * step * size / (2 * half_extent_m)
        text = f"{number * step:g} m"
        style = {"color": MUTED, "fontsize": _points(0.78 * font), "ha": "center", "va": "center", "bbox": box}
        axes.text(middle[0] + across, middle[1], text, **style)


def _draw_legend(
    axes: Any,
    entries: Sequence[tuple[int, str]],
    scheme: LabelScheme,
    font: float,
    *,
    left: float,
    right: float,
    top: float,
) -> float:
    """Draws swatch, name and value of each entry in as many columns as their widths allow; returns the lower end."""
    from matplotlib.patches import FancyBboxPatch

    if not entries:
        return top
    style = {"fontsize": _points(1.05 * font), "va": "center_baseline"}
    renderer = axes.figure.canvas.get_renderer()
    cells = []
    for class_id, value in entries:
        name = axes.text(0, 0, scheme.class_names[class_id].replace("_", " "), color=TEXT, **style)
        number = axes.text(0, 0, value, color=MUTED, **style)
        cells.append((class_id, name, number, name.get_window_extent(renderer).width))
    widest = max(name_width + number.get_window_extent(renderer).width for _, _, number, name_width in cells)
    columns = max(1, int((right - left) // (widest + 4.6 * font)))
    columns = -(-len(cells) // -(-len(cells) // columns))
    line, swatch = 2.2 * font, 1.05 * font
    palette = class_colors(scheme) / 255
    for place, (class_id, name, number, name_width) in enumerate(cells):
        x = left + place % columns * (right - left) / columns
        y = top + place // columns * line
        shape = f"round,pad=0,rounding_size={0.28 * font}"
        corner = (x, y - swatch / 2)
        axes.add_patch(FancyBboxPatch(corner, swatch, swatch, boxstyle=shape, facecolor=palette[class_id], linewidth=0))
        name.set_position((x + 1.7 * font, y))
        number.set_position((x + 2.4 * font + name_width, y))
    return top + (-(-len(cells) // columns) - 0.5) * line


def _points(pixels: float) -> float:
    return pixels * 72 / DPI
