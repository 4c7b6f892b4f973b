# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense clouds: frames of a sequence brought together in the coordinates of each, made ahead and kept in files."""
