# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Maps from the student's features to the teacher's for the terms between clouds of different size.

The published maps are linear layers, each followed by batch norm and ReLU, the last one too, so that they can match no
negative feature; here the last layer is linear.
"""

from collections.abc import Sequence

import torch
from torch import nn

_EPS, _MOMENTUM = 1e-3, 0.01


class DenseAdapters(nn.Module):
    """A map of its own for every term, and in `pool` and `stats` for every stage that counts.

    They are applied to all rows of a stage, never to matched rows alone: batch norm wants more than a row.

    Args:
        encoder: widths of the encoder stages that both networks have, the student's and the teacher's, fine to coarse.
        finest: widths of the finest decoder stage.
        pool: relative weights of these stages in the term; empty for no maps.
        stats: the same.
        knn: whether nearest points' features are compared.
        voxel: whether equal voxels' features are.
        layers: linear layers of a map.
        width: channels between them.
        seed: of the first weights.
    """

    def __init__(
        self,
        encoder: Sequence[tuple[int, int]],
        finest: tuple[int, int],
        *,
        pool: Sequence[float],
        stats: Sequence[float],
        knn: bool,
        voxel: bool,
        layers: int,
        width: int,
        seed: int,
    ) -> None:
        super().__init__()

        def made(widths: tuple[int, int]) -> nn.Module:
            return _perceptron(*widths, layers=layers, width=width)

        # A seed each: what one term starts from must not depend on which others are on.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 3)
            self.pool = nn.ModuleDict({str(at): made(encoder[at]) for at, weight in enumerate(pool) if weight})
            torch.manual_seed(seed + 4)
            self.stats = nn.ModuleDict({str(at): made(encoder[at]) for at, weight in enumerate(stats) if weight})
            torch.manual_seed(seed + 5)
            self.knn = made(finest) if knn else None
            torch.manual_seed(seed + 6)
            self.voxel = made(finest) if voxel else None


def _perceptron(narrow: int, wide: int, *, layers: int, width: int) -> nn.Sequential:
    inner: list[nn.Module] = []
    for _ in range(layers - 1):
        inner += [nn.Linear(narrow, width, bias=False), nn.BatchNorm1d(width, eps=_EPS, momentum=_MOMENTUM), nn.ReLU()]
        narrow = width
    return nn.Sequential(*inner, nn.Linear(narrow, wide))
