# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the teacher node publishes for a pair of a cloud and the student's labels."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField

from srkd_ros.agreement import Books
from srkd_ros.comparison import Comparison, Window
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
    """Publishers of what a teacher finds, there while its node is configured."""

    def __init__(self, topics: Topics) -> None:
        """
        Raises:
            ConfigError: an override of the quality of service cannot be used.
        """
        self.comparison = topics.open(ComparisonReport, "~/comparison", 5)
        self.disagreement = topics.open(PointCloud2, "~/output/disagreement", 2)


def comparison_message(
    source: PointCloud2, comparison: Comparison, window: Window, latency_ms: tuple[float, float], books: Books
) -> ComparisonReport:
    """How far both agree.

    Args:
        source: the cloud.
        comparison: of this cloud.
        window: the last clouds, this one included.
        latency_ms: the student's and the teacher's; NaN where unknown.
        books: this pair not yet counted as compared.
    """
    pairs, median_ms = books.pairs.plus("labelled"), window.median_ms()
    return ComparisonReport(
        header=source.header,
        num_points=comparison.num_points,
        window_frames=len(window),
        window_points=window.total.num_points,
        window_student_ms=median_ms[0],
        window_teacher_ms=median_ms[1],
        student_ms=float(latency_ms[0]),
        teacher_ms=float(latency_ms[1]),
        clouds=books.clouds,
        labels=books.labels,
        matched=pairs.received,
        unmatched=books.unmatched,
        waiting=books.waiting,
        compared=pairs.labelled,
        skipped=books.skipped,
        rejected=pairs.rejected,
        in_work=pairs.in_work,
        **_figures("", comparison),
        **_figures("window_", window.total),
    )


def _figures(prefix: str, comparison: Comparison) -> dict[str, Any]:
    calibration = comparison.calibration
    figures = {
        "agreement": comparison.agreement,
        "iou": comparison.iou().tolist(),
        "confusion": comparison.confusion.reshape(-1).tolist(),
        "calibration_error": calibration.error(),
        "calibration_count": calibration.count.tolist(),
        "calibration_agreeing": calibration.agreeing.tolist(),
        "calibration_probability": calibration.mean_probability().tolist(),
        "mean_kl": comparison.mean_kl,
    }
    return {prefix + name: figure for name, figure in figures.items()}


def disagreement_message(
    source: PointCloud2,
    frame: LabelledFrame,
    student: npt.NDArray[np.uint8],
    differ: npt.NDArray[np.bool_],
    palette: npt.NDArray[np.uint8],
) -> PointCloud2:
    """The points on which both differ, in the teacher's colours: x y z rgb student_id teacher_id.

    Args:
        source: the cloud, N points.
        frame: the teacher's labels.
        student: (N,) the student's classes, in its own scheme.
        differ: (N,) which points these are.
        palette: (256, 3) colour of every class of the teacher.
    """
    chosen, teacher = np.flatnonzero(differ), frame.labels.class_id
    points = np.zeros(len(chosen), _POINT)
    for index, axis in enumerate("xyz"):
        points[axis] = frame.decoded.cloud.xyz[chosen, index]
    color = palette[teacher[chosen]].astype("<u4")
    points["rgb"] = color[:, 0] << 16 | color[:, 1] << 8 | color[:, 2]
    points["student_id"], points["teacher_id"] = student[chosen], teacher[chosen]
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
