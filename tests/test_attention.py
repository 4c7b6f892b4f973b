# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Patch attention and cross attention against loops over patches and heads, written from the padding rule."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from naive_network import attend, patches_of
from small_networks import voxels

from srkd.curves import CURVES
from srkd.nn.attention import CrossPatchAttention, PatchAttention
from srkd.plan import GeometryPlan, Patches, PlanSpec
from srkd.plan_build import build_plan

CHANNELS, CONTEXT, HEADS = 12, 6, 3


def make_plan(counts: tuple[int, ...], size: int) -> GeometryPlan:
    grid = torch.cat([voxels(count, seed) for seed, count in enumerate(counts)])
    spec = PlanSpec(1, frozenset(), frozenset((0, curve, size) for curve in CURVES))
    return build_plan(grid, torch.tensor(counts).cumsum(0).tolist(), spec)


def walks(plan: GeometryPlan, patches: Patches) -> list[list[int]]:
    """Rows of each cloud along the curve."""
    walk = patches.rows.view(-1)[patches.slots.sort().values.long()].tolist()
    offsets = plan.offsets(0).tolist()
    return [walk[a:b] for a, b in pairwise(offsets)]


def numpy_linear(layer: torch.nn.Linear, x: np.ndarray) -> np.ndarray:
    return np.asarray(x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())


def loops(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, own: list[int], other: list[int], size: int
) -> np.ndarray:
    """(N, H, D) each; the rows of one cloud are filled in."""
    out = np.zeros_like(query)
    for number, rows in enumerate(patches_of(other, size)):
        mine = own[number * size :][:size]
        for head in range(query.shape[1]):
            out[mine, head] = attend(query[mine, head], key[rows, head], value[rows, head])
    return out


@pytest.mark.parametrize("size", [1, 4, 7, 50, 1000])
@pytest.mark.parametrize("counts", [(1,), (2,), (9,), (50,), (50, 9, 1, 21)], ids=str)
def test_self_attention_equals_loops(counts: tuple[int, ...], size: int) -> None:
    torch.manual_seed(1)
    plan = make_plan(counts, size)
    layer = PatchAttention(CHANNELS, HEADS).double()
    features = torch.randn(sum(counts), CHANNELS, dtype=torch.float64)
    for curve in ("z", "hilbert-trans"):
        patches = plan.patches(0, curve, size)
        query, key, value = numpy_linear(layer.qkv, features.numpy()).reshape(-1, 3, HEADS, 4).transpose(1, 0, 2, 3)
        expected = sum(loops(query, key, value, walk, walk, size) for walk in walks(plan, patches))
        found = layer(features, patches).detach().numpy()
        np.testing.assert_allclose(found, numpy_linear(layer.proj, expected.reshape(-1, CHANNELS)), atol=1e-12)


@pytest.mark.parametrize("size", [4, 50])
def test_cross_attention_pairs_patches_by_number_each_side_in_its_own_order(size: int) -> None:
    torch.manual_seed(2)
    counts = (30, 9)
    plan = make_plan(counts, size)
    layer = CrossPatchAttention(CHANNELS, CONTEXT, HEADS).double()
    features, context = torch.randn(39, CHANNELS, dtype=torch.float64), torch.randn(39, CONTEXT, dtype=torch.float64)
    own, other = plan.patches(0, "z", size), plan.patches(0, "hilbert", size)
    query = numpy_linear(layer.q, features.numpy()).reshape(-1, HEADS, 4)
    key, value = numpy_linear(layer.kv, context.numpy()).reshape(-1, 2, HEADS, 4).transpose(1, 0, 2, 3)
    expected = sum(
        loops(query, key, value, mine, theirs, size)
        for mine, theirs in zip(walks(plan, own), walks(plan, other), strict=True)
    )
    found = layer(features, context, own, other).detach().numpy()
    np.testing.assert_allclose(found, numpy_linear(layer.proj, expected.reshape(-1, CHANNELS)), atol=1e-12)


def test_a_short_patch_gives_no_gradient_to_what_it_does_not_see() -> None:
    torch.manual_seed(3)
    plan = make_plan((9, 4), 8)
    layer = PatchAttention(CHANNELS, HEADS)
    features = torch.randn(13, CHANNELS, requires_grad=True)
    out = layer(features, plan.patches(0, "z", 8))
    (gradient,) = torch.autograd.grad(out[9:].sum(), features)
    assert (gradient[:9] == 0).all() and (gradient[9:] != 0).any(dim=1).all()
