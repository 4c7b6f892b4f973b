# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Work that gives way: the scheduling priority of one thread, and of a session of processes."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path


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


def let_session_give_way(niceness: int) -> None:
    """Lowers this process against those of other sessions, where it leads its own, e.g. one started by `setsid`.

    Linux shares CPUs out among sessions first ("autogroups", sched(7)); the priorities of threads count within one.
    In a session that another process leads nothing happens, for that would be lowered, too.

    Args:
        niceness: 0 to 19, see nice(1).
    """
    if sys.platform == "linux" and niceness and os.getsid(0) == os.getpid():
        with suppress(OSError):  # a kernel without autogroups, or one that wants to be asked more slowly
            Path("/proc/self/autogroup").write_text(str(niceness))
