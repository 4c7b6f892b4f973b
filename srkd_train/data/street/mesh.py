# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Triangle soups with a class, a material and an object per face, and the models they are assembled from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Model:
    """One object of one class in its own frame: x forward, y left, z up, origin on the ground below its middle."""

    class_id: int
    triangles: np.ndarray
    """(F, 3, 3) float64."""
    material: np.ndarray
    """(F,) uint8."""

    @staticmethod
    def of(class_id: int, *parts: tuple[np.ndarray, int | np.ndarray]) -> Model:
        """Join (triangles, material) parts; a material is one number or one per face."""
        triangles = np.concatenate([part for part, _ in parts])
        material = np.concatenate([np.broadcast_to(np.asarray(m, np.uint8), len(part)) for part, m in parts])
        return Model(class_id, triangles, material)

    def sheared(self, grade: float) -> Model:
        """Follows a slope along x: z grows by ``grade`` a metre."""
        triangles = self.triangles.copy()
        triangles[..., 2] += grade * triangles[..., 0]
        return Model(self.class_id, triangles, self.material)

    def placed(self, position: np.ndarray, yaw_rad: float) -> np.ndarray:
        """Turned about z, then moved to ``position`` (3,): world triangles (F, 3, 3)."""
        cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
        turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return self.triangles @ turn + position


@dataclass(frozen=True)
class Mesh:
    """World geometry ready for ray casting."""

    triangles: np.ndarray
    """(F, 3, 3) float32, metres."""
    class_id: np.ndarray
    """(F,) uint8."""
    material: np.ndarray
    """(F,) uint8."""
    object_id: np.ndarray
    """(F,) int32, numbered from 0."""

    def __len__(self) -> int:
        return len(self.triangles)


class MeshBuilder:
    """Collects faces object by object and joins them once."""

    def __init__(self) -> None:
        self._triangles: list[np.ndarray] = []
        self._class_id: list[np.ndarray] = []
        self._material: list[np.ndarray] = []
        self._object_id: list[np.ndarray] = []
        self._objects = 0

    def add(self, model: Model, position: np.ndarray, yaw_rad: float = 0.0) -> None:
        """Place one object."""
        count = len(model.triangles)
        self.add_faces(
            model.placed(position, yaw_rad),
            np.full(count, model.class_id, np.uint8),
            model.material,
            np.zeros(count, np.int32),
        )

    def add_faces(
        self, triangles: np.ndarray, class_id: np.ndarray, material: np.ndarray, object_id: np.ndarray
    ) -> None:
        """Add world faces of several objects; ``object_id`` (F,) counts from 0 within this call."""
        if not len(triangles):
            return
        self._triangles.append(triangles.astype(np.float32))
        self._class_id.append(class_id.astype(np.uint8))
        self._material.append(material.astype(np.uint8))
        self._object_id.append(object_id.astype(np.int32) + self._objects)
        self._objects += int(object_id.max()) + 1

    def build(self) -> Mesh:
        """All faces so far; an empty builder gives an empty mesh."""
        return Mesh(
            np.concatenate([np.zeros((0, 3, 3), np.float32), *self._triangles]),
            np.concatenate([np.zeros(0, np.uint8), *self._class_id]),
            np.concatenate([np.zeros(0, np.uint8), *self._material]),
            np.concatenate([np.zeros(0, np.int32), *self._object_id]),
        )
