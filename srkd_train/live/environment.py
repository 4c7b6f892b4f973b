# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the processes of a live run may see of the surroundings: a ROS domain of their own, this machine, nothing else.

A demo must not talk to somebody's robot, and somebody's settings must not change what the demo measures.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from srkd.errors import ConfigError, SrkdError

DOMAINS = range(1, 102)
"""Domains whose ports (7400 + 250 a domain) lie below those that Linux hands out to clients."""
LARGEST_DOMAIN = 232
_PREFIXES = ("ROS_", "RMW_", "RCUTILS_", "RCL_", "FASTDDS_", "FASTRTPS_", "CYCLONEDDS_", "ZENOH_")
_KEPT = ("ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION")
_THREADS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_PARTS = ("rclpy", "sensor_msgs.msg", "srkd_ros.msg", "rosbags")


class NoRosError(SrkdError):
    """ROS 2, or this package's compiled messages, cannot be used by this interpreter."""


def child_environment(domain_id: int, log_dir: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables for the processes of one run.

    Args:
        domain_id: their ROS domain.
        log_dir: where rclpy logs to.
        environment: what to start from; default: this process's. Its ROS and middleware settings are left out; where
            packages are found (PYTHONPATH, LD_LIBRARY_PATH, AMENT_PREFIX_PATH) stays.

    Raises:
        ConfigError: no such domain.
    """
    if not 0 <= domain_id <= LARGEST_DOMAIN:
        raise ConfigError(f"ROS domain {domain_id}: give 0 to {LARGEST_DOMAIN}")
    source = os.environ if environment is None else environment
    kept = {
        name: value
        for name, value in source.items()
        if name in _KEPT or not (name.startswith(_PREFIXES) or name in _THREADS)
    }
    only_here = (
        {"ROS_LOCALHOST_ONLY": "1"}
        if kept.get("ROS_DISTRO") == "humble"
        else {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    )
    return {
        **kept,
        **only_here,
        "ROS_DOMAIN_ID": str(domain_id),
        "ROS_LOG_DIR": str(log_dir),
        "PYTHONUNBUFFERED": "1",
    }


def free_domain(candidates: Iterable[int] | None = None) -> int:
    """A ROS domain that nobody on this machine uses now: the first whose discovery ports can be bound.

    Args:
        candidates: in order of preference; default: all of `DOMAINS`, beginning at one that depends on the process id.

    Raises:
        ConfigError: all are taken.
    """
    if candidates is None:
        first = os.getpid() % len(DOMAINS)
        candidates = (*DOMAINS[first:], *DOMAINS[:first])
    for domain_id in candidates:
        if all(_port_is_free(7400 + 250 * domain_id + offset) for offset in (0, 10, 11)):
            return domain_id
    raise ConfigError("every ROS domain tried is in use on this machine: name one with --domain")


def _port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def require_ros() -> None:
    """Checks that this interpreter can start the ROS side; nothing of it is imported into this process.

    Raises:
        NoRosError: one line that names what is missing.
    """
    for name in ("rclpy", "rosbags"):
        if importlib.util.find_spec(name) is None:
            raise NoRosError(
                f"{name} is not installed here (on x86_64 Linux: make setup, or pip install '.[ros,bags]')"
            )
    # Messages can be there and yet not load (built for another Python or distribution): only an import tells.
    attempt = f"import importlib\nfor name in {_PARTS!r}: importlib.import_module(name)"
    try:
        environment = child_environment(DOMAINS[0], Path(os.devnull))  # an import opens no domain and no log
        ran = subprocess.run(
            [sys.executable, "-c", attempt], env=environment, capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        raise NoRosError("rclpy does not load within 60 s") from None
    if ran.returncode:
        reason = ran.stderr.strip().splitlines()[-1:] or [f"exit status {ran.returncode}"]
        raise NoRosError(f"ROS 2 or the compiled messages cannot be loaded ({reason[0]}): install the package")
