# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the middleware, which it reads once, when a process makes its first participant."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from srkd_ros.share import share_folder

_OLD_DISTRIBUTIONS = ("humble", "iron", "jazzy")
"""ROS 2 before Kilted; its Fast DDS reads the profile under another name, which the newer one warns about."""


def large_cloud_profile() -> Path:
    """The Fast DDS profile with a shared-memory segment for whole clouds, installed or of a checkout."""
    return share_folder() / "config" / "fastdds_large_clouds.xml"


def use_large_cloud_profile(environment: MutableMapping[str, str] = os.environ) -> None:
    """Makes this process publish clouds of more than 0.5 MB without loss, unless the user has configured Fast DDS.

    To be called before `rclpy.init`. Without it, best-effort clouds of that size are lost almost always.
    """
    own_settings = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")
    if not any(environment.get(name) for name in own_settings):
        old = environment.get("ROS_DISTRO") in _OLD_DISTRIBUTIONS
        environment[own_settings[1 if old else 0]] = str(large_cloud_profile())
