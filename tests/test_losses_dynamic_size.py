# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Statistics of clouds and losses on matched rows against loops over clouds, channels and rows."""

import math
from functools import partial

import pytest
import torch
from distillation_pairs import SIZES, assert_connected_zero, assert_same_as_naive, ends, gradient, pair, segments
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from srkd.errors import SrkdError
from srkd_train.losses.dynamic_size import (
    LEAST_VARIANCE,
    covariance_mse,
    matched_kl,
    matched_mse,
    pool_mse,
    stats_mse,
)

LOSSES = {
    "pool": pool_mse,
    "log_sd": partial(stats_mse, spread="log_sd"),
    "variance": partial(stats_mse, spread="variance"),
    "covariance": covariance_mse,
}


def sizes_of_two(draw_sizes: list[int], seed: int) -> list[int]:
    """As many clouds of the teacher, of other sizes."""
    generator = torch.Generator().manual_seed(seed)
    return [int(torch.randint(0, 9, (), generator=generator)) for _ in draw_sizes]


def uneven_pair(seed: int, ours: list[int], theirs: list[int], width: int, dtype=torch.float64):
    return pair(seed, sum(ours), width, width, dtype)[0], pair(seed + 1, sum(theirs), width, width, dtype)[1]


def column_mean(features: Tensor, rows: range, c: int) -> Tensor:
    return sum((features[n, c] for n in rows), features.new_zeros(())) / len(rows)


def column_product(features: Tensor, rows: range, c: int, e: int) -> Tensor:
    """Mean over rows of the product of two columns about their means."""
    at = column_mean(features, rows, c), column_mean(features, rows, e)
    total = features.new_zeros(())
    for n in rows:
        total = total + (features[n, c] - at[0]) * (features[n, e] - at[1])
    return total / len(rows)


def spread_of(variance: Tensor, spread: str) -> Tensor:
    return variance if spread == "variance" else torch.log(torch.sqrt(variance + LEAST_VARIANCE))


def naive(name: str, student: Tensor, teacher: Tensor, ours: list[int], theirs: list[int]) -> Tensor:
    clouds = list(zip(segments(ours), segments(theirs), strict=True))
    width = student.shape[1]
    one = [(a, b) for a, b in clouds if len(a) >= 1 and len(b) >= 1]
    two = [(a, b) for a, b in clouds if len(a) >= 2 and len(b) >= 2]
    total = student.new_zeros(())
    if name == "covariance":
        for a, b in two:
            for c in range(width):
                for e in range(width):
                    gap = column_product(student, a, c, e) - column_product(teacher, b, c, e)
                    total = total + gap**2 / (width**2 * len(two))
        return total
    for a, b in one:
        for c in range(width):
            total = total + (column_mean(student, a, c) - column_mean(teacher, b, c)) ** 2 / (width * len(one))
    for a, b in two if name != "pool" else []:
        for c in range(width):
            gap = spread_of(column_product(student, a, c, c), name) - spread_of(column_product(teacher, b, c, c), name)
            total = total + gap**2 / (width * len(two))
    return total


@pytest.mark.parametrize("name", LOSSES)
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), ours=SIZES, width=st.integers(1, 3))
def test_statistics_equal_naive_value_and_gradient(name: str, seed: int, ours: list[int], width: int) -> None:
    theirs = sizes_of_two(ours, seed)
    student, teacher = uneven_pair(seed, ours, theirs, width)
    assert_same_as_naive(
        lambda s, t: LOSSES[name](s, t, student_offsets=ends(ours), teacher_offsets=torch.tensor(ends(theirs))),
        lambda s, t: naive(name, s, t, ours, theirs),
        student,
        teacher,
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_cloud_counts_alone_as_in_the_batch(name: str) -> None:
    """Nothing of one cloud is in the statistics of another: the batch is the mean of its clouds."""
    loss = LOSSES[name]
    student, teacher = uneven_pair(1, [20, 70], [150, 40], 4)
    whole = loss(student, teacher, student_offsets=[20, 90], teacher_offsets=[150, 190])
    parts = [
        loss(student[a], teacher[b], student_offsets=[len(a)], teacher_offsets=[len(b)])
        for a, b in ((range(20), range(150)), (range(20, 90), range(150, 190)))
    ]
    assert whole.item() == pytest.approx(sum(part.item() for part in parts) / 2, rel=1e-12)
    found = gradient(whole, student)
    only_first = gradient(parts[0], student)
    torch.testing.assert_close(found[:20], only_first[:20] / 2, rtol=1e-12, atol=1e-15)
    elsewhere = teacher.clone()
    elsewhere[150:] += 1000
    moved = loss(student, elsewhere, student_offsets=[20, 90], teacher_offsets=[150, 190])
    assert torch.equal(gradient(moved, student)[:20], found[:20])


@pytest.mark.parametrize("name", LOSSES)
def test_order_and_number_of_points_do_not_matter(name: str) -> None:
    loss = LOSSES[name]
    student, teacher = uneven_pair(2, [30, 20], [60, 25], 3)
    offsets = {"student_offsets": [30, 50], "teacher_offsets": [60, 85]}
    expected = loss(student, teacher, **offsets).item()
    own = torch.cat([torch.randperm(30), 30 + torch.randperm(20)])
    other = torch.cat([torch.randperm(60), 60 + torch.randperm(25)])
    assert loss(student[own], teacher[other], **offsets).item() == pytest.approx(expected, rel=1e-9)
    twice = loss(student, teacher.repeat_interleave(2, 0), student_offsets=[30, 50], teacher_offsets=[120, 170])
    assert twice.item() == pytest.approx(expected, rel=1e-9)
    same = loss(teacher.repeat_interleave(3, 0), teacher, student_offsets=[180, 255], teacher_offsets=[60, 85])
    assert same.item() == pytest.approx(0, abs=1e-20)


def test_log_sd_counts_ratios_and_variance_differences() -> None:
    _, teacher = uneven_pair(3, [1], [500], 2)
    teacher = teacher - teacher.mean(0)
    offsets = {"student_offsets": [500], "teacher_offsets": [500]}
    for scale in (1.0, 50.0):
        ratio = stats_mse(3 * scale * teacher, scale * teacher, **offsets).item()
        assert ratio == pytest.approx(math.log(3) ** 2, rel=1e-4)
    variance = teacher.square().mean(0)
    published = stats_mse(3 * teacher, teacher, **offsets, spread="variance").item()
    assert published == pytest.approx((64 * variance**2).mean().item(), rel=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name: str) -> None:
    student, teacher = uneven_pair(4, [5, 0, 3, 1], [4, 2, 6, 3], 2)
    loss = partial(LOSSES[name], student_offsets=[5, 5, 8, 9], teacher_offsets=[4, 6, 12, 15])
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), (student,))


@pytest.mark.parametrize("name", LOSSES)
def test_float32_on_a_large_cloud_far_from_zero(name: str) -> None:
    student, teacher = uneven_pair(5, [300_000], [200_000], 3)
    offsets = {"student_offsets": [300_000], "teacher_offsets": [200_000]}
    student, teacher = (student.detach() + 20).float(), (teacher + 20.5).float()
    exact = LOSSES[name](student.double(), teacher.double(), **offsets).item()
    assert LOSSES[name](student, teacher, **offsets).item() == pytest.approx(exact, rel=2e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_channels_that_do_not_vary_and_single_rows_stay_finite(name: str) -> None:
    loss = LOSSES[name]
    student = torch.full((6, 2), 3.0, requires_grad=True)
    value = loss(student, torch.randn(9, 2), student_offsets=[6], teacher_offsets=[9])
    assert value.isfinite() and gradient(value, student).isfinite().all()
    value = loss(student, torch.full((9, 2), 3.0), student_offsets=[6], teacher_offsets=[9])
    assert value.item() == 0 and not gradient(value, student).any()
    single = torch.randn(1, 2, requires_grad=True)
    value = loss(single, torch.randn(1, 2), student_offsets=[1], teacher_offsets=[1])
    assert value.isfinite() and gradient(value, single).isfinite().all()
    assert value.item() == 0 or name != "covariance"


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_to_compare_half_precision_and_misfits(name: str) -> None:
    loss = LOSSES[name]
    student, teacher = uneven_pair(6, [8], [12], 3, torch.float32)
    offsets = {"student_offsets": [3, 8], "teacher_offsets": [12, 12]}
    assert_connected_zero(loss(student[:0], teacher, student_offsets=[0], teacher_offsets=[12]), student)
    assert_connected_zero(loss(student[:0], teacher[:0], student_offsets=[], teacher_offsets=[]), student)
    assert_connected_zero(loss(student, teacher, student_offsets=[0, 8], teacher_offsets=[12, 12]), student)
    assert_connected_zero(loss(student[:, :0], teacher[:, :0], **offsets), student)
    assert loss(student.bfloat16(), teacher.half(), **offsets).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(student, teacher, **offsets)
    assert torch.equal(inside, loss(student.detach(), teacher, **offsets))
    with pytest.raises(SrkdError, match="3 columns, teacher 2"):
        loss(student, teacher[:, :2], **offsets)
    with pytest.raises(SrkdError, match="do not rise to 12"):
        loss(student, teacher, student_offsets=[8], teacher_offsets=[8])
    with pytest.raises(SrkdError, match="1 clouds of the student, 2 of the teacher"):
        loss(student, teacher, student_offsets=[8], teacher_offsets=[5, 12])
    with pytest.raises(SrkdError, match="two matrices"):
        loss(student[0], teacher, **offsets)


def test_an_unknown_spread_is_refused() -> None:
    student, teacher = uneven_pair(7, [4], [4], 2)
    with pytest.raises(SrkdError, match="spread 'sd', give one of log_sd, variance"):
        stats_mse(student, teacher, student_offsets=[4], teacher_offsets=[4], spread="sd")  # type: ignore[arg-type]


def naive_matched(student: Tensor, teacher: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    gaps = [(student[i, c] - teacher[j, c]) ** 2 for i, j in pairs for c in range(student.shape[1])]
    return sum(gaps, student.new_zeros(())) / max(len(gaps), 1)


def naive_matched_kl(student: Tensor, teacher: Tensor, pairs: list[tuple[int, int]], tau: float) -> Tensor:
    total = student.new_zeros(())
    for i, j in pairs:
        ours = [torch.exp(s / tau) for s in student[i]]
        theirs = [math.exp(t / tau) for t in teacher[j].tolist()]
        for s, t in zip(ours, theirs, strict=True):
            share = t / sum(theirs)
            total = total + tau**2 * share * (math.log(share) - torch.log(s / sum(ours)))
    return total / max(len(pairs), 1)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 4),
    pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 10)), max_size=8),
    tau=st.sampled_from([1.0, 2.0, 4.0]),
)
def test_matched_losses_equal_naive(seed: int, width: int, pairs: list[tuple[int, int]], tau: float) -> None:
    """Rows may occur more than once, as several queries have one nearest point."""
    student, teacher = uneven_pair(seed, [7], [11], width)
    ours, theirs = (torch.tensor([p[side] for p in pairs], dtype=torch.int64) for side in (0, 1))
    assert_same_as_naive(
        lambda s, t: matched_mse(s, t, ours, theirs), lambda s, t: naive_matched(s, t, pairs), student, teacher
    )
    assert_same_as_naive(
        lambda s, t: matched_kl(s, t, ours, theirs, tau=tau),
        lambda s, t: naive_matched_kl(s, t, pairs, tau),
        student,
        teacher,
    )


@pytest.mark.parametrize("loss", [matched_mse, matched_kl])
def test_no_pairs_and_misfits(loss) -> None:
    student, teacher = uneven_pair(8, [5], [9], 3, torch.float32)
    none = torch.zeros(0, dtype=torch.int64)
    assert_connected_zero(loss(student, teacher, none, none), student)
    assert_connected_zero(loss(student[:0], teacher[:0], none, none), student)
    endless = torch.full((5, 3), torch.inf, requires_grad=True)
    assert_connected_zero(loss(endless, teacher, none, none), endless)
    order = torch.randperm(4)
    ours, theirs = torch.tensor([0, 1, 2, 4]), torch.tensor([8, 8, 1, 0])
    shuffled = loss(student, teacher, ours[order], theirs[order]).item()
    assert shuffled == pytest.approx(loss(student, teacher, ours, theirs).item(), rel=1e-6)
    with pytest.raises(SrkdError, match="give pairs"):
        loss(student, teacher, ours, theirs[:3])
    with pytest.raises(SrkdError, match="3 columns, teacher 2"):
        loss(student, teacher[:, :2], ours, theirs)
