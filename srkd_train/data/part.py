# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Some clouds of a data set, and how to speak of them."""

from dataclasses import dataclass
from typing import Literal

from srkd_train.data.loader import LabelledClouds


@dataclass(frozen=True)
class Part:
    """Some clouds of a data set, and how to speak of them."""

    clouds: LabelledClouds
    described: str
    """Which clouds, in words, for a checkpoint's header."""
    group: int = 1
    """Clouds that are made together."""
    digest: str | None = None
    """Of what they are, where a path alone does not say it: bags."""
    note: str | None = None
    """What a user should know about them, in one line."""
    kind: Literal["raw", "dense"] = "raw"
    """Clouds as a sensor sees them, or several brought together."""
    dense_sha256: str | None = None
    """Of how dense clouds were made."""
    dense: "Part | None" = None
    """The dense clouds of the same places, one by one, that a teacher looks at."""
