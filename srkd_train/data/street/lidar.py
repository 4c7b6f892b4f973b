# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A spinning LiDAR by ray casting: nearest hit of every ray, then noise, intensity and drop-outs.

The casting is embree's (through embreex, the engine of ``trimesh.ray``); ego motion within one turn is not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from srkd.errors import ConfigError
from srkd_train.data.street.config import LidarConfig
from srkd_train.data.street.materials import DROPOUT, ROUGHNESS_M
from srkd_train.data.street.mesh import Mesh

_FALL_OFF_M = 70.0
_WEAKEST = 0.025
"""Echoes weaker than a threshold drawn up to this are lost."""
_MAX_ROUGHNESS_SHIFT_M = 0.5


class Scene:
    """A mesh with its bounding volume hierarchy.

    Raises:
        ConfigError: if embreex is not installed.
    """

    def __init__(self, mesh: Mesh, reflectance: np.ndarray) -> None:
        self.mesh = mesh
        self.reflectance = reflectance
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise ConfigError("embreex is missing, the street world needs it: pip install embreex") from error
        self._embree = EmbreeScene()
        if len(mesh):
            TriangleMesh(self._embree, mesh.triangles)

    def cast(self, origin: np.ndarray, direction: np.ndarray, limit: np.ndarray) -> tuple[np.ndarray, ...]:
        """Nearest hits of rays from ``origin`` (R, 3) along unit ``direction`` (R, 3), closer than ``limit`` (R,).

        Returns the face hit or -1 (R,), the range (R,) and the face's normal, not normalised (R, 3).
        """
        if not len(self.mesh):
            return np.full(len(limit), -1, np.int32), limit, np.zeros_like(direction)
        hit = self._embree.run(origin, direction, dists=limit.copy(), query="INTERSECT", output=True)
        return hit["primID"], hit["tfar"], hit["Ng"]


@dataclass(frozen=True)
class Scan:
    """Returns of one turn, in the order the rays were fired (azimuth by azimuth, beams upwards)."""

    xyz: np.ndarray
    """(N, 3) float32, sensor frame."""
    intensity: np.ndarray
    """(N,) float32 in 0..1."""
    ring: np.ndarray
    """(N,) uint8, 0 is the lowest beam."""
    label: np.ndarray
    """(N,) uint8."""
    instance: np.ndarray
    """(N,) uint32: 1 + object of the scene, scenes numbered through."""


@lru_cache(maxsize=8)
def ray_directions(lidar: LidarConfig) -> np.ndarray:
    """Unit directions in the sensor frame, (azimuth_steps * beams, 3) float32; the first azimuth is backwards."""
    elevation = np.array(lidar.elevations_rad)
    azimuth = np.pi - np.arange(lidar.azimuth_steps) * (2 * np.pi / lidar.azimuth_steps)
    turn, up = np.meshgrid(azimuth, elevation, indexing="ij")
    rays = np.stack([np.cos(turn) * np.cos(up), np.sin(turn) * np.cos(up), np.sin(up)], axis=-1)
    return rays.reshape(-1, 3).astype(np.float32)


def scan(scenes: tuple[Scene, ...], pose: np.ndarray, lidar: LidarConfig, rng: np.random.Generator) -> Scan:
    """One turn of the sensor at ``pose`` (4, 4) among ``scenes``."""
    rays = ray_directions(lidar)
    world = np.ascontiguousarray(rays @ pose[:3, :3].T.astype(np.float32))
    origin = np.broadcast_to(pose[:3, 3].astype(np.float32), rays.shape).copy()
    distance = np.full(len(rays), lidar.max_range_m, np.float32)
    label = np.zeros(len(rays), np.uint8)
    material = np.zeros(len(rays), np.uint8)
    reflectance = np.zeros(len(rays), np.float32)
    incidence = np.zeros(len(rays), np.float32)
    instance = np.zeros(len(rays), np.uint32)
    first_instance = 1
    for scene in scenes:
        face, reached, normal = scene.cast(origin, world, distance)
        hit = np.flatnonzero((face >= 0) & (reached < distance))
        face = face[hit]
        distance[hit] = reached[hit]
        label[hit] = scene.mesh.class_id[face]
        material[hit] = scene.mesh.material[face]
        reflectance[hit] = scene.reflectance[face]
        instance[hit] = scene.mesh.object_id[face] + first_instance
        facing = normal[hit]
        length = np.maximum(np.sqrt(np.einsum("ij,ij->i", facing, facing)), 1e-12)
        incidence[hit] = np.abs(np.einsum("ij,ij->i", facing, world[hit])) / length
        first_instance += int(scene.mesh.object_id.max(initial=-1)) + 1

    keep = (instance > 0) & (distance >= lidar.min_range_m)
    strength = reflectance * (0.35 + 0.65 * incidence) / (1.0 + (distance / _FALL_OFF_M) ** 2)
    if lidar.noise:
        chance, threshold = rng.random((2, len(rays)), dtype=np.float32)
        speckle, jitter, rough = rng.standard_normal((3, len(rays)), dtype=np.float32)
        strength = strength * np.exp(0.22 * speckle)
        keep &= (chance >= lidar.dropout + DROPOUT[material]) & (strength > _WEAKEST * threshold)
        depth = np.minimum(ROUGHNESS_M[material] / np.maximum(incidence, 0.1), _MAX_ROUGHNESS_SHIFT_M)
        distance = distance + lidar.range_noise_m * jitter - depth * np.minimum(np.abs(rough), 2.5)
        keep &= (distance >= lidar.min_range_m) & (distance <= lidar.max_range_m)
    index = np.flatnonzero(keep)
    return Scan(
        rays[index] * distance[index, None],
        np.clip(strength[index], 0.0, 1.0).astype(np.float32),
        (index % lidar.beams).astype(np.uint8),
        label[index],
        instance[index],
    )
