# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which points a loss looks at: drawn here, by generators that the caller owns, and nowhere else."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srkd.errors import ConfigError


def draw_points(
    offsets: Tensor | Sequence[int], count: int, generators: Sequence[torch.Generator]
) -> tuple[Tensor, tuple[int, ...]]:
    """`count` random points of every cloud, all of a cloud that has no more.

    SRKD draws 1024 a cloud for its cross-sample term [P] and does not say how; here uniformly without replacement,
    the same rows for teacher and student. One generator a cloud: what is drawn from a cloud does not depend on the
    clouds beside it, so that a batch split over processes draws as the whole one would.

    Args:
        offsets: (B,) per cloud the row after its last one, rising.
        count: points a cloud.
        generators: one for each cloud; the rows come on their device.

    Returns:
        Rows (M,) int64, rising, and the B ends of the clouds among them.

    Raises:
        ConfigError: there are not as many generators as clouds.
    """
    ends = [int(end) for end in (offsets.tolist() if isinstance(offsets, Tensor) else offsets)]
    one_a_cloud(generators, len(ends))
    rows, drawn, start = [], [], 0
    for end, generator in zip(ends, generators, strict=True):
        order = torch.randperm(end - start, generator=generator, device=generator.device)
        rows.append(order[:count].sort().values + start)
        drawn.append(min(count, end - start))
        start = end
    index = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64)
    return index, tuple(torch.tensor(drawn).cumsum(0).tolist()) if drawn else ()


def draw_of_groups(
    group: Tensor,
    sizes: Tensor,
    groups: Sequence[int],
    limit: int,
    generators: Sequence[torch.Generator],
    rank: Tensor | None = None,
) -> tuple[Tensor, tuple[int, ...]]:
    """Up to `limit` random items of every group, without replacement.

    Args:
        group: (P,) int64 group of each item; the items, and the groups, lie cloud by cloud.
        sizes: (R,) int64 items of each group, on the CPU.
        groups: per cloud how many groups are its own.
        limit: items to keep of a group.
        generators: one for each cloud, on the CPU.
        rank: (P,) 0 or 1, items of rank 0 are taken first; None for all alike.

    Returns:
        Items (M,) int64, grouped and rising in each group, and the ends of the R groups among them.
    """
    items = [int(part.sum()) for part in sizes.split(list(groups))] if len(groups) else []
    lots = [torch.rand(count, generator=generator) for count, generator in zip(items, generators, strict=True)]
    lot = torch.cat([*lots, torch.zeros(0)]).to(group.device, torch.float64)
    order = torch.argsort(group + (lot if rank is None else (lot + rank) / 2))
    starts = (sizes.cumsum(0) - sizes).to(group.device)
    kept = order[torch.arange(len(group), device=group.device) - starts[group[order]] < limit].sort().values
    kept = kept[group[kept].argsort(stable=True)]
    return kept, tuple(sizes.clamp(max=limit).cumsum(0).tolist())


def one_a_cloud(generators: Sequence[torch.Generator], clouds: int) -> None:
    """Refuse a number of generators that is not that of the clouds.

    Raises:
        ConfigError: it is not.
    """
    if len(generators) != clouds:
        raise ConfigError(f"{len(generators)} generators for {clouds} clouds, give one for each cloud")
