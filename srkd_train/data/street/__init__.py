# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A procedural street world with a ray-cast spinning LiDAR: labelled scans from nothing but a seed."""

from srkd_train.data.street.config import SENSORS, WORLDS, LidarConfig, StreetConfig, get_world
from srkd_train.data.street.dataset import HELD_OUT_SEEDS, TRAIN_SEEDS, StreetDataset, held_out_split, train_split
from srkd_train.data.street.drive import Drive, drive

__all__ = [
    "HELD_OUT_SEEDS",
    "SENSORS",
    "TRAIN_SEEDS",
    "WORLDS",
    "Drive",
    "LidarConfig",
    "StreetConfig",
    "StreetDataset",
    "drive",
    "get_world",
    "held_out_split",
    "train_split",
]
