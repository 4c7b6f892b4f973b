# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames into a bag, one by one: clouds, their ground truth, and where they were taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from srkd.io.bags import LABELS_SUFFIX, BagWriter
from srkd.progress import Progress
from srkd_train.bag_sources import Frame, Source
from srkd_train.cloud_messages import points_message, truth_message, write_sample, write_scheme
from srkd_train.pose_messages import ODOMETRY_TOPIC, write_mount, write_pose
from srkd_train.poses import Floats, velocity

TOPIC = "/points"
SOURCE_NOTE, SCHEME_NOTE = "srkd.source", "srkd.label_scheme"
"""Keys of the notes in the metadata of a bag: what it is made from, and the scheme of its ground truth."""

Velocity = tuple[Floats, Floats]


def write_source(bag: BagWriter, source: Source, frame_id: str | None = None) -> str:
    """Writes clouds on `TOPIC`, their truth on `TOPIC`/labels and the name of its scheme on `TOPIC`/label_scheme; poses
    on /odom and /tf, and on /tf_static the place of the sensor on its vehicle.

    Args:
        bag: not yet open.
        source: of the frames; one more than is written is in memory.
        frame_id: coordinate frame of the clouds; the source's where it is None.

    Returns:
        A line of what was written.

    Raises:
        SrkdError: a frame cannot be read, or the bag cannot be written; then there is no bag.
        OSError: the disk is full; then there is none either.
    """
    sensor = source.frame_id if frame_id is None else frame_id
    body = sensor if source.mount is None else source.mount.vehicle_frame_id
    progress = Progress(source.count, "frames")
    points = poses = 0
    with bag as writer:
        writer.note(SOURCE_NOTE, source.name)
        if source.scheme is not None:
            writer.note(SCHEME_NOTE, source.scheme)
        for index, (frame, moving) in enumerate(with_velocities(source.frames)):
            if index == 0 and source.scheme is not None:
                write_scheme(writer, TOPIC, source.scheme, frame.stamp_ns)
            if index == 0 and source.mount is not None:
                write_mount(writer, frame.stamp_ns, body, sensor, source.mount.pose)
            if frame.pose is not None:
                write_pose(writer, frame.stamp_ns, body, frame.pose, *moving)
                poses += 1
            message = points_message(frame.cloud, frame.stamp_ns, sensor, time_s=frame.time_s)
            truth = None if frame.label is None else truth_message(frame.cloud, frame.label, frame.stamp_ns, sensor)
            write_sample(writer, TOPIC, message, truth, frame.stamp_ns)
            points += len(frame.cloud)
            progress.step(f"{len(frame.cloud)} points")
    progress.close()
    notes = [f"ground truth of {source.scheme} on {TOPIC}{LABELS_SUFFIX}"] if source.scheme is not None else []
    notes += [f"{poses} poses on {ODOMETRY_TOPIC}"] if poses else []
    return f"{', '.join([f'{source.count} clouds, {points} points on {TOPIC}', *notes])}: {bag.path}"


def with_velocities(frames: Iterable[Frame]) -> Iterator[tuple[Frame, Velocity]]:
    """Frames with the velocity since the one before, the first with that up to the next; zero where a pose is unknown.

    Yields:
        A frame, and (3,) m/s and (3,) rad/s as the body sees them.
    """
    coming = iter(frames)
    first = next(coming, None)
    if first is None:
        return
    before, frame = first, next(coming, None)
    yield first, _velocity(first, first if frame is None else frame)
    while frame is not None:
        yield frame, _velocity(before, frame)
        before, frame = frame, next(coming, None)


def _velocity(before: Frame, after: Frame) -> Velocity:
    if before.pose is None or after.pose is None:
        return np.zeros(3), np.zeros(3)
    return velocity(before.pose, after.pose, (after.stamp_ns - before.stamp_ns) * 1e-9)
