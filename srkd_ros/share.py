# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where this package's configuration, launch files and RViz configuration lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def share_folder() -> Path:
    """The folder that holds `config/`, `launch/` and `rviz/` of the very package that runs.

    That is the root of a source checkout, or `share/srkd_ros` of the prefix that the package is installed below: an
    environment or a workspace. The ament index, which may name another installation, is asked last.
    """
    package = Path(__file__).parent.absolute()  # not resolved: a workspace may hold links into its source
    checkout = package.parent
    if (checkout / "CMakeLists.txt").exists() and (checkout / "config").is_dir():
        return checkout
    prefixes = [
        *package.parents,
        Path(sys.prefix),
        *map(Path, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)),
    ]
    folders = [prefix / "share" / "srkd_ros" for prefix in prefixes]
    return next((folder for folder in folders if (folder / "package.xml").exists()), checkout)
