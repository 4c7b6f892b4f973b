# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 side: PointCloud2 in, per-point labels out."""

from pkgutil import extend_path

# The compiled messages (srkd_ros.msg, srkd_ros.srv) exist only where the package is installed; a source tree that
# stands before it on the path finds them there.
__path__ = extend_path(__path__, __name__)
