# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets, one adapter a module, and the way from their samples to training batches."""
