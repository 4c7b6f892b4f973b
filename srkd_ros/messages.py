# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What this package publishes, as ROS messages; the bytes inside are made by `srkd.io.pointcloud2`."""

from __future__ import annotations

from sensor_msgs.msg import PointCloud2, PointField

from srkd.io.pointcloud2 import LABELLED_FIELDS, LABELLED_POINT_STEP, Decoded, encode_labelled
from srkd.segmenter import Labels


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
    return PointCloud2(
        header=source.header,
        height=decoded.height,
        width=decoded.width,
        fields=[
            PointField(name=field.name, offset=field.offset, datatype=field.datatype, count=1)
            for field in LABELLED_FIELDS
        ],
        is_bigendian=False,
        point_step=LABELLED_POINT_STEP,
        row_step=LABELLED_POINT_STEP * decoded.width,
        data=encode_labelled(decoded.cloud.xyz, labels),
        is_dense=source.is_dense,
    )
