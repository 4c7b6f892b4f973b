# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults in the log: each kind at once when it is new, then now and then with how often it happened."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

REPEAT_S = 30.0
_MAX_KINDS = 64
_VARYING = re.compile(r"[0-9]+(\.[0-9]+)?")


class FaultLog:
    """Texts that differ in numbers only are of one kind; memory is bounded whatever is reported."""

    def __init__(self, write: Callable[[str], None], clock_s: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            write: puts a line into the log.
            clock_s: seconds that never run backwards.
        """
        self._write = write
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def report(self, text: str, detail: str = "") -> None:
        """Logs a fault where it is new or the last line of its kind is `REPEAT_S` old; counts it else.

        Args:
            text: one line.
            detail: lines below it, e.g. a traceback; only where the kind is new.
        """
        kind = _VARYING.sub("#", text)
        now = self._clock_s()
        with self._lock:
            if kind not in self._seen and len(self._seen) >= _MAX_KINDS:
                kind = ""
            written, unsaid = self._seen.get(kind, (-REPEAT_S, 0))
            new = kind not in self._seen
            due = new or now - written >= REPEAT_S
            self._seen[kind] = (now, 0) if due else (written, unsaid + 1)
        if due:
            again = f" (and {unsaid} times since this was last said)" if unsaid else ""
            self._write(text + again + (f"\n{detail}" if detail and new else ""))
