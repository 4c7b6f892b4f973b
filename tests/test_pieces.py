# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inference in pieces against the modules that it stands for."""

import pytest
import torch
from small_networks import features_of, plan_of, randomize, small_cdsegnet, small_ptv3, voxels

from srkd.backend import Backend
from srkd.nn import block as block_module
from srkd.nn import pieces
from srkd.nn.attention import PatchAttention
from srkd.nn.block import Block, PositionalConv
from srkd.plan import Patches, PlanSpec
from srkd.plan_build import build_plan

SIZE = 8


@pytest.mark.parametrize("rows", [1, 8, 24, 4096])
@pytest.mark.parametrize("curve", ["z", "hilbert-trans"])
@pytest.mark.parametrize("count", [1, 5, 8, 9, 64, 71, 100])
def test_a_block_in_pieces_equals_its_modules(
    count: int, curve: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_ROWS", rows)
    plan = build_plan(voxels(count, count), [count], PlanSpec(1, frozenset({(0, 3)}), frozenset({(0, curve, SIZE)})))
    block = Block(12, 3, 4, 0.5).double().eval()
    randomize(block, 0)
    features = torch.randn(count, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    before = features.clone()
    patches = plan.patches(0, curve, SIZE)
    expected = block(features, plan, 0, patches).detach()
    with torch.no_grad():
        found = block(features, plan, 0, patches)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(features, before)


@pytest.mark.parametrize("curve", ["z", "hilbert-trans"])
@pytest.mark.parametrize("counts", [(5, 9), (8, 8), (64, 3, 20), (1, 100, 7, 8, 17)])
def test_clouds_of_a_batch_are_taken_one_by_one(curve: str, counts: tuple[int, ...]) -> None:
    spec = PlanSpec(1, frozenset({(0, 3)}), frozenset({(0, curve, SIZE)}))
    ends = torch.tensor(counts).cumsum(0).tolist()
    plan = build_plan(torch.cat([voxels(count, count) for count in counts]), ends, spec)
    block = Block(12, 3, 4, 0.5).double().eval()
    randomize(block, 0)
    features = torch.randn(ends[-1], 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    patches = plan.patches(0, curve, SIZE)
    expected = block(features, plan, 0, patches).detach()
    with torch.no_grad():
        found = block(features, plan, 0, patches)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["ptv3", "cdsegnet"])
@pytest.mark.parametrize("count", [1, 9, 200])
def test_a_network_without_gradients_gives_the_same_logits(kind: str, count: int) -> None:
    network = small_ptv3() if kind == "ptv3" else small_cdsegnet()
    cloud, features = voxels(count, count, 10), features_of(count, 1)
    expected = network(features, plan_of([cloud], network)).detach()
    with torch.inference_mode():
        found = network(features, plan_of([cloud], network))
        assert torch.equal(found, network(features, plan_of([cloud], network)))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_folding_two_linear_maps_changes_nothing() -> None:
    plan = build_plan(voxels(400, 0), [400], PlanSpec(1, frozenset({(0, 3)}), frozenset()))
    layer = PositionalConv(12).double().eval()
    randomize(layer, 3)
    features = torch.randn(400, 12, dtype=torch.float64)
    calls: list[int] = []
    layer.linear.register_forward_pre_hook(lambda _, rows: calls.append(len(rows[0])))
    expected = layer(features, plan, 0).detach()
    with torch.no_grad():
        torch.testing.assert_close(layer(features, plan, 0), expected, rtol=1e-10, atol=1e-10)
        assert calls == [400]
        layer(features[:20], build_plan(voxels(20, 0), [20], PlanSpec(1, frozenset({(0, 3)}), frozenset())), 0)
    assert calls == [400, 20]


def test_changed_weights_count_at_once() -> None:
    network, cloud, features = small_ptv3(), voxels(200, 0, 10), features_of(200, 1)
    with torch.no_grad():
        first = network(features, plan_of([cloud], network))
        randomize(network, 5)
        second = network(features, plan_of([cloud], network))
    assert float((first - second).abs().max()) > 0.1
    torch.testing.assert_close(second, network(features, plan_of([cloud], network)).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ("plain", True),
        ("gradients", False),
        ("training", False),
        ("batch", True),
        ("autocast", False),
        ("flash", False),
    ],
)
def test_pieces_are_for_plain_inference(situation: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_ptv3()
    clouds = [voxels(30, 0), voxels(9, 1)] if situation == "batch" else [voxels(39, 0)]
    plan = plan_of(clouds, network)
    taken: list[int] = []

    def record(block: Block, rows: torch.Tensor, patches: Patches, ends: list[int]) -> torch.Tensor:
        taken.append(len(rows))
        return rows

    monkeypatch.setattr(block_module, "attend_and_mix", record)
    monkeypatch.setattr(PatchAttention, "forward", lambda self, rows, patches: rows)
    if situation == "flash":
        for module in network.modules():
            if isinstance(module, PatchAttention):
                module.backend = Backend(attention="flash-attn")
    with torch.set_grad_enabled(situation == "gradients"), torch.autocast("cpu", enabled=situation == "autocast"):
        network.train(situation == "training")(features_of(39, 0), plan)
    assert bool(taken) == expected
