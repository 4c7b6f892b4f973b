# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation between clouds of different size: statistics of whole clouds, and pairs of matched rows.

The strategies of "3D Semantic Segmentation with Knowledge Distillation for Dynamic-Size Feature Maps" (AAAI 2026):
"Backbone" is `pool_mse`, "Channel-Wise" `stats_mse`, "KNN + pair" and the join of voxels are `matched_mse` and
`matched_kl` on rows that `srkd_train.losses.nearest` finds. Unlike the published code every statistic is that of one
cloud, never of the batch.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from srkd.errors import ConfigError
from srkd_train.losses.feature import feature_mse
from srkd_train.losses.logit import kl_divergence
from srkd_train.losses.numerics import (
    connected_zero,
    in_one_type,
    known_gradient,
    same_width,
    spans,
    wants_gradient,
)

Spread = Literal["log_sd", "variance"]
LEAST_VARIANCE = 1e-6
"""Added to variances under a logarithm: a channel that does not vary then has a standard deviation of 0.001."""
_BLOCK_ENTRIES = 2**18
"""Numbers summed at a time: they stay in the cache."""


def pool_mse(
    student: Tensor,
    teacher: Tensor,
    *,
    student_offsets: Tensor | Sequence[int],
    teacher_offsets: Tensor | Sequence[int],
) -> Tensor:
    """1 / B * sum_b ||mean_b(S) - mean_b(T)||^2 / d over the B clouds of which both networks have a row.

    Args:
        student: (N, d) projected features.
        teacher: (M, d) features, constants.
        student_offsets: (B,) per cloud the row after its last one, rising to N.
        teacher_offsets: the same of the teacher, rising to M.

    Returns:
        Scalar, at least float32; a connected zero where no cloud counts.

    Raises:
        ConfigError: shapes or offsets do not fit.
    """
    student, clouds = _parted(student, teacher, student_offsets, teacher_offsets)
    return _mean(student, [(ours.mean(0) - theirs.mean(0)).square().mean() for ours, theirs in _of(clouds, 1)])


def stats_mse(
    student: Tensor,
    teacher: Tensor,
    *,
    student_offsets: Tensor | Sequence[int],
    teacher_offsets: Tensor | Sequence[int],
    spread: Spread = "log_sd",
) -> Tensor:
    """`pool_mse` plus the same of how much each channel varies over a cloud.

    "variance": 1 / B * sum_b ||var_b(S) - var_b(T)||^2 / d with biased variances, as published. "log_sd": of
    log sd = log(var + 1e-6) / 2 instead, so that a channel counts by its ratio and not by its scale. A cloud of which
    either network has a single row has a mean but no spread.

    Args:
        student: (N, d) projected features.
        teacher: (M, d) features, constants.
        student_offsets: (B,) per cloud the row after its last one, rising to N.
        teacher_offsets: the same of the teacher, rising to M.
        spread: see above.

    Returns:
        Scalar, at least float32; a connected zero where no cloud counts.

    Raises:
        ConfigError: shapes or offsets do not fit, or an unknown spread.
    """
    if spread not in get_args(Spread):
        raise ConfigError(f"stats_mse: spread {spread!r}, give one of {', '.join(get_args(Spread))}")
    student, clouds = _parted(student, teacher, student_offsets, teacher_offsets)
    counted, varying = (len(_of(clouds, rows)) for rows in (1, 2))
    if counted == 0:
        return connected_zero(student)
    wanted = wants_gradient(student)
    with torch.no_grad():
        value = torch.zeros((), dtype=torch.float64, device=student.device)
        gradient = torch.zeros_like(student) if wanted else None
        end = 0
        for ours, theirs in clouds:
            end += len(ours)
            least = min(len(ours), len(theirs))
            if least == 0:
                continue
            mean, variance = _moments(ours)
            mean_sought, variance_sought = _moments(theirs)
            shift, slope = mean - mean_sought, torch.zeros_like(mean)
            value += shift.square().mean() / counted
            if least > 1:
                gap, slope = _spread_gap(variance, variance_sought, spread)
                value += gap.square().mean() / varying
                slope *= gap * (4 / (len(gap) * varying * len(ours)))
            if gradient is not None:
                shift *= 2 / (len(shift) * counted * len(ours))
                own = torch.sub(ours, mean.to(ours), out=gradient[end - len(ours) : end])
                own.mul_(slope.to(ours)).add_(shift.to(ours))
    return known_gradient(student, value.to(student.dtype), gradient)


def covariance_mse(
    student: Tensor,
    teacher: Tensor,
    *,
    student_offsets: Tensor | Sequence[int],
    teacher_offsets: Tensor | Sequence[int],
) -> Tensor:
    """1 / B * sum_b ||cov_b(S) - cov_b(T)||_F^2 / d^2 over the B clouds of which both networks have two rows.

    Biased covariances of channels; the term that the published code has but leaves out. O((N + M) d^2).

    Args:
        student: (N, d) projected features.
        teacher: (M, d) features, constants.
        student_offsets: (B,) per cloud the row after its last one, rising to N.
        teacher_offsets: the same of the teacher, rising to M.

    Returns:
        Scalar, at least float32; a connected zero where no cloud counts.

    Raises:
        ConfigError: shapes or offsets do not fit.
    """
    student, clouds = _parted(student, teacher, student_offsets, teacher_offsets)
    with torch.autocast(student.device.type, enabled=False):
        gaps = [_covariance(ours) - _covariance(theirs) for ours, theirs in _of(clouds, 2)]
        return _mean(student, [gap.square().mean() for gap in gaps])


def matched_mse(student: Tensor, teacher: Tensor, student_rows: Tensor, teacher_rows: Tensor) -> Tensor:
    """1 / (P d) * sum_p ||s_i(p) - t_j(p)||^2 over P pairs of rows.

    Args:
        student: (N, d) projected features.
        teacher: (M, d) features, constants.
        student_rows: (P,) int64 i.
        teacher_rows: (P,) int64 j.

    Returns:
        Scalar, at least float32; a connected zero where there is no pair.

    Raises:
        ConfigError: widths differ, or the rows do not pair up.
    """
    return feature_mse(*_matched(student, teacher, student_rows, teacher_rows))


def matched_kl(
    student_logits: Tensor, teacher_logits: Tensor, student_rows: Tensor, teacher_rows: Tensor, *, tau: float = 2.0
) -> Tensor:
    """tau^2 / P * sum_p KL(softmax(t_j(p) / tau) || softmax(s_i(p) / tau)) over P pairs of rows.

    Args:
        student_logits: (N, K).
        teacher_logits: (M, K), constants.
        student_rows: (P,) int64 i.
        teacher_rows: (P,) int64 j.
        tau: temperature; 2 as published.

    Returns:
        Scalar, at least float32; a connected zero where there is no pair.

    Raises:
        ConfigError: numbers of classes differ, or the rows do not pair up.
    """
    return kl_divergence(*_matched(student_logits, teacher_logits, student_rows, teacher_rows), tau=tau)


def _parted(
    student: Tensor,
    teacher: Tensor,
    student_offsets: Tensor | Sequence[int],
    teacher_offsets: Tensor | Sequence[int],
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """The student in the type to compute in, and the rows of both networks cloud by cloud."""
    if student.ndim != 2 or teacher.ndim != 2:
        raise ConfigError(
            f"student {tuple(student.shape)}, teacher {tuple(teacher.shape)}: give two matrices, one row a point"
        )
    same_width(student, teacher, "statistics of clouds")
    ours, theirs = spans(student_offsets, len(student)), spans(teacher_offsets, len(teacher))
    if len(ours) != len(theirs):
        raise ConfigError(f"{len(ours)} clouds of the student, {len(theirs)} of the teacher: give the same clouds")
    student, teacher = in_one_type(student, teacher)
    if student.shape[1] == 0:
        return student, []
    # Parted in one go: the gradient is then put together once, not added up cloud by cloud
    parts = (rows.split([end - start for start, end in ends]) for rows, ends in ((student, ours), (teacher, theirs)))
    return student, list(zip(*parts, strict=True))


def _of(clouds: Sequence[tuple[Tensor, Tensor]], rows: int) -> list[tuple[Tensor, Tensor]]:
    """The clouds of which both networks have at least so many rows."""
    return [pair for pair in clouds if min(map(len, pair)) >= rows]


def _mean(student: Tensor, values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean() if values else connected_zero(student)


def _moments(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(N, d) -> mean and biased variance (d,), float64: sums about the rounded mean, which they correct."""
    centre = rows.mean(0)
    first, second = (torch.zeros_like(centre, dtype=torch.float64) for _ in range(2))
    for block in rows.split(max(_BLOCK_ENTRIES // rows.shape[1], 1)):
        away = block - centre
        first += away.sum(0)
        second += away.square_().sum(0)
    first /= len(rows)
    return centre + first, (second / len(rows) - first.square()).clamp_(min=0)


def _spread_gap(variance: Tensor, sought: Tensor, spread: Spread) -> tuple[Tensor, Tensor]:
    """By how much a cloud's spreads (d,) miss those sought, and the derivative of that in the variances."""
    if spread == "variance":
        return variance - sought, torch.ones_like(variance)
    floored = variance + LEAST_VARIANCE
    return (floored / (sought + LEAST_VARIANCE)).log() / 2, 0.5 / floored


def _covariance(rows: Tensor) -> Tensor:
    """(N, d) -> (d, d)."""
    centred = rows - rows.mean(0)
    return centred.T @ centred / len(rows)


def _matched(student: Tensor, teacher: Tensor, student_rows: Tensor, teacher_rows: Tensor) -> tuple[Tensor, Tensor]:
    if student_rows.shape != teacher_rows.shape or student_rows.ndim != 1:
        raise ConfigError(
            f"rows {tuple(student_rows.shape)} of the student, {tuple(teacher_rows.shape)} of the teacher: give pairs"
        )
    return student.index_select(0, student_rows), teacher.index_select(0, teacher_rows)
