# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Intensity scales: sensors report 0 to 1, 0 to 255 or raw counts, and a network fed the wrong one fails silently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from srkd.cloud import Cloud
from srkd.input_spec import InputSpec

_UNIT_LIMIT = 2.0
"""Above this, intensities are not on a scale of 0 to 1."""
_BYTE = 255.0


def match_intensity(cloud: Cloud, spec: InputSpec) -> tuple[Cloud, str | None]:
    """Brings a cloud's intensities onto the scale that a network was trained on, where they are plainly on another.

    Args:
        cloud: as read.
        spec: what the network wants: ``divide_255`` means raw values of 0 to 255, ``as_is`` of 0 to 1; for ``tanh``
            (raw counts) nothing is changed. Where a cloud has none, zeros.

    Returns:
        The cloud, and one line that says what was changed, or None.
    """
    if "intensity" not in spec.features:
        return cloud, None
    if cloud.intensity is None:
        zeros = np.zeros(len(cloud), np.float32)
        return replace(cloud, intensity=zeros), "no intensity: taken as 0, expect poorer labels"
    if spec.intensity == "tanh":
        return cloud, None
    finite = cloud.intensity[np.isfinite(cloud.intensity)]
    largest = float(finite.max()) if len(finite) else 0.0
    if spec.intensity == "as_is" and largest > _UNIT_LIMIT:
        scaled = np.clip(cloud.intensity / np.float32(_BYTE), 0, 1)
        return replace(
            cloud, intensity=scaled
        ), "intensity of 0 to 255 divided by 255: the network was trained on 0 to 1"
    if spec.intensity == "divide_255" and 0 < largest <= 1:
        scaled = cloud.intensity * np.float32(_BYTE)
        return replace(cloud, intensity=scaled), "intensity of 0 to 1 times 255: the network was trained on 0 to 255"
    return cloud, None
