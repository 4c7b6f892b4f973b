# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Freed memory that a process keeps, and how it is handed back to the system.

Networks take and free large aligned blocks of another size with every cloud. glibc does not fit such blocks into the
holes that they leave, so the heap of a process that labels clouds for hours grows step by step, though what it has in
use does not.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

_GROWTH = 1.2
_SLACK_BYTES = 32 * 2**20


def return_freed_memory() -> None:
    """Hands all that is free back to the system, where the C library is glibc; takes some 30 ms."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM; None where the system does not say (only Linux does here)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


class Trimmer:
    """Returns freed memory whenever a fifth more has piled up than the work needs; seldom enough to cost little.

    What the work needs is what the process holds one item after memory was returned last. Later ones touch other parts
    of the heap, so a limit that goes by them would climb.
    """

    def __init__(self) -> None:
        self._limit: int | None = None

    def after_item(self) -> bool:
        """To be called between two items; whether memory was returned."""
        resident = resident_bytes()
        if resident is None:
            return False
        if self._limit is None:
            self._limit = int(resident * _GROWTH) + _SLACK_BYTES
        if resident <= self._limit:
            return False
        return_freed_memory()
        self._limit = None
        return True
