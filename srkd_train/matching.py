# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a raw and a dense cloud have in common: equal cells of their lattice, stage by stage, and nearest points."""

from dataclasses import dataclass

import torch
from torch import Tensor

from srkd.ptv3 import from_rows
from srkd_train.data.batch import Batch
from srkd_train.losses.nearest import join, nearest
from srkd_train.teacher import View

Rows = tuple[Tensor, Tensor]
"""(P,) int64 rows of the student and, one by one, of the teacher."""


@dataclass(frozen=True, eq=False)
class Matching:
    """Rows that belong together in a batch of pairs; any of them may be empty."""

    cells: tuple[Rows, ...]
    """Equal cells of the decoder stages that were asked for, fine to coarse; rows are those of a `View`."""
    offsets: tuple[int, ...]
    """Per cloud the pair after its last one, among those of the finest stage."""
    near: Rows | None
    """Each point of the student that has one of the teacher within the radius, and the nearest of those; None where
    they were not asked for."""

    def of_views(self, student: View, teacher: View) -> tuple[View, View]:
        """Both networks' logits and decoder features in equal cells alone."""
        return _at(student, [rows for rows, _ in self.cells]), _at(teacher, [rows for _, rows in self.cells])


def match(batch: Batch, stages: tuple[int, ...], *, radius_m: float | None) -> Matching:
    """Find what both clouds of every pair have.

    Args:
        batch: with its dense one; coordinates of a pair have one origin.
        stages: plan stages of the decoder stages to join; the first is 0.
        radius_m: of the search for nearest points; None to leave it out.
    """
    dense = batch.dense
    assert dense is not None, "the teacher sees dense clouds"
    cells = []
    for stage in stages:
        coords = [each.plan.coord(stage) for each in (batch, dense)]
        if stage == 0:
            coords = [from_rows(coord, each.plan) for coord, each in zip(coords, (batch, dense), strict=True)]
        ends = [each.plan.offsets(stage)[1:].tolist() for each in (batch, dense)]
        cells.append(join(*coords, student_offsets=ends[0], teacher_offsets=ends[1]))
    finest = cells[0][0]
    offsets = torch.searchsorted(finest, torch.tensor(batch.offsets, device=finest.device)).tolist()
    near = None
    if radius_m is not None:
        found = nearest(
            batch.xyz, dense.xyz, query_offsets=batch.offsets, point_offsets=dense.offsets, radius_m=radius_m
        ).index
        rows = (found >= 0).nonzero().squeeze(1)
        near = rows, found.index_select(0, rows)
    return Matching(tuple(cells), tuple(offsets), near)


def _at(view: View, rows: list[Tensor]) -> View:
    decoder = tuple(features.index_select(0, own) for features, own in zip(view.decoder, rows, strict=False))
    return View(view.logits.index_select(0, rows[0]), decoder)
