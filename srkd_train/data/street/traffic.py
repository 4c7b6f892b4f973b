# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What moves: vehicles in their lanes, riders along the kerb, pedestrians on and across the street."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from srkd_train.data.street import people, vehicles
from srkd_train.data.street.config import StreetConfig
from srkd_train.data.street.layout import RIGHT, Layout, Side
from srkd_train.data.street.mesh import Mesh, MeshBuilder, Model


@dataclass(frozen=True)
class Mover:
    """A model that slides in street coordinates at constant speed."""

    model: Model
    s_m: float
    d_m: float
    along_mps: float
    across_mps: float
    turn_rad: float
    """Heading relative to the street's."""

    def at(self, time_s: float) -> tuple[float, float]:
        return self.s_m + self.along_mps * time_s, self.d_m + self.across_mps * time_s


@dataclass(frozen=True)
class Ego:
    """The vehicle that carries the sensor."""

    s_m: float
    d_m: float
    speed_mps: float
    sensor_height_m: float
    mount_rad: tuple[float, float]
    """Roll and pitch of the mount."""
    sway_rad: tuple[float, float]
    """Amplitudes of roll and pitch while driving."""
    sway_phase: float


def moving_mesh(movers: tuple[Mover, ...], layout: Layout, time_s: float) -> Mesh:
    """Everything that moves, at one time. Object ids are positions in ``movers``."""
    builder = MeshBuilder()
    for mover in movers:
        s, d = mover.at(time_s)
        inside = 0.0 < s < layout.line.length_m
        model = (
            mover.model
            if inside
            else Model(mover.model.class_id, mover.model.triangles[:1] * 0.0, mover.model.material[:1])
        )
        grade = float(layout.grade(s)) * np.cos(mover.turn_rad)
        builder.add(model.sheared(grade), layout.ground(s, d), float(layout.line.heading(s)) + mover.turn_rad)
    return builder.build()


def draw_ego(rng: np.random.Generator, config: StreetConfig, layout: Layout) -> Ego:
    """The ego vehicle drives on the right, in any lane of that side."""
    lane = int(rng.integers(layout.right.lanes))
    return Ego(
        s_m=rng.uniform(*config.start_m),
        d_m=-(lane + 0.5) * layout.right.lane_m + rng.normal(0.0, 0.15),
        speed_mps=rng.uniform(*config.ego_speed_mps),
        sensor_height_m=rng.uniform(*config.sensor_height_m),
        mount_rad=(rng.normal(0.0, 0.010), rng.normal(0.0, 0.010)),
        sway_rad=(rng.uniform(0.0, 0.006), rng.uniform(0.0, 0.006)),
        sway_phase=rng.uniform(0.0, 2 * np.pi),
    )


def _vehicle(rng: np.random.Generator, config: StreetConfig) -> Model:
    kind = rng.random()
    cars, trucks = config.moving_mix
    return vehicles.car(rng) if kind < cars else vehicles.truck(rng) if kind < trucks else vehicles.bus(rng)


def _half_length(model: Model) -> float:
    return float(model.triangles[..., 0].max())


def draw_vehicles(rng: np.random.Generator, config: StreetConfig, layout: Layout, ego: Ego) -> list[Mover]:
    """Lane by lane, so that nobody overtakes: all vehicles of a lane share one speed."""
    movers: list[Mover] = []
    count = int(rng.integers(config.moving_vehicles[0], config.moving_vehicles[1] + 1))
    lanes = [(side, lane) for side in layout.sides for lane in range(side.lanes)]
    for side, lane in lanes:
        d = side.sign * (lane + 0.5) * side.lane_m
        own = side.sign == RIGHT and abs(d - ego.d_m) < side.lane_m / 2
        direction = 1.0 if side.sign == RIGHT else -1.0
        speed = ego.speed_mps if own else rng.uniform(*config.ego_speed_mps)
        for _ in range(max(round(count / len(lanes)), 1)):
            model = _vehicle(rng, config)
            ahead = rng.choice([-1.0, 1.0]) * (rng.uniform(10.0, 45.0) if own else rng.uniform(0.0, 60.0))
            turn = 0.0 if direction > 0 else np.pi
            movers.append(Mover(model, ego.s_m + ahead, d + rng.normal(0.0, 0.12), direction * speed, 0.0, turn))
    return _without_overlap(movers, ego)


def _without_overlap(movers: list[Mover], ego: Ego) -> list[Mover]:
    """Drop every vehicle that touches an earlier one of its lane or the ego vehicle."""
    kept: list[Mover] = []
    for mover in movers:
        half = _half_length(mover.model)
        clear = all(
            abs(mover.s_m - other.s_m) > half + _half_length(other.model) + 2.0 or abs(mover.d_m - other.d_m) > 2.0
            for other in kept
        )
        if clear and (abs(mover.d_m - ego.d_m) > 2.0 or abs(mover.s_m - ego.s_m) > half + 4.0):
            kept.append(mover)
    return kept


def draw_riders(rng: np.random.Generator, config: StreetConfig, layout: Layout, ego: Ego) -> list[Mover]:
    """Riders at the edge of the outer lane or on the sidewalk."""
    movers = []
    for side in layout.sides:
        for _ in range(rng.poisson(config.riders_per_100m * 0.6)):
            s = ego.s_m + rng.uniform(-55.0, 55.0)
            on_road = rng.random() < 0.6
            walk = side.kerb_m + (side.verge_m + 0.5 if side.verge_m > 0 else 1.1)
            out = side.lanes * side.lane_m - 0.4 if on_road else walk
            direction = 1.0 if side.sign == RIGHT else -1.0
            turn = 0.0 if direction > 0 else np.pi
            movers.append(Mover(people.rider(rng), s, side.sign * out, direction * rng.uniform(2.5, 6.0), 0.0, turn))
    return movers


def draw_pedestrians(rng: np.random.Generator, config: StreetConfig, layout: Layout, ego: Ego) -> list[Mover]:
    """Groups of one to four on the sidewalks; some stand, some cross the street."""
    movers: list[Mover] = []
    for side in layout.sides:
        remaining = rng.poisson(config.pedestrians_per_100m * 0.6)
        while remaining > 0:
            size = min(int(rng.integers(1, 5)), remaining)
            remaining -= size
            movers += _group(rng, layout, side, ego.s_m + rng.uniform(-60.0, 60.0), size)
    return movers


def _group(rng: np.random.Generator, layout: Layout, side: Side, s: float, size: int) -> list[Mover]:
    low, high = float(side.walk_start(s)) + 0.4, float(side.walk_end(s)) - 0.3
    crossing = rng.random() < (0.45 if layout.near_crossing(s, 3.0) else 0.06)
    standing = rng.random() < 0.3
    pace = 0.0 if standing else rng.uniform(0.7, 1.6)
    direction = rng.choice([-1.0, 1.0])
    out = rng.uniform(low, max(high, low))
    members = []
    for i in range(size):
        turn = rng.uniform(-np.pi, np.pi) if standing else 0.0 if direction > 0 else np.pi
        place = s + (i // 2) * rng.uniform(0.6, 1.0) * 1.2, side.sign * (out + (i % 2) * 0.65)
        if crossing:
            where = rng.uniform(-0.6, 1.0) * side.kerb_m * side.sign
            members.append(
                Mover(people.pedestrian(rng), place[0], where, 0.0, -side.sign * pace, -side.sign * np.pi / 2)
            )
        else:
            members.append(Mover(people.pedestrian(rng), *place, direction * pace, 0.0, turn))
    return members
