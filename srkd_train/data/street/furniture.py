# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Street furniture: poles with lamps, signs or signals, bollards, and fences in several makes."""

from __future__ import annotations

import numpy as np

from srkd_train.data.street import shapes
from srkd_train.data.street.materials import CONCRETE, FENCE, METAL, PAINT, POLE, RETRO, WOOD
from srkd_train.data.street.mesh import Model


def lamp(rng: np.random.Generator) -> Model:
    """A lamp post; its arm points to -y, over the road."""
    height, radius, reach = rng.uniform(4.0, 8.5), rng.uniform(0.06, 0.13), rng.uniform(0.0, 2.2)
    head = [-0.15, -reach - 0.35, height - 0.1], [0.15, -reach + 0.25, height + 0.08]
    arm = shapes.tubes([0.0, 0.0, height - 0.3], [0.0, -reach - 0.01, height], 0.05, sides=5)
    foot = shapes.tubes([0.0, 0.0, -0.3], [0.0, 0.0, rng.uniform(0.5, 1.2)], radius * 1.5, sides=8, caps=True)
    mast = shapes.tubes([0.0, 0.0, 0.0], [0.0, 0.0, height], radius * 1.1, radius * 0.7, sides=8)
    return Model.of(POLE, (mast, METAL), (foot, METAL), (arm, METAL), (shapes.boxes(*head), METAL))


def utility_pole(rng: np.random.Generator) -> Model:
    """A thick pole of wood or concrete: as thick as a trunk."""
    height, radius = rng.uniform(6.0, 10.0), rng.uniform(0.12, 0.2)
    mast = shapes.tubes([0.0, 0.0, -0.3], [0.0, 0.0, height], radius, radius * 0.7, sides=8)
    arm = shapes.boxes([-1.0, -0.06, height - 0.8], [1.0, 0.06, height - 0.65])
    return Model.of(POLE, (mast, WOOD if rng.random() < 0.6 else CONCRETE), (arm, WOOD))


def sign(rng: np.random.Generator) -> Model:
    """A sign of one or two plates on a thin post."""
    height, radius = rng.uniform(1.9, 3.2), rng.uniform(0.03, 0.05)
    post = shapes.tubes([0.0, 0.0, -0.3], [0.0, 0.0, height], radius, sides=6)
    count = int(rng.integers(1, 3))
    z = height - 0.35 - 0.7 * np.arange(count)
    half = rng.uniform(0.22, 0.42)
    low = np.column_stack([np.full(count, -0.07), np.full(count, -half), z - 0.3])
    plates = shapes.boxes(low, low + [0.02, 2 * half, 0.6])
    return Model.of(POLE, (post, METAL), (plates, RETRO if rng.random() < 0.6 else PAINT))


def signal(rng: np.random.Generator) -> Model:
    """A traffic light."""
    height = rng.uniform(2.8, 3.6)
    post = shapes.tubes([0.0, 0.0, -0.3], [0.0, 0.0, height], 0.08, sides=8)
    box = shapes.boxes([-0.16, -0.18, height - 0.9], [0.16, 0.18, height])
    return Model.of(POLE, (post, METAL), (box, PAINT))


def bollards(rng: np.random.Generator) -> Model:
    """A row of bollards along x."""
    count, height = int(rng.integers(3, 7)), rng.uniform(0.7, 1.1)
    x = (np.arange(count) - (count - 1) / 2) * rng.uniform(1.1, 1.6)
    foot = np.column_stack([x, np.zeros(count), np.full(count, -0.3)])
    posts = shapes.tubes(foot, foot + [0.0, 0.0, height + 0.3], rng.uniform(0.05, 0.1), sides=7, caps=True)
    return Model.of(POLE, (posts, METAL if rng.random() < 0.5 else CONCRETE))


def _posts(length: float, spacing: float, half: float, height: float) -> np.ndarray:
    x = np.linspace(-length / 2, length / 2, max(round(length / spacing), 1) + 1)
    low = np.column_stack([x - half, np.full(len(x), -half), np.full(len(x), -0.4)])
    return shapes.boxes(low, low + [2 * half, 2 * half, height + 0.45])


def _rails(length: float, heights: np.ndarray, thickness: float) -> np.ndarray:
    low = np.column_stack([np.full(len(heights), -length / 2), np.full(len(heights), -thickness / 2), heights])
    return shapes.boxes(low, low + [length, thickness, thickness * 1.6])


def _slats(length: float, height: float, pitch: float, share: float) -> np.ndarray:
    """Upright boards in one plane; ``share`` of each pitch is board, the rest is gap."""
    x = np.arange(-length / 2, length / 2 - pitch * share, pitch)
    corner = np.column_stack([x, np.zeros(len(x)), np.full(len(x), 0.06)])
    wide, tall = np.array([pitch * share, 0.0, 0.0]), np.array([0.0, 0.0, height - 0.06])
    return shapes.from_quads(np.stack([corner, corner + wide, corner + wide + tall, corner + tall], axis=1))


def fence(rng: np.random.Generator, length_m: float) -> Model:
    """A fence along x: pickets, bars, boards, wire mesh or rails, between 0.8 and 2.1 m high."""
    kind = rng.choice(["picket", "bars", "boards", "mesh", "rails"], p=[0.28, 0.22, 0.22, 0.16, 0.12])
    height = rng.uniform(0.8, 1.3) if kind in ("picket", "rails") else rng.uniform(1.0, 2.1)
    post = _posts(length_m, rng.uniform(1.8, 2.6), 0.045, height)
    rails = _rails(length_m, np.array([0.2, height - 0.2]), 0.05)
    if kind == "picket":
        pitch = rng.uniform(0.12, 0.17)
        return Model.of(FENCE, (post, WOOD), (rails, WOOD), (_slats(length_m, height, pitch, 0.62), WOOD))
    if kind == "bars":
        return Model.of(FENCE, (post, METAL), (rails, METAL), (_slats(length_m, height, 0.13, 0.28), METAL))
    if kind == "boards":
        return Model.of(FENCE, (post, WOOD), (_slats(length_m, height, 0.2, 0.95), WOOD))
    if kind == "mesh":
        lines = _rails(length_m, np.arange(0.1, height, 0.12), 0.012)
        return Model.of(FENCE, (post, METAL), (lines, METAL), (_slats(length_m, height, 0.12, 0.14), METAL))
    return Model.of(FENCE, (post, WOOD), (_rails(length_m, np.linspace(0.25, height - 0.1, 3), 0.08), WOOD))


def guard_rail(rng: np.random.Generator, length_m: float) -> Model:
    """A steel crash barrier along x."""
    profile = np.array([[0.45, 0.0], [0.52, -0.08], [0.60, 0.0], [0.68, -0.08], [0.75, 0.0]])
    ends = np.array([-length_m / 2, length_m / 2])
    corner = np.stack([np.column_stack([np.full(5, x), profile[:, 1], profile[:, 0]]) for x in ends])
    quads = np.stack([corner[0, :-1], corner[1, :-1], corner[1, 1:], corner[0, 1:]], axis=1)
    return Model.of(
        FENCE, (shapes.from_quads(quads), METAL), (_posts(length_m, rng.uniform(1.5, 3.0), 0.05, 0.6), METAL)
    )
