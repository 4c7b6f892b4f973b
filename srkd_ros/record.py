# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `record`: writes topics into a rosbag2, without `ros2 bag`.

    ros2 run srkd_ros record OUT TOPIC... [--storage sqlite3] [--log FILE] [--count N] [--idle-s S]

Messages are stored as the bytes that came. It prints `recording` when it is up and `matched TOPIC` when a publisher of
a topic is there, and ends, with the bag whole, on SIGINT or SIGTERM. --log writes a JSON line a message: topic,
stamp_ns (of its header, or null) and receive_ns, the monotonic clock, taken first thing when it came.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, TextIO

from srkd.errors import BagError
from srkd.io.bags import STORAGES, VERSIONS, BagWriter, TopicQos
from srkd_ros.command_line import (
    EXIT_FAILED,
    EXIT_OK,
    OneLineParser,
    begins_with_header,
    count,
    message_class,
    positive,
    raw_stamp_ns,
)
from srkd_ros.ros_session import RosSession, run_tool
from srkd_ros.signals import StopSignal

_POLL_S = 0.1
_BACKLOG = 256
"""Messages that may wait for the disk; when so many do, receiving waits too."""
_CLOSE_S = 60.0
"""Longest time to write what is left after a signal."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Records until SIGINT, SIGTERM or the limit that was asked for. Returns 0, or 1 where it failed."""
    return run_tool(_parser(), _record, arguments)


def _record(args: argparse.Namespace, session: RosSession) -> int:
    done = threading.Event()
    with ExitStack() as stack:
        stack.callback(done.set)
        writer = BagWriter(args.out, storage=args.storage, version=args.metadata_version)
        log = None if args.log is None else stack.enter_context(open(args.log, "w", buffering=1, encoding="utf-8"))
        stack.enter_context(session.ros())
        session.stop.announce(lambda: _wait_for(done))
        disk = Disk(writer)
        stack.callback(disk.close)
        Recorder(args, disk, log).run(session.stop)
    if not writer.count:
        sys.stderr.write("record: nothing was received, no bag written\n")
        return EXIT_OK if session.stop.requested else EXIT_FAILED
    sys.stderr.write(f"record: {writer.count} messages in {args.out}\n")
    return EXIT_OK


class Disk:
    """Writes a bag in a thread of its own, so that receiving never waits for it.

    The bag is begun with the first message: without one there is no bag.
    """

    def __init__(self, writer: BagWriter) -> None:
        self._writer = writer
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(_BACKLOG)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="disk")
        self._thread.start()

    @property
    def failed(self) -> bool:
        return self._error is not None

    def write(self, topic: str, type_name: str, qos: TopicQos, time_ns: int, raw: bytes) -> None:
        def job() -> None:
            self._writer.add_topic(topic, type_name, qos=qos)
            self._writer.write(topic, type_name, time_ns, raw)

        self._jobs.put(job)

    def close(self) -> None:
        """Waits until all is written and the bag stands.

        Raises:
            SrkdError, OSError: why it could not be written.
        """
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        job = self._jobs.get()
        if job is None:
            return
        try:
            with self._writer:
                while job is not None:
                    job()
                    job = self._jobs.get()
        except BaseException as error:
            self._error = error
            while job is not None:  # nobody may wait for a full queue
                job = self._jobs.get()


class Recorder:
    """A node that subscribes to topics as soon as their types are known."""

    def __init__(self, args: argparse.Namespace, disk: Disk, log: TextIO | None) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self._args = args
        self._disk = disk
        self._log = log
        self._count = 0
        self._last_s = time.monotonic()
        self._node = rclpy.create_node("record", start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._unmatched = list(dict.fromkeys(map(self._full_name, args.topics)))
        self._subscriptions: list[Any] = []

    def run(self, stop: StopSignal) -> None:
        """Records until it is time to stop.

        Raises:
            BagError: a topic's type is not installed here.
        """
        _say("recording")
        next_look_s = 0.0
        while not (stop.requested or self._disk.failed or self._enough()):
            if self._unmatched and time.monotonic() >= next_look_s:
                self._look()
                next_look_s = time.monotonic() + _POLL_S
            self._executor.spin_once(timeout_sec=_POLL_S)
        self._executor.shutdown(timeout_sec=0)
        self._node.destroy_node()

    def _full_name(self, topic: str) -> str:
        from rclpy.validate_topic_name import validate_topic_name

        validate_topic_name(topic)  # says what is wrong in better words than the next line does
        return str(self._node.resolve_topic_name(topic))

    def _enough(self) -> bool:
        idle_s = self._args.idle_s
        return (self._args.count is not None and self._count >= self._args.count) or (
            idle_s is not None and time.monotonic() - self._last_s > idle_s
        )

    def _look(self) -> None:
        """Subscribes to topics that have a publisher now."""
        from srkd_ros.recorded_qos import offered_qos, record_profile

        for topic in list(self._unmatched):
            publishers = self._node.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            type_name = publishers[0].topic_type
            kind = message_class(type_name)
            if kind is None:
                raise BagError(f"{topic}: its type {type_name} is not installed here; install its package")
            qos = offered_qos(publishers)
            callback = self._callback(topic, type_name, qos, begins_with_header(kind))
            self._subscriptions.append(
                self._node.create_subscription(kind, topic, callback, record_profile(qos), raw=True)
            )
            self._unmatched.remove(topic)
            _say(f"matched {topic}")

    def _callback(self, topic: str, type_name: str, qos: TopicQos, has_stamp: bool) -> Callable[[bytes], None]:
        def receive(raw: bytes) -> None:
            receive_ns, time_ns = time.monotonic_ns(), time.time_ns()
            if self._args.count is not None and self._count >= self._args.count:
                return
            self._count += 1
            self._last_s = receive_ns / 1e9
            self._disk.write(topic, type_name, qos, time_ns, raw)
            if self._log is not None:
                stamp_ns = raw_stamp_ns(raw) if has_stamp else None
                self._log.write(json.dumps({"topic": topic, "stamp_ns": stamp_ns, "receive_ns": receive_ns}) + "\n")

        return receive


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _wait_for(done: threading.Event) -> None:
    done.wait(_CLOSE_S)


def _parser() -> OneLineParser:
    parser = OneLineParser("record", description="Writes topics into a rosbag2 without `ros2 bag`.")
    parser.add_argument("out", help="folder to make; it must not exist")
    parser.add_argument("topics", nargs="+", metavar="TOPIC")
    parser.add_argument("--storage", choices=STORAGES, default="mcap")
    parser.add_argument("--metadata-version", type=int, choices=VERSIONS, default=9, help="8 for Iron and older")
    parser.add_argument("--log", metavar="FILE", help="a line for each message: topic, stamp_ns, receive_ns (JSON)")
    parser.add_argument("--count", type=count, metavar="N", help="end after N messages, all topics together")
    parser.add_argument("--idle-s", type=positive, metavar="S", help="end when nothing has come for so long")
    return parser


if __name__ == "__main__":
    sys.exit(main())
