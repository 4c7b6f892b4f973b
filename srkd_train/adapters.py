# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Linear maps between the student's features and the teacher's. They belong to the distiller, never to the student.

The published count of trained parameters, 11,612,436, is that of the student and of exactly four such maps with bias,
one a decoder stage; this is what `Adapters` builds for the feature term.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Adapters(nn.Module):
    """Maps for the terms that compare features channel by channel.

    Args:
        student: widths of the student's decoder stages, fine to coarse.
        teacher: those of the teacher's.
        features: a map with bias a stage, for the feature term.
        channel: a map without bias at the finest stage, for the channel-wise term (a 1 x 1 convolution, CWD).
        cross_sample_dim: width of the student's map for the cross-sample term, or None for no map.
        seed: draws the teacher's fixed map.
    """

    teacher_basis: Tensor
    """(dim, C) orthonormal rows that the teacher's features are mapped by where they are wider than the projector.

    Fixed, for a learned one could collapse; a wider projector needs none, since an isometry changes no similarity."""

    def __init__(
        self,
        student: Sequence[int],
        teacher: Sequence[int],
        *,
        features: bool,
        channel: bool,
        cross_sample_dim: int | None,
        seed: int,
    ) -> None:
        super().__init__()
        pairs = list(zip(student, teacher, strict=False)) if features else []
        # A seed each: what one term starts from must not depend on which others are on.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.feature = nn.ModuleList(nn.Linear(narrow, wide) for narrow, wide in pairs)
            torch.manual_seed(seed + 1)
            self.channel = nn.Linear(student[0], teacher[0], bias=False) if channel else None
            torch.manual_seed(seed + 2)
            self.cross_sample = None if cross_sample_dim is None else nn.Linear(student[0], cross_sample_dim)
        width = min(cross_sample_dim or teacher[0], teacher[0])
        if width < teacher[0]:
            drawn = torch.randn(teacher[0], width, generator=torch.Generator().manual_seed(seed))
            basis = torch.linalg.qr(drawn).Q.t().contiguous()
        else:
            basis = torch.empty(0, teacher[0])
        self.register_buffer("teacher_basis", basis)

    def to_channels(self, features: Tensor) -> Tensor:
        """Student's (N, C) -> (N, C') to be held against the teacher's channels."""
        out: Tensor = features if self.channel is None else self.channel(features)
        return out

    def to_similarity(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both networks' (N, C) features as the cross-sample term compares them."""
        if self.cross_sample is not None:
            student = self.cross_sample(student)
        if len(self.teacher_basis):
            teacher = functional.linear(teacher.to(self.teacher_basis.dtype), self.teacher_basis)
        return student, teacher
