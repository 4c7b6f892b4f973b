# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames on their way into a bag, and the choice of scenes by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.errors import ConfigError

EPOCH_NS = 1_700_000_000_000_000_000
"""Stamp of a bag's first cloud where its source has no time: always the same, so that runs can be compared."""
ALL = "all"
"""Stands for every scene."""
_LISTED = 12


@dataclass(frozen=True, eq=False)
class Frame:
    """A cloud to write.

    Args:
        cloud: N points.
        stamp_ns: since the epoch.
        label: (N,) uint8 ground truth, 255 for none, or None.
        time_s: (N,) seconds from the stamp to each point, or None.
        pose: (4, 4) float64, the source's vehicle, or where it has none the cloud's own frame, to the map; or None.
    """

    cloud: Cloud
    stamp_ns: int
    label: npt.NDArray[np.uint8] | None = None
    time_s: npt.NDArray[np.float32] | None = None
    pose: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Mount:
    """The vehicle that carries the sensor: its frame, and (4, 4) from the sensor's frame to it."""

    vehicle_frame_id: str
    pose: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """Frames to come, read or made one by one, for one bag.

    Args:
        count: of the frames.
        frames: in order of time.
        scheme: name of the labels' scheme, None where no frame has labels.
        name: what it is, for the metadata, e.g. "nuscenes scene-0061".
        frame_id: coordinate frame of the clouds, as is usual for the data set.
        mount: where the poses are a vehicle's that is not the frame of the clouds.
    """

    count: int
    frames: Iterator[Frame]
    scheme: str | None = None
    name: str = ""
    frame_id: str = "lidar"
    mount: Mount | None = None


Scenes = dict[str, Callable[[], Source]]
"""What makes the source of each scene, by its name, when its turn has come."""


def choose(asked: Sequence[str], known: Collection[str], where: object) -> list[str]:
    """The scenes to take: those asked for, all of them, or where none is named the only one.

    Raises:
        ConfigError: one is not there, or none is named and there are several.
    """
    if list(asked) == [ALL] or (not asked and len(known) == 1):
        return list(known)
    shown = " ".join(list(known)[:_LISTED]) + (" ..." if len(known) > _LISTED else "")
    if not asked:
        raise ConfigError(f"{where}: {len(known)} scenes ({shown}); name some, --scene NAME,NAME, or --scene {ALL}")
    for name in asked:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}" if close else f"it has {shown}"
            raise ConfigError(f"{where}: no scene {name!r}; {hint}")
    return list(dict.fromkeys(asked))


def limit(count: int, most: int | None) -> int:
    """How many frames to take of those there are.

    Raises:
        ConfigError: fewer than one is asked for.
    """
    if most is not None and most < 1:
        raise ConfigError(f"frames: {most}, expected at least 1")
    return count if most is None else min(count, most)
