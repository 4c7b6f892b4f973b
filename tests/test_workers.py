# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of data-loader workers reach the command in one line; bounds and reach in training."""

import numpy as np
import pytest
from numpy.random import default_rng
from torch.utils.data import DataLoader

from srkd.cloud import Cloud
from srkd.errors import CloudError
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd.segmenter import Labels
from srkd_train.data.batch import prepare
from srkd_train.data.sample import Sample
from srkd_train.data.workers import Carrying, Raising
from srkd_train.evaluation import evaluate


class Damaged:
    """Two clouds; the second cannot be read."""

    scheme = get_scheme("street")

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        if index == 1:
            raise CloudError("b.bin: 3 bytes too many; copy it again")
        return Sample(Cloud(np.ones((4, 3), np.float32)), np.zeros(4, np.uint8), "a")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_is_the_error_itself(workers: int) -> None:
    items: Raising[Sample] = Raising(
        DataLoader(Carrying(Damaged()), batch_size=None, num_workers=workers, collate_fn=lambda item: item)
    )
    assert next(items).name == "a"
    with pytest.raises(CloudError, match=r"^b\.bin: 3 bytes too many; copy it again$"):
        next(items)


@pytest.mark.parametrize("workers", [0, 1])
def test_evaluation_says_it_in_one_line(workers: int) -> None:
    with pytest.raises(CloudError, match=r"^b\.bin: 3 bytes too many; copy it again$"):
        evaluate(lambda cloud: Labels.none(len(cloud)), Damaged(), [0, 1], num_workers=workers)


def test_the_range_is_cut_before_augmentation_only() -> None:
    xyz = np.array([[5, 0, 0], [-5, 0, 0], [np.nan, 0, 0]], np.float32)
    sample = Sample(Cloud(xyz, intensity=np.ones(3, np.float32)), np.zeros(3, np.uint8), "a")
    spec = InputSpec(0.1, range_m=(0, -10, -1, 10, 10, 1))
    assert len(prepare(sample, spec).label) == 1
    assert len(prepare(sample, spec, train_rng=default_rng(0)).label) == 2


def test_a_stray_point_ends_nothing() -> None:
    xyz = np.array([[1, 0, 0], [4000, 0, 0]], np.float32)
    sample = Sample(Cloud(xyz, intensity=np.ones(2, np.float32)), np.zeros(2, np.uint8), "a")
    for rng in (None, default_rng(0)):
        assert len(prepare(sample, InputSpec(0.05), train_rng=rng).label) == 1
