# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The geometry plan: everything the networks need to know about where voxels are, as a few integer tables.

A plan depends on coordinates only, is immutable, and serves every network that looks at the same voxels; the networks
are functions of (features, plan). Stage s has a stride of 2**s voxels and its rows are sorted by (cloud, z-code).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from srkd.children import Children, octant_slots
from srkd.curves import CURVES
from srkd.neighbour_lists import NeighbourLists
from srkd.neighbours import PairLists


@dataclass(frozen=True)
class PlanSpec:
    """What one or several networks need of a plan."""

    num_stages: int
    """Number of strides 1, 2, 4, ..."""
    kernels: frozenset[tuple[int, int]]
    """Neighbour tables: (stage, kernel edge in voxels)."""
    patches: frozenset[tuple[int, str, int]]
    """Attention patches: (stage, curve, patch size in voxels)."""

    def union(self, *others: PlanSpec) -> PlanSpec:
        """The spec of a plan that serves this network and the others."""
        specs = (self, *others)
        return PlanSpec(
            max(spec.num_stages for spec in specs),
            frozenset().union(*(spec.kernels for spec in specs)),
            frozenset().union(*(spec.patches for spec in specs)),
        )

    def all_curves(self) -> PlanSpec:
        """The same with every curve at every patch: what shuffled orders can ask for."""
        patches = frozenset((stage, curve, size) for stage, _, size in self.patches for curve in CURVES)
        return replace(self, patches=patches)


@dataclass(frozen=True)
class Patches:
    """Attention patches of one stage along one curve.

    A cloud of more than K voxels is cut into patches of K; the free places at the end of its last patch repeat those
    of the patch before it (public behaviour, Point Transformer V3). A smaller cloud is one short patch.
    """

    rows: Tensor
    """(P, K) int32: the row at every place of every patch."""
    slots: Tensor
    """(N,) int32: the flat place (patch * K + position) whose output belongs to each row."""
    lengths: Tensor | None
    """(P,) int32: places in use, counted from the front; None where every patch is full."""
    in_row_order: bool = False
    """Whether the curve is the z-curve, by which rows are sorted."""

    def key_mask(self) -> Tensor | None:
        """(P, 1, 1, K) bool, True at places in use; None where all are."""
        if self.lengths is None:
            return None
        place = torch.arange(self.rows.shape[1], device=self.rows.device)
        return (place < self.lengths.unsqueeze(1))[:, None, None, :]


@dataclass(frozen=True)
class GeometryPlan:
    """Index tables of a batch of clouds; built by :func:`srkd.plan_build.build_plan`."""

    tables: Mapping[str, Tensor]
    """int32 tensors by name; the accessors below say what each holds."""
    orders: tuple[tuple[tuple[int, ...], ...], ...] = ()
    """Shuffled curve indices by (stream, stage); empty: the fixed order of ``CURVES`` everywhere."""
    _memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def num_stages(self) -> int:
        return sum(name.startswith("coord/") for name in self.tables)

    @property
    def num_clouds(self) -> int:
        return self.tables["offsets/0"].shape[0] - 1

    @property
    def device(self) -> torch.device:
        return self.tables["offsets/0"].device

    def num_rows(self, stage: int) -> int:
        """Number of voxels of a stage, all clouds together."""
        return self.tables[f"coord/{stage}"].shape[0]

    def coord(self, stage: int) -> Tensor:
        """(N, 3) int32 voxel coordinates in units of the stage's stride."""
        return self.tables[f"coord/{stage}"]

    def offsets(self, stage: int) -> Tensor:
        """(B + 1,) int32: rows offsets[b] to offsets[b + 1] belong to cloud b."""
        return self.tables[f"offsets/{stage}"]

    def batch(self, stage: int) -> Tensor:
        """(N,) int32 cloud of each row."""
        return self.tables[f"batch/{stage}"]

    def input_order(self) -> Tensor | None:
        """(N,) int32: the input voxel at each row of stage 0; None where the input came sorted."""
        return self.tables.get("order")

    def input_rows(self) -> Tensor | None:
        """(N,) int32: the row of stage 0 of each input voxel; None where the input came sorted."""
        return self.tables.get("row")

    def parent(self, stage: int, ancestor: int) -> Tensor:
        """(N,) int32: the row of stage ``ancestor`` (> stage) that contains each row of ``stage``."""
        rows = self.tables[f"parent/{stage}"]
        for between in range(stage + 1, ancestor):
            rows = self.tables[f"parent/{between}"].index_select(0, rows)
        return rows

    def neighbours(self, stage: int, kernel: int) -> Tensor:
        """(N, kernel**3) int32 neighbour table, N where there is none (:func:`srkd.neighbours.neighbour_table`)."""
        lists = self.lists(stage, kernel)
        if lists is None:
            return self._find(f"neighbours/{stage}/{kernel}", "kernels")
        return lists.table(kernel)

    def lists(self, stage: int, kernel: int) -> NeighbourLists | None:
        """The neighbours as lists; None where the plan was built with tables."""
        if f"read/{stage}/{kernel}" not in self.tables:
            return None
        return NeighbourLists(*(self.tables[f"{part}/{stage}/{kernel}"] for part in ("read", "tap", "starts")))

    def pairs(self, stage: int, kernel: int) -> PairLists:
        """The neighbours as pair lists; derived at the first call and kept."""
        name = f"pairs/{stage}/{kernel}"
        if name not in self._memo:
            lists = self.lists(stage, kernel)
            self._memo[name] = (
                PairLists.from_table(self.neighbours(stage, kernel)) if lists is None else lists.pairs(kernel)
            )
        pairs: PairLists = self._memo[name]
        return pairs

    def slots(self, stage: int) -> Tensor:
        """(N,) int32: parent * 8 + octant of each row of a stage (:func:`srkd.children.octant_slots`)."""
        return octant_slots(self.coord(stage), self.parent(stage, stage + 1))

    def children(self, stage: int) -> Children:
        """The rows of a stage grouped by octant, and by the row of the next stage that contains them; derived at the
        first call and kept."""
        name = f"children/{stage}"
        if name not in self._memo:
            self._memo[name] = Children.from_slots(self.slots(stage), self.num_rows(stage + 1))
        children: Children = self._memo[name]
        return children

    def curve(self, index: int, stage: int, stream: int) -> str:
        """The curve that the ``index``-th block of a stage follows in a network's stream of orders."""
        if self.orders:
            index = self.orders[stream][stage][index % len(CURVES)]
        return CURVES[index % len(CURVES)]

    def patches(self, stage: int, curve: str, size: int) -> Patches:
        """Attention patches of at most ``size`` voxels along a curve."""
        name = f"{stage}/{curve}/{size}"
        return Patches(
            self._find(f"patch/{name}", "patches"),
            self.tables[f"slot/{name}"],
            self.tables.get(f"length/{stage}/{size}"),
            curve == "z",
        )

    def to(self, device: torch.device | str) -> GeometryPlan:
        """The plan on another device; one copy of one buffer."""
        if self.device == torch.device(device):
            return self
        buffer, layout = self._pack()
        # Towards the CPU a copy that does not block could be read before it is there.
        return _unpack(buffer.to(device, non_blocking=buffer.device.type == "cpu"), layout, self.orders)

    def _find(self, name: str, part: str) -> Tensor:
        if name not in self.tables:
            raise KeyError(f"the plan has no table {name!r}: build it with a PlanSpec whose {part} include it")
        return self.tables[name]

    def _pack(self) -> tuple[Tensor, tuple[tuple[str, tuple[int, ...]], ...]]:
        layout = tuple((name, tuple(table.shape)) for name, table in self.tables.items())
        return torch.cat([table.reshape(-1) for table in self.tables.values()]), layout

    def __reduce__(self) -> tuple[Any, ...]:
        # One tensor whatever the number of tables: each tensor sent between processes costs a file descriptor.
        return _unpack, (*self._pack(), self.orders)


def _unpack(
    buffer: Tensor, layout: Iterable[tuple[str, tuple[int, ...]]], orders: tuple[tuple[tuple[int, ...], ...], ...]
) -> GeometryPlan:
    layout = tuple(layout)
    sizes = [int(torch.Size(shape).numel()) for _, shape in layout]
    parts = buffer.split(sizes)
    return GeometryPlan({name: part.view(shape) for (name, shape), part in zip(layout, parts, strict=True)}, orders)


def _flatten(plan: GeometryPlan) -> tuple[list[Tensor], Any]:
    return list(plan.tables.values()), (tuple(plan.tables), plan.orders)


def _unflatten(tables: Iterable[Any], context: Any) -> GeometryPlan:
    names, orders = context
    return GeometryPlan(dict(zip(names, tables, strict=True)), orders)


_pytree.register_pytree_node(
    GeometryPlan,
    _flatten,
    _unflatten,
    serialized_type_name="srkd.plan.GeometryPlan",
    flatten_with_keys_fn=lambda plan: (
        [(_pytree.MappingKey(name), table) for name, table in plan.tables.items()],
        (tuple(plan.tables), plan.orders),
    ),
)
