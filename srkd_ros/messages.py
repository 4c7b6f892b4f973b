# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the segment node publishes for a cloud, as ROS messages; the bytes inside are made by `srkd.io.pointcloud2`."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField

from srkd.io.pointcloud2 import (
    COLORED_FIELDS,
    COLORED_POINT_STEP,
    LABELLED_FIELDS,
    LABELLED_POINT_STEP,
    Decoded,
    Field,
    encode_colored,
    encode_labelled,
    select_points,
)
from srkd.segmenter import Labels
from srkd_ros.counts import OUTCOMES, Counts
from srkd_ros.frame import LabelledFrame
from srkd_ros.msg import SegmentationReport


def labelled_message(source: PointCloud2, decoded: Decoded, labels: Labels) -> PointCloud2:
    """The labelled cloud of `source`: 24 bytes a point, one point per input point in input order.

    Header, height, width and is_dense are the source's.

    Args:
        source: the message that was labelled.
        decoded: `srkd.io.pointcloud2.decode(source)`, N points.
        labels: of the N points.

    Raises:
        CloudError: labels and cloud differ in length.
    """
    data = encode_labelled(decoded.cloud.xyz, labels)
    return _cloud(source, decoded, LABELLED_FIELDS, LABELLED_POINT_STEP, data)


def colored_message(source: PointCloud2, frame: LabelledFrame, palette: npt.NDArray[np.uint8]) -> PointCloud2:
    """The cloud for RViz, x y z rgb, in input order.

    Args:
        source: the message that was labelled.
        frame: its labels.
        palette: (256, 3) colour of every class id.
    """
    data = encode_colored(frame.decoded.cloud.xyz, palette[frame.labels.class_id])
    return _cloud(source, frame.decoded, COLORED_FIELDS, COLORED_POINT_STEP, data)


def filtered_message(source: PointCloud2, frame: LabelledFrame, removed: Collection[int]) -> PointCloud2:
    """The points of `source` whose class is not in `removed`, in its own layout, as a cloud of height 1."""
    kept = np.ones(256, np.bool_)
    kept[list(removed)] = False
    data = select_points(source, kept[frame.labels.class_id])
    return PointCloud2(
        header=source.header,
        height=1,
        width=len(data) // source.point_step if source.point_step else 0,
        fields=source.fields,
        is_bigendian=source.is_bigendian,
        point_step=source.point_step,
        row_step=len(data),
        data=data,
        is_dense=source.is_dense,
    )


def report_message(
    source: PointCloud2, frame: LabelledFrame, num_classes: int, counts: Counts, times_ms: Mapping[str, float]
) -> SegmentationReport:
    """How the cloud was labelled.

    Args:
        source: the message that was labelled.
        frame: its labels.
        num_classes: of the network.
        counts: this cloud included.
        times_ms: wait, encode, publish, total and age, milliseconds; the stages of the frame are its own.
    """
    labels = frame.labels
    histogram = np.bincount(labels.class_id, minlength=256)
    labelled = int(histogram[:num_classes].sum())
    report = SegmentationReport(
        header=source.header,
        num_points=len(labels.class_id),
        num_valid=frame.num_valid,
        num_voxels=frame.num_voxels,
        class_counts=histogram[:num_classes].tolist(),
        # Points without a label have probability 0 and entropy NaN.
        mean_confidence=float(labels.probability.sum(dtype=np.float64)) / labelled if labelled else math.nan,
        mean_entropy=float(np.nansum(labels.entropy, dtype=np.float64)) / labelled if labelled else math.nan,
        received=counts.received,
        **{name: getattr(counts, name) for name in OUTCOMES},
    )
    for stage, milliseconds in {**frame.stage_ms, **times_ms}.items():
        setattr(report, f"{stage}_ms", float(milliseconds))
    return report


def _cloud(source: PointCloud2, decoded: Decoded, fields: Sequence[Field], point_step: int, data: Any) -> PointCloud2:
    return PointCloud2(
        header=source.header,
        height=decoded.height,
        width=decoded.width,
        fields=[PointField(name=field.name, offset=field.offset, datatype=field.datatype, count=1) for field in fields],
        is_bigendian=False,
        point_step=point_step,
        row_step=point_step * decoded.width,
        data=data,
        is_dense=source.is_dense,
    )
