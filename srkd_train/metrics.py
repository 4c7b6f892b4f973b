# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Counts predictions against labels while a network is trained or evaluated; the figures are `srkd.score.Score`'s.

(torchmetrics' `MeanIoU` averages per-cloud scores and is therefore not used.)
"""

import warnings
from collections.abc import Sequence

from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from srkd.labels import IGNORE
from srkd.score import Score

__all__ = ["Score", "ScoreMeter"]


class ScoreMeter(nn.Module):
    """Counts predictions against labels, batch after batch; a module, so its matrix follows device and processes.

    Args:
        class_names: names in scheme order.
        absent_as_zero: how classes without a labelled point enter the means, see `Score`.
        all_processes: sum over the processes of a distributed run when computing.
    """

    def __init__(
        self, class_names: Sequence[str], *, absent_as_zero: bool = False, all_processes: bool = False
    ) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.absent_as_zero = absent_as_zero
        # One more class than the scheme has: its row collects unlabelled points, its column missing predictions.
        self._matrix = MulticlassConfusionMatrix(
            num_classes=len(self.class_names) + 1, validate_args=False, sync_on_compute=all_processes
        )

    def update(self, prediction: Tensor, label: Tensor) -> None:
        """Count points: prediction (N,) and label (N,) integer classes, 255 where there is none."""
        none = len(self.class_names)
        if len(label):
            prediction, label = prediction.long(), label.long()
            self._matrix.update(
                prediction.masked_fill(prediction == IGNORE, none), label.masked_fill(label == IGNORE, none)
            )

    def reset(self) -> None:
        """Forget every count."""
        self._matrix.reset()

    def compute(self) -> Score:
        """Score of all points counted since the last reset."""
        none = len(self.class_names)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*was called before the ``update`` method.*")
            counts = self._matrix.compute().cpu().long()  # on every process, or those that counted would wait
        return Score(
            class_names=self.class_names,
            confusion=tuple(tuple(int(n) for n in row) for row in counts[:none, :none]),
            ignored=int(counts[none].sum()),
            unpredicted=int(counts[:none, none].sum()),
            absent_as_zero=self.absent_as_zero,
        )
