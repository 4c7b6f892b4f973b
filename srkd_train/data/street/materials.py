# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Classes and surface materials of the street world. Reflectances overlap on purpose: no class is told by intensity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ROAD, SIDEWALK, BUILDING, VEGETATION, TERRAIN, POLE, CAR, TRUCK, BUS, BICYCLE, PEDESTRIAN, FENCE = range(12)


class Material(NamedTuple):
    """How a surface answers a laser pulse."""

    reflectance: float
    """Mean over objects."""
    spread: float
    """Standard deviation over objects."""
    roughness_m: float
    """Depth of the layer in which the pulse is returned: grass blades, leaves, gravel."""
    dropout: float
    """Share of pulses that do not come back (glass)."""


MATERIALS: tuple[Material, ...] = (
    Material(0.20, 0.07, 0.004, 0.00),
    Material(0.32, 0.09, 0.006, 0.00),
    Material(0.33, 0.10, 0.050, 0.03),
    Material(0.38, 0.17, 0.004, 0.00),
    Material(0.12, 0.08, 0.002, 0.55),
    Material(0.36, 0.12, 0.060, 0.03),
    Material(0.24, 0.08, 0.010, 0.00),
    Material(0.36, 0.17, 0.002, 0.00),
    Material(0.38, 0.22, 0.002, 0.02),
    Material(0.10, 0.04, 0.003, 0.02),
    Material(0.34, 0.16, 0.008, 0.00),
    Material(0.32, 0.13, 0.006, 0.00),
    Material(0.85, 0.10, 0.002, 0.00),
)
ASPHALT, CONCRETE, GRASS, FACADE, GLASS, FOLIAGE, BARK, METAL, PAINT, RUBBER, CLOTH, WOOD, RETRO = range(len(MATERIALS))

_TABLE = np.array(MATERIALS, dtype=np.float32)
ROUGHNESS_M = _TABLE[:, 2]
DROPOUT = _TABLE[:, 3]


def face_reflectance(rng: np.random.Generator, material: np.ndarray, object_id: np.ndarray) -> np.ndarray:
    """One draw per (object, material) pair, looked up for every face: (F,) uint8, (F,) int -> (F,) float32."""
    objects = int(object_id.max(initial=-1)) + 1
    draw = rng.standard_normal((objects, len(MATERIALS)), dtype=np.float32)
    value = _TABLE[:, 0] + _TABLE[:, 1] * draw
    return np.clip(value, 0.02, 1.0)[object_id, material]
