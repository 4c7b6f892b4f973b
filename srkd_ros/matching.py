# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs the messages of two topics by their stamps, in bounded memory."""

from __future__ import annotations

from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class StampMatcher(Generic[A, B]):
    """Waiting messages of two sides; of each side the `capacity` newest are kept.

    Where a stamp comes again before its partner does (a bag in a loop), the newer message takes its place.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting_first: dict[int, A] = {}
        self._waiting_second: dict[int, B] = {}
        self._lost = [0, 0]

    @property
    def unmatched(self) -> tuple[int, int]:
        """Messages of the two sides that have no partner: those that waited in vain, and those that wait still."""
        return self._lost[0] + len(self._waiting_first), self._lost[1] + len(self._waiting_second)

    @property
    def lost(self) -> int:
        """Messages of both sides that waited in vain and had to go."""
        return sum(self._lost)

    def first(self, stamp_ns: int, value: A) -> tuple[A, B] | None:
        """A message of the first side; the pair that it completes."""
        if stamp_ns in self._waiting_second:
            return value, self._waiting_second.pop(stamp_ns)
        self._lost[0] += _keep(self._waiting_first, stamp_ns, value, self._capacity)
        return None

    def second(self, stamp_ns: int, value: B) -> tuple[A, B] | None:
        """A message of the second side; the pair that it completes."""
        if stamp_ns in self._waiting_first:
            return self._waiting_first.pop(stamp_ns), value
        self._lost[1] += _keep(self._waiting_second, stamp_ns, value, self._capacity)
        return None


T = TypeVar("T")


def _keep(waiting: dict[int, T], stamp_ns: int, value: T, capacity: int) -> int:
    """Adds a message; the number of messages that had to go for it."""
    lost = int(waiting.pop(stamp_ns, None) is not None)
    waiting[stamp_ns] = value
    while len(waiting) > capacity:
        del waiting[next(iter(waiting))]
        lost += 1
    return lost
