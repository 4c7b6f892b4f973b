# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stands still along one side of a street: buildings, plants, furniture, parked vehicles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from srkd_train.data.street import buildings, furniture, people, plants, vehicles
from srkd_train.data.street.config import StreetConfig
from srkd_train.data.street.layout import RIGHT, Layout, Lot, Side, draw_lots
from srkd_train.data.street.mesh import MeshBuilder, Model


@dataclass(frozen=True)
class Roadside:
    """Places models along one side; outward offsets are positive on both sides."""

    builder: MeshBuilder
    layout: Layout
    side: Side
    config: StreetConfig

    def facing_road(self, model: Model, s: float, out_m: float, *, level: bool = False, turn_rad: float = 0.0) -> None:
        """Local -y towards the road, x along the street; follows the grade unless ``level``."""
        flip = 0.0 if self.side.sign > 0 else np.pi
        self._place(model, s, out_m, flip + turn_rad, level)

    def in_traffic(self, model: Model, s: float, out_m: float, *, turn_rad: float = 0.0) -> None:
        """Local x in the direction of travel of this side (right-hand traffic)."""
        flip = 0.0 if self.side.sign == RIGHT else np.pi
        self._place(model, s, out_m, flip + turn_rad, level=False)

    def _place(self, model: Model, s: float, out_m: float, turn_rad: float, level: bool) -> None:
        grade = 0.0 if level else float(self.layout.grade(s)) * np.cos(turn_rad)
        position = self.layout.ground(s, self.side.sign * out_m)
        self.builder.add(model.sheared(grade), position, float(self.layout.line.heading(s)) + turn_rad)

    def walk_end(self, s: float) -> float:
        return float(self.side.walk_end(s))


def add_lots(road: Roadside, rng: np.random.Generator) -> None:
    """Buildings, gardens, parks and the fences and hedges in front of them."""
    for lot in draw_lots(rng, road.layout, road.side, road.config):
        edge = road.walk_end(lot.middle_m)
        if lot.kind in ("building", "garden"):
            _add_building(road, rng, lot, edge)
        fenced = {"building": 0.7, "garden": 0.95, "park": 0.75, "open": 0.5}[lot.kind]
        if (lot.kind in ("park", "open") or lot.setback_m > 1.8) and rng.random() < fenced:
            _add_frontage(road, rng, lot)
        depth = lot.setback_m if lot.kind in ("building", "garden") else 18.0
        if depth > 3.0:
            _add_greenery(road, rng, lot, edge + 1.2, depth - 1.6, {"park": 1.5, "garden": 1.2}.get(lot.kind, 0.7))


def _add_building(road: Roadside, rng: np.random.Generator, lot: Lot, edge: float) -> None:
    width = (lot.end_m - lot.start_m) * rng.uniform(0.7, 1.0) if lot.kind == "garden" else lot.end_m - lot.start_m
    height = rng.uniform(3.0, 8.0) if lot.kind == "garden" or rng.random() < 0.35 else rng.uniform(6.0, 20.0)
    model = buildings.building(rng, width, rng.uniform(7.0, 14.0), height)
    turn = rng.normal(0.0, 0.06) if lot.setback_m > 2.5 else 0.0
    bow = width * width * road.config.max_curvature_per_m / 8.0
    road.facing_road(model, lot.middle_m, edge + max(lot.setback_m, bow), level=True, turn_rad=turn)


def _add_frontage(road: Roadside, rng: np.random.Generator, lot: Lot) -> None:
    """A fence or hedge along the edge of the sidewalk, in straight pieces, with a gate now and then."""
    pieces = max(int((lot.end_m - lot.start_m) / 4.5), 1)
    length = (lot.end_m - lot.start_m) / pieces
    hedge = rng.random() < 0.3
    seed = rng.integers(1 << 32)
    gap = int(rng.integers(pieces + 1))
    for i in range(pieces):
        if i == gap and pieces > 1:
            continue
        s = lot.start_m + (i + 0.5) * length
        same = np.random.default_rng(seed)
        model = plants.hedge(same, length) if hedge else furniture.fence(same, length + 0.05)
        road.facing_road(model, s, road.walk_end(s) + (0.75 if hedge else 0.3))


def _add_greenery(
    road: Roadside, rng: np.random.Generator, lot: Lot, start: float, depth: float, density: float
) -> None:
    area = (lot.end_m - lot.start_m) * depth
    for _ in range(min(int(rng.poisson(area * 0.028 * density)), 9)):
        kind = rng.random()
        model = plants.bush(rng) if kind < 0.45 else plants.tree(rng) if kind < 0.8 else plants.conifer(rng)
        road.facing_road(model, rng.uniform(lot.start_m + 1.0, lot.end_m - 1.0), start + rng.uniform(0.0, depth))


def add_kerb_line(road: Roadside, rng: np.random.Generator) -> None:
    """One row of trees, poles and racks just behind the kerb, and signals at the crossing."""
    side, layout = road.side, road.layout
    out = side.kerb_m + (side.verge_m / 2 if side.verge_m > 0 else 0.5)
    roomy = side.verge_m + side.walk_m > 2.4
    kinds = ("tree", "lamp", "sign", "bollards", "rack", "utility", "bush", "rail")
    weights = np.array([0.24 if roomy else 0.0, 0.20, 0.16, 0.09, 0.0, 0.08, 0.06 if side.verge_m > 0 else 0.0, 0.05])
    s = rng.uniform(1.0, 6.0)
    while s < layout.line.length_m - 4.0:
        if not layout.near_crossing(s, 2.0):
            kind = str(rng.choice(kinds, p=weights / weights.sum()))
            if kind == "tree":
                road.facing_road(plants.tree(rng), s, out)
            elif kind == "lamp":
                road.facing_road(furniture.lamp(rng), s, out)
            elif kind == "sign":
                road.in_traffic(furniture.sign(rng), s, out, turn_rad=rng.normal(0.0, 0.2))
            elif kind == "bollards":
                road.facing_road(furniture.bollards(rng), s, out)
            elif kind == "utility":
                road.facing_road(furniture.utility_pole(rng), s, out)
            elif kind == "bush":
                road.facing_road(plants.bush(rng), s, out)
            elif kind == "rail":
                road.facing_road(furniture.guard_rail(rng, 4.0), s, side.kerb_m + 0.25)
        s += rng.uniform(4.0, 8.5)
    if layout.crossing is not None:
        for along in (-1.0, 1.0):
            s = layout.crossing.s_m + along * (layout.crossing.half_width_m + 0.7)
            road.in_traffic(furniture.signal(rng), s, side.kerb_m + 0.6)


def add_walk_objects(road: Roadside, rng: np.random.Generator) -> None:
    """Bicycle racks and kiosks at the outer edge of the sidewalk."""
    length = road.layout.line.length_m
    racks = rng.poisson(road.config.bicycle_racks_per_100m * length / 200.0)
    spots = np.sort(rng.uniform(4.0, length - 4.0, racks))
    for s in spots[np.diff(spots, prepend=-9.0) > 6.0]:
        if not road.layout.near_crossing(s, 4.0):
            road.facing_road(people.rack(rng), s, road.walk_end(s) - 1.0, turn_rad=rng.normal(0.0, 0.05))
    if rng.random() < 0.3 and road.side.front_m > 4.0:
        s = rng.uniform(20.0, length - 20.0)
        if not road.layout.near_crossing(s, 5.0):
            road.facing_road(buildings.kiosk(rng), s, road.walk_end(s) - 0.2)


def add_parked(road: Roadside, rng: np.random.Generator) -> None:
    """Vehicles in the parking lane, if there is one."""
    side, layout = road.side, road.layout
    if side.parking_m == 0:
        return
    out = side.kerb_m - side.parking_m / 2
    s = rng.uniform(0.0, 8.0)
    while s < layout.line.length_m - 14.0:
        kind = rng.choice(["car", "truck", "bus"], p=road.config.parked_mix)
        room = {"car": 6.0, "truck": 11.5, "bus": 13.5}[str(kind)]
        if rng.random() < road.config.parked_density and not layout.near_crossing(s + room / 2, room / 2 + 3.0):
            model = {"car": vehicles.car, "truck": vehicles.truck, "bus": vehicles.bus}[str(kind)](rng)
            half = float(model.triangles[..., 1].max())
            centre = min(out + rng.normal(0.0, 0.06), side.kerb_m - 0.15 - half)
            backwards = np.pi if kind == "car" and rng.random() < 0.1 else 0.0
            road.in_traffic(model, s + room / 2, centre, turn_rad=backwards + rng.normal(0.0, 0.02))
        s += room + rng.exponential(0.6)
