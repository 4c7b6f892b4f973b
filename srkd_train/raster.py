# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small rasteriser for points seen from above: forward (x) is up, left (y) is left, higher points are on top.

Points are lit by height, drawn twice as fine as the picture and averaged down, and glow a little on a dark ground.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

_PANEL = (15, 18, 25)
_GRID = (38, 44, 58)
_SUPERSAMPLE = 2
_SMALL_DOT = ((-1, 0), (0, -1), (1, 0), (0, 1), (0, 0))
_LARGE_DOT = tuple((i, j) for i in (-1, 0, 1, 2) for j in (-1, 0, 1, 2) if i in (0, 1) or j in (0, 1))
_CROWDED = 1 / 25
"""Points a fine pixel from which on they are drawn as small dots."""


def render(
    xyz: npt.NDArray[np.float32],
    colors: Image,
    front: npt.NDArray[np.bool_],
    size_px: int,
    half_extent_m: float,
) -> Image:
    """Draws points over a grid of range rings.

    Args:
        xyz: (N, 3) metres; what is not finite or outside the square is left out.
        colors: (N, 3) uint8.
        front: (N,) bool, points to draw over all others.
        size_px: width and height of the picture.
        half_extent_m: half the side of the square that is shown, centred on the origin.

    Returns:
        (size_px, size_px, 3) uint8.
    """
    with np.errstate(invalid="ignore"):
        inside = np.isfinite(xyz[:, 2]) & (np.abs(xyz[:, :2]) < half_extent_m).all(axis=1)
    order = np.flatnonzero(inside)
    order = order[np.lexsort((xyz[order, 2], front[order]))]
    xyz, lit = xyz[order, :3], colors[order].astype(np.float32)
    if len(xyz):
        low, high = np.quantile(xyz[:, 2], (0.02, 0.98))
        lit *= (0.8 + 0.2 * np.clip((xyz[:, 2] - low) / max(high - low, 1e-3), 0, 1))[:, None]
    fine = size_px * _SUPERSAMPLE
    scale = fine / (2 * half_extent_m)
    row = ((half_extent_m - xyz[:, 0]) * scale).astype(np.int64)
    column = ((half_extent_m - xyz[:, 1]) * scale).astype(np.int64)
    layer = np.zeros((fine, fine, 4), np.uint8)  # red, green, blue, and 255 where there is a point
    stamp = np.concatenate([lit, np.full((len(lit), 1), 255, np.float32)], axis=1).astype(np.uint8)
    dots = _SMALL_DOT if len(xyz) > _CROWDED * fine**2 else _LARGE_DOT
    for down, right in dots:  # where points meet, the last wins
        layer[np.clip(row + down, 0, fine - 1), np.clip(column + right, 0, fine - 1)] = stamp
    small = layer.reshape(size_px, _SUPERSAMPLE, size_px, _SUPERSAMPLE, 4).mean(axis=(1, 3), dtype=np.float32)
    glow = _blur(small[..., :3], radius=max(size_px // 220, 1))
    canvas = small[..., :3] + (1 - small[..., 3:] / 255) * (_range_rings(size_px, half_extent_m) + 0.6 * glow)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _range_rings(size_px: int, half_extent_m: float) -> npt.NDArray[np.float32]:
    pixel = 2 * half_extent_m / size_px
    axis = (np.arange(size_px, dtype=np.float32) + 0.5) * pixel - half_extent_m
    distance = np.hypot(axis[:, None], axis[None])
    step = ring_step(half_extent_m)
    nearest = np.abs(distance - np.round(distance / step) * step)
    weight = np.clip(1 - nearest / pixel, 0, 1) * (distance > step / 2)
    panel, grid = np.array(_PANEL, np.float32), np.array(_GRID, np.float32)
    return np.asarray(panel + weight[..., None] * (grid - panel), np.float32)


def ring_step(half_extent_m: float) -> float:
    """Distance of the range rings: 1, 2 or 5 times a power of ten, at most a third of the half extent."""
    target = half_extent_m / 3
    power = 10.0 ** np.floor(np.log10(target))
    return float(power * max(factor for factor in (1, 2, 5) if factor * power <= target * 1.0001))


def _blur(image: npt.NDArray[np.float32], radius: int) -> npt.NDArray[np.float32]:
    """Two box filters along each axis: nearly a Gaussian."""
    length = 2 * radius + 1
    for axis in (0, 1, 0, 1):
        pads = [(0, 0)] * 3
        pads[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(image, pads, mode="edge"), axis=axis)
        parts = (slice(length, None), slice(None, -length))
        upper, lower = (total[part] if axis == 0 else total[:, part] for part in parts)
        image = (upper - lower) / np.float32(length)
    return image
