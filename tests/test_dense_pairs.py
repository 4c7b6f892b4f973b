# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Raw and dense clouds from the data set to the batch: they stay where they lie in one another, on one lattice."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.random import default_rng

from srkd.architectures import build_network
from srkd.cloud import Cloud
from srkd.errors import ConfigError
from srkd.input_spec import InputSpec
from srkd.labels import LabelScheme, get_scheme
from srkd_train.config import DataConfig, DistillConfig, RunConfig
from srkd_train.data import crops
from srkd_train.data.augment import Augment
from srkd_train.data.dense_part import Thinned, dense_part, raw_part, run_part, scored_part
from srkd_train.data.loader import TrainingBatches
from srkd_train.data.part import Part
from srkd_train.data.sample import Sample
from srkd_train.losses.nearest import join

ROOM = Augment(
    center=True,
    dropout_p=0.5,
    lean_p=0.5,
    jitter_sigma_m=0.0,
    elastic_p=0.95,
    contrast_p=0.7,
    tint_p=0.9,
    gain_p=0.5,
    speckle_p=0.0,
)
STREET = Augment(rotate_p=1.0, tilt_p=1.0, jitter_sigma_m=0.0, gain_p=1.0)
VOXEL_M = 0.2


def pair_of(seed: int) -> tuple[Sample, Sample]:
    """A cloud of 2000 points, and one that has these first and 3000 others, some of them lower and farther out."""
    rng = default_rng(seed)
    xyz = (rng.random((5000, 3)) * [6, 5, 2.5]).astype(np.float32)
    xyz[2000:] = (xyz[2000:] - [3, 2.5, 1]) * np.float32(1.3) + [3, 2.5, 1]
    color = rng.integers(0, 256, (5000, 3)).astype(np.uint8)
    cloud = Cloud(xyz, intensity=rng.random(5000, dtype=np.float32), color=color)
    dense = Sample(cloud, rng.integers(0, 5, 5000).astype(np.uint8), f"cloud {seed}")
    return Sample(cloud.select(np.arange(2000)), dense.label[:2000], dense.name), dense


class Clouds:
    """The raw or the dense clouds of four pairs."""

    def __init__(self, *, dense: bool) -> None:
        self.dense = dense
        self.scheme: LabelScheme = get_scheme("street")

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        return pair_of(index)[self.dense]


@pytest.mark.parametrize("augment", [STREET, ROOM], ids=["street", "room"])
@pytest.mark.parametrize("crop", [{}, {"max_points": 600}, {"max_voxels": 200}, {"max_points": 900, "max_voxels": 200}])
def test_a_pair_is_augmented_as_one(augment: Augment, crop: dict[str, int]) -> None:
    augment = replace(augment, dropout_p=0.0, **crop)  # type: ignore[arg-type]
    for seed in range(4):
        raw, dense = pair_of(seed)
        rng, twin = default_rng(seed), default_rng(seed)
        alone = augment(raw, rng, voxel_size_m=VOXEL_M)
        out, around = augment.pair(raw, dense, twin, default_rng(99), voxel_size_m=VOXEL_M)
        assert rng.random() == twin.random(), "the dense cloud takes draws of the raw one"
        for name in ("xyz", "intensity", "color"):
            np.testing.assert_array_equal(getattr(out.cloud, name), getattr(alone.cloud, name))
        own = {tuple(row): at for at, row in enumerate(around.cloud.xyz.round(4).tolist())}
        places = [own.get(tuple(row)) for row in out.cloud.xyz.round(4).tolist()]
        found = [(at, place) for at, place in enumerate(places) if place is not None]
        assert len(found) > 0.97 * len(out.cloud)  # rounding of one point or the other
        mine, theirs = map(list, zip(*found, strict=True))
        assert np.abs(out.cloud.xyz[mine] - around.cloud.xyz[theirs]).max() < 1e-4
        np.testing.assert_array_equal(out.cloud.color[mine], around.cloud.color[theirs])  # type: ignore[index]
        np.testing.assert_array_equal(out.cloud.intensity[mine], around.cloud.intensity[theirs])  # type: ignore[index]
        assert len(around.cloud) > len(out.cloud)


def test_points_of_a_dense_cloud_are_dropped_and_shaken_on_their_own() -> None:
    raw, dense = pair_of(0)
    augment = replace(STREET, dropout_p=1.0, jitter_sigma_m=0.01)
    one, other = (augment.pair(raw, dense, default_rng(3), default_rng(own), voxel_size_m=VOXEL_M) for own in (1, 2))
    np.testing.assert_array_equal(one[0].cloud.xyz, other[0].cloud.xyz)
    assert len(one[1].cloud) != len(other[1].cloud) and 3600 < len(one[1].cloud) < 4400


def test_the_crop_of_the_raw_cloud_decides() -> None:
    raw, dense = pair_of(1)
    kept = crops.crop(raw, default_rng(5), max_points=300)
    ball = crops.crop(dense, default_rng(5), max_points=300, like=raw)
    candidates = [raw.cloud.xyz[at] for at in range(2000)]
    middle = next(
        point
        for point in candidates
        if np.array_equal(np.sort(np.argpartition(((raw.cloud.xyz - point) ** 2).sum(1), 300)[:300]), _rows(raw, kept))
    )
    reach = ((kept.cloud.xyz - middle) ** 2).sum(1).max()
    inside = ((dense.cloud.xyz - middle) ** 2).sum(1) <= reach
    np.testing.assert_array_equal(ball.cloud.xyz, dense.cloud.xyz[inside])
    assert crops.crop(dense, default_rng(5), max_points=2000, like=raw) is dense


def _rows(whole: Sample, part: Sample) -> np.ndarray:
    place = {tuple(row): at for at, row in enumerate(whole.cloud.xyz.tolist())}
    return np.array([place[tuple(row)] for row in part.cloud.xyz.tolist()])


def batches(augment: Augment, *, dense: bool = True, mix_p: float = 0.0, swapped: bool = False) -> TrainingBatches:
    student, teacher = (build_network(name, 12, 3) for name in ("student-nano", "teacher-nano"))
    return TrainingBatches(
        Clouds(dense=swapped),
        InputSpec(VOXEL_M, ("x", "y", "z")),
        student.plan_spec,
        augment,
        batch_size=4,
        seed=3,
        mix_p=mix_p,
        dense=Clouds(dense=not swapped) if dense else None,
        dense_spec=teacher.plan_spec if dense else None,
    )


@pytest.mark.parametrize("swapped", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("mix_p", [0.0, 1.0])
@pytest.mark.parametrize("augment", [STREET, replace(STREET, max_voxels=300, jitter_sigma_m=0.005), ROOM])
def test_a_batch_has_both_clouds_on_one_lattice(augment: Augment, mix_p: float, swapped: bool) -> None:
    """Also where the teacher's clouds are the smaller ones."""
    plain = batches(augment, dense=False, mix_p=mix_p, swapped=swapped)[1]
    batch = batches(augment, mix_p=mix_p, swapped=swapped)[1]
    dense = batch.dense
    assert dense is not None and plain.dense is None and dense.dense is None
    assert batch.names == dense.names == plain.names and len(batch) == (2 if mix_p else 4)
    assert [*np.diff([0, *batch.offsets])] == [*np.diff([0, *plain.offsets])], "the same voxels, wherever counted from"
    starts = zip((0, *batch.offsets), batch.offsets, (0, *dense.offsets), dense.offsets, strict=False)
    for a, b, c, d in starts:
        cells = [torch.floor(x.double() / VOXEL_M).long() for x in (batch.xyz[a:b], dense.xyz[c:d])]
        grids = [each.plan.coord(0)[e:f].long() for each, e, f in ((batch, a, b), (dense, c, d))]
        origins = [(cell - grid).unique(dim=0) for cell, grid in zip(cells, grids, strict=True)]
        assert torch.equal(*origins) and len(origins[0]) == 1
        assert torch.cat(grids).amin(0).tolist() == [0, 0, 0]
    rows, twins = join(
        batch.plan.coord(0), dense.plan.coord(0), student_offsets=batch.offsets, teacher_offsets=dense.offsets
    )
    assert len(rows) > 0.8 * min(len(batch.label), len(dense.label)) and len(rows) == len(twins)
    assert not dense.plan.orders and batch.plan.orders


def test_a_batch_knows_its_size() -> None:
    """All that is pickled, but for some names of tables and the like."""
    for batch in (batches(STREET)[0], batches(STREET, dense=False)[0]):
        assert batch.nbytes <= len(pickle.dumps(batch)) < 1.1 * batch.nbytes


def test_a_batch_is_a_function_of_its_step() -> None:
    one, other = (batches(STREET, mix_p=0.5)[7] for _ in range(2))
    assert one.dense is not None and other.dense is not None
    assert torch.equal(one.dense.features, other.dense.features) and torch.equal(one.features, other.features)
    moved = one.to("cpu")
    assert moved.dense is not None and torch.equal(moved.dense.xyz, one.dense.xyz)


def test_thinned_clouds_are_the_same_at_every_reading() -> None:
    thin = Thinned(Clouds(dense=True), 0.1)
    one, other = thin[2], thin[2]
    assert len(one.cloud) == 500 and thin.name(2) == one.name == "cloud 2"
    np.testing.assert_array_equal(one.cloud.xyz, other.cloud.xyz)
    assert (
        len({tuple(row) for row in one.cloud.xyz.tolist()} & {tuple(r) for r in pair_of(2)[1].cloud.xyz.tolist()})
        == 500
    )


def test_what_a_run_is_trained_and_scored_on(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part(Clouds(dense=True), "four clouds")
    monkeypatch.setattr("srkd_train.data.dense_part.training_part", lambda data, taught: part)
    whole = DataConfig(raw_share=0.25, dense_root="whole")
    alone = run_part(RunConfig(out="x", data=whole))
    assert alone.clouds is part.clouds and alone.kind == "dense" and alone.dense is None
    pair = run_part(DistillConfig(out="x", data=whole))
    assert len(pair.clouds[0].cloud) == 1250 and pair.kind == "raw"
    assert pair.dense is not None and pair.dense.clouds is part.clouds and pair.dense.kind == "dense"
    assert run_part(DistillConfig(out="x")) is part
    raw, dense = scored_part(whole, part), scored_part(replace(whole, dense_val=True), part)
    assert raw.described == "four clouds, raw clouds of a random 25 % of the points" and raw.kind == "raw"
    assert dense.described == "four clouds, dense clouds of all points" and dense.kind == "dense"
    assert scored_part(DataConfig(), part) is part
    assert raw_part(part, 1.0, named=True).described == "four clouds, raw clouds"
    with pytest.raises(ConfigError, match=r"accumulation\.json: missing"):
        dense_part(part, "nowhere")


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"dense_val": True}, "give their folder"),
        ({"dense_root": "whole"}, r"give data\.raw_share below 1"),
        ({"raw_share": 0.0}, r"data\.raw_share=0\.0 is no share"),
        ({"name": "bag", "root": "x", "dense_root": "y"}, "leave it out"),
        (
            {"name": "semantickitti", "root": "x", "dense_root": "y", "share": 0.5},
            r"labels of all scans, give data\.seq",
        ),
    ],
)
def test_mistakes_are_one_line(keys: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        DataConfig(**keys)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
