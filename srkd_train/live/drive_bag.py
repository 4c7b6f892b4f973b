# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A simulated drive as a rosbag2 with ground truth, and a bag of all that a live run made of it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from srkd.io.bags import BagMessage, BagReader, BagWriter, stamp_ns
from srkd_train.bag_sources import street_source
from srkd_train.cloud_messages import points_message, truth_message, write_sample, write_scheme
from srkd_train.data.street.config import FRAME_PERIOD_S
from srkd_train.live.session import LABELS, MODEL_INFO, POINTS, REPORT

DRIVE_RATE_HZ = 1 / FRAME_PERIOD_S
_FRAME_ID = "lidar"


def write_drive(path: Path, seed: int, sensor: str, frames: int, on_frame: Callable[[], None] = lambda: None) -> int:
    """Makes a drive at 10 Hz and writes its clouds, as a Velodyne driver sends them, and their truth.

    Args:
        path: of the bag.
        seed, sensor, frames: see `srkd_train.data.street.drive`.
        on_frame: called after each frame.

    Returns:
        The number of points of all clouds.

    Raises:
        BagError, ConfigError, OSError: the bag cannot be written, or there is no such sensor.
    """
    points = 0
    source = street_source(seed, sensor, frames)
    with BagWriter(path) as writer:
        for frame in source.frames:
            assert source.scheme is not None and frame.label is not None, "a street knows its truth"
            if not points:
                write_scheme(writer, POINTS, source.scheme, frame.stamp_ns)
            message = points_message(frame.cloud, frame.stamp_ns, _FRAME_ID, time_s=frame.time_s)
            truth = truth_message(frame.cloud, frame.label, frame.stamp_ns, _FRAME_ID)
            write_sample(writer, POINTS, message, truth, frame.stamp_ns)
            points += len(frame.cloud)
            on_frame()
    return points


def write_labelled(path: Path, drive: Path, recorded: Path, latency_ns: Mapping[int, int]) -> None:
    """Writes one bag with a drive and what the node made of it, on the clock of the drive.

    Args:
        path: of the bag to make.
        drive: what was replayed.
        recorded: what came back.
        latency_ns: by stamp, how long after its cloud a frame's labels came.

    Raises:
        BagError, OSError: a bag cannot be read or written.
    """
    with BagReader(drive) as source, BagReader(recorded) as answers, BagWriter(path) as writer:
        for reader in (source, answers):
            for topic in reader.topics:
                writer.add_topic(topic.name, topic.type, qos=topic.qos, definition=reader.definition(topic.type))
        retimed = _retimed(answers, source.start_ns, latency_ns)
        for message in heapq.merge(source.messages(), retimed, key=lambda message: message.time_ns):
            writer.write(message.topic, message.type, message.time_ns, message.raw)


def _retimed(answers: BagReader, start_ns: int, latency_ns: Mapping[int, int]) -> Iterator[BagMessage]:
    for message in answers.messages({topic.name for topic in answers.topics} & {LABELS, REPORT, MODEL_INFO}):
        time_ns = start_ns
        if message.topic != MODEL_INFO:
            stamp = stamp_ns(answers.deserialize(message))
            if stamp not in latency_ns:
                continue
            time_ns = stamp + latency_ns[stamp]
        yield BagMessage(message.topic, message.type, time_ns, message.raw)
