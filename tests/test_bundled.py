# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The weights that ship with the package are what their headers say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from srkd.checkpoint import load_checkpoint, read_header
from srkd.plan_build import build_plan
from srkd.segmenter import Segmenter
from srkd.voxel import voxelize
from srkd_train.cli import WEIGHTS, checkpoint_path
from srkd_train.evaluation import evaluate

LIMITS = {
    "student-nano": (1_600_000, 4_000_000),
    "student-nano-start": (1_600_000, 4_000_000),
    "teacher-nano": (6_000_000, 12_000_000),
}
"""Most parameters, most bytes."""


@pytest.mark.parametrize("name", LIMITS)
def test_size_and_header(name: str) -> None:
    path = checkpoint_path(name)
    network, header = load_checkpoint(path)
    parameters, size = LIMITS[name]
    assert sum(parameter.numel() for parameter in network.parameters()) <= parameters
    assert path.stat().st_size <= size
    assert header.architecture == name.removesuffix("-start") and header.scheme.name == "street"
    assert {"command", "seed", "steps", "minutes", "data"} <= set(header.training)
    score = header.metrics["street_held_out"]
    assert score["protocol"] == "single" and len(score["iou"]) == 12
    assert "10000" in score["clouds"]
    facts = json.dumps([header.training, header.metrics])
    assert not any(folder in facts for folder in ("/home", "/root", "/work", "/tmp")), "a path of somebody's machine"


def test_the_student_scores_what_is_asked_of_it() -> None:
    student, start = (read_header(checkpoint_path(name)) for name in ("student-nano", "student-nano-start"))
    assert student.metrics["street_held_out"]["miou"] >= 0.65
    assert student.input == start.input and student.scheme == start.scheme


def test_a_few_held_out_scans_score_like_the_header() -> None:
    pytest.importorskip("embreex", reason="needs embreex to make streets")
    from srkd_train.data.street import StreetDataset

    segmenter = Segmenter.load(checkpoint_path("student-nano"), device="cpu")
    streets = StreetDataset(range(10004, 10008), ("beams32",))
    score = evaluate(segmenter, streets, range(len(streets)))
    assert abs(score.miou - segmenter.header.metrics["street_held_out"]["miou"]) < 0.1


def test_one_plan_serves_teacher_and_student() -> None:
    student, its_header = load_checkpoint(checkpoint_path("student-nano"))
    teacher, teacher_header = load_checkpoint(checkpoint_path("teacher-nano"))
    assert its_header.input == teacher_header.input
    xyz = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 20
    voxels = voxelize(xyz, its_header.input.voxel_size_m)
    ends = [voxels.grid_coord.shape[0]]
    shared = build_plan(voxels.grid_coord, ends, student.plan_spec.union(teacher.plan_spec))
    features = torch.cat([xyz, torch.rand(4000, 1)], dim=1)[voxels.point]
    with torch.inference_mode():
        for network in (student, teacher):
            alone = build_plan(voxels.grid_coord, ends, network.plan_spec)
            assert torch.equal(network(features, shared), network(features, alone))


def test_names_and_paths() -> None:
    assert checkpoint_path(None) == WEIGHTS / "student-nano.safetensors"
    assert {file.stem for file in Path(WEIGHTS).glob("*.safetensors")} == set(LIMITS)
