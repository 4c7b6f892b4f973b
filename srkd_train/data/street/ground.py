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
_MATERIAL = np.zeros(TERRAIN + 1, np.uint8)
_MATERIAL[[ROAD, SIDEWALK, TERRAIN]] = ASPHALT, CONCRETE, GRASS
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
    column_class = (
        [ROAD] * 3 + [verge_class] + [SIDEWALK] * 2 + [side.front_class] * 2 + [TERRAIN] * (len(_BACK_COLUMNS) - 1)
    )
    return edges, np.array(column_class)


def _bumps(rng: np.random.Generator, s: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Unevenness of natural ground in metres, of the shape of ``s`` and ``d``."""
    height = np.zeros(s.shape)
    for amplitude, length in ((0.07, 17.0), (0.05, 7.0), (0.03, 3.1)):
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        height += amplitude * np.sin(2 * np.pi / length * (s * np.cos(angle) + d * np.sin(angle)) + phase)
    return height * rng.uniform(0.4, 1.4)


def _cells(layout: Layout, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Class of each cell, (R, C), from the row boundaries (R + 1,) and the class of each column (C,)."""
    middle = (rows[1:] + rows[:-1]) / 2
    cell = np.tile(columns, (len(middle), 1))
    if layout.crossing is not None:
        away = np.abs(middle - layout.crossing.s_m)
        cell[(away < layout.crossing.reach_m)[:, None] & (cell != ROAD)] = SIDEWALK
        cell[away < layout.crossing.half_width_m] = ROAD
    return cell


def add_ground(builder: MeshBuilder, rng: np.random.Generator, layout: Layout, half_width_m: float) -> None:
    """Add road, sidewalks and terrain of the whole street; one object a stretch of one band."""
    rows = _rows(layout)
    left, left_class = _columns(layout.left, rows, half_width_m)
    right, right_class = _columns(layout.right, rows, half_width_m)
    d = np.concatenate([-right[:, :0:-1], left], axis=1)
    cell = _cells(layout, rows, np.concatenate([right_class[::-1], left_class]))
    on_left = np.arange(cell.shape[1]) >= len(right_class)
    quads = _quads(rng, layout, np.broadcast_to(rows[:, None], d.shape), d, cell, on_left)

    wide = (np.diff(d, axis=1)[:-1] > 1e-6) | (np.diff(d, axis=1)[1:] > 1e-6)
    band = np.digitize(np.arange(cell.shape[1]), len(right_class) + np.array([-3, 0, 3]))
    patch = (np.arange(len(cell)) // int(rng.integers(12, 40)))[:, None] * 4 + band
    _add(builder, quads[wide], cell[wide], patch[wide])
    _add_steps(builder, quads[:, :-1, [3, 2]], quads[:, 1:, [0, 1]], cell[:, :-1], cell[:, 1:], patch[:, :-1])
    _add_steps(builder, quads[:-1, :, [1, 2]], quads[1:, :, [0, 3]], cell[:-1], cell[1:], patch[:-1])


def _quads(
    rng: np.random.Generator, layout: Layout, s: np.ndarray, d: np.ndarray, cell: np.ndarray, on_left: np.ndarray
) -> np.ndarray:
    """World corners of every cell, (R, C, 4, 3): each cell at its own height, so neighbours may differ by a step."""
    base = layout.base_height(s, d)
    natural = base + _bumps(rng, s, d) * np.clip((np.abs(d) - 4.0) / 8.0, 0.25, 1.0)
    step = np.where(on_left, layout.left.kerb_height_m, layout.right.kerb_height_m) * (cell != ROAD)
    plan = layout.line.plan(s, d)
    height, width = cell.shape
    corners = []
    for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)):
        part = slice(i, i + height), slice(j, j + width)
        z = np.where(cell == TERRAIN, natural[part], base[part]) + step
        corners.append(np.concatenate([plan[part], z[..., None]], axis=-1))
    return np.stack(corners, axis=2)


def _add_steps(
    builder: MeshBuilder,
    near: np.ndarray,
    far: np.ndarray,
    near_class: np.ndarray,
    far_class: np.ndarray,
    patch: np.ndarray,
) -> None:
    """Vertical quads between the facing edges (R, C, 2, 3) of neighbouring cells; a kerb belongs to the higher one."""
    rise = far[..., 2] - near[..., 2]
    keep = np.abs(rise).max(-1) > _MIN_STEP_M
    owner = np.where(rise.mean(-1) > 0, far_class, near_class)
    _add(builder, np.concatenate([near, far[:, :, ::-1]], axis=2)[keep], owner[keep], patch[keep])


def _add(builder: MeshBuilder, quads: np.ndarray, class_id: np.ndarray, patch: np.ndarray) -> None:
    builder.add_faces(shapes.from_quads(quads), *(np.repeat(x, 2) for x in (class_id, _MATERIAL[class_id], patch)))
