# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A short queue between two threads: whoever puts never waits, and is told when there is no place."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Backlog(Generic[T]):
    """Holds at most `capacity` items; what waits when it is closed can still be taken."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._closed = False

    @property
    def ended(self) -> bool:
        """Whether nothing is left, and nothing will come."""
        with self._changed:
            return self._closed and not self._items

    def put(self, item: T) -> bool:
        """Leaves an item, unless there is no place for it or the queue is closed; whether it was left."""
        with self._changed:
            if self._closed or len(self._items) >= self._capacity:
                return False
            self._items.append(item)
            self._changed.notify()
            return True

    def take(self, timeout_s: float | None) -> T | None:
        """Waits for the oldest item; None where none comes in time, or the queue has ended. `timeout_s` None: waits
        for as long as it takes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items, timeout_s)
            return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Lets nothing in any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
