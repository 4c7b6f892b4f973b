# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the processes of one run tell each other: rows with their gradients, counts, and batch statistics.

Every function but `world_size`, `rank`, `own_range` and `convert_sync_batchnorm` is collective: all processes call it,
in the same order, or they wait for each other. Backward passes are collective too, so what requires a gradient in one
process must require it, and reach the loss, in all (a term without valid points is a zero *connected to the graph*).
With one process nothing is sent.

DistributedDataParallel averages the parameters' gradients over the W processes. A loss that is a sum of what the
processes contribute therefore needs the factor W, and one that is a mean over rows of unequal number `mean_weight`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn


def world_size() -> int:
    """Number of processes, 1 where torch.distributed is not initialised."""
    return distributed.get_world_size() if _initialised() else 1


def rank() -> int:
    """Number of this process, 0 where torch.distributed is not initialised."""
    return distributed.get_rank() if _initialised() else 0


def gather_sizes(count: int, device: torch.device | str) -> tuple[int, ...]:
    """The ``count`` of every process in order of rank; ``device`` is one that the backend sends from."""
    if world_size() == 1:
        return (count,)
    return tuple(torch.cat(_from_all(torch.tensor([count], device=device))).tolist())


def own_range(sizes: Sequence[int]) -> tuple[int, int]:
    """First row and row after the last one that this process has among the gathered ones."""
    start = sum(sizes[: rank()])
    return start, start + sizes[rank()]


def gather_rows(tensor: Tensor) -> Tensor:
    """The rows of all processes in order of rank: (n, ...) -> (sum of n, ...), n as each process has it, 0 included.

    The gradient of the result is summed over the processes, and each takes its own rows: it is that of the sum of all
    processes' losses.
    """
    if world_size() == 1:
        return tensor
    gathered: Tensor = _GatherRows.apply(tensor, gather_sizes(len(tensor), tensor.device))
    return gathered


def gather_offsets(offsets: Tensor | Sequence[int], device: torch.device | str) -> tuple[int, ...]:
    """Rising ends of this process's clouds -> those of the clouds of all processes, as `gather_rows` lines them up."""
    ends = torch.as_tensor(offsets, dtype=torch.int64, device=device)
    lengths = ends.diff(prepend=ends.new_zeros(1))
    return tuple(gather_rows(lengths).cumsum(0).tolist())


def global_sum(tensor: Tensor) -> Tensor:
    """Sum over the processes, elementwise, detached; a tensor of its own with one process too."""
    total = tensor.detach().clone()
    if world_size() > 1:
        _sum_in_place(total)
    return total


def mean_weight(count: Tensor) -> Tensor:
    """Weight of a mean over this process's ``count`` rows: W count / (sum of counts), 0-dim float64; 0 without rows.

    The mean over the processes of the weighted means, DDP's, is then the mean over the rows of all of them.
    """
    own = count.detach().double()
    return world_size() * own / global_sum(own).clamp_min(1)


class SyncBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm1d of (n, C) whose batch is the rows of all processes, on any device and backend.

    Every row counts the same, however many a process has. Parameters, buffers and their names are BatchNorm1d's, as is
    everything in eval mode or with one process. (torch.nn.SyncBatchNorm refuses the CPU.) A parameter's gradient is
    this process's share of the sum.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(n, C) -> (n, C); a single row in all processes together becomes the bias (BatchNorm1d raises)."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        out, mean, variance, count = _Standardise.apply(wide, self.eps)
        self._update(mean, variance, count)
        if self.weight is not None:
            out = torch.addcmul(self.bias, out, self.weight)
        return out.to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim != 2:
            raise ValueError(f"SyncBatchNorm1d takes rows (n, C), got {tuple(input.shape)}: flatten to two dimensions")

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        unbiased = variance * (count / (count - 1).clamp_min(1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)


def convert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Put a `SyncBatchNorm1d` in the place of each BatchNorm1d, with the same parameters and buffers.

    Args:
        module: changed in place, unless it is a BatchNorm1d itself.

    Returns:
        The module, or what replaces it. Its state dict is the one it had, and an optimizer made before goes on.
    """
    if type(module) is nn.BatchNorm1d:
        synced = SyncBatchNorm1d(
            module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats, device="meta"
        )
        synced.weight, synced.bias = module.weight, module.bias
        for name, buffer in module.named_buffers():
            setattr(synced, name, buffer)
        return synced.train(module.training)
    for name, child in module.named_children():
        setattr(module, name, convert_sync_batchnorm(child))
    return module


def _initialised() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _from_all(tensor: Tensor) -> list[Tensor]:
    """A tensor of one shape in all processes, as each has it."""
    heard = [torch.empty_like(tensor) for _ in range(world_size())]
    if tensor.numel():  # the same in all, and gloo refuses to send nothing
        distributed.all_gather(heard, tensor)
    return heard


def _sum_in_place(tensor: Tensor) -> None:
    if tensor.numel():
        distributed.all_reduce(tensor)


class _GatherRows(torch.autograd.Function):
    """Concatenates; backward sums over the processes and cuts out the own rows."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, sizes: tuple[int, ...]) -> Tensor:
        ctx.sizes = sizes
        # Backends send equal shares only: every process fills up to the largest.
        largest = max(sizes)
        filled = tensor.new_zeros(largest, *tensor.shape[1:])
        filled[: len(tensor)] = tensor
        return torch.cat([rows[:size] for rows, size in zip(_from_all(filled), sizes, strict=True)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        total = grad.to(torch.promote_types(grad.dtype, torch.float32), copy=True).contiguous()
        _sum_in_place(total)
        start, end = own_range(ctx.sizes)
        return total[start:end].to(grad.dtype), None


class _Standardise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) per channel over the rows of all processes, and mean, variance and row count.

    Forward sends each process's count, mean and sum of squares about its own mean, joined as Chan, Golub & LeVeque
    (1979) do: sums of plain squares would cancel. Backward, with x' the output and g its gradient, is
    (g - mean(g) - x' mean(g x')) / sqrt(variance + eps), the means over all rows.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels = rows.shape[1]
        mean = rows.sum(0) / max(len(rows), 1)
        squares = (rows - mean).square().sum(0)
        told = torch.cat([mean, squares, mean.new_full((1,), len(rows))])
        means, all_squares, counts = torch.stack(_from_all(told)).split([channels, channels, 1], dim=1)
        count = counts.sum()
        divisor = count.clamp_min(1)
        mean = (counts * means).sum(0) / divisor
        variance = (all_squares + counts * (means - mean).square()).sum(0) / divisor
        inverse = (variance + eps).rsqrt()
        out = (rows - mean) * inverse
        ctx.save_for_backward(out, inverse, divisor)
        ctx.mark_non_differentiable(mean, variance, count)
        return out, mean, variance, count

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0]
        out, inverse, divisor = ctx.saved_tensors
        means = torch.stack([grad.sum(0), (grad * out).sum(0)])
        _sum_in_place(means)
        means /= divisor
        return (grad - means[0] - out * means[1]) * inverse, None
