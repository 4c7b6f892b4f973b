# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A cloud on which student and teacher differ, as messages of a bag. Without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.io.bag_types import installed_store, serialize
from srkd.io.bags import (
    CLOUD_TYPE,
    PREDICTED_SUFFIX,
    SCHEME_SUFFIX,
    TEACHER_SUFFIX,
    CloudMessage,
    TopicQos,
    cloud_message,
)
from srkd.io.message_layout import Field
from srkd.io.pointcloud2 import decode

STRING_TYPE = "std_msgs/msg/String"
_LATCHED = TopicQos(durability="transient_local", depth=1)
_UINT8, _FLOAT32 = 2, 7
_FIELDS = (Field("x", 0, _FLOAT32), Field("y", 4, _FLOAT32), Field("z", 8, _FLOAT32), Field("class_id", 12, _UINT8))
_POINT = np.dtype(
    {
        "names": [field.name for field in _FIELDS],
        "formats": ["<f4", "<f4", "<f4", "u1"],
        "offsets": [field.offset for field in _FIELDS],
        "itemsize": 16,
    }
)


@dataclass(frozen=True, eq=False)
class DisputedCloud:
    """A cloud of N points with both label sets."""

    cloud: Any
    """The message as it came."""
    student: Any
    """The student's labelled cloud, a message."""
    teacher: npt.NDArray[np.uint8]
    """(N,) the teacher's classes, 255 for none."""
    disagreement: float
    """Part of the points that both labelled on which they differ."""
    time_ns: int
    """When it was compared, since the epoch."""
    student_scheme: str
    """Name of the student's label scheme; empty where it is not known."""


class RawMessage(NamedTuple):
    """A message for a bag."""

    topic: str
    type: str
    raw: bytes
    qos: TopicQos


@dataclass(frozen=True)
class _String:
    """std_msgs/String."""

    data: str


def bag_messages(disputed: DisputedCloud, topic: str, teacher_scheme: str) -> Iterator[RawMessage]:
    """The cloud on its topic, the student's labels on TOPIC/predicted and the teacher's on TOPIC/teacher, and the names
    of their schemes where these are known.

    Raises:
        CloudError: the teacher's classes are not of this cloud.
        BagError: what was given is no message of a cloud.
    """
    student, teacher = topic + PREDICTED_SUFFIX, topic + TEACHER_SUFFIX
    clouds = {
        topic: disputed.cloud,
        student: disputed.student,
        teacher: teacher_message(disputed.cloud, disputed.teacher),
    }
    for name, message in clouds.items():
        yield RawMessage(name, CLOUD_TYPE, serialize(installed_store(CLOUD_TYPE), CLOUD_TYPE, message), TopicQos())
    for labels, scheme in ((student, disputed.student_scheme), (teacher, teacher_scheme)):
        if scheme:
            raw = serialize(installed_store(STRING_TYPE), STRING_TYPE, _String(scheme))
            yield RawMessage(labels + SCHEME_SUFFIX, STRING_TYPE, raw, _LATCHED)


def teacher_message(cloud: Any, class_id: npt.NDArray[np.uint8]) -> CloudMessage:
    """The teacher's labels in the layout of ground truth: 16 bytes a point, x y z and class_id at byte 12.

    Args:
        cloud: a PointCloud2 of N points; its header, height and width are kept.
        class_id: (N,).

    Raises:
        CloudError: the cloud is malformed, or has another number of points.
    """
    decoded = decode(cloud)
    if class_id.shape != (len(decoded.cloud),):
        raise CloudError(f"teacher's labels: {class_id.shape}, expected ({len(decoded.cloud)},)")
    rows = np.zeros(len(class_id), _POINT)
    rows["x"], rows["y"], rows["z"] = decoded.cloud.xyz.T
    rows["class_id"] = class_id
    height, width, is_dense = decoded.height, decoded.width, bool(cloud.is_dense)
    return cloud_message(cloud.header, height, width, _FIELDS, _POINT.itemsize, rows.tobytes(), is_dense=is_dense)
