# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points sorted once by the Morton codes of small cells: the cells of every coarser level are runs of rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from srkd.curves import MAX_DEPTH, z_code
from srkd.errors import ConfigError
from srkd.indexing import places
from srkd_train.losses.sorting import sort_keys

_MARGIN = 1 + 1e-5
"""Cells are wider than a ball by this, beyond any rounding."""
_LEVELS = 6
"""How often cells are halved at most."""
_POINTS_A_CELL = 2.0
"""The search starts with the largest cells that hold so many points on average."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Cells of level 0 are the smallest; those of the last level are as wide as the balls of the radius."""

    origin: Tensor
    """(3,) float64 metres."""
    edge_m: float
    """Of a cell of level 0."""
    levels: int
    """The last one."""
    depth: int
    """Bits an axis."""
    codes: int
    """No code is as large."""

    @classmethod
    def around(cls, query: Tensor, points: Tensor, clouds: int, radius_m: float) -> "Lattice":
        """The finest lattice whose codes leave room for the number of a row (see `sort_keys`)."""
        low = torch.minimum(query.amin(0), points.amin(0)).double()
        extent = float((torch.maximum(query.amax(0), points.amax(0)).double() - low).max())
        if not extent < float("inf"):
            raise ConfigError("nearest: a coordinate is not finite, drop such points before")
        rows = max(len(query), len(points))
        depth = min(MAX_DEPTH, (62 - rows.bit_length() - clouds.bit_length()) // 3)
        # One cell of the last level is left free on either side
        edge = max(2 * radius_m * _MARGIN, extent / (2**depth - 3))
        levels = min(_LEVELS, int(2**depth / (extent / edge + 3)).bit_length() - 1)
        return cls(low - edge, edge / 2**levels, levels, depth, clouds << 3 * depth)

    def halves(self, xyz: Tensor) -> Tensor:
        """(N, 3) int64: half cells of level 0."""
        return ((xyz - self.origin) * (2 / self.edge_m)).long()

    def reach_m(self, level: int) -> float:
        """Whatever is nearer than this is found at the level."""
        return self.edge_m * 2**level / 2 / _MARGIN


@dataclass(frozen=True, eq=False)
class Runs:
    """Points by the code of their cells."""

    code: Tensor
    """(M,) int64, rising."""
    row: Tensor
    """(M,) int64: the point."""
    change: Tensor
    """(M - 1,) int64: bits by which a code differs from the one before."""
    lattice: Lattice

    @classmethod
    def of(cls, points: Tensor, clouds: Tensor, lattice: Lattice) -> "Runs":
        """Sorts the points."""
        code = (clouds << 3 * lattice.depth) | z_code(lattice.halves(points) >> 1)
        code, row = sort_keys(code, lattice.codes)
        return cls(code, row, code[1:] ^ code[:-1], lattice)

    def first_level(self) -> int:
        """Where to start the search."""
        level = 0
        while level < self.lattice.levels:
            cells = 1 + int((self.change >= 8 ** (level + 1)).sum())
            if len(self.code) > _POINTS_A_CELL * cells:
                break
            level += 1
        return level

    def cells(self, level: int) -> tuple[Tensor, Tensor]:
        """(C,) codes of the occupied cells of a level, and (C + 1,) int32 where each one's points start."""
        start = torch.nn.functional.pad(places(self.change >= 8**level) + 1, (1, 0))
        return self.code.index_select(0, start) >> 3 * level, torch.nn.functional.pad(
            start.int(), (0, 1), value=len(self.code)
        )
