# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""rosbag2 without ROS: reading, writing, and the messages to write. Needs the package `rosbags` (extra `bags`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srkd.io.bag_reader import (
    CLOUD_TYPE,
    LABELS_SUFFIX,
    PREDICTED_SUFFIX,
    SCHEME_SUFFIX,
    STORAGE_SUFFIXES,
    TEACHER_SUFFIX,
    BagMessage,
    BagReader,
    BagTopic,
    TopicQos,
    is_bag,
)
from srkd.io.bag_types import TypeDefinition
from srkd.io.bag_writer import STORAGES, VERSIONS, BagWriter

__all__ = [
    "CLOUD_TYPE",
    "LABELS_SUFFIX",
    "PREDICTED_SUFFIX",
    "SCHEME_SUFFIX",
    "STORAGES",
    "STORAGE_SUFFIXES",
    "TEACHER_SUFFIX",
    "VERSIONS",
    "BagMessage",
    "BagReader",
    "BagTopic",
    "BagWriter",
    "CloudMessage",
    "Header",
    "Stamp",
    "TopicQos",
    "TypeDefinition",
    "cloud_message",
    "is_bag",
    "make_header",
    "stamp_ns",
]


@dataclass(frozen=True)
class Stamp:
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


@dataclass(frozen=True)
class Header:
    """std_msgs/Header."""

    stamp: Stamp
    frame_id: str


@dataclass(frozen=True, eq=False)
class CloudMessage:
    """sensor_msgs/PointCloud2, for `BagWriter.write_message` and all that reads messages by their attributes."""

    header: Any
    height: int
    width: int
    fields: Sequence[Any]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Any
    is_dense: bool


def cloud_message(
    header: Any,
    height: int,
    width: int,
    fields: Sequence[Any],
    point_step: int,
    data: Any,
    *,
    is_dense: bool = True,
) -> CloudMessage:
    """A little-endian cloud without row padding.

    Args:
        header: `make_header(...)` or the header of another message.
        fields: `srkd.io.message_layout.Field`s, or others with their attributes.
        data: bytes-like, height x width x point_step bytes.
    """
    return CloudMessage(header, height, width, tuple(fields), False, point_step, point_step * width, data, is_dense)


def make_header(stamp_ns: int, frame_id: str) -> Header:
    """The header of a message taken at `stamp_ns` since the epoch."""
    return Header(Stamp(*divmod(stamp_ns, 1_000_000_000)), frame_id)


def stamp_ns(message: Any) -> int:
    """Nanoseconds of the stamp in the header of a message."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
