# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the middleware, which it reads once, when a process makes its first participant."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

_PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Names that Fast DDS reads from ROS 2 Kilted on and before."""


def large_cloud_profile() -> Path:
    """The Fast DDS profile with a shared-memory segment for whole clouds, installed or of a checkout."""
    package = Path(__file__).parent
    installed = package / "config" / "fastdds_large_clouds.xml"
    return installed if installed.exists() else package.parent / "config" / installed.name


def use_large_cloud_profile(environment: MutableMapping[str, str] = os.environ) -> None:
    """Makes this process publish clouds of more than 0.5 MB without loss, unless the user has configured Fast DDS.

    To be called before `rclpy.init`. Without it, best-effort clouds of that size are lost almost always.
    """
    if not any(environment.get(name) for name in (*_PROFILE_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS")):
        for name in _PROFILE_VARIABLES:
            environment[name] = str(large_cloud_profile())
