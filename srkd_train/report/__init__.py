# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pages of bags and training runs: HTML files with everything in them, readable without a network."""
