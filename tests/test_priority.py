# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The priority of one thread, asked of the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from srkd_ros.priority import give_way, let_session_give_way

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


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="a kernel without autogroups")
@pytest.mark.parametrize("own_session", [True, False])
def test_a_session_gives_way_where_the_process_leads_it(own_session: bool) -> None:
    here = Path("/proc/self/autogroup").read_text()
    program = (
        "from srkd_ros.priority import let_session_give_way\n"
        "let_session_give_way(7); print(open('/proc/self/autogroup').read())"
    )
    words = [sys.executable, "-c", program]
    told = subprocess.run(words, capture_output=True, text=True, check=True, start_new_session=own_session).stdout
    if own_session:
        assert told.split()[-1] == "7"
    else:  # compared whole: a session that was never given an autogroup, as a container's first, has an empty file
        assert told.strip() == here.strip()
    assert Path("/proc/self/autogroup").read_text() == here
    let_session_give_way(0)
    assert Path("/proc/self/autogroup").read_text() == here
