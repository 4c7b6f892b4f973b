# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Disputed clouds into bags that are soon closed, and whole from then on, in a folder within its limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from srkd.errors import BagError, ConfigError, SrkdError
from srkd.io.bags import BagWriter
from srkd_ros.backlog import Backlog
from srkd_ros.bag_ring import BagRing
from srkd_ros.disputed_cloud import DisputedCloud, RawMessage, bag_messages

NAME = "disagreement"
SOURCE_NOTE, DISAGREEMENT_NOTE = "srkd.source", "srkd.disagreement"
"""Keys of notes in the metadata of a bag: who differs, and from how much to how much."""
_MIB = 1 << 20
_BAG_BYTES, _MESSAGE_BYTES = 64 << 10, 1 << 10
"""What a bag and a message take at most beside the messages' own bytes."""


@dataclass(frozen=True)
class RecordOptions:
    """What is recorded, and how much of it; the fields are the parameters of these names.

    Raises:
        ConfigError: the limits contradict each other.
    """

    record_dir: str
    record_disagreement_min: float
    record_worst_of: int
    record_file_mib: int
    record_file_s: float
    record_max_mib: int
    record_min_free_mib: int

    def __post_init__(self) -> None:
        if 2 * self.record_file_mib > self.record_max_mib:
            raise ConfigError(
                f"record_file_mib: {self.record_file_mib}, expected at most half of record_max_mib"
                f" ({self.record_max_mib})"
            )

    @property
    def folder(self) -> Path:
        """Of the bags."""
        return Path(self.record_dir).expanduser()


@dataclass(frozen=True)
class Subject:
    """Who differs on what."""

    topic: str
    """Of the clouds."""
    teacher_scheme: str
    """Name of the teacher's label scheme."""
    source: str
    """In words, for the metadata."""


class _Batch(NamedTuple):
    """What is written of a cloud."""

    disputed: DisputedCloud
    messages: list[RawMessage]

    @property
    def size(self) -> int:
        """Bytes that it takes in a bag, at most."""
        return sum(len(message.raw) + _MESSAGE_BYTES for message in self.messages)


class DisagreementBags:
    """Takes clouds from a backlog and writes them; waits for the disk as long as that takes."""

    def __init__(
        self,
        subject: Subject,
        options: RecordOptions,
        backlog: Backlog[DisputedCloud],
        settle: Callable[[str, int], None],
        report: Callable[[str], None],
    ) -> None:
        """
        Args:
            subject, options: see there.
            backlog: of the clouds to write.
            settle: told how many of the clouds taken are now "recorded" in a closed bag, or have "failed".
            report: takes a fault that concerns one cloud, in one line.
        """
        self._subject, self._options, self._backlog = subject, options, backlog
        self._settle, self._report = settle, report
        self._held = 0  # taken, and in no closed bag yet
        self._waiting: _Batch | None = None  # did not fit into the bag before

    def write(self) -> None:
        """Writes bag after bag until the backlog ends.

        Raises:
            SrkdError, OSError: the folder cannot be used or the disk is full. The clouds of the open bag have failed;
                this may be called again.
        """
        try:
            with BagRing(self._options.folder, NAME, self._options.record_max_mib * _MIB) as ring:
                while self._waiting is not None or not self._backlog.ended:
                    self._write_bag(ring)
        except BaseException:
            self._settle("failed", self._held)
            self._held, self._waiting = 0, None
            raise

    def discard(self, seconds: float) -> None:
        """Lets the clouds of some seconds go, or those that are left where the backlog ends."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0 and not self._backlog.ended:
            if self._backlog.take(left_s) is not None:
                self._settle("failed", 1)

    def _write_bag(self, ring: BagRing) -> None:
        """Waits for a cloud, then writes it and those that follow until the bag is full or old enough."""
        batch = self._waiting or self._take(None)
        if batch is None:
            return
        free_mib = ring.free_bytes() // _MIB
        if free_mib < self._options.record_min_free_mib + self._options.record_file_mib:
            raise BagError(
                f"{self._options.folder}: {free_mib} MiB free, a bag of {self._options.record_file_mib} MiB would leave"
                f" less than record_min_free_mib ({self._options.record_min_free_mib}): make room on the disk"
            )
        end_s, left, levels = time.monotonic() + self._options.record_file_s, self._bag_bytes, []
        with BagWriter(ring.make_room(self._options.record_file_mib * _MIB)) as bag:
            bag.note(SOURCE_NOTE, self._subject.source)
            while batch is not None and batch.size <= left:
                for topic, type_name, raw, qos in batch.messages:
                    bag.add_topic(topic, type_name, qos=qos)
                    bag.write(topic, type_name, batch.disputed.time_ns, raw)
                left -= batch.size
                levels.append(batch.disputed.disagreement)
                left_s = end_s - time.monotonic()
                batch = self._take(left_s) if left_s > 0 else None
            bag.note(DISAGREEMENT_NOTE, f"{min(levels):.3f} to {max(levels):.3f}")
        self._waiting = batch
        self._held -= len(levels)
        self._settle("recorded", len(levels))

    @property
    def _bag_bytes(self) -> int:
        """For clouds in a bag."""
        return self._options.record_file_mib * _MIB - _BAG_BYTES

    def _take(self, timeout_s: float | None) -> _Batch | None:
        """The next cloud, ready to be written; None where none comes in time. One that cannot be written has failed."""
        while (disputed := self._backlog.take(timeout_s)) is not None:
            try:
                messages = list(bag_messages(disputed, self._subject.topic, self._subject.teacher_scheme))
                batch = _Batch(disputed, messages)
                if batch.size <= self._bag_bytes:
                    self._held += 1
                    return batch
                reason = f"a cloud with its labels takes {batch.size / _MIB:.1f} MiB: raise record_file_mib"
            except SrkdError as error:
                reason = str(error)
            self._settle("failed", 1)
            self._report(f"not recorded: {reason}")
        return None
