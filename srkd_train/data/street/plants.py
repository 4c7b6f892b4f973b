# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Vegetation: trees, bushes and hedges made of scattered leaves, so that some rays pass and others do not."""

from __future__ import annotations

import numpy as np

from srkd_train.data.street import shapes
from srkd_train.data.street.materials import BARK, FOLIAGE, VEGETATION
from srkd_train.data.street.mesh import Model


def _leaves(rng: np.random.Generator, centre: np.ndarray, radii: np.ndarray, count: int, size_m: float) -> np.ndarray:
    """``count`` leaves shared among ellipsoids (n, 3), (n, 3)."""
    blob = rng.integers(len(centre), size=count)
    points = centre[blob] + shapes.in_ball(rng, count) * radii[blob]
    return shapes.scatter(rng, points, size_m * rng.uniform(0.6, 1.4, count))


def tree(rng: np.random.Generator) -> Model:
    """A broad-leaved tree: trunk, a few boughs, a crown of several blobs."""
    height, trunk = rng.uniform(4.0, 11.0), rng.uniform(0.07, 0.26)
    fork = height * rng.uniform(0.25, 0.45)
    lean = rng.normal(0.0, 0.05, 2) * fork
    top = np.array([*lean, fork])
    blobs = int(rng.integers(3, 7))
    spread = height * rng.uniform(0.14, 0.26)
    centre = np.column_stack([rng.normal(0.0, spread * 0.6, (blobs, 2)) + lean, rng.uniform(fork, height, blobs)])
    radii = spread * rng.uniform(0.6, 1.1, (blobs, 1)) * np.array([1.0, 1.0, 0.8])
    boughs = shapes.tubes(np.repeat(top[None], blobs, 0), centre, trunk * 0.5, trunk * 0.2, sides=4)
    return Model.of(
        VEGETATION,
        (shapes.tubes([0.0, 0.0, -0.3], top, trunk * 1.2, trunk * 0.8, sides=7), BARK),
        (boughs, BARK),
        (_leaves(rng, centre, radii, int(rng.integers(240, 440)), rng.uniform(0.20, 0.34)), FOLIAGE),
    )


def conifer(rng: np.random.Generator) -> Model:
    """A conifer: leaves in a cone that nearly reaches the ground."""
    height, radius = rng.uniform(3.0, 9.0), rng.uniform(0.9, 1.9)
    count = int(rng.integers(220, 380))
    up = 1.0 - np.sqrt(rng.random(count))
    turn, out = rng.uniform(0, 2 * np.pi, count), radius * (1.0 - up) * rng.uniform(0.5, 1.0, count)
    points = np.column_stack([out * np.cos(turn), out * np.sin(turn), 0.3 + up * height])
    return Model.of(
        VEGETATION,
        (shapes.tubes([0.0, 0.0, -0.3], [0.0, 0.0, height], 0.12, 0.03, sides=5), BARK),
        (shapes.scatter(rng, points, 0.28), FOLIAGE),
    )


def bush(rng: np.random.Generator) -> Model:
    """A bush between knee and head height: as tall as a car or a pedestrian."""
    height, width = rng.uniform(0.5, 2.0), rng.uniform(0.4, 1.3)
    blobs = int(rng.integers(1, 4))
    centre = np.column_stack([rng.normal(0.0, width * 0.4, (blobs, 2)), np.full(blobs, height * 0.45)])
    radii = np.column_stack([np.full((blobs, 2), width * 0.7), np.full(blobs, height * 0.55)])
    leaves = _leaves(rng, centre, radii, int(90 + 70 * width * height), 0.15)
    core = shapes.ellipsoids(centre, radii * 0.55, rows=3, columns=5)
    return Model.of(VEGETATION, (leaves, FOLIAGE), (core, FOLIAGE))


def hedge(rng: np.random.Generator, length_m: float) -> Model:
    """A trimmed hedge along x: a thick core in a coat of leaves."""
    height, width = rng.uniform(0.7, 2.2), rng.uniform(0.5, 1.1)
    low = np.array([-length_m / 2, -width / 2, -0.3])
    high = np.array([length_m / 2, width / 2, height])
    count = int(length_m * (2 * height + width) * 16)
    points = rng.uniform(low + [0, 0, 0.3], high + [0, 0, 0.1], (count, 3))
    side = rng.choice([-0.5, 0.5], count) * width
    on_top = rng.random(count) < width / (2 * height + width)
    points[:, 1] = np.where(on_top, points[:, 1], side + rng.normal(0.0, 0.05, count))
    points[:, 2] = np.where(on_top, height + rng.normal(0.0, 0.05, count), points[:, 2])
    core = shapes.boxes(low + [0.0, 0.12, 0.0], high - [0.0, 0.12, 0.1])
    return Model.of(VEGETATION, (core, FOLIAGE), (shapes.scatter(rng, points, 0.13), FOLIAGE))
