# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Strided and inverse sparse convolution against loops over dictionaries: forward, gradients, both paths."""

import numpy as np
import pytest
import torch
from naive_spunet import cells_of, down, submanifold, up
from small_networks import voxels
from torch import Tensor

from srkd.nn import strided_conv as module
from srkd.nn.sparse_conv import subm_conv
from srkd.nn.strided_conv import StridedConv3d, strided_conv
from srkd.plan import GeometryPlan, PlanSpec
from srkd.plan_build import build_plan

COUNTS = ((1,), (2,), (9,), (50,), (30, 1, 50, 2))
SPEC = PlanSpec(3, frozenset({(0, 3), (0, 5), (1, 3)}), frozenset())
INPUTS, OUTPUTS = 3, 5


def make_plan(counts: tuple[int, ...]) -> GeometryPlan:
    grid = torch.cat([voxels(count, seed, 6) + seed for seed, count in enumerate(counts)])
    return build_plan(grid, torch.tensor(counts).cumsum(0).tolist(), SPEC)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(features: Tensor, weight: Tensor, plan: GeometryPlan, stage: int, upwards: bool) -> Tensor:
    """Cloud by cloud, from and to the plan's rows."""
    reads, writes = (stage + 1, stage) if upwards else (stage, stage + 1)
    out = np.zeros((plan.num_rows(writes), len(weight)))
    for cloud in range(plan.num_clouds):
        rows = [slice(*plan.offsets(s)[cloud : cloud + 2].tolist()) for s in (stage, stage + 1)]
        fine, coarse = ([tuple(c) for c in plan.coord(s)[part].tolist()] for s, part in enumerate(rows, start=stage))
        numbered = [{cell: row for row, cell in enumerate(cells)} for cells in (fine, coarse)]
        part = features[rows[reads - stage]].numpy()
        out[rows[writes - stage]] = (up if upwards else down)(part, weight.numpy(), *numbered)
    return torch.from_numpy(out)


def by_slots(features: Tensor, weight: Tensor, plan: GeometryPlan, stage: int, *, up: bool) -> Tensor:
    """The way of GPUs and graphs."""
    return module._by_slots(features, weight, plan, stage, up)


@pytest.mark.parametrize("way", [strided_conv, by_slots], ids=["octants", "slots"])
@pytest.mark.parametrize("upwards", [False, True], ids=["down", "up"])
@pytest.mark.parametrize("counts", COUNTS, ids=str)
def test_both_directions_equal_loops(counts: tuple[int, ...], upwards: bool, way) -> None:  # type: ignore[no-untyped-def]
    plan = make_plan(counts)
    for stage in (0, 1):
        features, weight = draw(plan.num_rows(stage + upwards), INPUTS), draw(OUTPUTS, 2, 2, 2, INPUTS, seed=1)
        found = way(features, weight, plan, stage, up=upwards)
        torch.testing.assert_close(found, naive(features, weight, plan, stage, upwards), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_dictionaries_know_the_submanifold_convolution_too(kernel: int) -> None:
    plan = make_plan((50,))
    features, weight = draw(50, INPUTS), draw(OUTPUTS, kernel, kernel, kernel, INPUTS, seed=1)
    expected = submanifold(features.numpy(), weight.numpy(), cells_of(plan.coord(0).numpy(), 1)[0])
    np.testing.assert_allclose(subm_conv(features, weight, plan, 0).numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", [strided_conv, by_slots], ids=["octants", "slots"])
@pytest.mark.parametrize("upwards", [False, True], ids=["down", "up"])
def test_gradients_equal_finite_differences(upwards: bool, way) -> None:  # type: ignore[no-untyped-def]
    plan = make_plan((9, 1, 6))
    features, weight = draw(plan.num_rows(int(upwards)), 2), draw(3, 2, 2, 2, 2, seed=1)
    torch.autograd.gradcheck(
        lambda x, w: way(x, w, plan, 0, up=upwards), (features.requires_grad_(), weight.requires_grad_())
    )


@pytest.mark.parametrize("upwards", [False, True], ids=["down", "up"])
@pytest.mark.parametrize("wanted", ["features", "weight"])
def test_one_gradient_alone(wanted: str, upwards: bool) -> None:
    plan = make_plan((50,))
    features, weight = draw(plan.num_rows(int(upwards)), 4), draw(3, 2, 2, 2, 4, seed=1)
    inputs = [features.requires_grad_(), weight.requires_grad_()]
    both = torch.autograd.grad(strided_conv(*inputs, plan, 0, up=upwards).square().sum(), inputs)
    inputs[wanted == "features"].requires_grad_(False)
    kept = wanted == "weight"
    (alone,) = torch.autograd.grad(strided_conv(*inputs, plan, 0, up=upwards).square().sum(), inputs[kept])
    assert torch.equal(alone, both[kept])


def test_each_child_has_a_tap_of_its_own() -> None:
    """By hand: the eight children of the voxel (1, 0, 2), x slowest."""
    grid = torch.tensor([[2 + a, b, 4 + c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=torch.int32)
    plan = build_plan(grid, [8], PlanSpec(2, frozenset(), frozenset()))
    place = plan.input_rows()
    features = torch.arange(8.0).unsqueeze(1)
    rows = features if place is None else torch.empty_like(features).index_copy(0, place.long(), features)
    for tap in range(8):
        weight = torch.zeros(1, 8, 1).index_fill(1, torch.tensor([tap]), 1.0).view(1, 2, 2, 2, 1)
        assert strided_conv(rows, weight, plan, 0, up=False).tolist() == [[float(tap)]]
        raised = strided_conv(torch.tensor([[3.0]]), weight, plan, 0, up=True).flatten()
        expected = [3.0 * (number == tap) for number in range(8)]
        assert (raised if place is None else raised[place]).tolist() == expected


@pytest.mark.parametrize("upwards", [False, True], ids=["down", "up"])
def test_autocast_on_a_cpu_keeps_full_precision_and_gradients(upwards: bool) -> None:
    plan = make_plan((50,))
    features, weight = (
        draw(plan.num_rows(int(upwards)), 4).float(),
        draw(3, 2, 2, 2, 4, seed=1).float().requires_grad_(),
    )
    expected = strided_conv(features.bfloat16().float(), weight, plan, 0, up=upwards)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = strided_conv(features.bfloat16(), weight, plan, 0, up=upwards)
    assert found.dtype == torch.float32 and torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(out.square().sum(), weight)[0] for out in (found, expected)))


@pytest.mark.parametrize("upwards", [False, True], ids=["down", "up"])
def test_every_run_gives_the_same_bits(upwards: bool) -> None:
    runs = []
    for _ in range(3):
        plan = make_plan((120, 90))
        features, weight = draw(plan.num_rows(int(upwards)), 16).float(), draw(16, 2, 2, 2, 16, seed=1).float()
        inputs = (features.requires_grad_(), weight.requires_grad_())
        out = strided_conv(*inputs, plan, 0, up=upwards)
        runs.append((out, *torch.autograd.grad(out.square().sum(), inputs)))
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))


@pytest.mark.parametrize("upwards", [False, True], ids=["down", "up"])
def test_the_layer_draws_its_weights_by_fan_in(upwards: bool) -> None:
    layer, plan = StridedConv3d(16, 5, up=upwards), make_plan((50,))
    bound = (16 * (1 if upwards else 8)) ** -0.5
    assert 0.9 * bound < float(layer.weight.detach().abs().max()) <= bound
    assert layer(torch.randn(plan.num_rows(int(upwards)), 16), plan, 0).shape == (plan.num_rows(int(not upwards)), 5)
