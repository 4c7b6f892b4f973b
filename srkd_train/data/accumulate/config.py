# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which frames make a dense cloud, and what of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from srkd.errors import ConfigError
from srkd.labels import LabelScheme

Box = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Accumulation:
    """How frames are brought together.

    Raises:
        ConfigError: a number is out of range, no frame is taken, or what needs labels is asked of poses alone.
    """

    past: int = 4
    """Earlier frames that are added, at most."""
    future: int = 4
    """Later frames that are added, at most; 0 for what a robot could have."""
    every: int = 1
    """Take every n-th frame, counted from the cloud's own: with 2 those at -4, -2, 2, 4 ..."""
    labelled_only: bool = False
    """Of nuScenes and Waymo take key frames or labelled frames alone, none of those between; `every` counts these."""
    classes: tuple[str, ...] | None = None
    """Add points of these classes only, by the frames' labels; None for all points, labelled or not."""
    moving: Literal["align", "drop", "keep"] = "align"
    """Points of moving objects of other frames: moved with their object, left out, or left where they were seen."""
    by_pose: bool = False
    """Look at poses alone, at no label, instance or box: what could be done with unlabelled data."""
    clip_m: Box | None = None
    """Add points inside this box only: x, y, z of its lower and its upper corner, in the frame of the cloud."""
    cell_m: float | None = 0.05
    """Keep one added point a cell of this edge, and none where the cloud has one itself; None for all."""
    near_m: float = 2.0
    """Leave out of other frames what was seen this close, horizontally, to their origin: the vehicle itself."""

    def __post_init__(self) -> None:
        if self.past < 0 or self.future < 0 or self.past + self.future == 0:
            raise ConfigError(
                f"--past {self.past} --future {self.future}: give 0 or more frames each, and one at least"
            )
        if self.every < 1:
            raise ConfigError(f"--every {self.every} takes no frame, give at least 1")
        if self.clip_m is not None:
            low, high = self.clip_m[:3], self.clip_m[3:]
            if not all(map(math.isfinite, self.clip_m)) or not all(a < b for a, b in zip(low, high, strict=True)):
                words = " ".join(f"{value:g}" for value in self.clip_m)
                raise ConfigError(f"--clip {words} is no box, give x y z of its lower and then of its upper corner")
        if self.cell_m is not None and not (math.isfinite(self.cell_m) and self.cell_m >= 0.01):
            raise ConfigError(f"--cell {self.cell_m:g} is no edge of a cell, give metres from 0.01, or 0 for no cells")
        if not (math.isfinite(self.near_m) and self.near_m >= 0):
            raise ConfigError(f"--near {self.near_m:g} is no distance, give metres from 0")
        if self.by_pose and self.classes is not None:
            raise ConfigError("--by-pose with --classes: classes are known by labels only, give one of the two")
        if self.by_pose and self.moving != "keep":
            raise ConfigError(
                f"--by-pose with --moving {self.moving}: poses do not tell what moves, give --moving keep"
            )

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where the added frames are in the sequence, seen from the cloud's own; the nearest in time first."""
        steps = [*range(-self.past, 0), *range(1, self.future + 1)]
        return tuple(step * self.every for step in sorted(steps, key=abs))

    def class_ids(self, scheme: LabelScheme) -> tuple[int, ...] | None:
        """The classes to add by id; None for all.

        Raises:
            ConfigError: one is not in the scheme.
        """
        if self.classes is None:
            return None
        if unknown := [name for name in self.classes if name not in scheme.class_names]:
            raise ConfigError(f"--classes {unknown[0]}: {scheme.name} has {', '.join(scheme.class_names)}")
        return tuple(scheme.class_names.index(name) for name in self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}
