# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the losses of distillation share: precision, unit rows, a connected zero, gradients known in closed form."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from srkd.errors import ConfigError


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is where it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def pair_of(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the same floating point type, at least float32; the teacher cut off from its graph.

    Raises:
        ConfigError: they are not two matrices of as many rows.
    """
    if student.ndim != 2 or teacher.ndim != 2 or len(student) != len(teacher):
        raise ConfigError(
            f"student {tuple(student.shape)}, teacher {tuple(teacher.shape)}: give two matrices, one row a point,"
            " of the same points"
        )
    return in_one_type(student, teacher)


def in_one_type(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the same floating point type, at least float32; the teacher cut off from its graph."""
    student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
    dtype = torch.promote_types(student.dtype, teacher.dtype)
    return student.to(dtype), teacher.to(dtype)


def same_width(student: Tensor, teacher: Tensor, what: str) -> None:
    """Refuse a comparison column by column of matrices of different width.

    Raises:
        ConfigError: the widths differ.
    """
    if student.shape[1] != teacher.shape[1]:
        raise ConfigError(
            f"{what}: student has {student.shape[1]} columns, teacher {teacher.shape[1]}, project the student first"
        )


def connected_zero(student: Tensor) -> Tensor:
    """A zero whose gradient is zero in all of `student`, finite whatever `student` holds."""
    return at_least_float32(student)[:0].sum()


def unit_rows(features: Tensor) -> Tensor:
    """Rows (N, d) divided by their length; a row of zeros stays zero and passes no gradient."""
    length = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    usable = length > torch.finfo(features.dtype).tiny ** 0.5
    return features * torch.where(usable, 1 / length.masked_fill(~usable, 1), 0)


def spans(offsets: Tensor | Sequence[int], rows: int) -> list[tuple[int, int]]:
    """(start, end) of every segment of `rows` rows.

    Args:
        offsets: (B,) per segment the row after its last one, rising to `rows`.
        rows: how many rows there are.

    Raises:
        ConfigError: the offsets fall, or do not end at `rows`.
    """
    ends = [int(end) for end in (offsets.tolist() if isinstance(offsets, Tensor) else offsets)]
    starts = [0, *ends[:-1]]
    if (ends[-1] if ends else 0) != rows or any(end < start for start, end in zip(starts, ends, strict=False)):
        raise ConfigError(f"offsets {ends[:8]} do not rise to {rows}, the number of rows: give the end of each segment")
    return list(zip(starts, ends, strict=False))


def wants_gradient(student: Tensor) -> bool:
    """Whether a gradient in `student` will be asked for."""
    return torch.is_grad_enabled() and student.requires_grad


def known_gradient(student: Tensor, value: Tensor, gradient: Tensor | None) -> Tensor:
    """`value` as a function of `student` whose gradient is given, not traced (None: a constant).

    The losses here have gradients as cheap as their values (a difference of two softmaxes, say), computed together
    with them; nothing but that one matrix of the student's shape is then kept for the backward pass.
    """
    if gradient is None:
        return value
    return _KnownGradient.apply(student, value, gradient)  # type: ignore[no-any-return]


class _KnownGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outer * gradient, None, None
