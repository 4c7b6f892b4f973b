# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pooling, unpooling, blocks' small parts: against loops and statistics."""

import pytest
import torch
from small_networks import randomize, voxels
from torch.nn.functional import gelu

from srkd.backend import Backend
from srkd.nn.block import DropPath
from srkd.nn.pooling import GridPooling, GridUnpooling, segment_max
from srkd.nn.unet import drop_rates
from srkd.plan import GeometryPlan, PlanSpec
from srkd.plan_build import build_plan


@pytest.fixture(scope="module")
def plan() -> GeometryPlan:
    return build_plan(torch.cat([voxels(80, 0), voxels(5, 1)]), [80, 85], PlanSpec(3, frozenset(), frozenset()))


def test_maximum_over_each_parent_even_where_all_are_negative(plan: GeometryPlan) -> None:
    values = torch.randn(85, 6, generator=torch.Generator().manual_seed(0)) - 5
    for ancestor in (1, 2):
        parent, count = plan.parent(0, ancestor), plan.num_rows(ancestor)
        expected = torch.stack([values[parent == row].amax(dim=0) for row in range(count)])
        assert torch.equal(segment_max(values, parent, count, Backend()), expected)


def test_the_maximum_hands_its_gradient_to_the_winner(plan: GeometryPlan) -> None:
    values = torch.randn(85, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    parent, count = plan.parent(0, 1), plan.num_rows(1)
    out = segment_max(values, parent, count, Backend())
    (gradient,) = torch.autograd.grad(out.sum(), values)
    assert torch.equal(gradient, (values == out[parent]).float())


@pytest.mark.parametrize("coarser", [1, 2], ids=["stride 2", "stride 4"])
def test_pooling_is_linear_maximum_norm_gelu(plan: GeometryPlan, coarser: int) -> None:
    layer = GridPooling(6, 10)
    randomize(layer, 0)
    layer.eval()
    features = torch.randn(85, 6, generator=torch.Generator().manual_seed(1))
    projected, parent = layer.proj(features), plan.parent(0, coarser)
    pooled = torch.stack([projected[parent == row].amax(dim=0) for row in range(plan.num_rows(coarser))])
    norm = layer.norm
    assert norm.running_mean is not None and norm.running_var is not None
    normed = (pooled - norm.running_mean) / (norm.running_var + 1e-3).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(layer(features, plan, 0, coarser), gelu(normed), rtol=1e-5, atol=1e-5)
    assert norm.momentum == 0.01


@pytest.mark.parametrize("merge", [False, True])
def test_unpooling_joins_and_hands_the_skip_branch_out_unscaled(plan: GeometryPlan, merge: bool) -> None:
    layer = GridUnpooling(10, 6, 8, merge=merge, skip_scale=0.5)
    randomize(layer, 0)
    layer.eval()
    coarse, skip = torch.randn(plan.num_rows(2), 10), torch.randn(85, 6)
    joined, beside = layer(coarse, skip, plan, 0, 2)
    raised = gelu(layer.norm(layer.proj(coarse)))[plan.parent(0, 2)]
    expected = gelu(layer.skip_norm(layer.skip_proj(skip)))
    torch.testing.assert_close(beside, expected)
    if layer.merge is None:
        torch.testing.assert_close(joined, 0.5 * expected + raised)
    else:
        torch.testing.assert_close(joined, layer.merge(torch.cat([0.5 * expected, raised], dim=1)))


def test_drop_path_drops_whole_rows_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer, residual = DropPath(0.3), torch.ones(20_000, 5)
    out = layer(residual)
    kept = out[:, 0] != 0
    assert ((out != 0) == kept.unsqueeze(1)).all()
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / 0.7))
    assert abs(float(kept.float().mean()) - 0.7) < 0.02 and abs(float(out.mean()) - 1) < 0.02


def test_drop_path_does_nothing_in_eval_and_at_zero() -> None:
    residual = torch.randn(5, 3)
    assert DropPath(0.0)(residual) is residual and DropPath(0.9).eval()(residual) is residual


def test_drop_rates_rise_evenly() -> None:
    assert drop_rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3]) and drop_rates(0.3, 1) == [0]
