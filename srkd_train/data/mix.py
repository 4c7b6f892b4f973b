# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mix3D: two clouds in one place (Nekrasov et al., 3DV 2021), so that a network cannot lean on context alone.

The public recipe merges pairs of voxelised clouds, so that a place may hold a voxel of either. Here the points are
merged before they are voxelised and no voxel occurs twice: where clouds meet, one point of both stands for the voxel.
Clouds meet at their origins, the sensor or the room's corner; the public code lays the corners of their boxes together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd_train.data.sample import Sample


def merge_pairs(samples: Sequence[Sample]) -> list[Sample]:
    """Samples 0 and 1, 2 and 3 ... merged; the last of an odd number stays alone."""
    pairs = [samples[start : start + 2] for start in range(0, len(samples), 2)]
    return [merge(*pair) if len(pair) == 2 else pair[0] for pair in pairs]


def merge(one: Sample, other: Sample) -> Sample:
    """The points of both, those of the first before those of the second, with the columns that both have.

    Poses and instance ids go: they would not describe the whole.
    """
    a, b = one.cloud, other.cloud
    cloud = Cloud(
        np.concatenate([a.xyz, b.xyz]),
        intensity=_joined(a.intensity, b.intensity),
        color=_joined(a.color, b.color),
        normal=_joined(a.normal, b.normal),
        ring=_joined(a.ring, b.ring),
    )
    return Sample(cloud, np.concatenate([one.label, other.label]), f"{one.name}+{other.name}")


def _joined(one: npt.NDArray[Any] | None, other: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    return None if one is None or other is None else np.concatenate([one, other])
