# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The sequences behind the clouds of a data set."""

from __future__ import annotations

from collections.abc import Sequence

from srkd.errors import ConfigError
from srkd_train.data.accumulate.config import Accumulation
from srkd_train.data.accumulate.nuscenes_scenes import nuscenes_scenes
from srkd_train.data.accumulate.semantickitti_scenes import semantickitti_scenes
from srkd_train.data.accumulate.street_scenes import street_scenes
from srkd_train.data.accumulate.timeline import Scene
from srkd_train.data.accumulate.waymo_scenes import waymo_scenes
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.nuscenes import NuScenes
from srkd_train.data.semantickitti import SemanticKITTI
from srkd_train.data.street import StreetDataset
from srkd_train.data.subset import Picked
from srkd_train.data.waymo import Waymo

SEQUENCES = ("street", "semantickitti", "nuscenes", "waymo")
"""Data sets whose clouds are frames of sequences with poses."""


def find_scenes(clouds: LabelledClouds, config: Accumulation) -> list[Scene]:
    """The sequences of some clouds, each with the names of those that are from it.

    Raises:
        ConfigError: the data set is none of sequences with poses.
        CloudError: poses, tables or sweeps are missing or damaged.
    """
    indices: Sequence[int] = range(len(clouds))
    while isinstance(clouds, Picked):
        indices = [clouds.indices[index] for index in indices]
        clouds = clouds.clouds
    objects = config.moving != "keep"
    if isinstance(clouds, StreetDataset):
        return street_scenes(clouds, indices)
    if isinstance(clouds, SemanticKITTI):
        return semantickitti_scenes(clouds, indices, objects=objects)
    if isinstance(clouds, NuScenes):
        return nuscenes_scenes(clouds, indices, key_frames=config.labelled_only, boxes=objects)
    if isinstance(clouds, Waymo):
        return waymo_scenes(clouds, indices, labelled_only=config.labelled_only, boxes=objects)
    raise ConfigError(f"{clouds.scheme.name} clouds are no sequences with poses, give {' | '.join(SEQUENCES)}")
