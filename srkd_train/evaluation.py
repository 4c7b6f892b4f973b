# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores of a segmenter on a split: labels of every raw point, one confusion matrix."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from srkd.cloud import Cloud
from srkd.progress import Progress
from srkd.segmenter import Labels
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.sample import Sample
from srkd_train.data.subset import Picked
from srkd_train.data.workers import Carrying, Raising
from srkd_train.metrics import Score, ScoreMeter

PROTOCOLS = {
    "single": "one pass a cloud, labels mapped back to every raw point",
    "tta": "class probabilities summed over fragments and views, mapped back to every raw point",
}
"""Ways to label a cloud for a score: a call of the `Segmenter` itself, or `srkd_train.tta.label`."""


def evaluate(
    segment: Callable[[Cloud], Labels],
    clouds: LabelledClouds,
    indices: Sequence[int],
    *,
    absent_as_zero: bool = False,
    num_workers: int = 0,
    progress: Progress | None = None,
    keep: Callable[[int, Sample, Labels], None] | None = None,
) -> Score:
    """Score of a segmenter on some clouds of a data set.

    Points that the segmenter gives no class (255) are not counted; the score says how many of them carry a label.

    Args:
        segment: a `Segmenter` (the `single` protocol), or anything that labels every point of a cloud.
        clouds: the data set, in the scheme of the segmenter.
        indices: which clouds.
        absent_as_zero: see `Score`.
        num_workers: processes that read clouds ahead.
        progress: is moved on by one per cloud.
        keep: gets index, cloud and labels of each.
    """
    meter = ScoreMeter(clouds.scheme.class_names, absent_as_zero=absent_as_zero)
    loader = DataLoader(
        Carrying(Picked(clouds, indices)), batch_size=None, shuffle=False, num_workers=num_workers, collate_fn=_as_is
    )
    samples: Raising[Sample] = Raising(loader)
    for index, sample in zip(indices, samples, strict=True):
        labels = segment(sample.cloud)
        meter.update(torch.from_numpy(labels.class_id), torch.from_numpy(sample.label))
        if keep is not None:
            keep(index, sample, labels)
        if progress is not None:
            so_far = meter.compute().miou if progress.due else math.nan
            progress.step("" if math.isnan(so_far) else f"mIoU so far {100 * so_far:.1f} %")
    return meter.compute()


def _as_is(item: Any) -> Any:
    return item
