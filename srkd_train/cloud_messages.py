# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds and their ground truth as PointCloud2 messages for a bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.io.bags import (
    CLOUD_TYPE,
    LABELS_SUFFIX,
    SCHEME_SUFFIX,
    BagWriter,
    CloudMessage,
    TopicQos,
    cloud_message,
    make_header,
)
from srkd.io.message_layout import Field

STRING_TYPE = "std_msgs/msg/String"
TRUTH_POINT_STEP = 16
_UINT8, _UINT16, _FLOAT32 = 2, 4, 7
_DATATYPES = {"u1": _UINT8, "<u2": _UINT16, "<f4": _FLOAT32}


@dataclass(frozen=True)
class _String:
    """std_msgs/String."""

    data: str


def points_message(
    cloud: Cloud, stamp_ns: int, frame_id: str, *, time_s: npt.NDArray[np.float32] | None = None
) -> CloudMessage:
    """A cloud as drivers send it: packed x y z, and where it has them intensity, ring, time, rgb and normals.

    With intensity, ring and time a point is 22 bytes and its time unaligned, as Velodyne's driver has it.

    Args:
        stamp_ns: since the epoch.
        time_s: (N,) seconds from the stamp to each point, or None.
    """
    columns: dict[str, tuple[str, npt.NDArray[Any]]] = {
        axis: ("<f4", cloud.xyz[:, index]) for index, axis in enumerate("xyz")
    }
    if cloud.intensity is not None:
        columns["intensity"] = ("<f4", cloud.intensity)
    if cloud.ring is not None:
        columns["ring"] = ("<u2", np.clip(cloud.ring, 0, 65535))
    if time_s is not None:
        columns["time"] = ("<f4", time_s)
    if cloud.color is not None:
        wide = cloud.color.astype("<u4")
        columns["rgb"] = ("<f4", (wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]).view("<f4"))
    if cloud.normal is not None:
        columns |= {f"normal_{axis}": ("<f4", cloud.normal[:, index]) for index, axis in enumerate("xyz")}
    rows = np.empty(len(cloud), [(name, kind) for name, (kind, _) in columns.items()])
    for name, (_, values) in columns.items():
        rows[name] = values
    return _message(rows, stamp_ns, frame_id, rows.dtype.itemsize, is_dense=bool(np.isfinite(cloud.xyz).all()))


def truth_message(cloud: Cloud, label: npt.NDArray[np.uint8], stamp_ns: int, frame_id: str) -> CloudMessage:
    """The ground truth of a cloud: 16 bytes a point, x y z and class_id at byte 12; 255 where there is no label."""
    rows = np.zeros(len(cloud), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("class_id", "u1"), ("pad", "V3")])
    rows["x"], rows["y"], rows["z"] = cloud.xyz.T
    rows["class_id"] = label
    return _message(rows, stamp_ns, frame_id, TRUTH_POINT_STEP, is_dense=bool(np.isfinite(cloud.xyz).all()))


def write_scheme(writer: BagWriter, topic: str, scheme: str, time_ns: int) -> None:
    """Writes the name of the scheme of a topic's labels, latched, so that late subscribers get it too."""
    name = topic + SCHEME_SUFFIX
    writer.add_topic(name, STRING_TYPE, qos=TopicQos(durability="transient_local", depth=1))
    writer.write_message(name, STRING_TYPE, time_ns, _String(scheme))


def write_sample(
    writer: BagWriter,
    topic: str,
    message: CloudMessage,
    truth: CloudMessage | None,
    time_ns: int,
) -> None:
    """Writes a cloud and, where it is known, its ground truth under the same stamp."""
    writer.write_message(topic, CLOUD_TYPE, time_ns, message)
    if truth is not None:
        writer.write_message(topic + LABELS_SUFFIX, CLOUD_TYPE, time_ns, truth)


def _message(rows: npt.NDArray[Any], stamp_ns: int, frame_id: str, point_step: int, *, is_dense: bool) -> CloudMessage:
    fields = [
        Field(name, int(offset), _DATATYPES["u1" if dtype.itemsize == 1 else dtype.str])
        for name, (dtype, offset, *_) in (rows.dtype.fields or {}).items()
        if name != "pad"
    ]
    header = make_header(stamp_ns, frame_id)
    return cloud_message(header, 1, len(rows), fields, point_step, rows.tobytes(), is_dense=is_dense)
