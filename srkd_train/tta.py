# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The `tta` protocol: every point passes through the network, in several views of the cloud, and the scores add up.

A fragment is one point of every voxel; there are as many fragments as the fullest voxel has points, and voxels with
fewer points go through theirs again. So each fragment has the voxels of the whole cloud, and all share one plan. The
class probabilities of a point are summed over the fragments it is in and over all views ([C]).

Where the public recipe draws a point at random, the first one in order is taken here: the same cloud gives the same
labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from srkd.cloud import Cloud
from srkd.labels import IGNORE
from srkd.segmenter import Labels, Segmenter
from srkd.voxel import voxelize


@dataclass(frozen=True)
class View:
    """A cloud turned about z, scaled and mirrored, in this order. Normals turn along."""

    turn_deg: float = 0.0
    scale: float = 1.0
    mirror: bool = False
    """Mirror x and y, both: what a flip of the public recipe with probability 1 does."""

    def __call__(self, cloud: Cloud) -> Cloud:
        angle, sign = math.radians(self.turn_deg), -1.0 if self.mirror else 1.0
        # Rounded, so that quarter turns are exact.
        cos, sin = round(math.cos(angle), 12) * sign, round(math.sin(angle), 12) * sign
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        normal = None if cloud.normal is None else (cloud.normal @ turn.T).astype(np.float32)
        return replace(cloud, xyz=(cloud.xyz @ (turn.T * self.scale)).astype(np.float32), normal=normal)


@dataclass(frozen=True)
class Recipe:
    """How a data set is looked at."""

    views: tuple[View, ...]
    thin_voxels: float | None = None
    """Before anything else, one point is kept of each cell of this edge, in voxels; the others get its label."""

    def __str__(self) -> str:
        thinned = "" if self.thin_voxels is None else f", one point a cell of {self.thin_voxels:g} voxels"
        return f"{len(self.views)} views{thinned}"


OUTDOOR = Recipe(tuple(View(scale=s, mirror=m) for m in (False, True) for s in (0.9, 0.95, 1.0, 1.05, 1.1)), 0.5)
"""The public recipe of nuScenes [C], taken for all real drives: 5 scales, each as it is and mirrored."""
INDOOR = Recipe(
    (*(View(turn_deg=turn, scale=s) for s in (1.0, 0.95, 1.05) for turn in (0, 90, 180, 270)), View(mirror=True))
)
"""The public recipe of ScanNet [C]: 4 quarter turns at 3 scales, and mirrored; on the vertices as they are."""

STREET = Recipe(tuple(View(turn_deg=turn) for turn in (0, 90, 180, 270)), 0.5)
"""Ours for synthetic streets: headings are arbitrary there, but sizes are not, and networks trained on them with scales
of 0.95 to 1.05 lose 15 points of mIoU in the views at 0.9 and 1.1."""


def recipe_of(data: str) -> Recipe:
    """The recipe of a data set by name."""
    return {"scannet": INDOOR, "street": STREET}.get(data, OUTDOOR)


def label(segmenter: Segmenter, cloud: Cloud, recipe: Recipe) -> Labels:
    """Labels every point of a cloud by fragments and views.

    Args:
        segmenter: labels in its device, precision and backend.
        cloud: N points.
        recipe: the views.

    Returns:
        Class of the largest sum; its probability and the entropy are of the mean over all fragments and views.

    Raises:
        CloudError: the cloud lacks what the network needs.
    """
    spec = segmenter.header.input
    labels = Labels.none(len(cloud))
    shrunk = min(1.0 / max(view.scale for view in recipe.views), recipe.thin_voxels or 1.0, 1.0)
    in_reach = (np.abs(cloud.xyz) < segmenter.reach_m * shrunk).all(axis=1)
    index = np.flatnonzero(spec.valid_mask(cloud.xyz) & in_reach)
    if not len(index):
        return labels
    kept, inverse = cloud.select(index), None
    if recipe.thin_voxels is not None:
        cells = voxelize(torch.from_numpy(kept.xyz), spec.voxel_size_m * recipe.thin_voxels)
        point, in_order = cells.point.sort()
        kept, inverse = kept.select(point.numpy()), in_order.argsort()[cells.inverse].to(segmenter.device)
    with torch.inference_mode():
        total = sum(summed_probabilities(segmenter, view(kept)) for view in recipe.views)
        assert isinstance(total, Tensor)
        mean = total / total.sum(dim=1, keepdim=True)
        entropy = torch.special.entr(mean).sum(dim=1) / math.log(max(2, mean.shape[1]))
        best, class_id = mean.max(dim=1)
        broken = best.isnan()
        for target, value in (
            (labels.class_id, class_id.to(torch.uint8).masked_fill(broken, IGNORE)),
            (labels.probability, best.masked_fill(broken, 0.0)),
            (labels.entropy, entropy),
        ):
            target[index] = (value if inverse is None else value[inverse]).cpu().numpy()
    return labels


def summed_probabilities(segmenter: Segmenter, cloud: Cloud) -> Tensor:
    """Class probabilities of every point, summed over the fragments of one view: (N, K) float32 on the device.

    Args:
        segmenter: labels.
        cloud: N >= 1 points, all finite and in reach.
    """
    spec = segmenter.header.input
    device = segmenter.device
    features = np.nan_to_num(spec.make_features(cloud), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    inputs = torch.from_numpy(features).to(device)
    total = torch.zeros(len(cloud), segmenter.header.scheme.num_classes, device=device)
    with torch.inference_mode():
        voxels = voxelize(torch.from_numpy(cloud.xyz).to(device), spec.voxel_size_m)
        plan = segmenter.plan(voxels.grid_coord)
        for point in fragments(voxels.inverse):
            total[point] += segmenter.logits(inputs[point], plan).float().softmax(dim=1)
    return total


def fragments(voxel: Tensor) -> Iterator[Tensor]:
    """Splits points into fragments.

    Args:
        voxel: (N,) int64 voxel of each point, 0 to M - 1, none of them empty.

    Yields:
        (M,) int64 point of each voxel: the k-th fragment has point k modulo n of a voxel of n points, in input order.
    """
    order = torch.argsort(voxel, stable=True)
    points = torch.bincount(voxel)
    first = torch.cumsum(points, 0) - points
    for k in range(int(points.max())):
        yield order[first + k % points]
