# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 side: PointCloud2 in, per-point labels out."""
