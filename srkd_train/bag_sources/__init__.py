# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a bag can be written from: streets, data sets and files, frame by frame, a module each."""

from srkd_train.bag_sources.files import files_source
from srkd_train.bag_sources.nuscenes import nuscenes_sources
from srkd_train.bag_sources.semantickitti import semantickitti_sources
from srkd_train.bag_sources.source import EPOCH_NS, Frame, Mount, Scenes, Source
from srkd_train.bag_sources.street import street_source
from srkd_train.bag_sources.waymo import waymo_sources

__all__ = [
    "EPOCH_NS",
    "Frame",
    "Mount",
    "Scenes",
    "Source",
    "files_source",
    "nuscenes_sources",
    "semantickitti_sources",
    "street_source",
    "waymo_sources",
]
