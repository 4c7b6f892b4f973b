# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds as the sensor sees them: azimuth to the right, elevation up, straight ahead in the middle, near over far."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import SrkdError
from srkd_train.panels import BACKGROUND, DPI, MUTED, TEXT, Panel
from srkd_train.raster import Image

_COLUMNS = 900
_EMPTY = (15, 18, 25)
_MOST_ROWS, _LEAST_ROWS = 200, 24
_SCALE = 2
_WIDEST_GAP = 7
"""Pixels between two beams that are still filled."""
_NEAR_M, _BRIGHT, _DIMMING, _DARKEST = 4.0, 1.0, 0.13, 0.5
"""Points are lit fully up to so far, and darker by so much with every doubling of the distance."""
_MARGIN_PX, _HEAD_PX = 22, 44


def render_range(
    xyz: npt.NDArray[np.float32], colors: Image, front: npt.NDArray[np.bool_], columns: int = _COLUMNS
) -> Image:
    """Draws points on a cylinder around the sensor; pixels are square in angle.

    Gaps between the beams are filled from the nearest beam, up to half the usual gap, whatever the sensor.

    Args:
        xyz: (N, 3) metres; what is not finite or at the origin is left out.
        colors: (N, 3) uint8.
        front: (N,) bool, points to draw over all others.
        columns: of the picture, for a whole turn.

    Returns:
        (rows, columns, 3) uint8.
    """
    with np.errstate(invalid="ignore"):
        flat = np.hypot(xyz[:, 0], xyz[:, 1])
        usable = np.isfinite(xyz[:, :3]).all(axis=1) & (flat > 1e-3)
    xyz, colors, front, flat = xyz[usable], colors[usable], front[usable], flat[usable]
    pixel = 2 * np.pi / columns
    elevation = np.arctan2(xyz[:, 2], flat)
    low, high = np.quantile(elevation, (0.002, 0.998)) if len(xyz) else (0.0, 0.0)
    rows = int(np.clip(np.ceil((high - low) / pixel) + 2, _LEAST_ROWS, _MOST_ROWS))
    top = (low + high) / 2 + rows * pixel / 2
    row = ((top - elevation) / pixel).astype(np.int64)
    column = ((0.5 - np.arctan2(xyz[:, 1], xyz[:, 0]) / (2 * np.pi)) * columns).astype(np.int64) % columns
    inside = (row >= 0) & (row < rows)
    order = np.flatnonzero(inside)
    order = order[np.lexsort((-flat[order], front[order]))]  # where points meet, the last wins
    source = np.full((rows, columns), -1, np.int64)
    source[row[order], column[order]] = order
    source = _fill(source)
    image = np.empty((rows, columns, 3), np.uint8)
    image[:] = _EMPTY
    seen = source[source >= 0]
    light = np.clip(_BRIGHT - _DIMMING * np.log2(flat[seen].clip(_NEAR_M) / _NEAR_M), _DARKEST, 1)
    image[source >= 0] = np.rint(colors[seen] * light[:, None]).astype(np.uint8)
    return image


def compose_strips(panels: Sequence[Panel]) -> bytes:
    """Range views below each other with their titles, as a PNG.

    Raises:
        SrkdError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise SrkdError("pictures need matplotlib; pip install '.[viz]' in the source folder") from None
    strips = [np.repeat(np.repeat(panel.image, _SCALE, axis=0), _SCALE, axis=1) for panel in panels]
    width = strips[0].shape[1] + 2 * _MARGIN_PX
    height = sum(len(strip) + _HEAD_PX for strip in strips) + _MARGIN_PX
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=np.array(BACKGROUND) / 255)
    canvas = FigureCanvasAgg(figure)
    axes: Any = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    top = 0
    for panel, strip in zip(panels, strips, strict=True):
        top += _HEAD_PX
        right = _MARGIN_PX + strip.shape[1]
        axes.imshow(strip, extent=(_MARGIN_PX, right, top + len(strip), top), interpolation="none")
        style = {"y": top - 12, "fontsize": 16}
        axes.text(_MARGIN_PX, s=panel.title, color=TEXT, fontweight="bold", **style)
        axes.text(right, s=panel.note, color=MUTED, ha="right", **style)
        top += len(strip)
    axes.set(xlim=(0, width), ylim=(height, 0))
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()


def _fill(source: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Fills empty pixels from the nearest one above or below, then from the one to their left or right."""
    rows = len(source)
    index = np.arange(rows)[:, None]
    taken = source >= 0
    above = np.maximum.accumulate(np.where(taken, index, -rows), axis=0)
    below = np.minimum.accumulate(np.where(taken, index, 2 * rows)[::-1], axis=0)[::-1]
    gaps = (below[1:] - above[:-1])[taken[:-1]]  # from each point to the next one below
    gaps = gaps[gaps <= _WIDEST_GAP]
    reach = int(np.ceil(np.quantile(gaps, 0.9) / 2)) if len(gaps) else 0
    nearest = np.where(index - above <= below - index, above, below)
    usable = np.abs(nearest - index) <= reach
    filled = np.where(usable, np.take_along_axis(source, np.clip(nearest, 0, rows - 1), axis=0), -1)
    for step in (1, -1):
        filled = np.where(filled < 0, np.roll(filled, step, axis=1), filled)
    return filled
