# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LiDAR semantic segmentation: the networks of SRKD and all that is needed to run them."""

from srkd.checkpoint import Header, load_checkpoint, read_header, save_checkpoint
from srkd.cloud import Cloud
from srkd.errors import CheckpointError, CloudError, ConfigError, SrkdError
from srkd.input_spec import InputSpec
from srkd.labels import IGNORE, LabelScheme, get_scheme
from srkd.segmenter import Labels, Segmenter

__version__ = "0.1.0"
__all__ = [
    "IGNORE",
    "CheckpointError",
    "Cloud",
    "CloudError",
    "ConfigError",
    "Header",
    "InputSpec",
    "LabelScheme",
    "Labels",
    "Segmenter",
    "SrkdError",
    "get_scheme",
    "load_checkpoint",
    "read_header",
    "save_checkpoint",
]
