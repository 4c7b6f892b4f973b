# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The experiments: which runs each consists of, running them once and for all, and the tables they come to."""
