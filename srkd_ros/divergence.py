# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Kullback-Leibler divergence between what two networks say of the same points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from srkd.segmenter import Inference


def kl_sum(teacher: Inference, student: Inference, compared: npt.NDArray[np.bool_]) -> tuple[float, int]:
    """Sum of KL(teacher || student) over points, in nats.

    Args:
        teacher, student: inferences of the same N points in one scheme; their voxels may differ.
        compared: (N,) which points count; each has a class of both.

    Returns:
        The sum, and the number of points that it is over: those with a finite divergence.
    """
    points = np.flatnonzero(compared)
    if teacher.view is None or student.view is None or not len(points):
        return 0.0, 0
    with torch.inference_mode():
        taught, said = _log_probability(teacher, points), _log_probability(student, points)
        divergence = (taught.exp() * (taught - said.to(taught.device))).sum(dim=0)
        finite = divergence[divergence.isfinite()]
        return float(finite.sum(dtype=torch.float64)), len(finite)


def _log_probability(inference: Inference, points: npt.NDArray[np.intp]) -> torch.Tensor:
    """(K, P) of some points that the network has labelled."""
    view, log_probability = inference.view, inference.log_probability
    assert view is not None and log_probability is not None
    place = torch.from_numpy(np.searchsorted(view.index, points)).to(view.voxels.inverse.device)
    return log_probability.index_select(1, view.voxels.inverse.index_select(0, place))
