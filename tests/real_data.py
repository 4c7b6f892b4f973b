# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where real sensor data is, for tests that need it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def real_data(*parts: str) -> Path:
    """A path inside $SRKD_DATA (default ../shared/data beside the project); skips the test where it is absent."""
    path = Path(os.environ.get("SRKD_DATA") or ROOT / ".." / "shared" / "data").joinpath(*parts).resolve()
    if not path.exists():
        pytest.skip(f"needs real data, {'/'.join(parts)} in $SRKD_DATA")
    return path
