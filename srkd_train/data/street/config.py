# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a synthetic street looks like and which LiDAR looks at it: frozen configurations and the sensor presets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from srkd.errors import ConfigError

FRAME_PERIOD_S = 0.1
"""Seconds between two consecutive frames of a drive (10 Hz)."""


@dataclass(frozen=True)
class StreetConfig:
    """Size, relief and population of a street. The defaults are the ones of the held-out set.

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


def get_sensor(name: str) -> LidarConfig:
    """The preset called ``name``; an unknown name raises ConfigError listing the presets."""
    if name not in SENSORS:
        raise ConfigError(f"sensor is {name!r}: give one of {', '.join(SENSORS)}")
    return SENSORS[name]
