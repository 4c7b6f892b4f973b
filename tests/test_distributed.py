# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two processes against one that has all the rows: gathering, sums, batch statistics, a network in DDP."""

from typing import Any

import pytest
import torch
from small_networks import features_of, plan_of, small_ptv3, voxels
from torch import Tensor, nn
from torch.multiprocessing import ProcessRaisedException
from torch.nn.parallel import DistributedDataParallel
from two_processes import run_two

from srkd_train.distributed import (
    SyncBatchNorm1d,
    convert_sync_batchnorm,
    gather_offsets,
    gather_rows,
    gather_sizes,
    global_sum,
    mean_weight,
    own_range,
    rank,
    world_size,
)

SPLITS = [(3, 5), (4, 4), (6, 0), (0, 2), (1, 1), (1, 700)]
"""Rows of each process."""
TO_GATHER = [*SPLITS, (0, 0)]
CLOUDS = ((40, 25), (50,))
"""Voxels of the clouds of each process."""


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def mine(rows: Tensor, split: tuple[int, int]) -> Tensor:
    return rows.split(split)[rank()].clone()


def in_turn(function: str, cases: list[tuple[Any, ...]]) -> list[Any]:
    return [globals()[function](*case) for case in cases]


def gathered(split: tuple[int, int]) -> dict[str, Any]:
    rows = mine(normal(sum(split), 3), split).requires_grad_()
    sizes = gather_sizes(len(rows), "cpu")
    everyone = gather_rows(rows)
    loss = (everyone * normal(sum(split), 3, seed=1 + rank())).sum()
    (gradient,) = torch.autograd.grad(loss, rows)
    half = gather_rows(mine(normal(sum(split), 3), split).bfloat16().requires_grad_())
    half.sum().backward()
    return {
        "sizes": sizes,
        "range": own_range(sizes),
        "rows": everyone.detach(),
        "gradient": gradient,
        "half": half.detach(),
        "labels": gather_rows(mine(torch.arange(sum(split)), split)),
    }


@pytest.fixture(scope="module")
def all_gathered() -> list[list[dict[str, Any]]]:
    return run_two(in_turn, "gathered", [(split,) for split in TO_GATHER])


@pytest.mark.parametrize("case", range(len(TO_GATHER)), ids=lambda case: str(TO_GATHER[case]))
def test_gathered_rows_and_their_gradient(case: int, all_gathered: list[list[dict[str, Any]]]) -> None:
    split = TO_GATHER[case]
    whole = normal(sum(split), 3)
    slope = normal(sum(split), 3, seed=1) + normal(sum(split), 3, seed=2)
    start = 0
    for number, process in enumerate(all_gathered):
        found = process[case]
        end = start + split[number]
        assert found["sizes"] == split and found["range"] == (start, end)
        assert torch.equal(found["rows"], whole) and torch.equal(found["half"], whole.bfloat16())
        assert torch.equal(found["labels"], torch.arange(sum(split)))
        torch.testing.assert_close(found["gradient"], slope[start:end])
        start = end


def counted() -> dict[str, Any]:
    own = torch.tensor([[2.0, 5.0], [3.0, -1.0]])[rank()]
    total = global_sum(own.requires_grad_())
    count = torch.tensor([3, 1])[rank()]
    return {
        "who": (rank(), world_size()),
        "sum": total,
        "own": own.detach(),
        "ends": gather_offsets([(4, 4, 9), (2, 6)][rank()], "cpu"),
        "tensor_ends": gather_offsets(torch.tensor([7 + rank()]), "cpu"),
        "weight": mean_weight(count),
        "none": mean_weight(torch.tensor(0)),
    }


def test_sums_offsets_and_weights() -> None:
    first, second = run_two(counted)
    assert first["who"] == (0, 2) and second["who"] == (1, 2)
    for found in (first, second):
        assert found["sum"].tolist() == [5, 4] and not found["sum"].requires_grad
        assert found["ends"] == (4, 4, 9, 11, 15) and found["tensor_ends"] == (7, 15)
        assert found["none"] == 0
    assert first["own"].tolist() == [2, 5]
    # Means 4 over three rows and 8 over one: 5 over all four.
    assert (first["weight"] * 4 + second["weight"] * 8) / 2 == 5


def test_one_process_needs_no_group() -> None:
    assert (rank(), world_size()) == (0, 1)
    rows = normal(4, 2)
    assert gather_rows(rows) is rows and gather_sizes(4, "cpu") == (4,) and own_range((4,)) == (0, 4)
    assert gather_offsets((1, 4), "cpu") == (1, 4)
    total = global_sum(rows)
    assert torch.equal(total, rows) and total.data_ptr() != rows.data_ptr()
    assert mean_weight(torch.tensor(7)) == 1
    norm, plain = SyncBatchNorm1d(2).double(), nn.BatchNorm1d(2).double()
    assert torch.equal(norm(rows), plain(rows)) and torch.equal(norm.running_var, plain.running_var)


def norm_of(options: dict[str, Any], dtype: torch.dtype = torch.float64) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(3, dtype=dtype, **options)
    if norm.affine:
        with torch.no_grad():
            norm.weight.copy_(normal(3, seed=8))
            norm.bias.copy_(normal(3, seed=9))
    return norm


def trained(norm: nn.BatchNorm1d, batches: list[Tensor], slopes: list[Tensor]) -> dict[str, Tensor]:
    """Outputs and gradients of the inputs, parameters' gradients, buffers, and outputs in eval mode after it."""
    found = {}
    for number, (batch, slope) in enumerate(zip(batches, slopes, strict=True)):
        rows = batch.clone().requires_grad_()
        out = norm(rows)
        (out.square() * slope).sum().backward()
        found |= {f"out/{number}": out.detach(), f"gradient/{number}": rows.grad}
    found |= {f"parameter/{name}": value.grad for name, value in norm.named_parameters()}
    found |= {f"buffer/{name}": value.clone() for name, value in norm.named_buffers()}
    return found | {"eval": norm.eval()(batches[0]).detach()}


def batches_of(split: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
    offset = torch.tensor([0.0, 5.0, -300.0])
    batches = [(1 + number) * normal(sum(split), 3, seed=number) + offset for number in range(2)]
    return batches, [normal(sum(split), 3, seed=10 + number) for number in range(2)]


def synced(split: tuple[int, int], options: dict[str, Any]) -> dict[str, Tensor]:
    norm = convert_sync_batchnorm(norm_of(options))
    assert isinstance(norm, SyncBatchNorm1d)
    batches, slopes = batches_of(split)
    return trained(norm, [mine(batch, split) for batch in batches], [mine(slope, split) for slope in slopes])


OPTIONS = [
    {"eps": 1e-3, "momentum": 0.01},
    {"momentum": None},
    {"affine": False},
    {"track_running_stats": False},
]


NORMS = [*((split, OPTIONS[0]) for split in SPLITS), *(((3, 5), more) for more in OPTIONS[1:])]


@pytest.fixture(scope="module")
def all_synced() -> list[list[dict[str, Tensor]]]:
    return run_two(in_turn, "synced", NORMS)


@pytest.mark.parametrize("case", range(len(NORMS)), ids=lambda case: str(NORMS[case]))
def test_batch_norm_over_two_processes_is_that_of_all_rows(
    case: int, all_synced: list[list[dict[str, Tensor]]]
) -> None:
    split, options = NORMS[case]
    expected = trained(norm_of(options), *batches_of(split))
    first, second = (process[case] for process in all_synced)
    assert first.keys() == second.keys() == expected.keys()
    for name, value in expected.items():
        if name.startswith("buffer/"):
            assert torch.equal(first[name], second[name])
            found = first[name]
        elif name.startswith("parameter/"):
            found = first[name] + second[name]
        elif name == "eval" and not options.get("track_running_stats", True):
            continue  # statistics of the rows at hand, as without synchronisation
        else:
            found = torch.cat([first[name], second[name]])
        torch.testing.assert_close(found, value, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


def far_from_zero() -> dict[str, Tensor]:
    norm = SyncBatchNorm1d(3)
    rows = mine((normal(1000, 3) + 3000).float(), (300, 700))
    return {"out": norm(rows).detach(), "half": SyncBatchNorm1d(3)(rows.bfloat16()).detach()}


def without_spread() -> dict[str, Tensor]:
    rows = {"alike": torch.full((4, 3), 7.0), "single": torch.ones(1 - rank(), 3), "none": torch.ones(0, 3)}
    return {name: SyncBatchNorm1d(3)(values).detach() for name, values in rows.items()}


def test_batch_norm_keeps_its_digits() -> None:
    first, second = run_two(far_from_zero)
    rows = normal(1000, 3) + 3000
    out = torch.cat([first["out"], second["out"]])
    assert out.dtype == torch.float32
    expected = nn.BatchNorm1d(3).double()(rows.float().double()).float()
    torch.testing.assert_close(out, expected.detach(), rtol=2e-4, atol=2e-4)
    half = torch.cat([first["half"], second["half"]])
    assert half.dtype == torch.bfloat16
    rounded = nn.BatchNorm1d(3).double()(rows.float().bfloat16().double())
    torch.testing.assert_close(half.double(), rounded.detach(), rtol=2**-7, atol=2**-7)


def test_batch_norm_of_rows_without_spread_is_the_bias() -> None:
    first, second = run_two(without_spread)
    assert not first["alike"].any() and not second["alike"].any()
    assert first["none"].shape == (0, 3)
    assert first["single"].tolist() == [[0, 0, 0]] and second["single"].shape == (0, 3)


def test_conversion_keeps_names_parameters_and_mode() -> None:
    network = small_ptv3()
    state, parameters = network.state_dict(), dict(network.named_parameters())
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm1d)}
    cloud = voxels(30, 0)
    plan, features = plan_of([cloud], network), features_of(30, 0)
    before = network(features, plan)
    assert convert_sync_batchnorm(network) is network
    synced_norms = {name for name, module in network.named_modules() if isinstance(module, SyncBatchNorm1d)}
    assert synced_norms == norms and norms
    assert not any(module.training for module in network.modules())
    assert list(network.state_dict()) == list(state)
    assert all(value.data_ptr() == state[name].data_ptr() for name, value in network.state_dict().items())
    assert all(value is parameters[name] for name, value in network.named_parameters())
    assert torch.equal(network(features, plan), before)
    original = nn.BatchNorm1d(4, eps=0.5, momentum=0.25)
    converted = convert_sync_batchnorm(original.train())
    assert isinstance(converted, SyncBatchNorm1d) and converted.training
    assert (converted.eps, converted.momentum, converted.num_features) == (0.5, 0.25, 4)
    assert converted.running_mean is original.running_mean


def test_batch_norm_takes_rows_only() -> None:
    with pytest.raises(ProcessRaisedException, match=r"takes rows \(n, C\), got \(2, 3, 4\)"):
        run_two(three_axes)


def three_axes() -> None:
    SyncBatchNorm1d(3)(torch.zeros(2, 3, 4))


def in_ddp() -> dict[str, Tensor]:
    network = convert_sync_batchnorm(small_ptv3(drop_path=0.0).double()).train()
    wrapped = DistributedDataParallel(network)
    counts = CLOUDS[rank()]
    first = sum(len(clouds) for clouds in CLOUDS[: rank()])
    clouds = [voxels(count, first + number) for number, count in enumerate(counts)]
    split = tuple(sum(clouds) for clouds in CLOUDS)
    features = mine(features_of(sum(split), 5).double(), split)
    logits = wrapped(features, plan_of(clouds, network))
    mean = logits.square().mean() * mean_weight(torch.tensor(len(logits)))
    (mean + world_size() * pairs(logits, gather_rows(logits)).sum()).backward()
    found = {f"gradient/{name}": value.grad for name, value in network.named_parameters()}
    found |= {f"buffer/{name}": value for name, value in network.named_buffers()}
    return found | {"logits": logits.detach()}


def pairs(rows: Tensor, columns: Tensor) -> Tensor:
    """(n,) entropies of the rows' similarities with all columns."""
    similarity = rows @ columns.T / rows.shape[1]
    return -(similarity.softmax(1) * similarity.log_softmax(1)).sum(1)


def test_a_network_in_ddp_with_gathered_features_is_that_of_one_process() -> None:
    found = run_two(in_ddp)
    network = small_ptv3(drop_path=0.0).double().train()
    counts = [count for clouds in CLOUDS for count in clouds]
    plan = plan_of([voxels(count, number) for number, count in enumerate(counts)], network)
    logits = network(features_of(sum(counts), 5).double(), plan)
    (logits.square().mean() + pairs(logits, logits).sum()).backward()
    torch.testing.assert_close(torch.cat([part["logits"] for part in found]), logits.detach(), rtol=1e-9, atol=1e-9)
    expected = {f"gradient/{name}": value.grad for name, value in network.named_parameters()}
    expected |= {f"buffer/{name}": value for name, value in network.named_buffers()}
    for part in found:
        assert part.keys() == expected.keys() | {"logits"}
        for name, value in expected.items():
            torch.testing.assert_close(part[name], value, rtol=1e-8, atol=1e-8, msg=lambda text, n=name: f"{n}: {text}")


def one_fails() -> None:
    if rank() == 1:
        raise ValueError("the second one failed")
    gather_rows(torch.zeros(1))


def test_a_failure_in_one_process_ends_both() -> None:
    with pytest.raises(ProcessRaisedException, match="the second one failed"):
        run_two(one_fails)
