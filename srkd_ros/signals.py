# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM end a process with status 0, whatever it is doing at that moment.

Python runs its signal handlers between two bytecodes of the main thread, so one that sits in a long call of C++ code
(an import, a kernel) is deaf. Here the interpreter writes the signal's number into a pipe at once, and a thread reads
it there.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

GRACE_S = 1.5
"""How long a clean end may take; then the process ends anyway."""


class StopSignal:
    """SIGINT and SIGTERM as an event. Until `announce` is called, either ends the process at once.

    One a process; made by the main thread.
    """

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._on_request: Callable[[], None] | None = None
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _pass)
        signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._requested.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Sleeps until a signal comes or the time is up; whether one has come."""
        return self._requested.wait(timeout_s)

    def announce(self, on_request: Callable[[], None]) -> None:
        """From now on a signal sets the event and calls `on_request` in a thread of its own, once; the process then
        has `GRACE_S` to end."""
        self._on_request = on_request

    def _listen(self) -> None:
        while not {signal.SIGINT, signal.SIGTERM} & set(self._ear.recv(16)):
            pass
        self._requested.set()
        if self._on_request is not None:
            try:
                self._on_request()
                time.sleep(GRACE_S)
            except Exception as error:
                sys.stderr.write(f"while stopping: {error}\n")
        end_process(0)


def end_process(status: int) -> None:
    """Ends the process without waiting for its threads: one inside a kernel cannot be stopped any other way."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _pass(number: int, frame: object) -> None:
    """Python wants a handler of its own, or it writes nothing into the pipe."""
