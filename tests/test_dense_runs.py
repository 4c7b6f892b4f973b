# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs with dense clouds of tiny streets: a dense teacher, a student that learns from it, what their scores are of."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import tiny_words

from srkd.checkpoint import load_checkpoint, read_header
from srkd.errors import ConfigError
from srkd_train.commands import accumulate, distill, evaluate, pretrain
from srkd_train.config import DistillConfig, RunConfig
from srkd_train.experiments.run import Run, folder_name, override
from srkd_train.experiments.workplace import _final_clouds
from srkd_train.objective import DENSE, SRKD

ON = [word for name in DENSE for word in (f"--objective.weights.{name}", "0.1")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streets")


def accumulated(cache: Path, out: Path, *more: str) -> Path:
    for part, seeds in (("train", "--data.seeds=[0,2]"), ("val", "--data.val_seeds=[9900,9904]")):
        line = ["street", f"--data.cache_dir={cache}", seeds, "--data.sensors=[beams16]", "--data.frames_per_street=1"]
        assert accumulate.main([*line, "--out", str(out), "--part", part, "--num-workers", "0", *more]) == 0
    return out


@pytest.fixture(scope="module")
def dense(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return accumulated(cache, tmp_path_factory.mktemp("clouds") / "dense", "--window", "1", "--every", "2")


@pytest.fixture(scope="module")
def teacher(cache: Path, dense: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network trained for a step on dense streets, validated on them."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    more = ("--data.dense_root", str(dense), "--data.dense_val", "true", "--trainer.val_every", "1")
    assert pretrain.main(tiny_words(out, cache, *more, steps=1)) == 0
    return out / "last.safetensors"


def words(out: Path, cache: Path, dense: Path, teacher: Path, *more: str, steps: int = 2) -> list[str]:
    return tiny_words(out, cache, "--data.dense_root", str(dense), "--teacher", str(teacher), *ON, *more, steps=steps)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_teacher_says_what_it_was_trained_on(teacher: Path) -> None:
    facts = read_header(teacher).training
    assert facts["clouds"] == "dense" and facts["scored_on"] == "dense clouds"
    assert "dense clouds of 1 past and 1 future frames, every 2" in facts["data"] and len(facts["dense_sha256"]) == 64
    assert float(rows(teacher.parent)[-1]["val_miou"]) >= 0


def test_scores_say_which_clouds_they_are_of(
    tmp_path: Path, cache: Path, dense: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [str(teacher), "--data", "street", "--split", "val", "--sensors", "beams16", "--cache-dir", str(cache)]
    line += ["--limit", "1", "--workers", "0", "--device", "cpu", "--output", str(tmp_path / "score.json")]
    points = {}
    for kind, more in (("raw", []), ("dense", ["--dense", str(dense)])):
        assert evaluate.main([*line, *more]) == 0
        assert re.search(rf"1 of 4 clouds: .*, {kind} clouds", capsys.readouterr().out)
        score = json.loads((tmp_path / "score.json").read_text())
        assert score["kind"] == kind and f", {kind} clouds" in score["clouds"]
        points[kind] = score["counted_points"]
    assert points["dense"] > 1.5 * points["raw"]
    assert evaluate.main([*line, "--raw-share", "0.5"]) == 0
    assert json.loads((tmp_path / "score.json").read_text())["counted_points"] == pytest.approx(
        points["raw"] / 2, rel=0.1
    )
    capsys.readouterr()
    assert evaluate.main(["student-nano", *line[1:]]) == 0
    assert ", raw clouds" not in capsys.readouterr().out, "an ordinary score reads as ever"


def test_a_student_learns_and_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path, cache: Path, dense: Path, teacher: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    more = ("--trainer.val_every", "2", "--data.mix_p", "0.5", "--objective.calibrate_steps", "2")
    distill.main(words(whole, cache, dense, teacher, *more, steps=4))
    distill.main(words(broken, cache, dense, teacher, *more, "--trainer.max_minutes", "0", steps=4))
    assert read_header(broken / "last.safetensors").training["steps"] < 4
    moved = tmp_path / "moved"
    moved.symlink_to(dense)
    line = ["--resume", "--out", str(broken), "--trainer.max_minutes", "null", "--data.dense_root", str(moved)]
    distill.main(line)
    one, other = (load_checkpoint(run / "last.safetensors")[0].state_dict() for run in (whole, broken))
    assert all(torch.equal(one[name], other[name]) for name in one)
    steps = [[(row["step"], row["loss"]) for row in rows(run) if row["loss"]] for run in (whole, broken)]
    assert steps[0] == steps[1] and len(steps[0]) == 4
    for row in rows(whole):
        if row["loss"]:
            assert all(float(row[name]) > 0 for name in (*SRKD, *DENSE)), row
    facts = read_header(whole / "last.safetensors").training
    assert facts["clouds"] == "raw, the teacher's dense" and facts["scored_on"] == "raw clouds"
    assert "dense" not in facts["data"] and "dense clouds of 1 past" in facts["dense_clouds"]


def test_other_dense_clouds_are_refused_on_resuming(tmp_path: Path, cache: Path, dense: Path, teacher: Path) -> None:
    out = tmp_path / "run"
    distill.main(words(out, cache, dense, teacher, "--trainer.max_minutes", "0", steps=3))
    other = accumulated(cache, tmp_path / "other", "--past", "1", "--future", "0")
    with pytest.raises(ConfigError, match="give the same folder"):
        distill.main(["--resume", "--out", str(out), "--data.dense_root", str(other)])


def test_a_dry_run_tells_the_voxels_of_both(
    tmp_path: Path, cache: Path, dense: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert distill.main(words(tmp_path / "x", cache, dense, teacher, "--trainer.batch_size", "1", "--dry-run")) == 0
    found = re.search(r"([\d,]+) voxels a step and ([\d,]+) for the teacher", capsys.readouterr().out)
    assert found is not None
    raw, more = (int(word.replace(",", "")) for word in found.groups())
    assert more > 1.2 * raw > 0


def test_the_whole_cloud_teaches_a_thinned_one(tmp_path: Path, cache: Path, teacher: Path) -> None:
    out = tmp_path / "run"
    more = ("--data.raw_share", "0.3", "--trainer.precision", "bf16")
    assert distill.main(words(out, cache, Path("whole"), teacher, *more, steps=1)) == 0
    assert all(float(rows(out)[0][name]) > 0 for name in DENSE)


def test_mistakes_are_one_line(tmp_path: Path, cache: Path, dense: Path, teacher: Path) -> None:
    def refused(match: str, *more: str) -> None:
        with pytest.raises(ConfigError, match=match) as caught:
            distill.main(words(tmp_path / "x", cache, dense, teacher, *more))
        assert "\n" not in str(caught.value) and not (tmp_path / "x").exists()

    refused("weights.pool=0.1 compares raw and dense clouds", "--data.dense_root", "null")
    refused("scores the student", "--data.dense_val", "true")
    refused("stats_stages=.*5 encoder stages", "--objective.dense.stats_stages", "[1,2]")
    refused("clouds are missing", "--data.seeds", "[0,3]")
    refused("adapter_layers=0", "--objective.dense.adapter_layers", "0")
    refused(r"weights\.stats=nan is no weight", "--objective.weights.stats", ".nan")
    refused(r"stats_covariance=inf is no factor", "--objective.dense.stats_covariance", ".inf")
    refused(r"stats_stages=\[1\.0, nan\] weighs nothing", "--objective.dense.stats_stages", "[1, .nan]")
    refused(r"kl_tau=nan is not positive", "--objective.kl_tau", ".nan")
    refused("knn_tau=0", "--objective.dense.knn_tau", "0")


def test_keys_of_experiments(dense: Path, cache: Path, tmp_path: Path) -> None:
    plain = DistillConfig(out="-")

    def name(*, verb: str = "distill", **changes: object) -> str:
        config = override(plain, {key.replace("__", "."): value for key, value in changes.items()})
        return folder_name(Run(verb, config), None)  # type: ignore[arg-type]

    usual = name()
    assert usual == name(objective__weights__pool=0.0) != name(objective__weights__pool=0.1)
    assert usual != name(objective__dense__knn_tau=1.0) and usual != name(data__raw_share=0.5)
    moved = tmp_path / "moved"
    moved.symlink_to(dense)
    seen = name(data__dense_root=str(dense))
    assert seen == name(data__dense_root=str(moved)) != usual
    scored = {"data__dense_root": str(dense), "verb": "evaluate"}
    assert name(**scored) == name(verb="evaluate") != name(**scored, data__dense_val=True)  # type: ignore[arg-type]
    data = replace(RunConfig(out="-").data, dense_root=str(dense), dense_val=True)
    assert _final_clouds(data)[-2:] == ["--dense", str(dense)]
