# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Affinity distillation: how alike the points, or the sub-voxels, of one super-voxel are among each other.

SRKD's Eqs. 4-6 after PVKD (Hou et al. 2022): per region r the affinities A(i, j) of its n rows in the student's and
in the teacher's features, and the mean of (A_S - A_T)^2 over the n^2 pairs (i, j), i = j too, then over regions.
Left open by the paper: whether Eq. 4 is a squared distance (notes disagree), its scale between networks of different
width, and the regions' weight. Settled here: the kind is a choice, "cosine" (PVKD) the scale-free default;
"unit_l2sq" is four times its value exactly; "raw_l2sq" and "raw_l2" are the readings of Eq. 4.

Small regions are not padded with zero rows: their n is what it is. Zero rows would bias sparse regions, as the
distance of a point to a row of zeros compares the lengths of features, and as a cosine with it is 0 / 0. `pad_to`
computes the paper's padded value all the same, in closed form.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from srkd.errors import ConfigError
from srkd_train.losses.numerics import connected_zero, known_gradient, pair_of, spans, unit_rows, wants_gradient

Kind = Literal["cosine", "unit_l2sq", "raw_l2sq", "raw_l2"]

_BLOCK_ROWS = 1024


def affinity_mse(
    student: Tensor,
    teacher: Tensor,
    *,
    offsets: Tensor | Sequence[int],
    kind: Kind = "cosine",
    weights: Tensor | None = None,
    pad_to: int | None = None,
) -> Tensor:
    """1 / R * sum_r 1 / n_r^2 * sum_ij (w_r A_S(i, j) - w_r A_T(i, j))^2 over the R regions of at least two rows.

    A(i, j) by kind, with u = f / |f| (a row of zeros stays zero): "cosine" <u_i, u_j>, "unit_l2sq" |u_i - u_j|^2,
    "raw_l2sq" |f_i - f_j|^2, "raw_l2" |f_i - f_j|. All but the last are quadratic in inner products, so that the sum
    over pairs follows from d x d products of the features and no n x n matrix exists; those products are taken in
    float64, since their difference is small against them once the student is like the teacher.

    Args:
        student: (M, d_S) features, region by region.
        teacher: (M, d_T) features of the same rows, constants.
        offsets: (R,) per region the row after its last one, rising to M.
        kind: see above.
        weights: (R,) factors of the affinities (Eq. 4 multiplies by w_r [N]), so squared in the loss; None for 1.
        pad_to: rows of zeros are thought to fill every region up to this many (800 points or 600 voxels in PVKD);
            regions that have more keep theirs. None for none.

    Returns:
        Scalar, at least float32; a connected zero where no region has two rows.

    Raises:
        ConfigError: shapes or offsets do not fit, or an unknown kind.
    """
    student, teacher = pair_of(student, teacher)
    regions = spans(offsets, len(student))
    if kind not in get_args(Kind):
        raise ConfigError(f"affinity_mse: kind {kind!r}, give one of {', '.join(get_args(Kind))}")
    if weights is not None and weights.shape != (len(regions),):
        raise ConfigError(f"affinity_mse: weights {tuple(weights.shape)} for {len(regions)} regions, give one for each")
    valid = [r for r, (start, end) in enumerate(regions) if end - start >= 2]
    if not valid:
        return connected_zero(student)
    sizes = [regions[r][1] - regions[r][0] for r in valid]
    counts = torch.tensor([max(size, pad_to or 0) for size in sizes], dtype=torch.float64, device=student.device)
    scale = 1 / (len(valid) * counts**2)
    if weights is not None:
        scale = scale * weights.detach()[valid].double() ** 2
    with torch.autocast(student.device.type, enabled=False):
        if kind == "raw_l2":
            return _distances(student, teacher, [regions[r] for r in valid], counts, scale)
        if kind != "raw_l2sq":
            student, teacher = unit_rows(student), unit_rows(teacher)
        ours, theirs = (_stack(rows, [regions[r] for r in valid]) for rows in (student, teacher))
        squares = _inner(ours, theirs) if kind == "cosine" else _squared_distances(ours, theirs, counts)
        return torch.dot(squares, scale).to(student.dtype)


def _stack(rows: Tensor, regions: Sequence[tuple[int, int]]) -> Tensor:
    """(R, L, d) float64, L the largest region; the zeros behind smaller ones add nothing to any product."""
    return torch.nn.utils.rnn.pad_sequence([rows[start:end] for start, end in regions], batch_first=True).double()


def _inner(ours: Tensor, theirs: Tensor) -> Tensor:
    """Per region sum_ij (<s_i, s_j> - <t_i, t_j>)^2 = |S'S|^2 - 2 |S'T|^2 + |T'T|^2 (R,)."""
    own = torch.bmm(ours.mT, ours).square().sum((1, 2))
    cross = torch.bmm(ours.mT, theirs).square().sum((1, 2))
    other = torch.bmm(theirs.mT, theirs).square().sum((1, 2))
    return own - 2 * cross + other


def _squared_distances(ours: Tensor, theirs: Tensor, counts: Tensor) -> Tensor:
    """Per region sum_ij (|s_i - s_j|^2 - |t_i - t_j|^2)^2 (R,) over all pairs of `counts` rows, rows of zeros too.

    With delta_i = |s_i|^2 - |t_i|^2 a pair's difference is delta_i + delta_j - 2 (<s_i, s_j> - <t_i, t_j>).
    """
    delta = ours.square().sum(2) - theirs.square().sum(2)
    to_all = (ours * ours.sum(1, keepdim=True)).sum(2) - (theirs * theirs.sum(1, keepdim=True)).sum(2)
    lengths = 2 * counts * delta.square().sum(1) + 2 * delta.sum(1).square()
    return lengths - 8 * (delta * to_all).sum(1) + 4 * _inner(ours, theirs)


def _distances(
    student: Tensor, teacher: Tensor, regions: Sequence[tuple[int, int]], counts: Tensor, scale: Tensor
) -> Tensor:
    """sum_r scale_r sum_ij (|s_i - s_j| - |t_i - t_j|)^2, in blocks of rows; equal points pass no gradient."""
    gradient = torch.zeros_like(student) if wants_gradient(student) else None
    value = torch.zeros((), dtype=torch.float64, device=student.device)
    with torch.no_grad():
        for (start, end), count, factor in zip(regions, counts, scale, strict=True):
            ours, theirs = student.detach()[start:end], teacher[start:end]
            total = torch.zeros_like(value)
            for first in range(0, end - start, _BLOCK_ROWS):
                own = _cdist(ours[first : first + _BLOCK_ROWS], ours, first)
                gap = own - _cdist(theirs[first : first + _BLOCK_ROWS], theirs, first)
                total += gap.square().sum(dtype=torch.float64)
                if gradient is not None:
                    # d own_ij / d s_i = (s_i - s_j) / own_ij, and once more as pair (j, i)
                    pull = (gap / own.masked_fill_(own == 0, torch.inf)) * (4 * factor).to(own.dtype)
                    rows = slice(start + first, start + first + len(pull))
                    gradient[rows] += pull.sum(1, keepdim=True) * ours[first : first + _BLOCK_ROWS] - pull @ ours
            length_gap = ours.double().norm(dim=1) - theirs.double().norm(dim=1)
            padded = 2 * (count - (end - start))
            value += factor * (total + padded * length_gap.square().sum())
            if gradient is not None:
                length = torch.linalg.vector_norm(ours, dim=1)
                pull = 2 * factor * padded * length_gap / length.masked_fill(length == 0, torch.inf)
                gradient[start:end] += pull.to(ours.dtype)[:, None] * ours
    return known_gradient(student, value.to(student.dtype), gradient)


def _cdist(block: Tensor, rows: Tensor, first: int) -> Tensor:
    """Distances (n, N) of rows `first`, ... from all rows; squares in float64, as they are differences of products."""
    block64, rows64 = block.double(), rows.double()
    square = torch.addmm(rows64.square().sum(1), block64, rows64.t(), alpha=-2) + block64.square().sum(1, keepdim=True)
    square.diagonal(first).zero_()
    return square.clamp_min_(0).sqrt_().to(rows.dtype)
