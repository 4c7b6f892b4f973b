# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation of features point by point."""

from torch import Tensor
from torch.nn import functional

from srkd_train.losses.numerics import connected_zero, pair_of, same_width


def feature_mse(student: Tensor, teacher: Tensor, *, index: Tensor | None = None) -> Tensor:
    """1 / (N d) * sum_n ||s_n - t_n||^2: the mean over points and channels.

    The FeatMSE of SRKD's configurations [C] (its Eq. 10 has no such term). Layer and projector are unstated; the
    caller projects the student's last decoder features to the teacher's width.

    Args:
        student: (N, d) projected features.
        teacher: (N, d) features, constants.
        index: (M,) rows that count; None for all.

    Returns:
        Scalar, at least float32; a connected zero where no point counts.

    Raises:
        ConfigError: the features are of different points or widths.
    """
    student, teacher = pair_of(student, teacher)
    same_width(student, teacher, "feature_mse")
    if index is not None:
        student, teacher = student.index_select(0, index), teacher.index_select(0, index)
    if student.numel() == 0:
        return connected_zero(student)
    return functional.mse_loss(student, teacher)
