# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nearest points and the join of cells against loops over all pairs and a dictionary."""

import math
from collections.abc import Sequence

import pytest
import torch
from distillation_pairs import SIZES, ends, segments
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from srkd.errors import SrkdError
from srkd_train.losses import nearest as module
from srkd_train.losses.nearest import join, nearest

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def naive(
    query: Tensor, points: Tensor, ours: Sequence[int], theirs: Sequence[int], radius_m: float
) -> tuple[list[int], list[float]]:
    index, distance = [], []
    for a, b in zip(segments(ours), segments(theirs), strict=True):
        for n in a:
            found = min(((math.dist(query[n].tolist(), points[m].tolist()), m) for m in b), default=(math.inf, -1))
            near = found[0] <= radius_m
            index.append(found[1] if near else -1)
            distance.append(found[0] if near else math.inf)
    return index, distance


def assert_equals_naive(query: Tensor, points: Tensor, ours: Sequence[int], theirs: Sequence[int], radius_m: float):
    found = nearest(query, points, query_offsets=ends(ours), point_offsets=ends(theirs), radius_m=radius_m)
    index, distance = naive(query, points, ours, theirs, radius_m)
    assert found.index.dtype == torch.int64 and found.index.tolist() == index
    torch.testing.assert_close(
        found.distance_m.double(), torch.tensor(distance, dtype=torch.float64), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("at_a_time", [1 << 20, 3])
@settings(deadline=None, max_examples=40, suppress_health_check=SLOW)
@given(
    seed=st.integers(0, 10_000),
    ours=SIZES,
    edge=st.sampled_from([1, 3, 12]),
    radius=st.sampled_from([0.1, 0.25, 0.5, 1.0, 30.0]),
    single=st.booleans(),
)
def test_ties_and_points_at_just_the_radius(
    monkeypatch: pytest.MonkeyPatch, at_a_time: int, seed: int, ours: list[int], edge: int, radius: float, single: bool
) -> None:
    """Quarters of a metre are exact, so that many distances are equal and many are the radius."""
    monkeypatch.setattr(module, "_CANDIDATES", at_a_time)
    generator = torch.Generator().manual_seed(seed)
    theirs = [int(torch.randint(0, 25, (), generator=generator)) for _ in ours]
    query, points = (torch.randint(-edge, edge + 1, (sum(n), 3), generator=generator) / 4 for n in (ours, theirs))
    if not single:
        query, points = query.double(), points.double()
    assert_equals_naive(query, points, ours, theirs, radius)


@pytest.mark.parametrize("radius", [0.02, 0.11, 0.4, 2.0, 500.0])
def test_a_scene_with_dense_and_empty_places(radius: float) -> None:
    """Ground, a dense object on it, and queries above, on and far from both, in two clouds that overlap."""
    generator = torch.Generator().manual_seed(0)

    def cloud(rows: int, scale: Sequence[float], at: Sequence[float]) -> Tensor:
        return torch.randn(rows, 3, generator=generator) * torch.tensor(scale) + torch.tensor(at)

    scene = [cloud(900, (20, 20, 0.02), (0, 0, -2)), cloud(500, (0.05, 0.05, 0.3), (3, 1, -1))]
    asked = [
        cloud(80, (15, 15, 0.02), (0, 0, -2)),
        cloud(40, (0.1, 0.1, 0.5), (3, 1, -1)),
        cloud(20, (9, 9, 3), (0, 0, 9)),
    ]
    points, query = torch.cat([*scene, *scene]), torch.cat([*asked, *asked])
    assert_equals_naive(query, points, [140, 140], [1400, 1400], radius)


@pytest.mark.parametrize("extent", [1e-4, 1e6])
def test_extents_far_from_the_radius(extent: float) -> None:
    """Smaller than a cell, and more cells than the codes can count."""
    generator = torch.Generator().manual_seed(1)
    points = extent * torch.rand(300, 3, generator=generator, dtype=torch.float64)
    query = torch.cat([points[:40] + 0.01 * extent * torch.rand(40, 3, generator=generator), points[40:60]])
    for radius in (0.05, 1e4):
        assert_equals_naive(query, points, [60], [300], radius)


def test_never_across_clouds() -> None:
    query = torch.zeros(3, 3)
    points = torch.tensor([[0.2, 0, 0], [0.1, 0, 0], [0, 0, 0.0], [0.3, 0, 0]])
    found = nearest(query, points, query_offsets=[1, 2, 3], point_offsets=torch.tensor([2, 2, 4]), radius_m=0.15)
    assert found.index.tolist() == [1, -1, 2]
    assert found.distance_m.tolist() == [pytest.approx(0.1), math.inf, 0]


def test_order_of_points_and_queries_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(2)
    query, points = torch.rand(200, 3, generator=generator), torch.rand(900, 3, generator=generator)
    offsets = {"query_offsets": [200], "point_offsets": [900]}
    found = nearest(query, points, **offsets, radius_m=0.08)
    assert 0 < int((found.index < 0).sum()) < 200
    order, shuffled = torch.randperm(200, generator=generator), torch.randperm(900, generator=generator)
    again = nearest(query[order], points[shuffled], **offsets, radius_m=0.08)
    assert torch.equal(again.distance_m, found.distance_m[order])
    expected = found.index[order]
    assert torch.equal(torch.where(again.index < 0, -1, shuffled[again.index]), expected)


def test_empty_sides_and_what_is_refused() -> None:
    some, none = torch.zeros(2, 3), torch.zeros(0, 3)
    for query, points in ((some, none), (none, some), (none, none)):
        offsets = {"query_offsets": [len(query)], "point_offsets": [len(points)]}
        found = nearest(query, points, **offsets, radius_m=1)
        assert found.index.tolist() == [-1] * len(query) and found.distance_m.isinf().all()
    offsets = {"query_offsets": [2], "point_offsets": [2]}
    for radius in (0, -1.0, math.inf, math.nan):
        with pytest.raises(SrkdError, match="give a positive number"):
            nearest(some, some, **offsets, radius_m=radius)
    for wrong in (math.nan, math.inf):
        with pytest.raises(SrkdError, match="not finite"):
            nearest(some, torch.tensor([[0, 0, 0], [0, wrong, 0]]), **offsets, radius_m=1)
    with pytest.raises(SrkdError, match="do not rise to 2"):
        nearest(some, some, query_offsets=[1], point_offsets=[2], radius_m=1)
    with pytest.raises(SrkdError, match="2 clouds against 1"):
        nearest(some, some, query_offsets=[1, 2], point_offsets=[2], radius_m=1)
    with pytest.raises(SrkdError, match="give"):
        nearest(some[:, :2], some, **offsets, radius_m=1)


@settings(deadline=None, max_examples=60, suppress_health_check=SLOW)
@given(seed=st.integers(0, 10_000), ours=SIZES, edge=st.sampled_from([1, 2, 40_000]), wide=st.booleans())
def test_join_equals_a_dictionary(seed: int, ours: list[int], edge: int, wide: bool) -> None:
    """Of cells that occur twice the first of the teacher counts, and each of the student."""
    generator = torch.Generator().manual_seed(seed)
    theirs = [int(torch.randint(0, 25, (), generator=generator)) for _ in ours]
    student, teacher = (
        torch.randint(-edge, edge + 1, (sum(n), 3), generator=generator, dtype=torch.int64 if wide else torch.int32)
        for n in (ours, theirs)
    )
    shared = min(len(student), len(teacher))
    if edge > 2:
        teacher[:shared:2] = student[:shared:2]
    cells: dict[tuple[int, ...], int] = {}
    for b, rows in enumerate(segments(theirs)):
        for m in rows:
            cells.setdefault((b, *teacher[m].tolist()), m)
    expected = [
        (n, cells[(b, *student[n].tolist())])
        for b, rows in enumerate(segments(ours))
        for n in rows
        if (b, *student[n].tolist()) in cells
    ]
    found = join(student, teacher, student_offsets=ends(ours), teacher_offsets=torch.tensor(ends(theirs)))
    assert [rows.dtype for rows in found] == [torch.int64, torch.int64]
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == expected


def test_join_of_keys_too_long_to_pack_and_too_long_at_all() -> None:
    student = torch.tensor([[0, 0, 0], [2**20, 2**20, 2**20], [5, 6, 7]])
    teacher = torch.tensor([[5, 6, 7], [2**20, 2**20, 2**20], [5, 6, 7]])
    found = join(student, teacher, student_offsets=[3], teacher_offsets=[3])
    assert [rows.tolist() for rows in found] == [[1, 2], [1, 0]]
    with pytest.raises(SrkdError, match="give coordinates of one lattice"):
        join(student, 4 * teacher, student_offsets=[3], teacher_offsets=[3])
