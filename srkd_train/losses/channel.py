# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Channel-wise distillation: every channel is a distribution over the points of a cloud."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from srkd.errors import ConfigError
from srkd_train.losses.numerics import connected_zero, known_gradient, pair_of, same_width, spans, wants_gradient


def channel_kl(
    student: Tensor,
    teacher: Tensor,
    *,
    offsets: Tensor | Sequence[int],
    tau: float = 2.0,
    reduction: Literal["channel", "point"] = "channel",
) -> Tensor:
    """Divergence of teacher and student activations as distributions over points, channel by channel.

    phi_c(n) = exp(f_nc / tau) / sum_m exp(f_mc / tau) over the points m of n's cloud, and per cloud
    K = sum_c sum_n phi_T log(phi_T / phi_S). "channel": tau^2 / C * mean over clouds of K (CWD, Shu et al. 2021, the
    formula that SRKD cites). "point": tau^2 / N * sum over clouds of K with the N points of all clouds, the reduction
    that the published weight 1000 implies (SRKD's Eq. 7 is dimensionally odd as published [N]).
    The softmax is over a cloud's own points, never over the batch; an empty cloud does not count.

    Args:
        student: (N, C) projected features, or logits.
        teacher: (N, C), constants.
        offsets: (B,) per cloud the row after its last one, rising to N.
        tau: temperature; 2 in the paper, 4 in CWD.
        reduction: see above.

    Returns:
        Scalar, at least float32; a connected zero where there is no point.

    Raises:
        ConfigError: shapes or offsets do not fit, or an unknown reduction.
    """
    student, teacher = pair_of(student, teacher)
    same_width(student, teacher, "channel_kl")
    clouds = [(start, end) for start, end in spans(offsets, len(student)) if end > start]
    points, channels = student.shape
    if reduction not in ("channel", "point"):
        raise ConfigError(f"channel_kl: reduction {reduction!r}, give channel or point")
    if not clouds or channels == 0:
        return connected_zero(student)
    scale = tau**2 / (channels * len(clouds) if reduction == "channel" else points)
    gradient = torch.empty_like(student) if wants_gradient(student) else None
    value = torch.zeros((), dtype=torch.float64, device=student.device)
    with torch.no_grad():
        buffers = student.new_empty(3, max(end - start for start, end in clouds), channels)
        for start, end in clouds:
            ours, theirs, gap = buffers[:, : end - start]
            torch.log_softmax(torch.div(student.detach()[start:end], tau, out=gap), 0, out=ours)
            torch.log_softmax(torch.div(teacher[start:end], tau, out=gap), 0, out=theirs)
            torch.sub(theirs, ours, out=gap)
            value += gap.mul_(theirs.exp_()).sum(0).sum(dtype=torch.float64)
            if gradient is not None:
                torch.sub(ours.exp_(), theirs, out=gradient[start:end]).mul_(scale / tau)
    return known_gradient(student, (scale * value).to(student.dtype), gradient)
