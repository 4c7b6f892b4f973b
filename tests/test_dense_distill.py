# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A distilling step whose teacher sees denser clouds: terms against naive ones, no match, one cloud, two processes."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from dense_pairs import CASES, dense_distiller, one_process, pairs_of, process_of_two, small_spunet
from halved_distillation import batch_of
from small_networks import small_cdsegnet, small_ptv3
from torch import Tensor
from torch.nn import functional
from two_processes import run_two

from srkd.errors import ConfigError
from srkd_train.data.batch import Batch
from srkd_train.dense_adapters import DenseAdapters
from srkd_train.distiller import Distiller
from srkd_train.objective import DENSE, SRKD, Weights, make_recipe
from srkd_train.objective_config import ObjectiveConfig
from srkd_train.teacher import view

ALL = SRKD + DENSE


def terms_of(module: Distiller, batch: Batch) -> dict[str, Tensor]:
    return {name: value for name, value in module.compute_terms(batch).items() if name in ALL}


def test_on_the_same_clouds_the_terms_of_srkd_are_what_they_were() -> None:
    batch = batch_of(range(3))
    expected = terms_of(dense_distiller(SRKD, dense=False), batch)
    found = terms_of(dense_distiller(SRKD), replace(batch, dense=batch))
    assert expected.keys() == found.keys() == set(SRKD)
    for name in SRKD:
        assert float(expected[name]) > 0
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=0, msg=name)


@pytest.mark.parametrize("make", [small_ptv3, small_cdsegnet, small_spunet])
def test_terms_between_clouds_are_the_naive_ones(make: object) -> None:
    module = dense_distiller(ALL, teacher=make(seed=2), stats_stages=(1.0, 0.0, 3.0), stats_covariance=0.5)  # type: ignore[operator]
    module.eval()  # batch norms of the maps as they stand
    batch = pairs_of(range(2))
    dense, maps = batch.dense, module.dense_adapters
    assert dense is not None and maps is not None and module.shared is not None
    found = terms_of(module, batch)
    student = view(module.network, module.network.forward_features(batch.features, batch.plan), batch.plan)
    teacher = module.teacher(dense.features, dense.plan)

    def cells(each: Batch) -> dict[tuple[int, ...], int]:
        rows = each.plan.input_rows()
        grid = each.plan.coord(0) if rows is None else each.plan.coord(0)[rows]
        cloud = [sum(row >= end for end in each.offsets) for row in range(each.offsets[-1])]
        return {(number, *cell): row for row, (number, cell) in enumerate(zip(cloud, grid.tolist(), strict=True))}

    ours, theirs = cells(batch), cells(dense)
    joined = [(row, theirs[key]) for key, row in ours.items() if key in theirs]
    assert 20 < len(joined) < len(ours)
    pairs = []
    for row in range(len(batch.xyz)):
        cloud = sum(row >= end for end in batch.offsets)
        rows = range(0 if cloud == 0 else dense.offsets[cloud - 1], dense.offsets[cloud])
        away = [math.dist(batch.xyz[row].tolist(), dense.xyz[other].tolist()) for other in rows]
        if min(away) <= 1.0:
            pairs.append((row, rows[away.index(min(away))]))
    assert len(pairs) > 20

    def mse(adapter: torch.nn.Module, rows: list[tuple[int, int]]) -> Tensor:
        mapped = adapter(student.features)
        return torch.stack([(mapped[a] - teacher.features[b]).square().mean() for a, b in rows]).mean()

    def divergence(rows: list[tuple[int, int]], tau: float) -> Tensor:
        each = [
            functional.kl_div(
                (student.logits[a] / tau).log_softmax(0), (teacher.logits[b] / tau).softmax(0), reduction="sum"
            )
            for a, b in rows
        ]
        return tau**2 * torch.stack(each).mean()

    def per_cloud(stage: int, rows: Tensor, each: Batch) -> list[Tensor]:
        ends = each.plan.offsets(stage).tolist()
        return [rows[a:b] for a, b in pairwise(ends)]

    def statistics(stage: int, adapter: torch.nn.Module) -> tuple[Tensor, Tensor]:
        pool, stats = [], []
        a = per_cloud(stage, adapter(student.encoder[stage]), batch)
        b = per_cloud(stage, teacher.encoder[stage], dense)
        for one, other in zip(a, b, strict=True):
            pool.append((one.mean(0) - other.mean(0)).square().mean())
            spread = [(0.5 * (x.var(0, correction=0) + 1e-6).log()) for x in (one, other)]
            covariance = [torch.cov(x.T, correction=0) for x in (one, other)]
            stats.append(
                pool[-1]
                + (spread[0] - spread[1]).square().mean()
                + 0.5 * (covariance[0] - covariance[1]).square().mean()
            )
        return torch.stack(pool).mean(), torch.stack(stats).mean()

    assert maps.knn is not None and maps.voxel is not None
    assert list(maps.pool) == ["2"] and list(maps.stats) == ["0", "2"]
    expected = {
        "pool": statistics(2, maps.pool["2"])[0],
        "stats": (statistics(0, maps.stats["0"])[1] + 3 * statistics(2, maps.stats["2"])[1]) / 4,
        "knn_kl": divergence(pairs, 2.0),
        "knn_mse": mse(maps.knn, pairs),
        "voxel": mse(maps.voxel, joined),
    }
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=0, msg=name)
    known = [(a, b) for a, b in joined if batch.label[a] != 255]
    torch.testing.assert_close(found["kl"], divergence(known, 2.0), rtol=1e-6, atol=0)


@pytest.mark.parametrize("clouds", [range(1), range(3)])
def test_clouds_without_a_match_teach_by_their_statistics_alone(clouds: range) -> None:
    module = dense_distiller(ALL)
    out = module.training_step(pairs_of(clouds, apart=40), 0)
    out["loss"].backward()
    for name in ALL:
        assert (float(out[name]) > 0) == (name in ("pool", "stats")), name
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_a_cloud_alone_is_what_it_is_among_others() -> None:
    """Statistics and neighbours are of a cloud: the mean of two clouds' terms is that of the two together."""
    terms = ("pool", "stats")
    module = dense_distiller(terms).eval()
    one, other, both = (terms_of(module, pairs_of(clouds)) for clouds in (range(1), range(1, 2), range(2)))
    for name in terms:
        torch.testing.assert_close(both[name], (one[name] + other[name]) / 2, rtol=1e-6, atol=0)


def test_maps_reach_negative_features_and_do_not_depend_on_each_other() -> None:
    def made(knn: bool) -> DenseAdapters:
        return DenseAdapters([(8, 16)], (8, 16), pool=(1.0,), stats=(), knn=knn, voxel=True, layers=3, width=8, seed=4)

    one, other = made(True), made(False)
    assert one.knn is not None and other.knn is None and one.voxel is not None and other.voxel is not None
    for a, b in ((one.voxel, other.voxel), (one.pool["0"], other.pool["0"])):
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert sum(isinstance(layer, torch.nn.BatchNorm1d) for layer in one.voxel.children()) == 2
    assert float(one.voxel(torch.randn(50, 8)).detach().amin()) < 0


def test_stage_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"pool_stages=\[1\.0\]: 1 weights for the 3 encoder stages"):
        dense_distiller(("pool",), pool_stages=(1.0,))


def test_calibration_goes_on_from_before_there_were_these_terms() -> None:
    weights = Weights(make_recipe(ObjectiveConfig()), steps=5, share=0.3)
    old = {"total": torch.arange(8, dtype=torch.float64), "seen": torch.tensor(2)}
    weights.load_state_dict(old)
    assert weights.total.tolist() == [*map(float, range(8)), *[0.0] * len(DENSE)]


@pytest.fixture(scope="module")
def gathered() -> list[list[dict[str, Tensor]]]:
    return run_two(process_of_two)


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: "+".join(CASES[case][:1]) if case < 5 else "all")
def test_gathered_is_one_process_with_the_whole_batch(case: int, gathered: list[list[dict[str, Tensor]]]) -> None:
    whole = one_process(CASES[case], range(4))
    assert any(name.startswith("network") for name in whole)
    for name, value in whole.items():
        if "teacher_basis" not in name:
            for process in gathered:
                torch.testing.assert_close(process[case][name], value, rtol=1e-5, atol=1e-9, msg=name)
