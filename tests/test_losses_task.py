# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Supervised losses against naive float64 loops written from the definitions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srkd_train.losses import task

IGNORE = 255


def naive_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    terms = [-logits[n].log_softmax(0)[int(c)] for n, c in enumerate(label.tolist()) if c != IGNORE]
    return sum(terms, logits.new_zeros(())) / max(len(terms), 1)


def naive_lovasz(logits: Tensor, label: Tensor) -> Tensor:
    """Differences of the Jaccard set function over growing sets of the largest errors, one class after another."""
    rows = [n for n, c in enumerate(label.tolist()) if c != IGNORE]
    losses = []
    for c in sorted({int(label[n]) for n in rows}):
        truth = {n for n in rows if int(label[n]) == c}
        errors = {n: (1 - logits[n].softmax(0)[c]) if n in truth else logits[n].softmax(0)[c] for n in rows}
        wrong: set[int] = set()
        before = 0.0
        loss = logits.new_zeros(())
        for n in sorted(rows, key=lambda n: -errors[n].item()):
            wrong.add(n)
            jaccard = 1 - len(truth - wrong) / len(truth | wrong)
            loss = loss + errors[n] * (jaccard - before)
            before = jaccard
        losses.append(loss)
    return sum(losses, logits.new_zeros(())) / max(len(losses), 1)


def some(seed: int, points: int, classes: int, *, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(points, classes, generator=generator, dtype=torch.float64)
    label = torch.randint(classes, (points,), generator=generator)
    label[torch.rand(points, generator=generator) < ignored] = IGNORE
    return logits.requires_grad_(), label


@pytest.mark.parametrize(
    ("ours", "naive"), [(task.cross_entropy, naive_cross_entropy), (task.lovasz_softmax, naive_lovasz)]
)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), points=st.integers(1, 25), classes=st.integers(2, 6))
def test_equals_naive_value_and_gradient(ours, naive, seed: int, points: int, classes: int) -> None:
    logits, label = some(seed, points, classes)
    value, expected = ours(logits, label), naive(logits, label)
    assert value.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-7)
    if (label != IGNORE).any():
        (gradient,) = torch.autograd.grad(value, logits)
        (reference,) = torch.autograd.grad(expected, logits)
        torch.testing.assert_close(gradient, reference, rtol=1e-6, atol=1e-7)


def test_lovasz_of_hard_predictions_is_one_minus_iou() -> None:
    label = torch.tensor([0, 0, 0, 1, 1])
    predicted = torch.tensor([0, 0, 1, 1, 1])
    logits = 60.0 * torch.nn.functional.one_hot(predicted, 3).float()
    assert task.lovasz_softmax(logits, label).item() == pytest.approx(1 - 2 / 3, abs=1e-6)


def test_lovasz_keeps_its_digits_on_a_full_scan() -> None:
    logits, label = some(3, 200_000, 12)
    logits = logits.detach()
    exact, single = task.lovasz_softmax(logits, label).item(), task.lovasz_softmax(logits.float(), label).item()
    assert single == pytest.approx(exact, rel=2e-6)


@pytest.mark.parametrize("loss", [task.cross_entropy, task.lovasz_softmax])
@pytest.mark.parametrize("label", [torch.full((4,), IGNORE), torch.zeros(0, dtype=torch.int64)])
def test_nothing_labelled_is_a_connected_zero(loss, label: Tensor) -> None:
    logits = torch.randn(len(label), 3, requires_grad=True)
    value = loss(logits, label)
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None and not logits.grad.any()


def test_ignored_points_do_not_matter_and_uint8_labels_work() -> None:
    logits, label = some(5, 30, 4, ignored=0.5)
    keep = label != IGNORE
    for loss in (task.cross_entropy, task.lovasz_softmax):
        assert loss(logits, label.to(torch.uint8)).item() == pytest.approx(loss(logits[keep], label[keep]).item())


def test_half_precision_logits_are_computed_in_float32() -> None:
    logits, label = some(6, 50, 4)
    for loss in (task.cross_entropy, task.lovasz_softmax):
        assert loss(logits.bfloat16(), label).dtype == torch.float32


def test_other_ignore_value() -> None:
    logits = torch.randn(3, 2)
    label = torch.tensor([0, -1, 1])
    assert task.cross_entropy(logits, label, ignore=-1).item() == pytest.approx(
        naive_cross_entropy(logits, torch.tensor([0, IGNORE, 1])).item()
    )


def test_gls_is_the_geometric_mean_and_scales_gradients() -> None:
    a, b = torch.tensor(4.0, requires_grad=True), torch.tensor(9.0, requires_grad=True)
    value = task.gls([a, b])
    value.backward()
    assert value.item() == pytest.approx(6.0)
    assert a.grad is not None and a.grad.item() == pytest.approx(0.5 * math.sqrt(9 / 4))
    assert b.grad is not None and b.grad.item() == pytest.approx(0.5 * math.sqrt(4 / 9))


def test_gls_stays_finite_at_zero() -> None:
    a, b = torch.tensor(0.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    task.gls([a, b]).backward()
    assert a.grad is not None and b.grad is not None and torch.isfinite(a.grad) and torch.isfinite(b.grad)
    with pytest.raises(ValueError, match="no terms"):
        task.gls([])


def test_noise_mse_is_a_mean_over_labelled_points_and_channels() -> None:
    predicted, noise = torch.randn(6, 4), torch.randn(6, 4)
    label = torch.tensor([0, 1, IGNORE, 2, IGNORE, 0])
    rows = [0, 1, 3, 5]
    expected = sum((predicted[n, c] - noise[n, c]) ** 2 for n in rows for c in range(4)) / 16
    assert task.noise_mse(predicted, noise, label).item() == pytest.approx(float(expected))
