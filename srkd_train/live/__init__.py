# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Live runs: the real node, replay and recorder as processes of their own, and what came of it. Imports no ROS."""
