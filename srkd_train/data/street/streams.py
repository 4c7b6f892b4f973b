# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Independent random streams: what one part of a street draws never shifts what another part draws."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """The generator of ``(seed, name...)``, e.g. ``stream(7, "trees")`` or ``stream(7, "scan", "beams32", 3)``."""
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in name]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))
