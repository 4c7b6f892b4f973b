# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The decoder against ROS's own `sensor_msgs_py`, on messages that the latter reads rightly.

It ignores row padding, turns organised clouds around and changes big-endian messages: those are left out. A message is
a real sensor_msgs one, so that its checks of types are passed too.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from cloud_strategies import MadeCloud, fuzz, made_clouds
from hypothesis import given

from srkd.io.pointcloud2 import decode, read_fields, select_points

pytestmark = pytest.mark.filterwarnings("error")


@given(made_clouds(min_size=1, max_width=8, max_height=1, plain=True))
@fuzz(0.05)
def test_both_read_the_same(made: MadeCloud) -> None:
    point_cloud2 = pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="needs sensor_msgs_py (a ROS distribution has it)"
    )
    from sensor_msgs.msg import PointCloud2, PointField

    raw = made.message
    message = PointCloud2(
        height=raw.height,
        width=raw.width,
        fields=[PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in raw.fields],
        is_bigendian=False,
        point_step=raw.point_step,
        row_step=raw.row_step,
        data=array("B", bytes(raw.data)),
        is_dense=False,
    )
    theirs: Any = point_cloud2.read_points(message, skip_nans=False)
    decoded = decode(message)
    with np.errstate(over="ignore"):
        for index, axis in enumerate("xyz"):
            np.testing.assert_array_equal(decoded.cloud.xyz[:, index], theirs[axis].astype(np.float32))
    single = [f.name for f in raw.fields if f.count == 1]
    for name, column in read_fields(message, single).items():
        assert column.dtype == theirs[name].dtype
        np.testing.assert_array_equal(column, theirs[name])
    every = np.ones(raw.width, np.bool_)
    assert select_points(message, every) == message.data
