# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `segment`: labels every point of the clouds that it receives.

    ros2 run srkd_ros segment --ros-args -p checkpoint:=model.safetensors -r '~/input/points:=/points'

or, from a checkout, `python -m srkd_ros.segment` with the same arguments. Parameters: `config/segment.yaml`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from srkd_ros.entry import run_node


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM; returns the exit status."""
    return run_node("segment", _load, arguments)


def _load() -> Callable[[], Any]:
    from srkd_ros.segment_node import SegmentNode

    return SegmentNode


if __name__ == "__main__":
    sys.exit(main())
