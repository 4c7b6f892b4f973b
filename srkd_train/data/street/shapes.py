# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Triangles of simple solids, in bulk: every function returns (F, 3, 3) float64 corners, all faces two-sided."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_BOX_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
_BOX_QUADS = np.array([[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]])


def from_quads(quads: np.ndarray) -> np.ndarray:
    """(..., 4, 3) corners in order around each quad -> (2 * Q, 3, 3)."""
    return quads.reshape(-1, 4, 3)[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3)


def _rows(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Two lists of points as (n, 3) float64; a single point is repeated."""
    a, b = np.asarray(first, float).reshape(-1, 3), np.asarray(second, float).reshape(-1, 3)
    n = max(len(a), len(b))
    return (a if len(a) == n else a.repeat(n, 0)), (b if len(b) == n else b.repeat(n, 0))


def boxes(low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Axis-aligned boxes between corners ``low`` and ``high`` (n, 3) or (3,) -> (12 n, 3, 3)."""
    lo, hi = _rows(low, high)
    corners = lo[:, None] + _BOX_CORNERS * (hi - lo)[:, None]
    return from_quads(corners[:, _BOX_QUADS])


def _across(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors perpendicular to each axis and to each other: (n, 3) -> (n, 3), (n, 3)."""
    x, y, z = (axis / np.sqrt((axis * axis).sum(1, keepdims=True))).T
    zero = np.zeros_like(x)
    u = np.where(np.abs(z) < 0.9, (y, -x, zero), (zero, z, -y))
    ux, uy, uz = u / np.sqrt((u * u).sum(0))
    return np.stack([ux, uy, uz], 1), np.stack([y * uz - z * uy, z * ux - x * uz, x * uy - y * ux], 1)


def tubes(
    start: ArrayLike,
    end: ArrayLike,
    radius: ArrayLike,
    end_radius: ArrayLike | None = None,
    sides: int = 6,
    caps: bool = False,
) -> np.ndarray:
    """Straight (tapered) prisms from ``start`` to ``end`` (n, 3) with ``radius`` scalar or (n,)."""
    a, b = _rows(start, end)
    r0 = np.broadcast_to(np.asarray(radius, float), len(a))
    r1 = r0 if end_radius is None else np.broadcast_to(np.asarray(end_radius, float), len(a))
    u, v = _across(b - a)
    angle = np.arange(sides + 1) * (2 * np.pi / sides)
    ring = u[:, None] * np.cos(angle)[:, None] + v[:, None] * np.sin(angle)[:, None]
    low, high = a[:, None] + ring * r0[:, None, None], b[:, None] + ring * r1[:, None, None]
    faces = [from_quads(np.stack([low[:, :-1], low[:, 1:], high[:, 1:], high[:, :-1]], axis=2))]
    if caps:
        for centre, rim in ((a, low), (b, high)):
            middle = np.broadcast_to(centre[:, None], rim[:, :-1].shape)
            faces.append(np.stack([middle, rim[:, :-1], rim[:, 1:]], axis=2).reshape(-1, 3, 3))
    return np.concatenate(faces)


def polyline(points: ArrayLike, radius: float, sides: int = 4) -> np.ndarray:
    """A tube along consecutive points (n, 3)."""
    path = np.asarray(points, float)
    return tubes(path[:-1], path[1:], radius, sides=sides)


def ellipsoids(centre: ArrayLike, radii: ArrayLike, rows: int = 5, columns: int = 8) -> np.ndarray:
    """Closed ellipsoids at ``centre`` (n, 3) with half axes ``radii`` (n, 3)."""
    c, r = _rows(centre, radii)
    polar, turn = np.meshgrid(np.linspace(0, np.pi, rows + 1), np.linspace(0, 2 * np.pi, columns + 1), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=-1)
    p = c[:, None, None] + unit * r[:, None, None]
    return from_quads(np.stack([p[:, :-1, :-1], p[:, :-1, 1:], p[:, 1:, 1:], p[:, 1:, :-1]], axis=3))


def loft(rings: np.ndarray) -> np.ndarray:
    """Skin through (k, m, 3) closed rings -> faces ordered (segment, side, 2), then the two end caps (m - 2 each)."""
    closed = np.concatenate([rings, rings[:, :1]], axis=1)
    skin = np.stack([closed[:-1, :-1], closed[:-1, 1:], closed[1:, 1:], closed[1:, :-1]], axis=2)
    m = rings.shape[1]
    fan = np.array([[0, i, i + 1] for i in range(1, m - 1)])
    return np.concatenate([from_quads(skin), rings[0][fan], rings[-1][fan]])


def scatter(rng: np.random.Generator, centre: np.ndarray, size_m: ArrayLike) -> np.ndarray:
    """One randomly turned triangle of about ``size_m`` at each centre (n, 3): leaves."""
    corner = rng.standard_normal((len(centre), 3, 3))
    corner /= np.linalg.norm(corner, axis=2, keepdims=True)
    return centre[:, None] + corner * np.broadcast_to(np.asarray(size_m, float), len(centre))[:, None, None]


def in_ball(rng: np.random.Generator, count: int, shell: float = 0.0) -> np.ndarray:
    """Points in the unit ball outside radius ``shell``, denser towards the surface: (count, 3)."""
    direction = rng.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * (shell + (1 - shell) * rng.random((count, 1)) ** 0.5)
