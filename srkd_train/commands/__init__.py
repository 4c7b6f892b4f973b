# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The verbs of the `srkd` command, one module each: ``main(argv) -> exit code``."""
