# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `teacher`: a second, larger network that labels the same clouds and tells how far the student agrees.

    ros2 run srkd_ros teacher --ros-args -r '~/input/points:=/points' -r '~/input/labels:=/segment/output/points' \\
        -r '~/input/report:=/segment/report' -r '~/input/model_info:=/segment/model_info'

Parameters: `config/teacher.yaml`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from srkd_ros.entry import run_node


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM; returns the exit status."""
    return run_node("teacher", _load, arguments)


def _load() -> Callable[[], Any]:
    from srkd_ros.teacher_node import TeacherNode

    return TeacherNode


if __name__ == "__main__":
    sys.exit(main())
