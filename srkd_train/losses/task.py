# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Supervised losses: cross-entropy, multiclass Lovasz-softmax, and the geometric weighting of a teacher's two tasks.

Every function takes logits (N, C) of a whole concatenated batch and labels (N,), computes in float32 whatever the
autocast state, and returns a 0-dim tensor. Where no point is labelled the result is a zero that is still connected to
the graph, so a step over an unlabelled batch is a no-op and not a crash.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from srkd.labels import IGNORE

_SMALLEST_TERM = 1e-12


def cross_entropy(logits: Tensor, label: Tensor, *, ignore: int = IGNORE) -> Tensor:
    """Mean cross-entropy over all labelled points of the batch (not a mean of per-cloud means), no class weights.

    Args:
        logits: (N, C) floating point.
        label: (N,) integer classes, `ignore` where a point has none.
    """
    logits, label = _labelled(logits, label, ignore)
    if len(label) == 0:
        return logits.sum()
    return functional.cross_entropy(logits, label)


def lovasz_softmax(logits: Tensor, label: Tensor, *, ignore: int = IGNORE) -> Tensor:
    """Lovasz extension of the Jaccard loss on softmax scores, averaged over the classes present in the batch.

    Berman et al., "The Lovasz-Softmax loss" (CVPR 2018), the per-batch "present" form. Per class the errors
    |[y = c] - p_c| are sorted in descending order and weighted by the steps of the Jaccard loss along that order. The
    order is a constant of the differentiation, so the steps are carried back to point order and the loss is one dot
    product. The steps are taken in closed form (1/U for a point of the class, I / (U (U - 1)) for another) instead of
    as differences of near-equal numbers, which would keep only one or two digits in float32 on a full scan.

    Args:
        logits: (N, C) floating point.
        label: (N,) integer classes, `ignore` where a point has none.
    """
    logits, label = _labelled(logits, label, ignore)
    if len(label) == 0:
        return logits.sum()
    present = torch.bincount(label, minlength=logits.shape[1]).nonzero().squeeze(1)
    probability = logits.t().contiguous().softmax(0)[present]
    inside = label == present[:, None]
    error = torch.where(inside, 1 - probability, probability)
    with torch.no_grad():
        order = _descending(error.detach())
        step = torch.empty_like(error).scatter_(1, order, _jaccard_steps(inside.gather(1, order)).to(error.dtype))
    return (error * step).sum() / len(present)


def segmentation(logits: Tensor, label: Tensor, *, ignore: int = IGNORE) -> tuple[Tensor, Tensor]:
    """The two supervised terms (cross-entropy, Lovasz-softmax) whose plain sum is the task loss."""
    return cross_entropy(logits, label, ignore=ignore), lovasz_softmax(logits, label, ignore=ignore)


def noise_mse(predicted: Tensor, noise: Tensor, label: Tensor, *, ignore: int = IGNORE) -> Tensor:
    """Mean squared error of the predicted noise (N, C) over labelled points and channels, in float32."""
    keep = label != ignore
    predicted, noise = _at_least_float32(predicted)[keep], _at_least_float32(noise)[keep]
    if len(predicted) == 0:
        return predicted.sum()
    return functional.mse_loss(predicted, noise)


def gls(terms: Sequence[Tensor]) -> Tensor:
    """Geometric mean of non-negative terms ("geometric loss strategy"): sqrt(noise_mse * task) for two.

    Each term's gradient is scaled by the mean over its own value, so no task outweighs another by its scale. A term
    below 1e-12 counts as 1e-12 and passes no gradient (the true one is infinite at zero).

    Raises:
        ValueError: `terms` is empty.
    """
    if not terms:
        raise ValueError("gls: no terms given, pass at least one loss")
    logs = [_at_least_float32(term).clamp_min(_SMALLEST_TERM).log() for term in terms]
    return torch.stack(logs).mean().exp()


def _labelled(logits: Tensor, label: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    keep = label != ignore
    return _at_least_float32(logits)[keep], label[keep].long()


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _descending(error: Tensor) -> Tensor:
    """Argsort of every row (K, N), largest first; on a CPU by numpy, whose vector sort is five times faster."""
    if error.device.type == "cpu":
        return torch.from_numpy(np.argsort(-error.numpy(), axis=1))
    return error.argsort(dim=1, descending=True)


def _jaccard_steps(inside: Tensor) -> Tensor:
    """Steps of the Jaccard loss along sorted errors: (K, N) bool membership -> (K, N), rows sum to at most 1."""
    dtype = torch.float64 if inside.shape[1] >= 2**24 else torch.float32
    seen_inside = inside.cumsum(1, dtype=dtype)
    total = seen_inside[:, -1:]
    position = torch.arange(1, inside.shape[1] + 1, dtype=dtype, device=inside.device)
    union = total + position - seen_inside
    missed = total - seen_inside
    return torch.where(inside, 1 / union, missed / (union * (union - 1).clamp_min(1)))
