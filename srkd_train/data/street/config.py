# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a synthetic street looks like and which LiDAR looks at it: frozen configurations and the sensor presets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from srkd.errors import ConfigError

FRAME_PERIOD_S = 0.1
"""Seconds between two consecutive frames of a drive (10 Hz)."""


@dataclass(frozen=True, repr=False)
class StreetConfig:
    """Size, relief and population of a street. The defaults are the ones of the held-out set.

    `repr` is part of the key under which scans are kept (`StreetDataset`): fields that were added later, declared with
    `repr=False`, are in it only where they differ from their defaults, so that scans made before are found again.

    Raises:
        ConfigError: if a value is out of its range.
    """

    length_m: float = 200.0
    """Modelled length along the centre line."""
    half_width_m: float = 60.0
    """The ground is modelled to this distance on either side of the centre line."""
    start_m: tuple[float, float] = (80.0, 100.0)
    """The ego vehicle starts somewhere in this range of the centre line."""
    end_margin_m: float = 30.0
    """A drive ends this far before the end of the modelled length."""
    ego_speed_mps: tuple[float, float] = (4.0, 10.0)
    sensor_height_m: tuple[float, float] = (1.6, 2.2)
    max_curvature_per_m: float = 1.0 / 140.0
    max_grade: float = 0.05
    crossing_probability: float = 0.5
    parked_density: float = 0.6
    """Share of the parking lane that is occupied."""
    pedestrians_per_100m: float = 14.0
    riders_per_100m: float = 4.0
    bicycle_racks_per_100m: float = 3.5
    moving_vehicles: tuple[int, int] = (4, 9)
    lane_m: tuple[float, float] = field(default=(2.9, 3.6), repr=False)
    two_lane_probability: float = field(default=0.3, repr=False)
    """Of either side of the road."""
    parking_probability: float = field(default=0.8, repr=False)
    """That a side has a parking lane."""
    moving_mix: tuple[float, float] = field(default=(0.62, 0.82), repr=False)
    """Moving vehicles up to the first share are cars, up to the second trucks, the rest are buses."""
    parked_mix: tuple[float, float, float] = field(default=(0.84, 0.09, 0.07), repr=False)
    """Shares of cars, trucks and buses among the parked vehicles."""
    lot_mix: tuple[float, float, float, float] = field(default=(0.56, 0.20, 0.14, 0.10), repr=False)
    """Shares of buildings, gardens, parks and open land among the lots."""
    urban_probability: float = field(default=0.35, repr=False)
    """That the houses of a side stand at the sidewalk, wall to wall."""

    def __repr__(self) -> str:
        shown = ((each.name, getattr(self, each.name), each) for each in fields(self))
        text = ", ".join(f"{name}={value!r}" for name, value, each in shown if each.repr or value != each.default)
        return f"{type(self).__qualname__}({text})"

    @property
    def min_frames(self) -> int:
        """Every drive has at least this many frames at 10 Hz."""
        way = self.length_m - self.end_margin_m - self.start_m[1]
        return int(way / self.ego_speed_mps[1] / FRAME_PERIOD_S) + 1

    def __post_init__(self) -> None:
        if self.length_m < self.start_m[1] + self.end_margin_m:
            raise ConfigError(
                f"length_m is {self.length_m:g}, too short: give at least start_m[1] + end_margin_m = "
                f"{self.start_m[1] + self.end_margin_m:g}"
            )
        if not 0.0 <= self.max_curvature_per_m * self.half_width_m < 0.7:
            raise ConfigError(
                f"max_curvature_per_m is {self.max_curvature_per_m:g}: give less than 0.7 / half_width_m = "
                f"{0.7 / self.half_width_m:g}, or the ground folds over itself"
            )


WORLDS: dict[str, StreetConfig] = {
    "street": StreetConfig(),
    "old_town": StreetConfig(
        ego_speed_mps=(2.0, 6.0),
        pedestrians_per_100m=45.0,
        riders_per_100m=12.0,
        bicycle_racks_per_100m=12.0,
        moving_vehicles=(2, 5),
        parked_density=0.35,
        lane_m=(2.5, 2.9),
        two_lane_probability=0.0,
        parking_probability=0.4,
        moving_mix=(0.82, 0.92),
        parked_mix=(0.88, 0.06, 0.06),
        lot_mix=(0.86, 0.03, 0.04, 0.07),
        urban_probability=0.95,
    ),
}
"""Kinds of streets by name. The networks that come with this package know "street" alone; "old_town" shows what becomes
of them elsewhere: narrow, house by house, many on foot and by bicycle, few trucks and buses."""


@dataclass(frozen=True)
class LidarConfig:
    """A spinning LiDAR: beams, resolution, noise.

    Beams are spaced evenly in asinh(elevation / horizon_focus_deg): dense around the horizon, sparse at the edges;
    a large ``horizon_focus_deg`` spaces them evenly.

    Raises:
        ConfigError: if a count is not positive or the elevation range is empty.
    """

    name: str
    beams: int
    azimuth_steps: int
    min_elevation_deg: float
    max_elevation_deg: float
    horizon_focus_deg: float = 1000.0
    min_range_m: float = 1.0
    max_range_m: float = 100.0
    range_noise_m: float = 0.015
    """Standard deviation of the range."""
    dropout: float = 0.02
    """Share of returns lost regardless of their strength."""
    noise: bool = True
    """False: every hit is returned at its exact range (no noise, no roughness, no drop-outs)."""

    def __post_init__(self) -> None:
        if self.beams < 1 or self.azimuth_steps < 1:
            raise ConfigError(f"beams, azimuth_steps are {self.beams}, {self.azimuth_steps}: give positive counts")
        if self.min_elevation_deg > self.max_elevation_deg:
            raise ConfigError(
                f"min_elevation_deg is {self.min_elevation_deg:g}: give at most max_elevation_deg = "
                f"{self.max_elevation_deg:g}"
            )

    @property
    def elevations_rad(self) -> tuple[float, ...]:
        """Elevation of each beam, lowest first."""
        focus = self.horizon_focus_deg
        low, high = math.asinh(self.min_elevation_deg / focus), math.asinh(self.max_elevation_deg / focus)
        step = (high - low) / max(self.beams - 1, 1)
        return tuple(math.radians(focus * math.sinh(low + i * step)) for i in range(self.beams))


SENSORS: dict[str, LidarConfig] = {
    "beams16": LidarConfig("beams16", 16, 1800, -15.0, 15.0),
    "beams32": LidarConfig("beams32", 32, 1200, -25.0, 15.0, horizon_focus_deg=10.0),
    "beams64": LidarConfig("beams64", 64, 1024, -25.0, 5.0, horizon_focus_deg=14.0),
}


def get_world(name: str) -> StreetConfig:
    """The streets called ``name``; an unknown name raises ConfigError listing them."""
    if name not in WORLDS:
        raise ConfigError(f"world is {name!r}: give one of {', '.join(WORLDS)}")
    return WORLDS[name]


OTHER_SENSORS: dict[str, LidarConfig] = {
    "beams40": LidarConfig("beams40", 40, 1000, -16.0, 7.0, horizon_focus_deg=5.0),
}
"""Sensors of which the networks that come with this package have seen nothing."""


def get_sensor(name: str) -> LidarConfig:
    """The preset called ``name``; an unknown name raises ConfigError listing the presets."""
    known = {**SENSORS, **OTHER_SENSORS}
    if name not in known:
        raise ConfigError(f"sensor is {name!r}: give one of {', '.join(known)}")
    return known[name]
