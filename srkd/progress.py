# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Progress of a long command: one line redrawn on a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_TERMINAL_INTERVAL_S = 0.2
_LOG_INTERVAL_S = 15.0


class Progress:
    """Counts towards a total and says how far it is and how long it will take.

    Args:
        total: number of steps at the end.
        what: first word of every line.
        done: steps already done before (a resumed run); they do not count for the speed.
        stream: where to write; standard error by default.
    """

    def __init__(self, total: int, what: str, *, done: int = 0, stream: TextIO | None = None) -> None:
        self.total = total
        self.what = what
        self.done = done
        self.stream = sys.stderr if stream is None else stream
        self.terminal = self.stream.isatty()
        self._first = done
        self._start = time.monotonic()
        self._last_line = float("-inf")
        self._width = 0

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at the mean speed so far; None before the first step."""
        steps = self.done - self._first
        return (time.monotonic() - self._start) / steps * (self.total - self.done) if steps else None

    @property
    def due(self) -> bool:
        """Whether the next `step` will write, for callers to whom the note is dear."""
        interval = _TERMINAL_INTERVAL_S if self.terminal else _LOG_INTERVAL_S
        return time.monotonic() - self._last_line >= interval or self.done + 1 >= self.total

    def step(self, note: str = "") -> None:
        """One more is done; `note` is shown where a line is due."""
        due = self.due
        self.done += 1
        if due:
            self._write(note)

    def say(self, text: str) -> None:
        """A line of its own, kept above the redrawn one."""
        self.stream.write(f"{' ' * self._width}\r{text}\n" if self.terminal else f"{text}\n")
        self.stream.flush()

    def close(self) -> None:
        """End the redrawn line."""
        if self.terminal and self._width:
            self.stream.write("\n")
            self.stream.flush()
            self._width = 0

    def _write(self, note: str) -> None:
        self._last_line = time.monotonic()
        left = self.seconds_left
        eta = "" if left is None else f"  ETA {clock(left)}"
        line = f"{self.what} {self.done}/{self.total} ({100 * self.done // max(self.total, 1)} %){eta}"
        line = f"{line}  {note}" if note else line
        if self.terminal:
            self.stream.write(f"\r{line:<{self._width}}")
            self._width = len(line)
        else:
            self.stream.write(f"{line}\n")
        self.stream.flush()


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
