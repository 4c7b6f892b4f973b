# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the teacher node publishes for a pair of a cloud and the student's labels."""

from __future__ import annotations

import math
from array import array

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField

from srkd.labels import IGNORE
from srkd_ros.comparison import Window, agreement, iou
from srkd_ros.counts import Counts
from srkd_ros.frame import LabelledFrame
from srkd_ros.msg import ComparisonReport
from srkd_ros.topics import Topics

_FIELDS = (
    ("x", "<f4", 0, PointField.FLOAT32),
    ("y", "<f4", 4, PointField.FLOAT32),
    ("z", "<f4", 8, PointField.FLOAT32),
    ("rgb", "<u4", 12, PointField.FLOAT32),  # RViz wants packed colours as FLOAT32
    ("student_id", "u1", 16, PointField.UINT8),
    ("teacher_id", "u1", 17, PointField.UINT8),
)
_POINT = np.dtype(
    {
        "names": [field[0] for field in _FIELDS],
        "formats": [field[1] for field in _FIELDS],
        "offsets": [field[2] for field in _FIELDS],
        "itemsize": 20,
    }
)


class TeacherOutputs:
    """Publishers of the teacher node, there while it is configured."""

    def __init__(self, topics: Topics) -> None:
        """
        Raises:
            ConfigError: an override of the quality of service cannot be used.
        """
        self.comparison = topics.open(ComparisonReport, "~/comparison", 5)
        self.disagreement = topics.open(PointCloud2, "~/output/disagreement", 2)

    def wanted(self) -> bool:
        """Whether anybody subscribes."""
        return any(publisher.get_subscription_count() for publisher in (self.comparison, self.disagreement))


def comparison_message(
    source: PointCloud2,
    counts: npt.NDArray[np.int64],
    window: Window,
    latency_ms: tuple[float, float],
    totals: Counts,
    unmatched: int,
) -> ComparisonReport:
    """How far both agree.

    Args:
        source: the cloud.
        counts: (C, C) of this cloud, see `srkd_ros.comparison.confusion`.
        window: the last clouds, this one included.
        latency_ms: the student's and the teacher's; NaN where unknown.
        totals: this pair included.
        unmatched: clouds and labels that left the buffer alone.
    """
    return ComparisonReport(
        header=source.header,
        num_points=int(counts.sum()),
        agreement=agreement(counts),
        mean_kl=math.nan,  # the labels carry the probability of one class only
        window_frames=len(window),
        window_agreement=agreement(window.counts),
        window_iou=iou(window.counts).tolist(),
        window_confusion=window.counts.reshape(-1).tolist(),
        student_ms=float(latency_ms[0]),
        teacher_ms=float(latency_ms[1]),
        compared=totals.labelled,
        unmatched=unmatched,
        skipped=totals.dropped + totals.skipped,
    )


def disagreement_message(
    source: PointCloud2, frame: LabelledFrame, student: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]
) -> PointCloud2:
    """The points that both labelled, but differently, in the teacher's colours: x y z rgb student_id teacher_id.

    Args:
        source: the cloud, N points.
        frame: the teacher's labels.
        student: (N,) the student's classes.
        palette: (256, 3) colour of every class.
    """
    teacher = frame.labels.class_id
    differ = np.flatnonzero((teacher != student) & (teacher != IGNORE) & (student != IGNORE))
    points = np.zeros(len(differ), _POINT)
    for index, axis in enumerate("xyz"):
        points[axis] = frame.decoded.cloud.xyz[differ, index]
    color = palette[teacher[differ]].astype("<u4")
    points["rgb"] = color[:, 0] << 16 | color[:, 1] << 8 | color[:, 2]
    points["student_id"], points["teacher_id"] = student[differ], teacher[differ]
    return PointCloud2(
        header=source.header,
        height=1,
        width=len(points),
        fields=[PointField(name=name, offset=offset, datatype=kind, count=1) for name, _, offset, kind in _FIELDS],
        is_bigendian=False,
        point_step=_POINT.itemsize,
        row_step=points.nbytes,
        data=array("B", points.tobytes()),
        is_dense=True,
    )
