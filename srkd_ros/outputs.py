# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The topics on which the segment node publishes what it makes of a cloud."""

from __future__ import annotations

from sensor_msgs.msg import PointCloud2

from srkd_ros.msg import SegmentationReport
from srkd_ros.topics import Topics


class Outputs:
    """Publishers of the segment node, there while it is configured."""

    def __init__(self, topics: Topics) -> None:
        """
        Raises:
            ConfigError: an override of the quality of service cannot be used.
        """
        self.points = topics.open(PointCloud2, "~/output/points", 2)
        self.colored = topics.open(PointCloud2, "~/output/colored", 2)
        self.filtered = topics.open(PointCloud2, "~/output/filtered", 2)
        self.report = topics.open(SegmentationReport, "~/report", 5)

    def wanted(self) -> bool:
        """Whether anybody subscribes to what a cloud is labelled for."""
        return any(
            publisher.get_subscription_count() for publisher in (self.points, self.colored, self.filtered, self.report)
        )
