# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation of logits: the divergence between the class scores of teacher and student."""

import torch
from torch import Tensor

from srkd.labels import IGNORE
from srkd_train.losses.numerics import connected_zero, known_gradient, pair_of, same_width, wants_gradient


def kl_divergence(
    student: Tensor,
    teacher: Tensor,
    *,
    tau: float = 2.0,
    tau_squared: bool = True,
    label: Tensor | None = None,
    ignore: int = IGNORE,
) -> Tensor:
    """tau^2 / N * sum_n KL(softmax(t_n / tau) || softmax(s_n / tau)): a sum over classes, a mean over points.

    Hinton et al. 2015; SRKD Eq. 2. Teacher first, as all public code of the authors' group has it, though the paper's
    text names the student first. The paper does not mention tau^2, which the group's code multiplies by and which
    keeps gradients of one size over temperatures: on by default. tau = 2 is [N] and the ScanNet configurations.

    Args:
        student: (N, K) logits.
        teacher: (N, K) logits, constants.
        tau: temperature.
        tau_squared: multiply by tau^2.
        label: (N,) classes; where given only points that have one count, as in the authors' loss that ignores
            unlabelled points. None for all points.
        ignore: label of a point without a class.

    Returns:
        Scalar, at least float32; a connected zero where no point counts.

    Raises:
        ConfigError: the logits are of different points or numbers of classes.
    """
    student, teacher = pair_of(student, teacher)
    same_width(student, teacher, "kl_divergence")
    if label is not None:
        keep = (label != ignore).nonzero().squeeze(1)
        student, teacher = student.index_select(0, keep), teacher.index_select(0, keep)
    if len(student) == 0:
        return connected_zero(student)
    scale = (tau**2 if tau_squared else 1) / len(student)
    wanted = wants_gradient(student)
    with torch.no_grad():
        # Classes first: a CPU takes the softmax of many short rows four times faster down the columns
        ours, theirs = ((scores.t() / tau).contiguous().log_softmax(0) for scores in (student, teacher))
        share = theirs.exp()
        value = scale * (share * theirs.sub_(ours)).sum(dtype=torch.float64)
        gradient = ours.exp_().sub_(share).mul_(scale / tau).t() if wanted else None
    return known_gradient(student, value.to(student.dtype), gradient)
