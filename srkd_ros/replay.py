# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `replay`: plays a rosbag2, sqlite3 or mcap, without `ros2 bag`.

    ros2 run srkd_ros replay BAG [--rate 0.5] [--loop] [--clock 100] [--remap /lidar_top:=/points]

The bytes of the messages are published as they were recorded. With --loop their stamps jump back at the start of each
round, and /clock with them, as with `ros2 bag play`. --log writes a JSON line a message: topic, stamp_ns (of its
header, or null) and publish_ns, the monotonic clock that all processes share, taken just before it was published.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, TextIO

from srkd.errors import BagError
from srkd.io.bags import BagReader
from srkd_ros.command_line import EXIT_OK, begins_with_header, message_class, raw_stamp_ns
from srkd_ros.replay_arguments import CLOCK_TOPIC, check_arguments, make_parser
from srkd_ros.replay_schedule import LATE_S, Pacer, events, loop_gap_ns
from srkd_ros.ros_session import RosSession, run_tool
from srkd_ros.signals import StopSignal

_SETTLE_S = 0.2
"""Time for the readers to know of the publishers that know of them."""
_POLL_S = 0.05
_TERMINAL_INTERVAL_S, _LOG_INTERVAL_S = 0.2, 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays a bag until its end, SIGINT or SIGTERM. Returns 0, or 1 where it cannot be played."""
    return run_tool(make_parser(), _play, arguments)


def _play(args: argparse.Namespace, session: RosSession) -> int:
    with BagReader(args.bag) as reader, ExitStack() as stack:
        topics = check_arguments(session.parser, args, reader)
        log = None if args.log is None else stack.enter_context(open(args.log, "w", buffering=1, encoding="utf-8"))
        stack.enter_context(session.ros())
        session.stop.announce(lambda: None)
        player = Player(reader, topics, args, log)
        stack.callback(player.close)
        if player.wait_for_subscribers(session.stop):
            player.play(session.stop)
    return EXIT_OK


class Player:
    """A node with a publisher for each topic.

    Raises:
        BagError: none of the topics can be published here.
    """

    def __init__(self, reader: BagReader, topics: Sequence[str], args: argparse.Namespace, log: TextIO | None) -> None:
        import rclpy

        self._reader = reader
        self._args = args
        self._log = log
        self._sent = 0
        self._node = rclpy.create_node("replay", start_parameter_services=False, enable_rosout=False)
        self._publishers: dict[tuple[str, str], tuple[Any, bool]] = {}
        self._topics = self._publish(topics)
        self._tick = self._make_clock() if args.clock else None
        self._line = _Line()

    def _publish(self, topics: Sequence[str]) -> tuple[str, ...]:
        """Makes the publishers; the topics that have one."""
        from srkd_ros.recorded_qos import replay_profile

        renamed = dict(self._args.remap)
        for topic in self._reader.topics:
            if topic.name not in topics:
                continue
            kind = message_class(topic.type)
            if kind is None:
                sys.stderr.write(f"replay: {topic.name} skipped: {topic.type} is not installed here\n")
                continue
            name = renamed.get(topic.name, topic.name)
            publisher = self._node.create_publisher(kind, name, replay_profile(topic.qos, self._args.reliability))
            self._publishers[topic.name, topic.type] = (publisher, begins_with_header(kind))
        if not self._publishers:
            raise BagError(f"{self._reader.path}: nothing to play: no topic has a message type that is installed")
        return tuple(dict.fromkeys(name for name, _ in self._publishers))

    def _make_clock(self) -> Callable[[int], None]:
        from rosgraph_msgs.msg import Clock

        publisher = self._node.create_publisher(Clock, CLOCK_TOPIC, 10)
        message = Clock()

        def tick(bag_ns: int) -> None:
            message.clock.sec, message.clock.nanosec = divmod(bag_ns, 1_000_000_000)
            publisher.publish(message)

        return tick

    def wait_for_subscribers(self, stop: StopSignal) -> bool:
        """Waits until the topics have as many subscriptions as asked for, all taken together; False: time to stop.

        Raises:
            BagError: they do not come.
        """
        wanted = self._args.wait_subscribers
        deadline = time.monotonic() + self._args.wait_s
        while wanted:
            present = sum(publisher.get_subscription_count() for publisher, _ in self._publishers.values())
            if present >= wanted:
                break
            if time.monotonic() > deadline:
                raise BagError(
                    f"{present} of {wanted} subscriptions after {self._args.wait_s:g} s to {' '.join(self._topics)}:"
                    " start the subscriber, compare ROS_DOMAIN_ID, or raise --wait-s"
                )
            if stop.wait(_POLL_S):
                return False
        return not stop.wait(_SETTLE_S)

    def play(self, stop: StopSignal) -> None:
        """Publishes the messages at their times, round after round where that was asked for."""
        rate = self._args.rate
        pacer = Pacer(rate, stop.wait)
        start_ns = self._reader.start_ns + round(self._args.start_s * 1e9)
        tick_ns = max(1, round(rate / self._args.clock * 1e9)) if self._args.clock else None
        end_ns = self._reader.start_ns + self._reader.duration_ns
        round_ns = end_ns - start_ns + loop_gap_ns(self._reader, self._topics)
        begin_s = time.monotonic()
        rounds = 0
        while rounds == 0 or (self._args.loop and not stop.requested):
            for event in events(self._reader, self._topics, start_ns, tick_ns=tick_ns):
                if pacer.wait_for(event.bag_ns + rounds * round_ns):
                    break
                if event.message is not None:
                    self._send(event.message.topic, event.message.type, event.message.raw)
                    self._line.show(rounds, event.bag_ns - start_ns, end_ns - start_ns, self._sent)
                elif self._tick is not None:
                    self._tick(event.bag_ns)
            rounds += 1
        self._line.end()
        sys.stderr.write(
            f"replay: {self._sent} messages in {time.monotonic() - begin_s:.1f} s; more than {LATE_S * 1e3:.0f} ms"
            f" late: {pacer.late}, the worst {pacer.worst_s * 1e3:.1f} ms\n"
        )

    def _send(self, topic: str, type_name: str, raw: bytes) -> None:
        publisher, has_stamp = self._publishers[topic, type_name]
        publish_ns = time.monotonic_ns()
        publisher.publish(raw)
        self._sent += 1
        if self._log is not None:
            stamp_ns = raw_stamp_ns(raw) if has_stamp else None
            self._log.write(
                json.dumps({"topic": publisher.topic_name, "stamp_ns": stamp_ns, "publish_ns": publish_ns}) + "\n"
            )

    def close(self) -> None:
        """Gives subscribers a moment to get the last messages: reliable ones say when they have, the others do not."""
        from rclpy.duration import Duration

        if self._sent:
            for publisher, _ in self._publishers.values():
                publisher.wait_for_all_acked(Duration(seconds=1))
            time.sleep(_SETTLE_S)
        self._node.destroy_node()


class _Line:
    """How far it is: one line redrawn on a terminal, a plain line now and then in a log file."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._interval_s = _TERMINAL_INTERVAL_S if self._terminal else _LOG_INTERVAL_S
        self._next_s = time.monotonic() + (0 if self._terminal else self._interval_s)

    def show(self, rounds: int, at_ns: int, of_ns: int, sent: int) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + self._interval_s
            again = f", round {rounds + 1}" if rounds else ""
            text = f"replay: {at_ns / 1e9:.1f} of {of_ns / 1e9:.1f} s{again}, {sent} messages"
            sys.stderr.write(f"\r{text}  " if self._terminal else f"{text}\n")
            sys.stderr.flush()

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\n")


if __name__ == "__main__":
    sys.exit(main())
