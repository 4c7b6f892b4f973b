# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training of point-cloud segmentation networks by distillation, and the `srkd` command."""
