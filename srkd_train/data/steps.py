# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A step of an augmentation, for one cloud or for two of the same place."""

from collections.abc import Callable
from typing import NamedTuple

from numpy.random import Generator

from srkd_train.data.sample import Sample


class Step(NamedTuple):
    """One step of an augmentation."""

    change: Callable[[Sample, Generator, Sample | None], Sample]
    """From a cloud to the next. With a third argument, another cloud of the same place, it does to the first what,
    with an equal generator, it does to that one."""
    by_point: bool = False
    """Whether it draws point by point, so that there is no doing the same to another cloud."""


def chance(
    probability: float | None, change: Callable[[Sample, Generator], Sample]
) -> Callable[[Sample, Generator, Sample | None], Sample]:
    """A change whose draws do not depend on the cloud, with a probability; None tosses no coin."""

    def changed(sample: Sample, rng: Generator, like: Sample | None) -> Sample:
        return change(sample, rng) if probability is None or rng.random() < probability else sample

    return changed
