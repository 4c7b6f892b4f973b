# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Channel-wise divergence against loops over clouds, channels and points."""

import pytest
import torch
from distillation_pairs import SIZES, assert_connected_zero, assert_same_as_naive, ends, pair, segments
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from srkd.errors import SrkdError
from srkd_train.losses.channel import channel_kl


def naive(student: Tensor, teacher: Tensor, sizes: list[int], tau: float, reduction: str) -> Tensor:
    clouds = [rows for rows in segments(sizes) if len(rows)]
    total = student.new_zeros(())
    for rows in clouds:
        for c in range(student.shape[1]):
            ours = [torch.exp(student[n, c] / tau) for n in rows]
            theirs = [torch.exp(teacher[n, c] / tau) for n in rows]
            for s, t in zip(ours, theirs, strict=True):
                share = t / sum(theirs)
                total = total + share * (torch.log(share) - torch.log(s / sum(ours)))
    count = student.shape[1] * len(clouds) if reduction == "channel" else len(student)
    return tau**2 * total / max(count, 1)


@pytest.mark.parametrize("reduction", ["channel", "point"])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), sizes=SIZES, channels=st.integers(1, 3), tau=st.sampled_from([0.5, 1.0, 2.0, 4.0]))
def test_equals_naive_value_and_gradient(reduction, seed: int, sizes: list[int], channels: int, tau: float) -> None:
    student, teacher = pair(seed, sum(sizes), channels, channels)
    assert_same_as_naive(
        lambda s, t: channel_kl(s, t, offsets=ends(sizes), tau=tau, reduction=reduction),
        lambda s, t: naive(s, t, sizes, tau, reduction),
        student,
        teacher,
    )


def test_a_cloud_counts_alone_as_in_the_batch() -> None:
    student, teacher = pair(1, 90, 4, 4)
    whole = channel_kl(student, teacher, offsets=[20, 90])
    parts = [channel_kl(student[rows], teacher[rows], offsets=[len(rows)]) for rows in (range(20), range(20, 90))]
    assert whole.item() == pytest.approx(sum(part.item() for part in parts) / 2, rel=1e-12)
    points = channel_kl(student, teacher, offsets=[20, 90], reduction="point")
    assert points.item() == pytest.approx(whole.item() * 4 * 2 / 90, rel=1e-12)


def test_order_of_points_and_level_of_a_channel_do_not_matter() -> None:
    student, teacher = pair(2, 50, 3, 3)
    expected = channel_kl(student, teacher, offsets=torch.tensor([30, 50])).item()
    order = torch.cat([torch.randperm(30), 30 + torch.randperm(20)])
    assert channel_kl(student[order], teacher[order], offsets=[30, 50]).item() == pytest.approx(expected, rel=1e-9)
    level = torch.tensor([5.0, -3.0, 40.0])
    assert channel_kl(student + level, teacher - level, offsets=[30, 50]).item() == pytest.approx(expected, rel=1e-9)
    swapped = torch.cat([torch.arange(30, 50), torch.arange(30)])
    assert channel_kl(student[swapped], teacher[swapped], offsets=[20, 50]).item() == pytest.approx(expected, rel=1e-9)


def test_equal_features_give_zero() -> None:
    _, teacher = pair(3, 40, 3, 3, torch.float32)
    assert channel_kl(teacher.clone().requires_grad_(), teacher, offsets=[15, 40]).item() == 0


def test_float32_on_large_clouds_and_gradcheck() -> None:
    student, teacher = pair(4, 60_000, 2, 2)
    exact = channel_kl(student, teacher, offsets=[25_000, 60_000]).item()
    single = channel_kl(student.float(), teacher.float(), offsets=[25_000, 60_000]).item()
    assert single == pytest.approx(exact, rel=1e-5)
    student, teacher = pair(5, 6, 2, 2)
    assert torch.autograd.gradcheck(lambda s: channel_kl(s, teacher, offsets=[2, 6]), (student,))


def test_nothing_to_compare_half_precision_and_misfits() -> None:
    student, teacher = pair(6, 8, 3, 3, torch.float32)
    assert_connected_zero(channel_kl(student[:0], teacher[:0], offsets=[0, 0]), student)
    assert_connected_zero(channel_kl(student[:0], teacher[:0], offsets=[]), student)
    assert channel_kl(student.half(), teacher.half(), offsets=[8]).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = channel_kl(student, teacher, offsets=[8])
    assert torch.equal(inside, channel_kl(student, teacher, offsets=[8]))
    with pytest.raises(SrkdError, match="do not rise to 8"):
        channel_kl(student, teacher, offsets=[3, 7])
    with pytest.raises(SrkdError, match="do not rise to 8"):
        channel_kl(student, teacher, offsets=[9, 8])
    with pytest.raises(SrkdError, match="reduction 'sum'"):
        channel_kl(student, teacher, offsets=[8], reduction="sum")  # type: ignore[arg-type]
