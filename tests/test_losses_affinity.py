# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Affinities within regions against loops over all pairs."""

import pytest
import torch
from distillation_pairs import (
    SIZES,
    LargestTensor,
    assert_connected_zero,
    assert_same_as_naive,
    ends,
    gradient,
    pair,
    segments,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from srkd.errors import SrkdError
from srkd_train.losses import affinity
from srkd_train.losses.affinity import affinity_mse

KINDS = ["cosine", "unit_l2sq", "raw_l2sq", "raw_l2"]


def likeness(a: Tensor, b: Tensor, kind: str) -> Tensor:
    """Affinity of two rows from its definition; the root's gradient is taken as zero at zero."""
    if kind in ("cosine", "unit_l2sq"):
        a, b = (f / f.norm() if f.any() else f * 0 for f in (a, b))
    if kind == "cosine":
        return a @ b
    square = (a - b) @ (a - b)
    if kind != "raw_l2":
        return square
    return square.sqrt() if square.item() > 0 else square * 0


def naive(student: Tensor, teacher: Tensor, sizes: list[int], kind: str, weights: Tensor, pad_to: int | None) -> Tensor:
    """Loops over regions and pairs, with rows of zeros really appended where `pad_to` asks for them."""
    terms = []
    for r, rows in enumerate(segments(sizes)):
        if len(rows) < 2:
            continue
        padding = max((pad_to or 0) - len(rows), 0)
        ours, theirs = ([*f[rows.start : rows.stop], *f.new_zeros(padding, f.shape[1])] for f in (student, teacher))
        gaps = [
            (weights[r] * (likeness(s, s2, kind) - likeness(t, t2, kind))) ** 2
            for s, t in zip(ours, theirs, strict=True)
            for s2, t2 in zip(ours, theirs, strict=True)
        ]
        terms.append(sum(gaps) / len(ours) ** 2)
    return sum(terms, student.new_zeros(())) / max(len(terms), 1)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), sizes=SIZES, weighted=st.booleans(), pad_to=st.sampled_from([None, 4, 8]))
def test_equals_naive_value_and_gradient(kind, seed: int, sizes: list[int], weighted: bool, pad_to) -> None:
    student, teacher = pair(seed, sum(sizes), 2, 3)
    weights = 0.2 + torch.rand(len(sizes), generator=torch.Generator().manual_seed(seed)).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(affinity, "_BLOCK_ROWS", 3)
        assert_same_as_naive(
            lambda s, t: affinity_mse(
                s, t, offsets=ends(sizes), kind=kind, weights=weights if weighted else None, pad_to=pad_to
            ),
            lambda s, t: naive(s, t, sizes, kind, weights if weighted else torch.ones_like(weights), pad_to),
            student,
            teacher,
        )


def test_squared_distances_of_unit_rows_are_four_times_cosines() -> None:
    student, teacher = pair(1, 60, 4, 7)
    cosine = affinity_mse(student, teacher, offsets=[25, 60])
    distance = affinity_mse(student, teacher, offsets=[25, 60], kind="unit_l2sq")
    assert distance.item() == pytest.approx(4 * cosine.item(), rel=1e-12)
    torch.testing.assert_close(gradient(distance, student), 4 * gradient(cosine, student), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_rows_and_of_regions_and_a_rotation_do_not_matter(kind) -> None:
    student, teacher = pair(2, 50, 3, 5)
    expected = affinity_mse(student, teacher, offsets=torch.tensor([30, 50]), kind=kind).item()
    order = torch.cat([30 + torch.randperm(20), torch.randperm(30)])
    turned, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    moved = affinity_mse((student @ turned)[order], teacher[order], offsets=[20, 50], kind=kind)
    assert moved.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_features_give_zero_and_like_ones_keep_their_digits_in_float32(kind) -> None:
    _, teacher = pair(3, 400, 16, 16)
    offsets = [150, 400]
    student = teacher.float().requires_grad_()
    equal = affinity_mse(student, teacher.float(), offsets=offsets, kind=kind)
    assert abs(equal.item()) < 1e-12 and gradient(equal, student).abs().max() < 1e-6

    like = (teacher + 1e-3 * torch.randn(teacher.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    exact = affinity_mse(like, teacher, offsets=offsets, kind=kind)
    single = like.detach().float().requires_grad_()
    value = affinity_mse(single, teacher.float(), offsets=offsets, kind=kind)
    assert value.item() == pytest.approx(exact.item(), rel=2e-3)
    reference = gradient(exact, like)
    assert (gradient(value, single) - reference).norm() < 2e-3 * reference.norm()


@pytest.mark.parametrize("kind", KINDS[:3])
def test_no_matrix_of_pairs_exists(kind) -> None:
    student, teacher = pair(4, 1600, 4, 8, torch.float32)
    with LargestTensor() as largest:
        affinity_mse(student, teacher, offsets=[800, 1600], kind=kind).backward()
    assert largest.entries <= 1600 * 8 < 800**2


def test_a_raw_distance_is_compared_in_slices() -> None:
    student, teacher = pair(5, 2500, 2, 2, torch.float32)
    with LargestTensor() as largest:
        affinity_mse(student, teacher, offsets=[2500], kind="raw_l2").backward()
    assert largest.entries <= affinity._BLOCK_ROWS * 2500


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pad_to", [None, 6])
def test_rows_of_zeros_and_equal_rows_stay_finite(kind, pad_to) -> None:
    student, teacher = pair(6, 5, 3, 3, torch.float32)
    with torch.no_grad():
        student[1] = 0
        student[3] = student[2]
    value = affinity_mse(student, teacher, offsets=[5], kind=kind, pad_to=pad_to)
    assert value.isfinite() and gradient(value, student).isfinite().all()
    doubled = (student.detach().double().requires_grad_(), teacher.double())
    expected = naive(*doubled, [5], kind, torch.ones(1).double(), pad_to)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_nothing_to_compare_and_misfits(kind) -> None:
    student, teacher = pair(7, 7, 2, 3)
    assert torch.autograd.gradcheck(lambda s: affinity_mse(s, teacher, offsets=[3, 7], kind=kind, pad_to=5), (student,))
    assert_connected_zero(affinity_mse(student[:2], teacher[:2], offsets=[1, 2], kind=kind), student)
    assert_connected_zero(affinity_mse(student[:0], teacher[:0], offsets=[], kind=kind), student)
    single = student.detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = affinity_mse(single, teacher.float(), offsets=[3, 7], kind=kind)
    assert torch.equal(inside, affinity_mse(single, teacher.float(), offsets=[3, 7], kind=kind))
    assert affinity_mse(single.half(), teacher.half(), offsets=[3, 7], kind=kind).dtype == torch.float32


def test_misfits() -> None:
    student, teacher = pair(8, 7, 2, 3)
    with pytest.raises(SrkdError, match="kind 'dot'"):
        affinity_mse(student, teacher, offsets=[7], kind="dot")  # type: ignore[arg-type]
    with pytest.raises(SrkdError, match="for 1 regions"):
        affinity_mse(student, teacher, offsets=[7], weights=torch.ones(2))
    with pytest.raises(SrkdError, match="do not rise to 7"):
        affinity_mse(student, teacher, offsets=[6])
