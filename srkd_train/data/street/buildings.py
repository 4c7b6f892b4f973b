# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Buildings: facades with recessed windows, doors, bays, awnings and balconies, under flat or gabled roofs.

The frame of a building: x along the street, the facade in the plane y = 0, the body behind it towards +y, z up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from srkd_train.data.street import shapes
from srkd_train.data.street.materials import BUILDING, CLOTH, FACADE, GLASS, METAL, WOOD
from srkd_train.data.street.mesh import Model

FOUNDATION_M = 3.0
"""Walls reach this far below the ground at the facade, so slopes leave no gap."""


def _rectangles(x0: ArrayLike, x1: ArrayLike, z0: ArrayLike, z1: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Quads (n, 4, 3) in planes of constant y."""
    x0, x1, z0, z1, y = np.broadcast_arrays(x0, x1, z0, z1, y)
    return np.stack(
        [np.stack([x0, y, z0], -1), np.stack([x1, y, z0], -1), np.stack([x1, y, z1], -1), np.stack([x0, y, z1], -1)], -2
    )


def _facade(rng: np.random.Generator, width: float, height: float) -> list[tuple[np.ndarray, int]]:
    """A wall of storeys and bays, each bay with one recessed opening."""
    storey, bay = rng.uniform(2.7, 3.6), rng.uniform(1.8, 4.0)
    floors, bays = max(int(height / storey), 1), max(int(width / bay), 1)
    xs, zs = np.linspace(-width / 2, width / 2, bays + 1), np.linspace(0.0, height, floors + 1)
    column, row = (a.ravel() for a in np.meshgrid(np.arange(bays), np.arange(floors)))
    x0, x1, z0, z1 = xs[column], xs[column + 1], zs[row], zs[row + 1]
    side, sill, head = rng.uniform(0.12, 0.3), rng.uniform(0.2, 0.33), rng.uniform(0.08, 0.2)
    shop = (row == 0) & (rng.random() < 0.4)
    door = (row == 0) & (rng.random(len(row)) < 0.25)
    wx0, wx1 = x0 + (x1 - x0) * np.where(shop, 0.06, side), x1 - (x1 - x0) * np.where(shop, 0.06, side)
    wz0 = z0 + (z1 - z0) * np.where(door, 0.02, np.where(shop, 0.12, sill))
    wz1 = z1 - (z1 - z0) * head
    depth = np.where(shop, rng.uniform(0.15, 0.5), rng.uniform(0.08, 0.25))
    wall = np.concatenate(
        [
            _rectangles(x0, wx0, z0, z1, 0.0),
            _rectangles(wx1, x1, z0, z1, 0.0),
            _rectangles(wx0, wx1, z0, wz0, 0.0),
            _rectangles(wx0, wx1, wz1, z1, 0.0),
        ]
    )
    pane = _rectangles(wx0, wx1, wz0, wz1, depth)
    rim = _rectangles(wx0, wx1, wz0, wz1, 0.0)
    following = [1, 2, 3, 0]
    reveal = np.stack([rim, rim[:, following], pane[:, following], pane], axis=2)
    closed = rng.random(len(pane)) < rng.uniform(0.1, 0.7)
    base = _rectangles(np.array([-width / 2]), np.array([width / 2]), -FOUNDATION_M, 0.0, 0.0)
    parts = [
        (shapes.from_quads(np.concatenate([wall, base])), FACADE),
        (shapes.from_quads(reveal), FACADE),
        (shapes.from_quads(pane[closed | door]), WOOD),
        (shapes.from_quads(pane[~(closed | door)]), GLASS),
    ]
    if rng.random() < 0.35 and floors > 1:
        chosen = (row > 0) & (column % 2 == int(rng.integers(2)))
        low = np.stack([x0[chosen] + 0.2, np.full(chosen.sum(), -rng.uniform(0.8, 1.4)), z0[chosen]], -1)
        high = np.stack([x1[chosen] - 0.2, np.zeros(chosen.sum()), z0[chosen] + 0.15], -1)
        rail_low = low + [0.0, 0.0, 0.15]
        rail_high = np.stack([high[:, 0], low[:, 1] + 0.06, high[:, 2] + 0.9], -1)
        parts.append((shapes.boxes(np.concatenate([low, rail_low]), np.concatenate([high, rail_high])), FACADE))
    if shop.any() and rng.random() < 0.6:
        z, reach = float(wz1[0]) + 0.1, rng.uniform(0.8, 1.6)
        left, right = -width / 2 + rng.uniform(0.2, width / 3), width / 2 - rng.uniform(0.2, width / 3)
        awning = np.array([[left, 0, z], [right, 0, z], [right, -reach, z - 0.45], [left, -reach, z - 0.45]], float)
        parts.append((shapes.from_quads(awning), CLOTH))
    return parts


def _body(rng: np.random.Generator, width: float, depth: float, height: float) -> list[tuple[np.ndarray, int]]:
    """Side and back walls and the roof."""
    w, bottom = width / 2, -FOUNDATION_M
    foot = np.array([[-w, 0], [-w, depth], [w, depth], [w, 0]])
    walls = np.stack(
        [[[*foot[i], bottom], [*foot[i + 1], bottom], [*foot[i + 1], height], [*foot[i], height]] for i in range(3)]
    )
    parts = [(shapes.from_quads(walls), FACADE)]
    if rng.random() < 0.5 and height < 13.0:
        ridge, eave = height + depth * rng.uniform(0.25, 0.5), rng.uniform(0.2, 0.6)
        front = [[-w, -eave, height - 0.1], [w, -eave, height - 0.1], [w, depth / 2, ridge], [-w, depth / 2, ridge]]
        back = [[-w, depth, height], [w, depth, height], [w, depth / 2, ridge], [-w, depth / 2, ridge]]
        gables = np.array([[[x, 0, height], [x, depth, height], [x, depth / 2, ridge]] for x in (-w, w)])
        parts += [(shapes.from_quads(np.array([front, back], float)), FACADE), (gables.astype(float), FACADE)]
    else:
        parts.append((shapes.boxes([-w, -0.15, height], [w, 0.15, height + rng.uniform(0.2, 0.9)]), FACADE))
    return parts


def building(rng: np.random.Generator, width: float, depth: float, height: float) -> Model:
    """A house of the given outer size in metres."""
    parts = _facade(rng, width, height) + _body(rng, width, depth, height)
    if rng.random() < 0.4:
        bay_width, reach = width * rng.uniform(0.15, 0.35), rng.uniform(0.4, 1.6)
        x, top = rng.uniform(-0.3, 0.3) * width, height * rng.uniform(0.5, 1.0)
        parts.append((shapes.boxes([x - bay_width / 2, -reach, -1.0], [x + bay_width / 2, 0.0, top]), FACADE))
    if rng.random() < 0.5:
        x = rng.uniform(-0.35, 0.35) * width
        steps = int(rng.integers(1, 4))
        tread = 0.3 * np.arange(steps, 0, -1)
        low = np.stack([np.full(steps, x - 0.8), -tread, np.full(steps, -0.5)], -1)
        high = np.stack([np.full(steps, x + 0.8), np.zeros(steps), 0.16 * np.arange(1, steps + 1)], -1)
        parts.append((shapes.boxes(low, high), FACADE))
    if rng.random() < 0.5:
        pipe = rng.choice([-1, 1]) * (width / 2 - 0.25)
        parts.append((shapes.tubes([pipe, -0.08, 0.0], [pipe, -0.08, height], 0.06, sides=5), METAL))
    return Model.of(BUILDING, *parts)


def kiosk(rng: np.random.Generator) -> Model:
    """A free-standing little house: as low as a van, as plain as a truck's box."""
    w, d, h = rng.uniform(1.6, 3.2), rng.uniform(1.4, 2.4), rng.uniform(2.2, 2.9)
    roof = shapes.boxes([-w / 2 - 0.3, -0.5, h], [w / 2 + 0.3, d + 0.3, h + 0.15])
    front = _rectangles(np.array([-w * 0.35]), np.array([w * 0.35]), 1.0, h - 0.3, -0.02)
    return Model.of(
        BUILDING,
        (shapes.boxes([-w / 2, 0.0, -0.4], [w / 2, d, h]), FACADE),
        (roof, METAL),
        (shapes.from_quads(front), GLASS),
    )
