# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cars, trucks and buses as lofted bodies on wheels."""

from __future__ import annotations

import numpy as np

from srkd_train.data.street import shapes
from srkd_train.data.street.materials import BUS, CAR, FACADE, GLASS, METAL, PAINT, RUBBER, TRUCK
from srkd_train.data.street.mesh import Model

_BODIES = {
    "sedan": (
        (-0.50, 0.55),
        (-0.48, 0.64),
        (-0.34, 0.68),
        (-0.20, 0.97),
        (0.06, 1.0),
        (0.26, 0.66),
        (0.46, 0.56),
        (0.50, 0.42),
    ),
    "hatchback": (
        (-0.50, 0.55),
        (-0.47, 0.68),
        (-0.38, 0.95),
        (0.02, 1.0),
        (0.10, 0.97),
        (0.30, 0.64),
        (0.47, 0.54),
        (0.50, 0.40),
    ),
    "estate": (
        (-0.50, 0.50),
        (-0.48, 0.66),
        (-0.43, 0.95),
        (0.0, 1.0),
        (0.08, 0.98),
        (0.26, 0.65),
        (0.46, 0.56),
        (0.50, 0.42),
    ),
    "suv": (
        (-0.50, 0.45),
        (-0.49, 0.62),
        (-0.45, 0.97),
        (0.05, 1.0),
        (0.12, 0.97),
        (0.26, 0.66),
        (0.47, 0.60),
        (0.50, 0.45),
    ),
    "van": (
        (-0.50, 0.40),
        (-0.50, 0.99),
        (-0.30, 1.0),
        (0.20, 1.0),
        (0.28, 0.95),
        (0.40, 0.58),
        (0.48, 0.48),
        (0.50, 0.35),
    ),
}
"""Roof lines: (position along the length, height as a share of the total) from rear to front."""
_SIZES = {
    "sedan": (4.3, 4.9, 1.40, 1.50),
    "hatchback": (3.7, 4.3, 1.42, 1.58),
    "estate": (4.4, 4.9, 1.45, 1.58),
    "suv": (4.2, 4.9, 1.60, 1.90),
    "van": (4.7, 5.7, 1.90, 2.40),
}
"""Shortest and longest length, lowest and highest roof, in metres."""


def _wheels(x: np.ndarray, half_width: float, radius: float, thickness: float) -> np.ndarray:
    """Wheels at each ``x`` on both sides."""
    inner = np.concatenate(
        [
            np.column_stack([x, np.full(len(x), side * (half_width - thickness)), np.full(len(x), radius)])
            for side in (-1, 1)
        ]
    )
    outer = inner + np.sign(inner[:, 1:2]) * np.array([[0.0, thickness, 0.0]])
    return shapes.tubes(inner, outer, radius, sides=10, caps=True)


def _shell(
    stations: np.ndarray, roof: np.ndarray, half_width: float, belt: float, floor: float, tuck: float
) -> tuple[np.ndarray, np.ndarray]:
    """Skin of a body from its roof line, and which faces are glass: windows above the belt line and sloping screens."""
    waist = np.minimum(roof, belt)
    top_half = half_width * np.where(roof > belt + 0.1, tuck, 0.96)
    nose = np.where((np.arange(len(roof)) == 0) | (np.arange(len(roof)) == len(roof) - 1), 0.9, 1.0)
    y = np.column_stack([-half_width * nose, -half_width * nose, -top_half * nose])
    z = np.column_stack([np.full(len(roof), floor), waist, roof])
    ring = np.stack([np.column_stack([stations, y[:, i], z[:, i]]) for i in range(3)], axis=1)
    rings = np.concatenate([ring, (ring * [1.0, -1.0, 1.0])[:, ::-1]], axis=1)
    faces = shapes.loft(rings)
    tall = ((roof - waist)[1:] + (roof - waist)[:-1]) / 2 > 0.2
    sloping = np.abs(np.diff(roof)) > 0.25
    glass = np.zeros((len(roof) - 1, 6), bool)
    glass[:, 1] = glass[:, 3] = tall
    glass[:, 2] = sloping
    return faces, np.concatenate([np.repeat(glass.ravel(), 2), np.zeros(len(faces) - glass.size * 2, bool)])


def car(rng: np.random.Generator) -> Model:
    """A passenger car or a van."""
    kind = str(rng.choice(list(_BODIES), p=[0.26, 0.26, 0.16, 0.22, 0.10]))
    shortest, longest, low, high = _SIZES[kind]
    length, height, half = rng.uniform(shortest, longest), rng.uniform(low, high), rng.uniform(0.83, 0.95)
    line = np.array(_BODIES[kind])
    floor = rng.uniform(0.16, 0.28)
    belt = height * rng.uniform(0.60, 0.66)
    tuck = 0.93 if kind == "van" else rng.uniform(0.72, 0.84)
    faces, glass = _shell(line[:, 0] * length, line[:, 1] * height, half, belt, floor, tuck)
    wheels = _wheels(np.array([-0.31, 0.31]) * length, half, rng.uniform(0.29, 0.36), 0.2)
    mirror = shapes.boxes([[0.17 * length, -half - 0.15, belt]], [[0.17 * length + 0.08, -half, belt + 0.14]])
    mirrors = np.concatenate([mirror, mirror * [1.0, -1.0, 1.0]])
    return Model.of(CAR, (faces, np.where(glass, GLASS, PAINT)), (wheels, RUBBER), (mirrors, PAINT))


def _cab(
    rng: np.random.Generator, front: float, half: float, floor: float
) -> tuple[list[tuple[np.ndarray, int | np.ndarray]], float]:
    """A truck's cab whose nose is at x = ``front``; returns its parts and where its back wall is."""
    length, height = rng.uniform(1.6, 2.3), rng.uniform(2.3, 3.0)
    x = front - length + length * np.array([0.0, 0.02, 0.7, 0.95, 1.0])
    roof = height * np.array([0.96, 1.0, 1.0, 0.62, 0.5])
    faces, glass = _shell(x, roof, half, height * 0.6, floor, 0.95)
    return [(faces, np.where(glass, GLASS, PAINT))], front - length


def truck(rng: np.random.Generator) -> Model:
    """A lorry: cab, gap, and a box, tipper, tank or tarpaulin on a chassis one can see under."""
    length, half = rng.uniform(6.0, 10.5), rng.uniform(1.05, 1.25)
    bed = rng.uniform(0.85, 1.15)
    parts, wall = _cab(rng, length / 2, half * 0.96, rng.uniform(0.4, 0.6))
    rear, front = -length / 2, wall - rng.uniform(0.25, 0.6)
    chassis = shapes.boxes([rear + 0.1, -0.45, bed - 0.3], [length / 2 - 0.4, 0.45, bed - 0.05])
    axles = np.array([length / 2 - 1.1, rear + 1.3] + ([rear + 2.5] if length > 8.0 else []))
    parts += [(chassis, METAL), (_wheels(axles, half, 0.48, 0.3), RUBBER)]
    kind = rng.choice(["box", "tipper", "tank", "flat"], p=[0.45, 0.25, 0.15, 0.15])
    if kind == "box":
        parts.append((shapes.boxes([rear, -half, bed], [front, half, bed + rng.uniform(1.9, 2.6)]), PAINT))
    elif kind == "tank":
        radius = rng.uniform(0.85, 1.05)
        z = bed + radius
        parts.append((shapes.tubes([rear, 0.0, z], [front, 0.0, z], radius, sides=14, caps=True), METAL))
    else:
        wall_height = rng.uniform(0.8, 1.4) if kind == "tipper" else rng.uniform(0.3, 0.5)
        floor = shapes.boxes([rear, -half, bed], [front, half, bed + 0.1])
        sides = shapes.boxes(
            [[rear, -half, bed], [rear, half - 0.06, bed], [rear, -half, bed], [front - 0.06, -half, bed]],
            [
                [front, -half + 0.06, bed + wall_height],
                [front, half, bed + wall_height],
                [rear + 0.06, half, bed + wall_height],
                [front, half, bed + wall_height + 0.4],
            ],
        )
        load = shapes.boxes(
            [rear + 0.5, -half * 0.8, bed],
            [front - rng.uniform(0.6, 2.5), half * 0.8, bed + wall_height * rng.uniform(0.6, 1.6)],
        )
        parts += [(floor, METAL), (sides, METAL), (load, FACADE)]
    return Model.of(TRUCK, *parts)


def bus(rng: np.random.Generator) -> Model:
    """A low-floor city bus: one long body with a band of windows."""
    length, height, half = rng.uniform(9.5, 12.5), rng.uniform(2.85, 3.25), 1.26
    x = length * np.array([-0.5, -0.49, -0.47, 0.0, 0.47, 0.49, 0.5])
    roof = height * np.array([0.90, 0.97, 1.0, 1.0, 1.0, 0.95, 0.86])
    faces, glass = _shell(x, roof, half, height * 0.42, 0.28, 0.97)
    pillars_x = np.arange(-length / 2 + 0.6, length / 2 - 0.3, rng.uniform(1.3, 1.8))
    low = np.column_stack([pillars_x, np.full(len(pillars_x), -half - 0.01), np.full(len(pillars_x), height * 0.4)])
    pillars = shapes.boxes(low, low + [0.15, 2 * half + 0.02, height * 0.58])
    band = shapes.boxes([-length / 2 + 0.1, -half, height * 0.82], [length / 2 - 0.1, half, height * 0.97])
    cooler = shapes.boxes([-length * 0.3, -0.8, height], [-length * 0.3 + rng.uniform(1.5, 3.0), 0.8, height + 0.3])
    wheels = _wheels(np.array([-length * 0.26, length * 0.30]), half + 0.01, 0.48, 0.3)
    return Model.of(
        BUS, (faces, np.where(glass, GLASS, PAINT)), (pillars, PAINT), (band, PAINT), (cooler, PAINT), (wheels, RUBBER)
    )
