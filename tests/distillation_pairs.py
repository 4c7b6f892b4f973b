# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Random student and teacher features for the tests of distillation losses, and the comparison with a naive loss."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Loss = Callable[[Tensor, Tensor], Tensor]

SIZES = st.lists(st.integers(0, 7), min_size=1, max_size=4)
"""Points of each cloud, or rows of each region: few, ragged, some empty."""


def pair(seed: int, rows: int, ours: int, theirs: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Student (rows, ours), a leaf that asks for a gradient, and teacher (rows, theirs)."""
    generator = torch.Generator().manual_seed(seed)
    student = 1.5 * torch.randn(rows, ours, generator=generator, dtype=torch.float64)
    teacher = torch.randn(rows, theirs, generator=generator, dtype=torch.float64) + 0.3
    return student.to(dtype).requires_grad_(), teacher.to(dtype)


def ends(sizes: Sequence[int]) -> tuple[int, ...]:
    """Sizes of segments to offsets, as Batch.offsets."""
    return tuple(accumulate(sizes))


def segments(sizes: Sequence[int]) -> list[range]:
    """Rows of each segment."""
    return [range(end - size, end) for size, end in zip(sizes, ends(sizes), strict=True)]


def gradient(loss: Tensor, student: Tensor) -> Tensor:
    """Gradient of a loss in the student's features."""
    (result,) = torch.autograd.grad(loss, student, retain_graph=True)
    return result


def assert_same_as_naive(loss: Loss, naive: Loss, student: Tensor, teacher: Tensor, rel: float = 1e-6) -> None:
    """Value and gradient agree to `rel` of their size; nothing flows into the teacher."""
    teacher = teacher.clone().requires_grad_()
    value, expected = loss(student, teacher), naive(student, teacher.detach())
    torch.testing.assert_close(value, expected, rtol=rel, atol=1e-14)
    assert value.shape == ()
    if not expected.requires_grad:  # nothing to compare: a zero, but a connected one
        assert value.item() == 0 and not gradient(value, student).any()
        return
    found = gradient(loss(student, teacher), student)
    reference = gradient(expected, student)
    torch.testing.assert_close(found, reference, rtol=rel, atol=rel * float(reference.abs().max()) + 1e-14)
    (loss(student, teacher) + 0 * teacher.sum()).backward()
    student.grad = None
    assert teacher.grad is not None and not teacher.grad.any()


def assert_connected_zero(value: Tensor, student: Tensor) -> None:
    """A loss without valid points: zero, and its gradient is zero and not missing."""
    assert value.item() == 0 and value.shape == ()
    assert not gradient(value, student).any()


class LargestTensor(TorchDispatchMode):
    """Remembers the most entries that any tensor made under it has."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result
