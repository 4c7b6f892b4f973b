# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The recipes in config/: they parse, agree with each other, fit their networks, and say where every number is from."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from srkd.architectures import ARCHITECTURES, build_network
from srkd.checkpoint import read_header
from srkd.labels import SCHEMES
from srkd_train.cli import checkpoint_path
from srkd_train.config import DistillConfig, RunConfig
from srkd_train.dense_relations import Shared
from srkd_train.distillation import objective_for
from srkd_train.objective import DISTILLED, make_recipe
from srkd_train.options import parse
from srkd_train.teacher import check_pair

FOLDER = Path(__file__).parent.parent / "config"
PRETRAIN = sorted((FOLDER / "pretrain").glob("*.yaml"))
DISTILL = sorted((FOLDER / "distill").glob("*.yaml"))
DATA = ("nuscenes", "scannet", "semantickitti", "street", "waymo")
TRAINING_CLOUDS = {"nuscenes": 28130, "waymo": 23691, "semantickitti": 19130, "scannet": 1201}


def read(path: Path, kind: type[Any]) -> Any:
    more = [] if path.stem.startswith("street") else ["--data.root", "somewhere"]
    return parse(["--config", str(path), "--out", "x", *more], kind, prog="srkd", about="", switches={"resume": ""})


@pytest.mark.parametrize("path", PRETRAIN + DISTILL, ids=lambda path: f"{path.parent.stem}-{path.stem}")
def test_recipes_are_valid(path: Path) -> None:
    config = read(path, DistillConfig if path.parent.stem == "distill" else RunConfig)
    assert config.model.name in ARCHITECTURES and config.data.name in (*SCHEMES, "bag")
    assert path.stem.startswith(config.data.name)


def test_every_data_set_has_a_student_a_teacher_and_a_distillation() -> None:
    dense = {f"{name}_dense_teacher" for name in DATA if name != "nuscenes"}
    assert {path.stem for path in DISTILL} == {*DATA, *dense, "bag", "semantickitti_nano"}
    assert {path.stem for path in PRETRAIN} == {*DATA, *(f"{name}_teacher" for name in DATA), "semantickitti_nano"}


@pytest.mark.parametrize("name", DATA)
def test_teacher_and_student_see_the_same_voxels_of_the_same_clouds(name: str) -> None:
    distill = read(FOLDER / "distill" / f"{name}.yaml", DistillConfig)
    student, teacher = (read(FOLDER / "pretrain" / f"{stem}.yaml", RunConfig) for stem in (name, f"{name}_teacher"))
    assert distill.data.input == student.data.input == teacher.data.input
    assert distill.model.name == student.model.name
    assert teacher.model.loss == "gls" and teacher.model.name in ("cdsegnet", "teacher-nano")
    assert distill.data == student.data
    if name != "street":
        assert distill.data == teacher.data


@pytest.mark.parametrize("name", [name for name in DATA if name != "nuscenes"])
def test_a_dense_teacher_changes_what_is_seen_and_compared_alone(name: str) -> None:
    usual, dense = (read(FOLDER / f"distill/{name}{end}.yaml", DistillConfig) for end in ("", "_dense_teacher"))
    assert dense.data.dense_root is not None and (dense.data.dense_root == "whole") == (name == "scannet")
    assert replace(dense.data, dense_root=None, raw_share=1.0) == usual.data
    assert replace(dense.trainer) == usual.trainer
    recipe = make_recipe(objective_for(dense))
    assert {term for term in DISTILLED if recipe.uses(term)} == {"stats"}
    student = build_network(dense.model.name, 5, len(dense.data.input.features))
    assert len(Shared.of(student, student, dense.objective.dense).places) == 5


@pytest.mark.parametrize("name", [name for name in DATA if name != "nuscenes"])
def test_the_control_of_a_dense_teacher_differs_in_the_teacher_alone(name: str) -> None:
    path = FOLDER / f"distill/{name}_dense_teacher.yaml"
    header = re.sub(r" \\\n# +", " ", path.read_text())
    found = re.search(r"control.*\n# +srkd pretrain (.*)\n", header)
    assert found is not None
    words = found[1].replace("config/pretrain/", f"{FOLDER}/pretrain/").split()
    control, distill = parse(words, RunConfig, prog="srkd", about=""), read(path, DistillConfig)
    assert replace(control.data, root=None if name == "street" else "somewhere") == replace(
        distill.data, dense_root=None
    )
    assert (control.model, control.optim) == (distill.model, distill.optim)
    assert control.trainer == distill.trainer


def test_the_baseline_on_streets_has_the_schedule_of_the_distillation() -> None:
    distill, student = (
        read(FOLDER / "distill/street.yaml", DistillConfig),
        read(FOLDER / "pretrain/street.yaml", RunConfig),
    )
    steps = student.trainer.max_steps  # its own, for a distilling step takes longer
    # It goes on from trained weights, at half the rate that they were trained at.
    assert replace(distill.optim, lr=2 * distill.optim.lr) == student.optim and distill.model.init is not None
    assert replace(distill.trainer, max_steps=steps) == student.trainer
    teacher = read_header(checkpoint_path(distill.teacher))
    check_pair(distill.teacher, teacher.input, teacher.scheme, distill.data.input, SCHEMES["street"])


def test_the_bundled_pair_learns_from_bags_as_it_is() -> None:
    config = read(FOLDER / "distill/bag.yaml", DistillConfig)
    assert config.data.unlabelled and objective_for(config) == config.objective
    assert config.data.augment == read(FOLDER / "distill/street.yaml", DistillConfig).data.augment
    for name in (config.teacher, config.model.init):
        header = read_header(checkpoint_path(name))
        check_pair(name, header.input, header.scheme, config.data.input, SCHEMES["street"])


@pytest.mark.parametrize("path", [p for p in PRETRAIN + DISTILL if not re.search("street|nano|bag", p.stem)])
def test_steps_are_whole_epochs(path: Path) -> None:
    config = read(path, DistillConfig if path.parent.stem == "distill" else RunConfig)
    steps_an_epoch = TRAINING_CLOUDS[config.data.name] // config.trainer.batch_size
    epochs = 50
    if config.data.name == "scannet":  # 100 validations of 8 rounds each, each of which drops its last clouds
        steps_an_epoch, epochs = 8 * TRAINING_CLOUDS["scannet"] // config.trainer.batch_size, 100
    assert config.trainer.max_steps == pytest.approx(epochs * steps_an_epoch, rel=1e-3)
    assert config.trainer.max_steps % config.trainer.val_every == 0


@pytest.mark.parametrize("path", DISTILL, ids=lambda path: path.stem)
def test_every_number_says_where_it_is_from(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        body, _, comment = line.partition("#")
        if re.search(r":.*\d", body) and not re.match(r"\s*(seeds|sequences|val_sequences|teacher|sensors):", body):
            assert re.search(r"\[[PCARNMI]\]", comment), line
    assert set(yaml.safe_load(path.read_text())) == {
        "teacher",
        "teacher_seed",
        "data",
        "model",
        "optim",
        "trainer",
        "objective",
    }
