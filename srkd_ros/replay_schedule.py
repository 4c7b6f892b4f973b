# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When to publish the messages of a bag, and the ticks of /clock between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from srkd.io.bags import BagMessage, BagReader

LATE_S = 0.01
"""A message that is sent later than this is counted as late, and those after it are put off by as much."""


class Event(NamedTuple):
    """Something to publish at `bag_ns`, on the bag's clock: a message, or a tick of /clock where it is None."""

    bag_ns: int
    message: BagMessage | None


class Pacer:
    """Waits for the time of each event.

    A late event is done at once, and what comes after keeps its distance to it: a stall, of this process or of the
    machine, never becomes a burst.

    Args:
        rate: seconds of the bag a second.
        wait: sleeps so many seconds and says whether to stop.
    """

    def __init__(self, rate: float, wait: Callable[[float], bool]) -> None:
        self.late = 0
        self.worst_s = 0.0
        self._rate = rate
        self._wait = wait
        self._zero_s = 0.0
        self._begun = False

    def wait_for(self, bag_ns: int) -> bool:
        """Returns when it is time for what is at `bag_ns`, or with True when it is time to stop."""
        due_s = bag_ns / 1e9 / self._rate
        if not self._begun:
            self._begun = True
            self._zero_s = time.monotonic() - due_s
        while True:
            left_s = self._zero_s + due_s - time.monotonic()
            if self._wait(min(max(0.0, left_s), 60.0)):
                return True
            if left_s <= 60.0:
                break
        late_s = time.monotonic() - self._zero_s - due_s
        self.worst_s = max(self.worst_s, late_s)
        if late_s > LATE_S:
            self.late += 1
            self._zero_s += late_s
        return False


def events(reader: BagReader, topics: tuple[str, ...], start_ns: int, *, tick_ns: int | None) -> Iterator[Event]:
    """The messages of some topics from `start_ns` on, and a tick of /clock every `tick_ns` of the bag's time.

    Messages of latched topics (transient local) from before `start_ns` come first.

    Raises:
        BagError: the bag is damaged.
    """
    latched = {topic.name for topic in reader.topics if topic.qos and topic.qos.durability == "transient_local"}
    if start_ns > reader.start_ns and (early := latched & set(topics)):
        for message in reader.messages(early):
            if message.time_ns >= start_ns:
                break
            yield Event(start_ns, message)
    next_tick = start_ns
    for message in reader.messages(topics, start_ns=start_ns):
        while tick_ns is not None and next_tick <= message.time_ns:
            yield Event(next_tick, None)
            next_tick += tick_ns
        yield Event(message.time_ns, message)


def loop_gap_ns(reader: BagReader, topics: tuple[str, ...]) -> int:
    """Time between the last message and the first one of the next round: the mean period of the busiest topic."""
    busiest = max((topic.count for topic in reader.topics if topic.name in topics), default=0)
    return reader.duration_ns // (busiest - 1) if busiest > 1 else 100_000_000
