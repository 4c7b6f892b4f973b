# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The cross-section of a street: road, verge, sidewalk and the lots behind them, on both sides, with a crossing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from srkd_train.data.street.config import StreetConfig
from srkd_train.data.street.materials import SIDEWALK, TERRAIN
from srkd_train.data.street.road import CentreLine, draw_centre_line

LEFT, RIGHT = 1, -1


@dataclass(frozen=True)
class Side:
    """One side of the street. Distances are measured from the centre line outwards."""

    sign: int
    """+1 left, -1 right of the direction of travel."""
    lane_m: float
    """Width of one lane."""
    lanes: int
    parking_m: float
    """Width of the parking lane, 0 for none; part of the road."""
    verge_m: float
    """Grass strip between kerb and sidewalk, 0 for none."""
    walk_m: float
    kerb_height_m: float
    front_m: float
    """Depth of the strip between sidewalk and facades that is paved or green as ``front_class`` says."""
    front_class: int
    bank: float
    """Slope of the land behind the sidewalk."""
    wave: tuple[float, float]
    """Length in metres and phase of the slow variation of the sidewalk's width."""

    @property
    def kerb_m(self) -> float:
        return self.lanes * self.lane_m + self.parking_m

    def walk_start(self, s: ArrayLike) -> np.ndarray:
        return np.full(np.shape(s), self.kerb_m + self.verge_m)

    def walk_end(self, s: ArrayLike) -> np.ndarray:
        """Outer edge of the sidewalk at each ``s``."""
        length, phase = self.wave
        width = self.walk_m * (1.0 + 0.2 * np.sin(2 * np.pi * np.asarray(s, float) / length + phase))
        return self.kerb_m + self.verge_m + width


@dataclass(frozen=True)
class Crossing:
    """A street that crosses at right angles."""

    s_m: float
    half_width_m: float
    walk_m: float

    @property
    def reach_m(self) -> float:
        """From the middle of the crossing to the outer edge of its sidewalks."""
        return self.half_width_m + self.walk_m


@dataclass(frozen=True)
class Lot:
    """A stretch of land behind the sidewalk: ``kind`` is building, garden, park or open."""

    start_m: float
    end_m: float
    kind: str
    setback_m: float

    @property
    def middle_m(self) -> float:
        return (self.start_m + self.end_m) / 2


@dataclass(frozen=True)
class Layout:
    line: CentreLine
    left: Side
    right: Side
    crossing: Crossing | None

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.left, self.right

    @cached_property
    def _section(self) -> np.ndarray:
        """Kerb distance, kerb height and bank of both sides: (3, 2)."""
        return np.array([[x.kerb_m, x.kerb_height_m, x.bank] for x in self.sides]).T

    def side_of(self, d: ArrayLike) -> np.ndarray:
        """Which of ``sides`` a signed offset lies on: 0 left, 1 right."""
        return (np.asarray(d, float) < 0).astype(np.intp)

    def grade(self, s: ArrayLike) -> np.ndarray:
        """Rise per metre along the street."""
        s = np.asarray(s, float)
        return (self.line.height(s + 1.0) - self.line.height(s - 1.0)) / 2.0

    def near_crossing(self, s: float, margin_m: float = 0.0) -> bool:
        return self.crossing is not None and abs(s - self.crossing.s_m) < self.crossing.reach_m + margin_m

    def base_height(self, s: ArrayLike, d: ArrayLike) -> np.ndarray:
        """Height of the smooth land below everything: grade, crown of the road, tilt of the sidewalk, bank behind."""
        s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
        side = self.side_of(d)
        out = np.abs(d)
        kerb, _, bank = self._section[:, side]
        edge = np.where(side == 0, self.left.walk_end(s), self.right.walk_end(s))
        behind = np.maximum(out - edge, 0.0)
        rise = bank * behind * (behind / (behind + 4.0))
        return self.line.height(s) - 0.02 * np.minimum(out, kerb) + 0.015 * np.maximum(out - kerb, 0.0) + rise

    def on_crossing(self, s: ArrayLike) -> np.ndarray:
        s = np.asarray(s, float)
        return (
            np.zeros(s.shape, bool)
            if self.crossing is None
            else np.abs(s - self.crossing.s_m) < self.crossing.half_width_m
        )

    def ground(self, s: ArrayLike, d: ArrayLike) -> np.ndarray:
        """World position of the ground at street coordinates, kerbs included, bumps not: (..., 3)."""
        s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
        kerb, step, _ = self._section[:, self.side_of(d)]
        raised = (np.abs(d) > kerb) & ~self.on_crossing(s)
        z = self.base_height(s, d) + np.where(raised, step, 0.0)
        return np.concatenate([self.line.plan(s, d), z[..., None]], -1)


def _draw_side(rng: np.random.Generator, sign: int, lane_m: float, config: StreetConfig) -> Side:
    wide = rng.random() < config.two_lane_probability
    return Side(
        sign=sign,
        lane_m=lane_m,
        lanes=2 if wide else 1,
        parking_m=rng.uniform(2.2, 2.8) if rng.random() < config.parking_probability else 0.0,
        verge_m=rng.uniform(1.0, 2.6) if rng.random() < 0.5 else 0.0,
        walk_m=rng.uniform(1.8, 4.2),
        kerb_height_m=rng.uniform(0.10, 0.18),
        front_m=rng.uniform(1.0, 8.0),
        front_class=TERRAIN if rng.random() < 0.65 else SIDEWALK,
        bank=rng.uniform(-0.06, 0.16),
        wave=(rng.uniform(30.0, 80.0), rng.uniform(0.0, 2 * np.pi)),
    )


def draw_layout(rng: np.random.Generator, config: StreetConfig) -> Layout:
    """Centre line, both sides and, with ``crossing_probability``, a crossing within sight of the start."""
    line = draw_centre_line(rng, config)
    lane_m = rng.uniform(*config.lane_m)
    left, right = (_draw_side(rng, sign, lane_m, config) for sign in (LEFT, RIGHT))
    crossing = Crossing(rng.uniform(60.0, config.length_m - 60.0), rng.uniform(3.2, 6.5), rng.uniform(1.8, 3.2))
    return Layout(line, left, right, crossing if rng.random() < config.crossing_probability else None)


def draw_lots(rng: np.random.Generator, layout: Layout, side: Side, config: StreetConfig) -> list[Lot]:
    """Cut the land along one side into lots; the crossing street stays free."""
    lots: list[Lot] = []
    kinds = ("building", "garden", "park", "open")
    s = 2.0
    urban = rng.random() < config.urban_probability
    while s < layout.line.length_m - 6.0:
        end = min(s + rng.uniform(9.0, 26.0), layout.line.length_m - 1.0)
        if layout.crossing is not None:
            low, high = layout.crossing.s_m - layout.crossing.reach_m, layout.crossing.s_m + layout.crossing.reach_m
            if low < s < high:
                s = high + 0.1
                continue
            if s <= low < end:
                end = low
        kind = str(rng.choice(kinds, p=config.lot_mix))
        setback = rng.uniform(0.1, 0.8) if urban else rng.uniform(0.8, side.front_m + 3.0)
        if kind == "garden":
            setback = rng.uniform(5.0, 12.0)
        if end - s > 4.0:
            lots.append(Lot(s, end, kind, setback))
        s = end + (0.05 if urban and rng.random() < 0.6 else rng.uniform(0.5, 4.0))
    return lots
