# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The `single` protocol: one pass a cloud, labels mapped back to every raw point, one confusion matrix a split."""

from collections.abc import Callable, Sequence

import torch
from torch.utils.data import DataLoader, Dataset

from srkd.cloud import Cloud
from srkd.progress import Progress
from srkd.segmenter import Labels
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.sample import Sample
from srkd_train.metrics import Score, ScoreMeter


class _Picked(Dataset[Sample]):
    def __init__(self, clouds: LabelledClouds, indices: Sequence[int]) -> None:
        self.clouds = clouds
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Sample:
        return self.clouds[self.indices[position]]


def evaluate(
    segment: Callable[[Cloud], Labels],
    clouds: LabelledClouds,
    indices: Sequence[int],
    *,
    absent_as_zero: bool = False,
    num_workers: int = 0,
    progress: Progress | None = None,
) -> Score:
    """Score of a segmenter on some clouds of a data set.

    Points that the segmenter gives no class (255) are not counted; the score says how many of them carry a label.

    Args:
        segment: a `Segmenter`, or anything that labels every point of a cloud.
        clouds: the data set, in the scheme of the segmenter.
        indices: which clouds.
        absent_as_zero: see `Score`.
        num_workers: processes that read clouds ahead.
        progress: is moved on by one per cloud.
    """
    meter = ScoreMeter(clouds.scheme.class_names, absent_as_zero=absent_as_zero)
    samples = DataLoader(_Picked(clouds, indices), batch_size=None, shuffle=False, num_workers=num_workers)
    for sample in samples:
        class_id = segment(sample.cloud).class_id
        meter.update(torch.from_numpy(class_id), torch.from_numpy(sample.label))
        if progress is not None:
            progress.step(f"mIoU so far {100 * meter.compute().miou:.1f} %" if progress.due else "")
    return meter.compute()
