# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-sample mini-batch geometry (CSMBGD): how the points of one cloud resemble those of another."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from srkd.errors import ConfigError
from srkd_train.losses.numerics import connected_zero, known_gradient, pair_of, spans, unit_rows, wants_gradient

_BLOCK_ENTRIES = 2**22
"""Similarities held at a time, three times over: 48 MiB in float32; clouds of up to 2048 points are one block."""
_LARGEST_EXPONENT = 60.0
"""Cosines over tau up to this need no shift before exp in float32."""


def cross_sample_kl(
    student: Tensor,
    teacher: Tensor,
    *,
    offsets: Tensor | Sequence[int],
    tau: float = 0.1,
    reduction: Literal["mean", "row_sum"] = "mean",
    rows: tuple[int, int] | None = None,
) -> Tensor:
    """1 / B^2 * sum over pairs of clouds (i, j), i = j too, of the mean over the points a of i of KL(p_T || p_S).

    p[a, :] = softmax over the points b of cloud j of <u_a, u_b> / tau, u the features at unit length. SRKD Eqs. 8, 9,
    which are the mini-batch term of CIRKD (Yang et al. 2022): teacher first and no tau^2 as in its code, whose
    temperature 0.1 is the default here; SRKD gives tau = 2 (nuScenes 1), where the rows are almost uniform and the
    term is two orders of magnitude smaller. "row_sum" sums over a instead, which the published weight 0.1 implies.
    An empty cloud makes no pair. Widths may differ: only similarities are compared.

    Similarities are symmetric, so one product and one exp of a pair of clouds serve (i, j) by rows and (j, i) by
    columns, and value and gradient leave together; never more than one block of pairs is held.

    Args:
        student: (M, d_S) features of the drawn points.
        teacher: (M, d_T) features of the same points, constants.
        offsets: (B,) per cloud the row after its last one, rising to M.
        tau: temperature.
        reduction: see above.
        rows: (start, end): only what these points contribute as a, against all points b; summed over ranges that
            part the M rows this is the whole. For processes that share a gathered batch.

    Returns:
        Scalar, at least float32; a connected zero where there is no point.

    Raises:
        ConfigError: shapes, offsets or rows do not fit, or an unknown reduction.
    """
    student, teacher = pair_of(student, teacher)
    clouds = [slice(start, end) for start, end in spans(offsets, len(student)) if end > start]
    first, last = (0, len(student)) if rows is None else rows
    if not 0 <= first <= last <= len(student):
        raise ConfigError(f"cross_sample_kl: rows {rows} of {len(student)}, give (start, end) among them")
    if reduction not in ("mean", "row_sum"):
        raise ConfigError(f"cross_sample_kl: reduction {reduction!r}, give mean or row_sum")
    if not clouds:
        return connected_zero(student)
    weight = student.new_zeros(len(student))
    for cloud in clouds:
        points = cloud.stop - cloud.start if reduction == "mean" else 1
        weight[max(cloud.start, first) : min(cloud.stop, last)] = 1 / (points * len(clouds) ** 2)
    with torch.autocast(student.device.type, enabled=False):
        unit = unit_rows(student)
        gradient = torch.zeros_like(unit) if wants_gradient(unit) else None
        with torch.no_grad():
            value = _all_pairs(unit.detach(), unit_rows(teacher), clouds, (first, last), weight, tau, gradient)
    return known_gradient(unit, value.to(unit.dtype), gradient)


class _Block(NamedTuple):
    left: slice
    right: slice
    mirrored: bool
    """Whether it stands for its transpose as well."""


def _all_pairs(
    student: Tensor,
    teacher: Tensor,
    clouds: Sequence[slice],
    rows: tuple[int, int],
    weight: Tensor,
    tau: float,
    gradient: Tensor | None,
) -> Tensor:
    """Sum over all rows of weight * KL in float64; the gradient in the student's unit rows is added to `gradient`."""
    shift = 1 / tau > _LARGEST_EXPONENT
    blocks = [
        block
        for block in _blocks(clouds, mirror=not shift)
        if _meet(block.left, rows) or (block.mirrored and _meet(block.right, rows))
    ]
    entries = max((_length(block.left) * _length(block.right) for block in blocks), default=0)
    buffers = student.new_empty(3, entries)
    warm_student, warm_teacher = student / tau, teacher / tau
    value = torch.zeros((), dtype=torch.float64, device=student.device)
    for left, right, mirrored in blocks:
        shape = (_length(left), _length(right))
        ours, theirs, gap = (buffer[: shape[0] * shape[1]].view(shape) for buffer in buffers)
        torch.mm(warm_student[left], student[right].t(), out=ours)
        torch.mm(warm_teacher[left], teacher[right].t(), out=theirs)
        if shift:
            ours -= ours.amax(1, keepdim=True)
            theirs -= theirs.amax(1, keepdim=True)
        torch.sub(theirs, ours, out=gap)
        ours.exp_()
        theirs.exp_()
        gap *= theirs
        scale_ours, scale_theirs = [], []
        for dim, own in ((1, left), (0, right))[: 1 + mirrored]:
            sum_ours, sum_theirs = ours.sum(dim), theirs.sum(dim)
            divergence = (sum_ours.double() / sum_theirs.double()).log() + gap.sum(dim).double() / sum_theirs
            value += torch.dot(weight[own].double(), divergence)
            scale_ours.append((weight[own] / sum_ours).unsqueeze(dim))
            scale_theirs.append((weight[own] / sum_theirs).unsqueeze(dim))
        if gradient is None:
            continue
        ours *= torch.add(*scale_ours, out=gap) if mirrored else scale_ours[0]
        theirs *= torch.add(*scale_theirs, out=gap) if mirrored else scale_theirs[0]
        ours -= theirs
        gradient[left].addmm_(ours, warm_student[right])
        gradient[right].addmm_(ours.t(), warm_student[left])
    return value


def _blocks(clouds: Sequence[slice], *, mirror: bool) -> Iterator[_Block]:
    """Blocks that cover every ordered pair of clouds once, a mirrored one both ways round; whole rows always."""
    for i, left in enumerate(clouds):
        for j, right in enumerate(clouds):
            step = max(_BLOCK_ENTRIES // _length(right), 1)
            if mirror and i != j and _length(left) * _length(right) <= _BLOCK_ENTRIES:
                if i < j:
                    yield _Block(left, right, mirrored=True)
                continue
            for start in range(left.start, left.stop, step):
                yield _Block(slice(start, min(start + step, left.stop)), right, mirrored=False)


def _length(span: slice) -> int:
    return int(span.stop - span.start)


def _meet(span: slice, rows: tuple[int, int]) -> bool:
    return bool(max(span.start, rows[0]) < min(span.stop, rows[1]))
