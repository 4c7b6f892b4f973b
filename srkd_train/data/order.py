# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cloud comes when: the steps of a run, the order of an epoch, clouds spread over a split."""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import Sampler

GROUPS_AT_ONCE = 16
"""Groups of clouds that an epoch mixes at a time."""


class StepSampler(Sampler[int]):
    """Step numbers from `start` to `steps`; its length is `steps`, whatever the start, as Lightning counts."""

    def __init__(self, steps: int, *, start: int = 0) -> None:
        self.steps = steps
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.steps))

    def __len__(self) -> int:
        return self.steps


def epoch_order(length: int, group: int, rng: Generator) -> NDArray[np.int64]:
    """A random order of `range(length)` in which clouds that are made together come within a short while.

    Groups are shuffled, and clouds are shuffled among 16 groups at a time. A street costs a second to build and gives
    many scans; in a plain permutation a first epoch would build every street before the first hundred steps are over.

    Args:
        length: number of clouds.
        group: number of successive clouds made together; 1 gives a plain permutation.
        rng: draws the order.
    """
    if group == 1:
        return rng.permutation(length)
    groups = [np.arange(start, min(start + group, length)) for start in range(0, length, group)]
    dealt = rng.permutation(len(groups))
    windows = [dealt[start : start + GROUPS_AT_ONCE] for start in range(0, len(dealt), GROUPS_AT_ONCE)]
    return np.concatenate([rng.permutation(np.concatenate([groups[index] for index in window])) for window in windows])


def spread_indices(length: int, limit: int | None) -> list[int]:
    """All of `range(length)`, or `limit` of them at even distances."""
    if limit is None or limit >= length:
        return list(range(length))
    return [int(index) for index in np.linspace(0, length - 1, limit).round()]
