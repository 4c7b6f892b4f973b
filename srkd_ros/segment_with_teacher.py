# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `segment_with_teacher`: `segment`, and a second, larger network in the same process that labels as
many of the same clouds as time allows and tells how far both agree.

    ros2 run srkd_ros segment_with_teacher --ros-args -p teacher_checkpoint:=teacher.safetensors \\
        -r '~/input/points:=/points'

Parameters: `config/segment_with_teacher.yaml`. `ros2 run srkd_ros teacher` does the same in a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from srkd_ros.entry import run_node


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM; returns the exit status."""
    return run_node("segment_with_teacher", _load, arguments)


def _load() -> Callable[[], Any]:
    from srkd_ros.segment_with_teacher_node import SegmentWithTeacherNode

    return SegmentWithTeacherNode


if __name__ == "__main__":
    sys.exit(main())
