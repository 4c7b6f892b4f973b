# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds of several moments as one: thinned, moved and put behind the newest. Plain functions, without ROS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch

from srkd.cloud import Cloud
from srkd.io.pointcloud2 import Decoded
from srkd.voxel import voxelize, within_reach
from srkd_ros.motion import Floats


def measured(decoded: Decoded, voxel_m: float = 0.0) -> Decoded:
    """The points of a cloud that are measurements, in their order: a no-return that is moved would look like one.

    Args:
        decoded: a message; the result has height 1.
        voxel_m: edge of voxels of which each keeps its first point; 0: all points are kept.
    """
    keep = decoded.valid if not voxel_m else decoded.valid & within_reach(decoded.cloud.xyz, voxel_m)
    index = np.flatnonzero(keep)
    if voxel_m and len(index):
        voxels = voxelize(torch.from_numpy(decoded.cloud.xyz[index]), voxel_m)
        index = index[np.sort(voxels.point.numpy())]
    return replace(decoded, cloud=decoded.cloud.select(index), height=1, width=len(index))


def moved(decoded: Decoded, motion: Floats) -> Decoded:
    """A cloud in other coordinates.

    Args:
        decoded: the cloud.
        motion: (4, 4), from its coordinates to the wanted ones.
    """
    cloud, turn = decoded.cloud, motion[:3, :3].astype(np.float32)
    xyz = cloud.xyz @ turn.T + motion[:3, 3].astype(np.float32)
    normal = None if cloud.normal is None else cloud.normal @ turn.T
    return replace(decoded, cloud=replace(cloud, xyz=xyz, normal=normal, ring=None))


def joined(newest: Cloud, past: Sequence[Cloud]) -> Cloud:
    """One cloud: the newest, then the others; columns that any of them lacks are left out."""
    if not past:
        return newest
    clouds = (newest, *past)

    def column(name: str) -> np.ndarray | None:
        parts = [getattr(cloud, name) for cloud in clouds]
        return None if any(part is None for part in parts) else np.concatenate(parts)

    xyz = np.concatenate([cloud.xyz for cloud in clouds])
    return Cloud(xyz, column("intensity"), column("color"), column("normal"))


def within(max_points: int, newest: int, past: Iterable[Decoded]) -> tuple[Decoded, ...]:
    """As many of the past clouds, from the first on, as together with the `newest` points are `max_points` at most."""
    kept = []
    for decoded in past:
        newest += len(decoded.cloud)
        if newest > max_points:
            break
        kept.append(decoded)
    return tuple(kept)
