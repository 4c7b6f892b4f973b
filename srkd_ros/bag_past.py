# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Past clouds for the clouds of a bag, as the node would have them."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import fields

from srkd.errors import BagError, ConfigError, SrkdError
from srkd.io.bags import BagMessage, BagReader
from srkd_ros.densify_parameters import OFFLINE
from srkd_ros.frame import FrameOptions
from srkd_ros.motion import parse_pose
from srkd_ros.odometry import KEEP_S, OdometryPoses
from srkd_ros.past_frames import Moment, Past, PastFrames, PastOptions

ODOMETRY_TYPE = "nav_msgs/msg/Odometry"


class BagPast:
    """What a node that has all messages in time would know of the past."""

    def __init__(
        self,
        args: argparse.Namespace,
        reader: BagReader,
        topics: Collection[str],
        options: FrameOptions,
        say: Callable[[str], None],
    ) -> None:
        """
        Args:
            args: of `add_arguments`.
            reader: of the bag.
            topics: of the clouds that are labelled.
            options: how clouds are read.
            say: told what is odd, in a line.

        Raises:
            ConfigError: an argument is out of range.
            BagError: there is no odometry, or there are clouds of several topics.
        """
        for each in OFFLINE:
            if (reason := each.refuse(getattr(args, each.name))) is not None:
                raise ConfigError(reason)
        if len(topics) != 1:
            raise BagError(f"{reader.path}: clouds of {' '.join(topics)}: with num_past_frames give one with --topics")
        types = {topic.name: topic.type for topic in reader.topics}
        reader.check_topics([args.odometry])
        if types[args.odometry] != ODOMETRY_TYPE:
            raise BagError(f"{reader.path}: {args.odometry} has type {types[args.odometry]}, expected {ODOMETRY_TYPE}")
        self.odometry: str = args.odometry
        past = PastOptions(**{field.name: getattr(args, field.name) for field in fields(PastOptions)})
        self._reader, self._options, self._say = reader, options, say
        self._wait_ns = round(args.max_pose_wait_ms * 1e6)
        self._poses = OdometryPoses(parse_pose(args.sensor_pose), past.max_past_age_s + KEEP_S, say)
        self._frames = PastFrames(past, self._poses, say)

    def hear(self, message: BagMessage) -> None:
        """A message of the odometry."""
        try:
            self._poses.receive(self._reader.deserialize(message))
        except SrkdError as error:
            self._say(f"note: {error}")

    def enter(self, message: BagMessage) -> Moment | None:
        """A cloud; None where it is damaged."""
        try:
            return self._frames.enter(self._reader.deserialize(message), self._options.max_points)
        except SrkdError:  # said when it is to be labelled
            return None

    def settled(self, message: BagMessage, moment: Moment | None, time_ns: int) -> bool:
        """Whether the node would not wait for a pose any longer at a time of the bag."""
        late = time_ns - message.time_ns >= self._wait_ns
        return late or moment is None or not moment.past or self._poses.knows(moment.newest.stamp_ns)

    def recall(self, moment: Moment | None) -> Past | None:
        """The clouds that go with a cloud."""
        return None if moment is None else self._frames.recall(moment, self._options, deadline_s=0.0)


def in_turn(
    messages: Iterable[BagMessage], topics: Collection[str], past: BagPast | None
) -> Iterator[tuple[BagMessage, Past | None]]:
    """The clouds of a bag with those before them, each when its poses are known or it has waited long enough.

    Args:
        messages: of the bag, by rising time.
        topics: of the clouds.
        past: None: past clouds are not used.
    """
    waiting: deque[tuple[BagMessage, Moment | None]] = deque()
    for message in messages:
        if past is None:
            if message.topic in topics:
                yield message, None
            continue
        if message.topic == past.odometry:
            past.hear(message)
        elif message.topic in topics:
            waiting.append((message, past.enter(message)))
        while waiting and past.settled(*waiting[0], message.time_ns):
            cloud, moment = waiting.popleft()
            yield cloud, past.recall(moment)
    for cloud, moment in waiting:
        assert past is not None
        yield cloud, past.recall(moment)
