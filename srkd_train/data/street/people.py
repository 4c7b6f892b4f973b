# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pedestrians, bicycles, racks of bicycles and riders."""

from __future__ import annotations

import numpy as np

from srkd_train.data.street import shapes
from srkd_train.data.street.materials import BICYCLE, CLOTH, METAL, PAINT, PEDESTRIAN, RUBBER
from srkd_train.data.street.mesh import Model


def pedestrian(rng: np.random.Generator) -> Model:
    """A standing or walking person, child or adult, now and then with a bag."""
    height = rng.uniform(1.0, 1.4) if rng.random() < 0.12 else rng.normal(1.72, 0.09)
    k = height / 1.75
    girth = k * rng.uniform(0.9, 1.25)
    swing = rng.uniform(0.0, 0.32) * k
    hip, neck = 0.86 * k, 1.46 * k
    legs = shapes.tubes(
        [[0.0, 0.10 * k, hip], [0.0, -0.10 * k, hip]],
        [[swing, 0.10 * k, 0.0], [-swing, -0.10 * k, 0.0]],
        0.095 * girth,
        0.065 * girth,
        sides=6,
        caps=True,
    )
    torso = shapes.tubes([0.0, 0.0, hip - 0.08 * k], [0.02, 0.0, neck], 0.19 * girth, 0.21 * girth, sides=9, caps=True)
    torso = torso * [0.72, 1.12, 1.0]
    shoulder = 0.25 * girth
    arms = shapes.tubes(
        [[0.0, shoulder, neck - 0.06], [0.0, -shoulder, neck - 0.06]],
        [[-swing, shoulder + 0.05, hip - 0.05], [swing, -shoulder - 0.05, hip - 0.05]],
        0.055 * girth,
        sides=5,
        caps=True,
    )
    head = shapes.ellipsoids([0.02, 0.0, height - 0.12 * k], [0.10 * k, 0.085 * k, 0.13 * k])
    parts: list[tuple[np.ndarray, int | np.ndarray]] = [(legs, CLOTH), (torso, CLOTH), (arms, CLOTH), (head, CLOTH)]
    if rng.random() < 0.25:
        parts.append((shapes.boxes([-0.34 * k, -0.15, hip + 0.1], [-0.12 * k, 0.15, neck - 0.05]), CLOTH))
    return Model.of(PEDESTRIAN, *parts)


def _bicycle_parts(rng: np.random.Generator) -> list[tuple[np.ndarray, int | np.ndarray]]:
    """Two wheels, frame, handlebar, saddle; sometimes mudguards' worth of luggage."""
    radius, base = rng.uniform(0.30, 0.36), rng.uniform(0.50, 0.56)
    turn = np.linspace(0, 2 * np.pi, 13)
    rim = np.column_stack([radius * np.cos(turn), np.zeros(13), radius + radius * np.sin(turn)])
    wheels = np.concatenate([shapes.polyline(rim + [x, 0.0, 0.0], 0.028, sides=3) for x in (-base, base)])
    spoke = np.linspace(0, np.pi, 5)[:-1]
    arm = np.column_stack([radius * np.cos(spoke), np.zeros(4), radius * np.sin(spoke)])
    hubs = np.array([[-base, 0.0, radius], [base, 0.0, radius]])
    centre = np.repeat(hubs, 4, 0)
    spokes = shapes.tubes(centre - np.tile(arm, (2, 1)), centre + np.tile(arm, (2, 1)), 0.008, sides=3)
    crank, seat, head = [-0.08, 0.0, 0.28], [-0.22, 0.0, 0.86], [0.34, 0.0, 0.84]
    start = [crank, crank, seat, crank, seat, head, head, hubs[0]]
    end = [seat, head, head, hubs[0], hubs[0], hubs[1], [0.30, 0.0, 1.02], [-base - 0.05, 0.0, radius + 0.05]]
    frame = shapes.tubes(start, end, 0.026, sides=5)
    bar = shapes.tubes([0.30, -0.28, 1.02], [0.30, 0.28, 1.02], 0.02, sides=4)
    saddle = shapes.boxes([-0.36, -0.08, 0.90], [-0.10, 0.08, 0.97])
    guards = shapes.boxes([[-base - 0.22, -0.05, 2 * radius + 0.04]], [[-base + 0.2, 0.05, 2 * radius + 0.07]])
    parts: list[tuple[np.ndarray, int | np.ndarray]] = [
        (wheels, RUBBER),
        (spokes, METAL),
        (frame, PAINT),
        (bar, METAL),
        (saddle, RUBBER),
        (guards, METAL),
    ]
    if rng.random() < 0.35:
        parts.append((shapes.boxes([0.36, -0.18, 0.85], [0.62, 0.18, 1.05]), PAINT))
    if rng.random() < 0.25:
        parts.append((shapes.boxes([-base - 0.25, -0.28, 0.35], [-base + 0.15, 0.28, 0.70]), CLOTH))
    return parts


def rack(rng: np.random.Generator) -> Model:
    """Parked bicycles side by side along x, front wheels towards -y."""
    count, pitch = int(rng.integers(3, 8)), rng.uniform(0.45, 0.75)
    parts = []
    makes = [Model.of(BICYCLE, *_bicycle_parts(rng)) for _ in range(2)]
    for i in range(count):
        single = makes[int(rng.integers(2))]
        place = np.array([(i - (count - 1) / 2) * pitch + rng.normal(0.0, 0.04), rng.normal(0.0, 0.06), 0.0])
        parts.append((single.placed(place, -np.pi / 2 + rng.normal(0.0, 0.12)), single.material))
    return Model.of(BICYCLE, *parts)


def rider(rng: np.random.Generator) -> Model:
    """A bicycle with its rider, who counts as bicycle."""
    lean = rng.uniform(0.10, 0.38)
    hip, neck = np.array([-0.22, 0.0, 0.98]), np.array([-0.22 + lean, 0.0, 1.50])
    torso = shapes.tubes(hip, neck, 0.16, 0.19, sides=8, caps=True)
    head = shapes.ellipsoids(neck + [0.06, 0.0, 0.17], [0.12, 0.10, 0.15])
    knee = np.array([[0.14, 0.11, 0.72], [0.10, -0.11, 0.60]])
    foot = np.array([[0.02, 0.11, 0.32], [-0.10, -0.11, 0.14]])
    legs = np.concatenate(
        [
            shapes.tubes(hip + [[0.0, 0.09, 0.0], [0.0, -0.09, 0.0]], knee, 0.085, 0.065),
            shapes.tubes(knee, foot, 0.065, 0.05),
        ]
    )
    arms = shapes.tubes(
        neck + [[0.0, 0.2, -0.08], [0.0, -0.2, -0.08]], [[0.30, 0.25, 1.03], [0.30, -0.25, 1.03]], 0.05, sides=5
    )
    return Model.of(BICYCLE, *_bicycle_parts(rng), (torso, CLOTH), (head, CLOTH), (legs, CLOTH), (arms, CLOTH))
