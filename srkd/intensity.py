# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Intensity scales: sensors report 0 to 1, 0 to 255 or raw counts, and a network fed the wrong one fails silently.

The scale is read off the values of one cloud and nothing else, so the same cloud is always treated alike, whatever
came before it. Two rules keep it from changing between the frames of a sensor: whole numbers are never fractions,
however dark the frame (integer fields hold nothing else, and drivers that report 0 to 255 in floats send whole
numbers); and a few outliers decide nothing. One case stays open: 0 to 255 in fractions, as averaging makes them, in a
frame with hardly a value above 2.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from srkd.cloud import Cloud
from srkd.input_spec import InputSpec

_UNIT_LIMIT = 2.0
"""Above this, intensities are not on a scale of 0 to 1."""
_BYTE = 255.0
_OUTLIERS = 0.01
"""Share of the positive values that may contradict a scale."""

POORER = "expect poorer labels"
"""Stands in every note of a cloud that no scale can help."""
_MISSING = f"no intensity: taken as 0, {POORER}"
_ZERO = f"intensity is 0 throughout: {POORER}"
_BYTES_TO_UNIT = "intensity of 0 to 255 divided by 255: the network was trained on 0 to 1"
_UNIT_TO_BYTES = "intensity of 0 to 1 times 255: the network was trained on 0 to 255"
_COUNTS = "intensity counts far beyond 255 cut at 255: a calibrated field, such as reflectivity, gives better labels"


def match_intensity(cloud: Cloud, spec: InputSpec) -> tuple[Cloud, str | None]:
    """Brings a cloud's intensities onto the scale that a network was trained on, where they are plainly on another.

    Args:
        cloud: as read.
        spec: what the network wants: ``as_is`` means values of 0 to 1, ``divide_255`` of 0 to 255, ``tanh`` fractions
            that may be large. Where a cloud has no intensity, zeros.

    Returns:
        The cloud, and one line that says what was changed or cannot be mended, or None. The lines hold no numbers of
        the cloud: the same finding is always the same line. Values that are not finite become 0 and outliers are cut
        to the scale, without a line: a single absurd value would spoil the labels of the points around it.
    """
    if "intensity" not in spec.features:
        return cloud, None
    values = cloud.intensity
    if values is None:
        return replace(cloud, intensity=np.zeros(len(cloud), np.float32)), _MISSING if len(cloud) else None
    positive = values[(values > 0) & (values < np.inf)]
    outliers = int(_OUTLIERS * len(positive))
    fractions = np.count_nonzero(positive != np.rint(positive)) > outliers and (
        spec.intensity == "tanh" or np.count_nonzero(positive > _UNIT_LIMIT) <= outliers
    )
    limit, factor, note = _BYTE, 1.0, None
    if not len(positive):
        note = _ZERO if len(values) else None
    elif fractions and spec.intensity == "divide_255":
        limit, factor, note = 1.0, _BYTE, _UNIT_TO_BYTES
    elif fractions:
        limit = np.inf if spec.intensity == "tanh" else _UNIT_LIMIT
    else:
        if spec.intensity != "divide_255":
            factor, note = 1 / _BYTE, _BYTES_TO_UNIT
        if np.count_nonzero(positive > _BYTE) > outliers:
            note = _COUNTS
    if not ((values >= 0) & (values <= limit) & (values < np.inf)).all():
        values = np.clip(np.nan_to_num(values, nan=0, posinf=0, neginf=0), 0, limit)
    if factor != 1:
        values = values * np.float32(factor)
    return cloud if values is cloud.intensity else replace(cloud, intensity=values), note
