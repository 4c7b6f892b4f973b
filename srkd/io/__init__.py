# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds in and out: files, label files and PointCloud2 bytes. numpy only."""
