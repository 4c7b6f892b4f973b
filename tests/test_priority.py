# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The priority of one thread, asked of the kernel."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from srkd_ros.priority import give_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux knows priorities of threads")


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def in_thread(*wanted: int) -> list[int]:
    """Niceness of a thread after each request, and of one that it has started since."""
    found: list[int] = []

    def work() -> None:
        for each in wanted:
            give_way(each)
            found.append(niceness())
        child = threading.Thread(target=lambda: found.append(niceness()))
        child.start()
        child.join()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found


def test_a_thread_and_its_children_give_way_and_others_do_not() -> None:
    before = niceness()
    lower = min(19, before + 3)
    assert in_thread(lower) == [lower, lower]
    assert niceness() == before


def test_a_priority_is_never_raised() -> None:
    lower = min(19, niceness() + 2)
    assert in_thread(lower, 0) == [lower, lower, lower]
