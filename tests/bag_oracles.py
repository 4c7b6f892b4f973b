# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags read by others than us, and the arithmetic of poses by other formulas than ours."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Floats = npt.NDArray[np.float64]
Timed = list[tuple[int, Any]]


def read_by_rosbags(path: Path) -> dict[str, Timed]:
    """Time of recording and message, by topic."""
    from rosbags.highlevel import AnyReader

    found: dict[str, Timed] = defaultdict(list)
    with AnyReader([path]) as reader:
        for link, time_ns, raw in reader.messages():
            found[link.topic].append((time_ns, reader.deserialize(raw, link.msgtype)))
    return found


def read_by_mcap(path: Path) -> dict[str, Timed]:
    """The same by `mcap-ros2-support`, from the schemas in the file alone."""
    reader = pytest.importorskip("mcap.reader", reason="needs mcap-ros2-support (the `dev` extra)")
    decoder = pytest.importorskip("mcap_ros2.decoder", reason="needs mcap-ros2-support (the `dev` extra)")
    found: dict[str, Timed] = defaultdict(list)
    (file,) = path.glob("*.mcap")
    with file.open("rb") as stream:
        made = reader.make_reader(stream, decoder_factories=[decoder.DecoderFactory()])
        for _, channel, message, decoded in made.iter_decoded_messages():
            found[channel.topic].append((message.log_time, decoded))
    return found


def plain(message: Any) -> Any:
    """A message of either as dictionaries, lists and bytes, to be compared."""
    if isinstance(message, np.ndarray):
        return message.tobytes() if message.dtype == np.uint8 else message.tolist()
    if isinstance(message, list | tuple):
        return [plain(each) for each in message]
    if isinstance(message, str | int | float | bytes | bool):
        return message
    names = getattr(message, "__dataclass_fields__", None) or message.__slots__
    return {name: plain(getattr(message, name)) for name in names if not name.startswith("_") and not name.isupper()}


def stamp_of(message: Any) -> int:
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def matrix(place: Any, orientation: Any) -> Floats:
    """(4, 4) of a place and a quaternion: the images of the axes by the product q v q*."""

    def product(a: Floats, b: Floats) -> Floats:
        vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
        return np.array([*vector, a[3] * b[3] - a[:3] @ b[:3]])

    turn = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
    np.testing.assert_allclose(np.linalg.norm(turn), 1, atol=1e-12)
    found = np.eye(4)
    for axis in range(3):
        found[:3, axis] = product(product(turn, np.array([*np.eye(3)[axis], 0.0])), turn * (-1, -1, -1, 1))[:3]
    found[:3, 3] = place.x, place.y, place.z
    return found


def odometry(messages: dict[str, Timed]) -> dict[int, Floats]:
    """(4, 4) of every /odom by its stamp."""
    return {
        stamp_of(message): matrix(message.pose.pose.position, message.pose.pose.orientation)
        for _, message in messages["/odom"]
    }


def transforms(messages: dict[str, Timed], topic: str = "/tf") -> dict[tuple[str, str, int], Floats]:
    """(4, 4) of every transform by parent, child and stamp."""
    return {
        (each.header.frame_id, each.child_frame_id, stamp_of(each)): matrix(
            each.transform.translation, each.transform.rotation
        )
        for _, message in messages[topic]
        for each in message.transforms
    }


def xyz(message: Any) -> Floats:
    """(N, 3) of a cloud whose points begin with three floats."""
    rows = np.frombuffer(bytes(message.data), np.uint8).reshape(-1, message.point_step)
    return np.ascontiguousarray(rows[:, :12]).view("<f4").astype(np.float64)


def moved(pose: Floats, points: Floats) -> Floats:
    return np.asarray(points @ pose[:3, :3].T + pose[:3, 3])
