# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The centre line of a street: a smooth curve with a grade, and coordinates (s along, d to the left) on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from srkd_train.data.street.config import StreetConfig

STEP_M = 0.5


@dataclass(frozen=True)
class CentreLine:
    """Samples every ``STEP_M`` along the curve; between them everything is interpolated linearly."""

    x_m: np.ndarray
    y_m: np.ndarray
    z_m: np.ndarray
    heading_rad: np.ndarray

    @property
    def length_m(self) -> float:
        return STEP_M * (len(self.x_m) - 1)

    @cached_property
    def s_m(self) -> np.ndarray:
        """Where the samples are."""
        return STEP_M * np.arange(len(self.x_m))

    def _at(self, values: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(s, self.s_m, values))

    def heading(self, s: ArrayLike) -> np.ndarray:
        return self._at(self.heading_rad, np.asarray(s, float))

    def height(self, s: ArrayLike) -> np.ndarray:
        return self._at(self.z_m, np.asarray(s, float))

    def plan(self, s: ArrayLike, d: ArrayLike) -> np.ndarray:
        """World x, y of street coordinates, broadcast: (..., 2)."""
        s, d = np.broadcast_arrays(np.asarray(s, float), np.asarray(d, float))
        heading = self._at(self.heading_rad, s)
        return np.stack([self._at(self.x_m, s) - d * np.sin(heading), self._at(self.y_m, s) + d * np.cos(heading)], -1)


def draw_centre_line(rng: np.random.Generator, config: StreetConfig) -> CentreLine:
    """Curvature and grade are sums of slow waves that stay within the configured bounds."""
    s = np.arange(0.0, config.length_m + STEP_M / 2, STEP_M)

    def wave(bound: float) -> np.ndarray:
        length = rng.uniform(90.0, 260.0, 2)
        phase = rng.uniform(0.0, 2 * np.pi, 2)
        share = rng.uniform(0.0, 1.0) * bound * np.array([0.6, 0.4])
        return (share[:, None] * np.sin(2 * np.pi * s / length[:, None] + phase[:, None])).sum(0)

    curvature = wave(config.max_curvature_per_m) + rng.choice([0.0, -0.3, 0.3]) * config.max_curvature_per_m
    curvature = np.clip(curvature, -config.max_curvature_per_m, config.max_curvature_per_m)
    grade = wave(config.max_grade * 0.7) + rng.uniform(-0.3, 0.3) * config.max_grade
    heading = rng.uniform(-np.pi, np.pi) + np.concatenate([[0.0], np.cumsum(curvature[:-1]) * STEP_M])
    x = np.concatenate([[0.0], np.cumsum(np.cos(heading[:-1])) * STEP_M])
    y = np.concatenate([[0.0], np.cumsum(np.sin(heading[:-1])) * STEP_M])
    z = np.concatenate([[0.0], np.cumsum(grade[:-1]) * STEP_M])
    return CentreLine(x, y, z, heading)
