# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution against a dense one of a filled grid: forward, gradients, both paths, batches, precisions."""

import pytest
import torch
from small_networks import voxels
from torch import Tensor

from srkd.nn import sparse_conv
from srkd.nn.sparse_conv import SubmConv3d, subm_conv
from srkd.plan import GeometryPlan, PlanSpec
from srkd.plan_build import build_plan

NARROW, WIDE = 3, 12


def make_plan(*counts: int) -> GeometryPlan:
    """Clouds that touch each other's places, so that any look across the border shows."""
    grid = torch.cat([voxels(count, seed, 7) for seed, count in enumerate(counts)])
    ends = torch.tensor(counts).cumsum(0).tolist()
    return build_plan(grid, ends, PlanSpec(1, frozenset({(0, 1), (0, 3), (0, 5)}), frozenset()))


def dense(features: Tensor, weight: Tensor, plan: GeometryPlan) -> Tensor:
    batch, (x, y, z) = plan.batch(0).long(), plan.coord(0).long().unbind(1)
    filled = features.new_zeros(plan.num_clouds, 7, 7, 7, features.shape[1])
    filled = filled.index_put((batch, x, y, z), features)
    out = torch.nn.functional.conv3d(
        filled.permute(0, 4, 1, 2, 3), weight.permute(0, 4, 1, 2, 3), padding=weight.shape[1] // 2
    )
    return out.permute(0, 2, 3, 4, 1)[batch, x, y, z]


def draw(plan: GeometryPlan, kernel: int, inputs: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    shapes = ((plan.num_rows(0), inputs), (outputs, kernel, kernel, kernel, inputs), (plan.num_rows(0), outputs))
    features, weight, upstream = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    return features.requires_grad_(), weight.requires_grad_(), upstream


def gradients(out: Tensor, upstream: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out, inputs, upstream)


@pytest.mark.parametrize("outputs", [1, NARROW, WIDE])
@pytest.mark.parametrize("inputs", [NARROW, WIDE], ids=["table", "pairs"])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("counts", [(1,), (150,), (60, 1, 90)], ids=str)
def test_forward_and_gradients_equal_a_dense_convolution(
    counts: tuple[int, ...], kernel: int, inputs: int, outputs: int
) -> None:
    plan = make_plan(*counts)
    features, weight, upstream = draw(plan, kernel, inputs, outputs)
    found, expected = subm_conv(features, weight, plan, 0), dense(features, weight, plan)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for own, other in zip(
        gradients(found, upstream, features, weight), gradients(expected, upstream, features, weight), strict=True
    ):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)


def test_the_narrow_input_takes_the_table_and_the_wide_one_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, taken = make_plan(20), []
    for path in ("_by_table", "_by_pairs"):
        monkeypatch.setattr(sparse_conv, path, lambda features, *_, name=path: taken.append(name) or features)
    for inputs in (NARROW, WIDE):
        features, weight, _ = draw(plan, 3, inputs, 4)
        subm_conv(features.detach(), weight.detach(), plan, 0)
    assert taken == ["_by_table", "_by_pairs"]


@pytest.mark.parametrize("wanted", ["features", "weight"])
@pytest.mark.parametrize("inputs", [NARROW, WIDE], ids=["table", "pairs"])
def test_one_gradient_alone(inputs: int, wanted: str) -> None:
    plan = make_plan(80)
    features, weight, upstream = draw(plan, 3, inputs, 5)
    both = gradients(subm_conv(features, weight, plan, 0), upstream, features, weight)
    (features if wanted == "weight" else weight).requires_grad_(False)
    alone = gradients(subm_conv(features, weight, plan, 0), upstream, features if wanted == "features" else weight)
    assert torch.equal(alone[0], both[wanted == "weight"])


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_the_table_path_in_pieces_is_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(100)
    features, weight, upstream = draw(plan, 3, NARROW, 5)
    whole = subm_conv(features, weight, plan, 0)
    expected = (whole, *gradients(whole, upstream, features, weight))
    monkeypatch.setattr(sparse_conv, "_TABLE_ELEMENTS", rows * 27 * NARROW)
    pieces = subm_conv(features, weight, plan, 0)
    found = (pieces, *gradients(pieces, upstream, features, weight))
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-13, atol=1e-13)


def test_a_tap_reads_its_own_neighbour() -> None:
    """By hand: voxels 0 and 2 of an axis beside voxel 1; tap (a, b, c) reads what lies at + (a, b, c) - 1."""
    for axis in range(3):
        cells = torch.zeros(3, 3, dtype=torch.int32)
        cells[:, axis] = torch.arange(3)
        plan = build_plan(cells, [3], PlanSpec(1, frozenset({(0, 3)}), frozenset()))
        for tap, expected in ((0, [0.0, 1.0, 2.0]), (1, [1.0, 2.0, 4.0]), (2, [2.0, 4.0, 0.0])):
            place = [1, 1, 1]
            place[axis] = tap
            weight = torch.zeros(1, 3, 3, 3, 1)
            weight[0, place[0], place[1], place[2], 0] = 1
            assert subm_conv(torch.tensor([[1.0], [2.0], [4.0]]), weight, plan, 0).flatten().tolist() == expected


def test_the_layer_adds_its_bias_and_draws_its_weights_by_fan_in() -> None:
    plan, layer = make_plan(50), SubmConv3d(WIDE, 5, 3, bias=True)
    features = torch.randn(50, WIDE)
    assert layer.bias is not None
    expected = subm_conv(features, layer.weight, plan, 0) + layer.bias
    assert torch.equal(layer(features, plan, 0), expected)
    assert 0.9 / (WIDE * 27) ** 0.5 < float(layer.weight.detach().abs().max()) <= 1 / (WIDE * 27) ** 0.5
    assert SubmConv3d(1, 1, 3, bias=False).bias is None


@pytest.mark.parametrize("inputs", [NARROW, WIDE], ids=["table", "pairs"])
def test_autocast_on_a_cpu_keeps_full_precision_and_gradients(inputs: int) -> None:
    plan = make_plan(60)
    features, weight, upstream = (tensor.detach().float() for tensor in draw(plan, 3, inputs, 5))
    weight.requires_grad_()
    expected = subm_conv(features.bfloat16().float(), weight, plan, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = subm_conv(features.bfloat16(), weight, plan, 0)
    assert found.dtype == torch.float32 and torch.equal(found, expected)
    assert torch.equal(*(gradients(out, upstream, weight)[0] for out in (found, expected)))


@pytest.mark.parametrize("inputs", [NARROW, WIDE], ids=["table", "pairs"])
def test_every_run_gives_the_same_bits(inputs: int) -> None:
    plan = make_plan(150, 150)
    features, weight, upstream = (tensor.detach().float() for tensor in draw(plan, 3, inputs, 16))
    features.requires_grad_(), weight.requires_grad_()
    runs = []
    for _ in range(3):
        out = subm_conv(features, weight, plan, 0)
        runs.append((out, *gradients(out, upstream, features, weight)))
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))
