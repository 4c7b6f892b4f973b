# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cross-sample geometry against the double loop over clouds."""

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
from srkd_train.losses import cross_sample
from srkd_train.losses.cross_sample import cross_sample_kl


def naive(
    student: Tensor, teacher: Tensor, sizes: list[int], tau: float, reduction: str, rows: range | None = None
) -> Tensor:
    """All ordered pairs of clouds, point after point."""
    clouds = [cloud for cloud in segments(sizes) if len(cloud)]
    ours, theirs = (f / f.norm(dim=1, keepdim=True) for f in (student, teacher))
    total = student.new_zeros(())
    for i in clouds:
        for j in clouds:
            for a in i:
                if rows is not None and a not in rows:
                    continue
                log_s = (ours[j.start : j.stop] @ ours[a] / tau).log_softmax(0)
                log_t = (theirs[j.start : j.stop] @ theirs[a] / tau).log_softmax(0)
                term = (log_t.exp() * (log_t - log_s)).sum()
                total = total + (term / len(i) if reduction == "mean" else term)
    return total / max(len(clouds), 1) ** 2


@pytest.mark.parametrize("block", [1, 12, 2**22])
@pytest.mark.parametrize("reduction", ["mean", "row_sum"])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    sizes=SIZES,
    tau=st.sampled_from([0.01, 0.1, 1.0, 2.0]),
    part=st.tuples(st.floats(0, 1), st.floats(0, 1)) | st.none(),
)
def test_equals_naive_value_and_gradient(block: int, reduction, seed: int, sizes: list[int], tau: float, part) -> None:
    """Whole pairs, mirrored pairs and slices of them, as the block size has it; with a shift before exp at tau 0.01."""
    student, teacher = pair(seed, sum(sizes), 2, 3)
    rows = None if part is None else tuple(sorted(round(end * sum(sizes)) for end in part))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_sample, "_BLOCK_ENTRIES", block)
        assert_same_as_naive(
            lambda s, t: cross_sample_kl(s, t, offsets=ends(sizes), tau=tau, reduction=reduction, rows=rows),
            lambda s, t: naive(s, t, sizes, tau, reduction, None if rows is None else range(*rows)),
            student,
            teacher,
        )


@pytest.mark.parametrize("reduction", ["mean", "row_sum"])
def test_ranges_of_rows_sum_to_the_whole(reduction) -> None:
    student, teacher = pair(1, 60, 4, 6)
    offsets = ends([20, 25, 15])
    whole = cross_sample_kl(student, teacher, offsets=offsets, reduction=reduction)
    parts = [
        cross_sample_kl(student, teacher, offsets=offsets, reduction=reduction, rows=rows)
        for rows in ((0, 20), (20, 33), (33, 33), (33, 60))
    ]
    assert sum(part.item() for part in parts) == pytest.approx(whole.item(), rel=1e-12)
    summed = sum(gradient(part, student) for part in parts)
    torch.testing.assert_close(summed, gradient(whole, student), rtol=1e-10, atol=1e-15)
    assert_connected_zero(parts[2], student)


def test_order_of_points_and_of_clouds_and_lengths_of_features_do_not_matter() -> None:
    student, teacher = pair(2, 50, 3, 5)
    expected = cross_sample_kl(student, teacher, offsets=torch.tensor([30, 50])).item()
    order = torch.cat([torch.randperm(30), 30 + torch.randperm(20)])
    shuffled = cross_sample_kl(student[order], teacher[order], offsets=[30, 50])
    assert shuffled.item() == pytest.approx(expected, rel=1e-10)
    swapped = torch.cat([torch.arange(30, 50), torch.arange(30)])
    assert cross_sample_kl(student[swapped], teacher[swapped], offsets=[20, 50]).item() == pytest.approx(expected)
    length = torch.rand(50, 1) + 0.1
    assert cross_sample_kl(student * length, teacher / length, offsets=[30, 50]).item() == pytest.approx(expected)
    turned, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    assert cross_sample_kl(student @ turned, teacher, offsets=[30, 50]).item() == pytest.approx(expected)


@pytest.mark.parametrize("tau", [0.01, 0.1, 2.0])
def test_equal_features_give_zero(tau: float) -> None:
    _, teacher = pair(3, 90, 3, 3, torch.float32)
    student = teacher.clone().requires_grad_()
    value = cross_sample_kl(student, teacher, offsets=[40, 90], tau=tau)
    assert value.item() == 0 and gradient(value, student).abs().max() < 1e-6


@pytest.mark.parametrize("tau", [0.1, 2.0])
def test_float32_keeps_its_digits(tau: float) -> None:
    student, teacher = pair(4, 900, 16, 48)
    exact = cross_sample_kl(student, teacher, offsets=[300, 500, 900], tau=tau)
    single = student.detach().float().requires_grad_()
    value = cross_sample_kl(single, teacher.float(), offsets=[300, 500, 900], tau=tau)
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)
    reference = gradient(exact, student)
    assert (gradient(value, single) - reference).norm() < 1e-5 * reference.norm()


def test_the_warm_limit_is_half_the_variance_of_the_similarities() -> None:
    """KL of a row tends to Var_b(M_S - M_T) / (2 tau^2): an oracle that shares nothing with any softmax."""
    student, teacher = pair(5, 40, 3, 3)
    tau = 1e3
    ours, theirs = (f / f.norm(dim=1, keepdim=True) for f in (student.detach(), teacher))
    gap = ours @ ours.T - theirs @ theirs.T
    expected = gap.var(1, correction=0).mean() / (2 * tau**2)
    assert cross_sample_kl(student, teacher, offsets=[40], tau=tau).item() == pytest.approx(expected.item(), rel=1e-2)


def test_never_holds_all_pairs_at_once() -> None:
    student, teacher = pair(6, 1024, 4, 6, torch.float32)
    with LargestTensor() as largest:
        cross_sample_kl(student, teacher, offsets=ends([128] * 8)).backward()
    assert largest.entries <= 3 * 128**2 < 1024**2


def test_gradcheck_zero_rows_nothing_to_compare_and_misfits() -> None:
    student, teacher = pair(7, 7, 2, 3)
    assert torch.autograd.gradcheck(lambda s: cross_sample_kl(s, teacher, offsets=[3, 7], tau=0.5), (student,))
    with torch.no_grad():
        student[2] = 0
    found = gradient(cross_sample_kl(student, teacher, offsets=[3, 7]), student)
    assert found.isfinite().all() and not found[2].any()
    assert_connected_zero(cross_sample_kl(student[:0], teacher[:0], offsets=[0]), student)
    single = student.detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = cross_sample_kl(single, teacher.float(), offsets=[3, 7])
    assert torch.equal(inside, cross_sample_kl(single, teacher.float(), offsets=[3, 7]))
    for rows in ((2, 9), (-1, 3), (5, 4)):
        with pytest.raises(SrkdError, match="of 7"):
            cross_sample_kl(student, teacher, offsets=[3, 7], rows=rows)
    with pytest.raises(SrkdError, match="do not rise to 7"):
        cross_sample_kl(student, teacher, offsets=[3])
    with pytest.raises(SrkdError, match="reduction"):
        cross_sample_kl(student, teacher, offsets=[7], reduction="sum")  # type: ignore[arg-type]
