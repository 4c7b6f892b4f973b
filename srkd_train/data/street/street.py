# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A whole street of one seed: static geometry, what moves through it, and the way of the ego vehicle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from srkd.errors import ConfigError
from srkd_train.data.street import people, roadside, traffic, vehicles
from srkd_train.data.street.config import FRAME_PERIOD_S, StreetConfig
from srkd_train.data.street.ground import add_ground
from srkd_train.data.street.layout import Layout, draw_layout
from srkd_train.data.street.materials import face_reflectance
from srkd_train.data.street.mesh import Mesh, MeshBuilder
from srkd_train.data.street.streams import stream
from srkd_train.data.street.traffic import Ego, Mover


@dataclass(frozen=True, eq=False)
class Street:
    """Immutable; two streets of the same seed and configuration are equal bit by bit."""

    seed: int
    config: StreetConfig
    layout: Layout
    static: Mesh
    static_reflectance: np.ndarray
    """(F,) float32 of the static faces."""
    movers: tuple[Mover, ...]
    ego: Ego

    @property
    def num_frames(self) -> int:
        """Frames at 10 Hz until the ego vehicle is ``end_margin_m`` before the end."""
        way = self.config.length_m - self.config.end_margin_m - self.ego.s_m
        return int(way / self.ego.speed_mps / FRAME_PERIOD_S) + 1

    def moving(self, time_s: float) -> tuple[Mesh, np.ndarray]:
        """Moving geometry at one time and its reflectance (F,) float32."""
        mesh = traffic.moving_mesh(self.movers, self.layout, time_s)
        return mesh, face_reflectance(stream(self.seed, "moving paint"), mesh.material, mesh.object_id)

    def sensor_pose(self, time_s: float) -> np.ndarray:
        """World from sensor at one time, (4, 4) float64: x forward, y left, z up."""
        ego, layout = self.ego, self.layout
        s = ego.s_m + ego.speed_mps * time_s
        swing = np.sin(np.array([5.1, 7.3]) * time_s + ego.sway_phase)
        roll, pitch = np.array(ego.mount_rad) + np.array(ego.sway_rad) * swing
        pitch -= np.arctan(float(layout.grade(s)))
        roll += np.arctan(0.02)
        rotation = _rotation_z(float(layout.line.heading(s))) @ _rotation_y(pitch) @ _rotation_x(roll)
        pose = np.eye(4)
        pose[:3, :3] = rotation
        pose[:3, 3] = layout.ground(s, ego.d_m) + rotation[:, 2] * ego.sensor_height_m
        return pose


def _rotation_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _rotation_y(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _rotation_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def build_street(seed: int, config: StreetConfig = StreetConfig()) -> Street:  # noqa: B008
    """Draw the street of ``seed``.

    Raises:
        ConfigError: if ``seed`` is negative.
    """
    if seed < 0:
        raise ConfigError(f"seed is {seed}: give a number from 0 on")
    layout = draw_layout(stream(seed, "layout"), config)
    builder = MeshBuilder()
    add_ground(builder, stream(seed, "ground"), layout, config.half_width_m)
    for name, side in zip(("left", "right"), layout.sides, strict=True):
        road = roadside.Roadside(builder, layout, side, config)
        roadside.add_lots(road, stream(seed, "lots", name))
        roadside.add_kerb_line(road, stream(seed, "kerb line", name))
        roadside.add_walk_objects(road, stream(seed, "walk", name))
        roadside.add_parked(road, stream(seed, "parked", name))
    _add_crossing_traffic(builder, stream(seed, "crossing"), layout)
    ego = traffic.draw_ego(stream(seed, "ego"), config, layout)
    movers = (
        traffic.draw_vehicles(stream(seed, "vehicles"), config, layout, ego)
        + traffic.draw_riders(stream(seed, "riders"), config, layout, ego)
        + traffic.draw_pedestrians(stream(seed, "pedestrians"), config, layout, ego)
    )
    static = builder.build()
    reflectance = face_reflectance(stream(seed, "paint"), static.material, static.object_id)
    return Street(seed, config, layout, static, reflectance, tuple(movers), ego)


def _add_crossing_traffic(builder: MeshBuilder, rng: np.random.Generator, layout: Layout) -> None:
    """Vehicles and riders that wait on the crossing street."""
    if layout.crossing is None:
        return
    for side in layout.sides:
        if rng.random() < 0.25:
            continue
        kind = rng.random()
        model = vehicles.car(rng) if kind < 0.6 else vehicles.truck(rng) if kind < 0.8 else people.rider(rng)
        s = layout.crossing.s_m + side.sign * layout.crossing.half_width_m / 2
        d = side.sign * (side.kerb_m + rng.uniform(7.0, 16.0))
        yaw = float(layout.line.heading(s)) - side.sign * np.pi / 2
        builder.add(model, layout.ground(s, d), yaw)
