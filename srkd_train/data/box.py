# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A box around an object, as data sets annotate them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Box:
    """A box at one time.

    Args:
        key: the object's, the same in all boxes of it.
        time_us: when.
        pose: (4, 4), box (x along its length, origin in the middle) to the world.
        size_m: (3,) length, width, height.
    """

    key: str
    time_us: int
    pose: npt.NDArray[np.float64]
    size_m: npt.NDArray[np.float64]
