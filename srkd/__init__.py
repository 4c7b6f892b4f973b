# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LiDAR semantic segmentation: the networks of SRKD and all that is needed to run them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srkd.checkpoint import load_checkpoint, read_header, save_checkpoint
    from srkd.cloud import Cloud
    from srkd.errors import CheckpointError, CloudError, ConfigError, SrkdError
    from srkd.header import Header
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

# Imported when first asked for: `replay` and `srkd --help` start without torch, which takes over a second.
_HOMES = {
    "srkd.checkpoint": ("load_checkpoint", "read_header", "save_checkpoint"),
    "srkd.cloud": ("Cloud",),
    "srkd.errors": ("CheckpointError", "CloudError", "ConfigError", "SrkdError"),
    "srkd.header": ("Header",),
    "srkd.input_spec": ("InputSpec",),
    "srkd.labels": ("IGNORE", "LabelScheme", "get_scheme"),
    "srkd.segmenter": ("Labels", "Segmenter"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
