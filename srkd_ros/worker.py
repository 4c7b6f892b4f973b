# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The thread in which the network runs, so that the executor always has time for the next cloud."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from srkd.memory import Trimmer
from srkd_ros.latest import Latest

T = TypeVar("T")


class Worker(Generic[T]):
    """Takes the newest item again and again and handles it."""

    def __init__(self, handle: Callable[[T], None], prepare: Callable[[], None]) -> None:
        """
        Args:
            handle: what is done with an item; it lets no exception out.
            prepare: called once in the thread before the first item; as `handle`.
        """
        self.inbox: Latest[T] = Latest()
        self._handle = handle
        self._prepare = prepare
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Returns when the thread is prepared."""
        self._thread.start()
        self._ready.wait()

    def stop(self, timeout_s: float) -> tuple[T | None, bool]:
        """Takes no further item. Returns the one that was waiting, and whether the thread has ended in time."""
        left = self.inbox.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return left, not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._prepare()
        finally:
            self._ready.set()
        trimmer = Trimmer()
        while (item := self.inbox.take()) is not None:
            self._handle(item)
            del item
            trimmer.after_item()
        # Both lead to the owner, which holds this and a network: left alone, a circle that no cleanup would free.
        del self._handle, self._prepare
