# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ground as one mesh: bands across, rows along, vertical faces wherever neighbouring cells differ in height."""

from __future__ import annotations

import numpy as np

from srkd_train.data.street import shapes
from srkd_train.data.street.layout import Layout, Side
from srkd_train.data.street.materials import ASPHALT, CONCRETE, GRASS, ROAD, SIDEWALK, TERRAIN
from srkd_train.data.street.mesh import MeshBuilder

ROW_M = 1.0
_BACK_COLUMNS = np.array([0.0, 0.03, 0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 1.0])
_MATERIAL = {ROAD: ASPHALT, SIDEWALK: CONCRETE, TERRAIN: GRASS}
_MIN_STEP_M = 1e-3


def _rows(layout: Layout) -> np.ndarray:
    """Row boundaries along the street; the crossing's edges are among them: (R + 1,)."""
    rows = np.arange(0.0, layout.line.length_m + ROW_M / 2, ROW_M)
    if layout.crossing is not None:
        c = layout.crossing
        edges = c.s_m + np.array([-c.reach_m, -c.half_width_m, c.half_width_m, c.reach_m])
        rows = np.unique(np.concatenate([rows[np.abs(rows[:, None] - edges).min(1) > 0.2], edges]))
    return rows


def _columns(side: Side, s: np.ndarray, half_width_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Column boundaries outwards from the centre line (R + 1, C + 1) and the class of each column (C,)."""
    kerb, end = np.full(len(s), side.kerb_m), side.walk_end(s)
    start = side.walk_start(s)
    road = kerb[:, None] * np.linspace(0.0, 1.0, 4)
    walk = start[:, None] + (end - start)[:, None] * np.array([0.5, 1.0])
    front = (end + side.front_m)[:, None]
    back = front + (half_width_m - front) * _BACK_COLUMNS[1:]
    middle = end[:, None] + side.front_m * np.array([0.5])
    edges = np.concatenate([road, start[:, None], walk, middle, front, back], axis=1)
    verge_class = TERRAIN if side.verge_m > 0 else SIDEWALK
    column_class = [ROAD] * 3 + [verge_class] + [SIDEWALK] * 2 + [side.front_class] * 2 + [TERRAIN] * (len(_BACK_COLUMNS) - 1)
    return edges, np.array(column_class)


def _bumps(rng: np.random.Generator, s: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Unevenness of natural ground in metres, of the shape of ``s`` and ``d``."""
    height = np.zeros(s.shape)
    for amplitude, length in ((0.07, 17.0), (0.05, 7.0), (0.03, 3.1)):
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        height += amplitude * np.sin(2 * np.pi / length * (s * np.cos(angle) + d * np.sin(angle)) + phase)
    return height * rng.uniform(0.4, 1.4)


def add_ground(builder: MeshBuilder, rng: np.random.Generator, layout: Layout, half_width_m: float) -> None:
    """Add road, sidewalks and terrain of the whole street."""
    s = _rows(layout)
    left, left_class = _columns(layout.left, s, half_width_m)
    right, right_class = _columns(layout.right, s, half_width_m)
    d = np.concatenate([-right[:, :0:-1], left], axis=1)
    columns = np.concatenate([right_class[::-1], left_class])
    middle = (s[1:] + s[:-1]) / 2
    cell = np.broadcast_to(columns, (len(middle), len(columns))).copy()
    if layout.crossing is not None:
        away = np.abs(middle - layout.crossing.s_m)
        on_walk = (away < layout.crossing.reach_m)[:, None] & (cell != ROAD)
        cell[on_walk] = SIDEWALK
        cell[away < layout.crossing.half_width_m] = ROAD

    grid_s = np.broadcast_to(s[:, None], d.shape)
    base = layout.base_height(grid_s, d)
    natural = base + _bumps(rng, grid_s, d) * np.clip((np.abs(d) - 4.0) / 8.0, 0.25, 1.0)
    on_left = (np.arange(cell.shape[1]) >= len(right_class))[None, :]
    step = np.where(on_left, layout.left.kerb_height_m, layout.right.kerb_height_m) * (cell != ROAD)

    def corner(values: np.ndarray, i: int, j: int) -> np.ndarray:
        return values[i : i + cell.shape[0], j : j + cell.shape[1]]

    plan = layout.line.plan(grid_s, d)
    order = ((0, 0), (1, 0), (1, 1), (0, 1))
    height = [np.where(cell == TERRAIN, corner(natural, i, j), corner(base, i, j)) + step for i, j in order]
    quads = np.stack(
        [np.concatenate([corner(plan, i, j), z[..., None]], -1) for (i, j), z in zip(order, height, strict=True)], axis=2
    )

    wide = (corner(d, 0, 1) - corner(d, 0, 0) > 1e-6) | (corner(d, 1, 1) - corner(d, 1, 0) > 1e-6)
    patch = (np.arange(len(middle)) // int(rng.integers(12, 40)))[:, None] * 4 + np.digitize(
        np.arange(cell.shape[1]), [len(right_class) - 3, len(right_class), len(right_class) + 3]
    )
    solid = quads[wide]
    _add(builder, shapes.from_quads(solid), cell[wide], patch[wide])

    across = _step_faces(quads[:, :-1, [3, 2]], quads[:, 1:, [0, 1]])
    along = _step_faces(quads[:-1, :, [1, 2]], quads[1:, :, [0, 3]])
    for (faces, keep, higher), first, second, owner in (
        (across, cell[:, :-1], cell[:, 1:], patch[:, :-1]),
        (along, cell[:-1], cell[1:], patch[:-1]),
    ):
        _add(builder, shapes.from_quads(faces), np.where(higher, second, first)[keep], owner[keep])


def _step_faces(near: np.ndarray, far: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertical quads between the facing edges (R, C, 2, 3) of two cells.

    Returns the quads (Q, 4, 3), where they are needed (R, C) bool, and where the far cell is the higher one (R, C) bool.
    """
    rise = far[..., 2] - near[..., 2]
    keep = np.abs(rise).max(-1) > _MIN_STEP_M
    quads = np.concatenate([near, far[:, :, ::-1]], axis=2)[keep]
    return quads, keep, rise.mean(-1) > 0


def _add(builder: MeshBuilder, triangles: np.ndarray, cell_class: np.ndarray, patch: np.ndarray) -> None:
    material = np.vectorize(_MATERIAL.__getitem__, otypes=[np.uint8])(cell_class) if len(cell_class) else cell_class
    builder.add_faces(triangles, np.repeat(cell_class, 2), np.repeat(material, 2), np.repeat(patch, 2))
