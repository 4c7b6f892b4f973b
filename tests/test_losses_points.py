# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Logit divergence, feature error and the drawing of points against loops written from the definitions."""

import math

import pytest
import torch
from distillation_pairs import assert_connected_zero, assert_same_as_naive, ends, gradient, pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from srkd.errors import SrkdError
from srkd_train.losses.affinity import affinity_mse
from srkd_train.losses.feature import feature_mse
from srkd_train.losses.logit import kl_divergence
from srkd_train.losses.sampling import draw_points

IGNORE = 255


def naive_kl(student: Tensor, teacher: Tensor, tau: float, rows: list[int]) -> Tensor:
    """Point after point, class after class; no tau^2."""
    total = student.new_zeros(())
    for n in rows:
        ours = [torch.exp(s / tau) for s in student[n]]
        theirs = [math.exp(t / tau) for t in teacher[n].tolist()]
        for s, t in zip(ours, theirs, strict=True):
            p = t / sum(theirs)
            total = total + p * (math.log(p) - torch.log(s / sum(ours)))
    return total / max(len(rows), 1)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    points=st.integers(0, 12),
    classes=st.integers(1, 5),
    tau=st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    masked=st.booleans(),
)
def test_kl_equals_naive_value_and_gradient(seed: int, points: int, classes: int, tau: float, masked: bool) -> None:
    student, teacher = pair(seed, points, classes, classes)
    label = torch.arange(points) % classes
    label[::3] = IGNORE
    rows = [n for n in range(points) if not masked or label[n] != IGNORE]
    assert_same_as_naive(
        lambda s, t: kl_divergence(s, t, tau=tau, tau_squared=False, label=label if masked else None),
        lambda s, t: naive_kl(s, t, tau, rows),
        student,
        teacher,
    )


def test_tau_squared_is_the_default_and_keeps_gradients_of_one_size() -> None:
    student, teacher = pair(1, 40, 6, 6)
    plain = kl_divergence(student, teacher, tau=3.0, tau_squared=False)
    assert kl_divergence(student, teacher, tau=3.0).item() == pytest.approx(9 * plain.item(), rel=1e-12)
    warm, warmer = (gradient(kl_divergence(student, teacher, tau=tau), student).norm() for tau in (50.0, 100.0))
    assert warm.item() == pytest.approx(warmer.item(), rel=0.03)


def test_kl_of_equal_logits_is_zero_and_a_shift_of_a_point_does_not_matter() -> None:
    student, teacher = pair(2, 30, 5, 5)
    assert kl_divergence(teacher.clone().requires_grad_(), teacher).item() == 0
    assert kl_divergence(teacher.float(), teacher.float()).item() == 0
    shifted = kl_divergence(student + torch.randn(30, 1), teacher - 7)
    assert shifted.item() == pytest.approx(kl_divergence(student, teacher).item(), rel=1e-9)


def test_kl_is_teacher_first() -> None:
    """A student that spreads over what the teacher excludes pays little, the other way round it pays the gap."""
    narrow, wide = torch.tensor([[30.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert kl_divergence(wide, narrow, tau=1).item() == pytest.approx(math.log(2), rel=1e-6)
    assert kl_divergence(narrow, wide, tau=1).item() == pytest.approx(15 - math.log(2), rel=1e-5)


def test_kl_gradcheck_and_extreme_logits() -> None:
    student, teacher = pair(3, 4, 3, 3)
    assert torch.autograd.gradcheck(lambda s: kl_divergence(s, teacher), (student,))
    student = torch.tensor([[3e4, -3e4, 0.0]], requires_grad=True)
    value = kl_divergence(student, torch.tensor([[-3e4, 3e4, 0.0]]), tau=1)
    assert value.item() == pytest.approx(6e4) and gradient(value, student).isfinite().all()


def naive_mse(student: Tensor, teacher: Tensor, rows: list[int]) -> Tensor:
    terms = [(student[n, c] - teacher[n, c]) ** 2 for n in rows for c in range(student.shape[1])]
    return sum(terms, student.new_zeros(())) / max(len(terms), 1)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), points=st.integers(0, 8), width=st.integers(1, 4), drawn=st.booleans())
def test_feature_mse_equals_naive(seed: int, points: int, width: int, drawn: bool) -> None:
    student, teacher = pair(seed, points, width, width)
    rows = list(range(0, points, 2)) if drawn else list(range(points))
    index = torch.tensor(rows, dtype=torch.int64) if drawn else None
    assert_same_as_naive(
        lambda s, t: feature_mse(s, t, index=index), lambda s, t: naive_mse(s, t, rows), student, teacher
    )


@pytest.mark.parametrize("loss", [kl_divergence, feature_mse])
def test_nothing_to_compare_half_precision_and_misfits(loss) -> None:
    student, teacher = pair(4, 6, 3, 3, torch.float32)
    assert_connected_zero(loss(student[:0], teacher[:0]), student)
    assert loss(student.bfloat16(), teacher.bfloat16()).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(student, teacher), loss(student.detach(), teacher))
    with pytest.raises(SrkdError, match="3 columns, teacher 2"):
        loss(student, teacher[:, :2])
    with pytest.raises(SrkdError, match="of the same points"):
        loss(student, teacher[:4])
    with pytest.raises(SrkdError, match="of the same points"):
        loss(student[0], teacher[0])


def test_a_zero_stays_finite_where_the_student_is_not() -> None:
    student = torch.full((3, 2), torch.inf, requires_grad=True)
    assert_connected_zero(kl_divergence(student, torch.zeros(3, 2), label=torch.full((3,), IGNORE)), student)
    assert_connected_zero(affinity_mse(student, torch.zeros(3, 2), offsets=[1, 2, 3]), student)


def generators(count: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + b) for b in range(count)]


def test_drawn_points_are_distinct_of_their_cloud_and_all_of_a_small_one() -> None:
    offsets = ends([50, 3, 0, 20])
    rows, drawn = draw_points(offsets, 10, generators(4))
    assert drawn == (10, 13, 13, 23)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert rows[10:13].tolist() == [50, 51, 52]
    assert all(0 <= row < 50 for row in rows[:10]) and all(53 <= row < 73 for row in rows[13:])
    again, _ = draw_points(torch.tensor(offsets), 10, generators(4))
    other, _ = draw_points(offsets, 10, generators(4, first=9))
    assert torch.equal(rows, again) and not torch.equal(rows, other)


def test_a_clouds_points_do_not_depend_on_its_batch_mates() -> None:
    rows, _ = draw_points(ends([30, 40]), 8, generators(2))
    alone, _ = draw_points([40], 8, generators(1, first=1))
    assert torch.equal(rows[8:] - 30, alone)


def test_every_point_is_drawn_equally_often() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = torch.zeros(10)
    for _ in range(2000):
        seen[draw_points([10], 3, [generator])[0]] += 1
    assert (seen / 2000 - 0.3).abs().max() < 0.05  # about five standard deviations


def test_no_clouds_and_too_few_generators() -> None:
    rows, drawn = draw_points([], 5, [])
    assert rows.shape == (0,) and rows.dtype == torch.int64 and drawn == ()
    with pytest.raises(SrkdError, match="1 generators for 2 clouds"):
        draw_points([3, 6], 5, generators(1))
