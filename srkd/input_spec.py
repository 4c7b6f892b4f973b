# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a network expects of a cloud: voxel size, range, feature columns, intensity transform.

It travels inside the checkpoint, because a model fed with intensities of another scale fails silently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud, usable_points
from srkd.errors import CloudError, ConfigError

FEATURES = ("x", "y", "z", "intensity", "r", "g", "b", "nx", "ny", "nz")
INTENSITY_TRANSFORMS = ("as_is", "divide_255", "tanh")


@dataclass(frozen=True)
class InputSpec:
    """Turns a `Cloud` into a mask of usable points and a feature matrix.

    Args:
        voxel_size_m: edge of a voxel, metres.
        features: column names in order, out of `FEATURES`.
        intensity: transform of the intensity column, out of `INTENSITY_TRANSFORMS`
            (nuScenes divides by 255, Waymo takes tanh, SemanticKITTI is as is).
        max_range_m: greatest distance from the origin, metres, or None.
        range_m: box (x min, y min, z min, x max, y max, z max), metres, bounds included, or None.

    Raises:
        ConfigError: a value is unknown or out of range.
    """

    voxel_size_m: float
    features: tuple[str, ...] = ("x", "y", "z", "intensity")
    intensity: str = "as_is"
    max_range_m: float | None = None
    range_m: tuple[float, float, float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.voxel_size_m) or not 1e-4 <= self.voxel_size_m <= 100:
            raise ConfigError(f"voxel_size_m: {self.voxel_size_m!r}, expected metres from 0.0001 to 100")
        if not self.features:
            raise ConfigError("features: empty, expected at least one of " + " ".join(FEATURES))
        for name in self.features:
            if name not in FEATURES:
                raise ConfigError(f"features: unknown {name!r}, expected names out of " + " ".join(FEATURES))
        if len(set(self.features)) != len(self.features):
            raise ConfigError(f"features: {' '.join(self.features)} names one twice; give each once")
        if self.intensity not in INTENSITY_TRANSFORMS:
            raise ConfigError(f"intensity: unknown {self.intensity!r}, expected " + " | ".join(INTENSITY_TRANSFORMS))
        if self.max_range_m is not None and not (_is_number(self.max_range_m) and self.max_range_m > 0):
            raise ConfigError(f"max_range_m: {self.max_range_m!r}, expected metres above 0, or null")
        if self.range_m is not None:
            box = self.range_m
            if len(box) != 6 or not all(map(_is_number, box)) or not all(box[i] < box[i + 3] for i in range(3)):
                raise ConfigError(f"range_m: {box!r}, expected x y z minima below x y z maxima, metres, or null")

    def valid_mask(self, xyz: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Which of the (N, 3) points to label: `usable_points` that are in range. Returns (N,) bool."""
        mask = usable_points(xyz)
        x, y, z = xyz[:, 0], xyz[:, 1], xyz[:, 2]
        if self.max_range_m is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                mask &= x * x + y * y + z * z <= self.max_range_m**2
        if self.range_m is not None:
            for column, low, high in zip((x, y, z), self.range_m[:3], self.range_m[3:], strict=True):
                mask &= (column >= low) & (column <= high)
        return mask

    def make_features(self, cloud: Cloud) -> npt.NDArray[np.float32]:
        """Feature matrix (N, C) float32 in the order of `features`.

        Coordinates are metric and normals are as they are; colours become [-1, 1] (value / 127.5 - 1).

        Raises:
            CloudError: the cloud lacks a column that a feature needs.
        """
        out = np.empty((len(cloud), len(self.features)), np.float32)
        for index, name in enumerate(self.features):
            if name in "xyz":
                out[:, index] = cloud.xyz[:, "xyz".index(name)]
            elif name == "intensity":
                out[:, index] = self._transform(_need(cloud.intensity, "intensity"))
            elif name in "rgb":
                out[:, index] = _need(cloud.color, "color")[:, "rgb".index(name)] / np.float32(127.5) - np.float32(1)
            else:
                out[:, index] = _need(cloud.normal, "normal")[:, "xyz".index(name[1])]
        return out

    def _transform(self, intensity: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self.intensity == "divide_255":
            return intensity / np.float32(255)
        return np.tanh(intensity) if self.intensity == "tanh" else intensity

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` takes them back."""
        return {
            "voxel_size_m": self.voxel_size_m,
            "features": list(self.features),
            "intensity": self.intensity,
            "max_range_m": self.max_range_m,
            "range_m": None if self.range_m is None else list(self.range_m),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputSpec:
        """Reads what `to_dict` wrote, or the same keys of a YAML file.

        Raises:
            ConfigError: a key is unknown or missing, or a value has the wrong type or range.
        """
        known = ("voxel_size_m", "features", "intensity", "max_range_m", "range_m")
        if not isinstance(values, Mapping):
            raise ConfigError(f"input: {type(values).__name__}, expected a mapping with " + " ".join(known))
        for key in values:
            if key not in known:
                raise ConfigError(f"input: unknown key {key!r}, expected " + " ".join(known))
        if "voxel_size_m" not in values or "features" not in values:
            raise ConfigError("input: voxel_size_m and features are required")
        features, box = values["features"], values.get("range_m")
        if not isinstance(features, list | tuple) or not all(isinstance(name, str) for name in features):
            raise ConfigError(f"features: {features!r}, expected a list of names out of " + " ".join(FEATURES))
        if box is not None and not isinstance(box, list | tuple):
            raise ConfigError(f"range_m: {box!r}, expected 6 numbers or null")
        return cls(
            voxel_size_m=values["voxel_size_m"],
            features=tuple(features),
            intensity=values.get("intensity", "as_is"),
            max_range_m=values.get("max_range_m"),
            range_m=None if box is None else tuple(box),
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _need(column: npt.NDArray[Any] | None, name: str) -> npt.NDArray[Any]:
    if column is None:
        raise CloudError(f"{name}: the cloud has none, but the model needs it; use a cloud or model that agree")
    return column
