# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Work that gives way: the scheduling priority of one thread."""

from __future__ import annotations

import os
import sys
import threading


def give_way(niceness: int) -> None:
    """Lowers the priority of the calling thread, and of those that it starts from now on, e.g. OpenMP's.

    Linux alone knows priorities of threads; elsewhere nothing happens. A process that was started with a lower
    priority keeps it, for no user may raise one.

    Args:
        niceness: 0 to 19, see nice(1).
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(niceness, os.getpriority(os.PRIO_PROCESS, thread)))
