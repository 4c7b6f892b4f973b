# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation from bags without labels: the teacher's terms alone train, whatever labels lie in the bag."""

import csv
import json
from pathlib import Path

import pytest
import torch
from tiny_runs import tiny_words

pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (the `bags` extra)")

from srkd.architectures import build_network
from srkd.checkpoint import load_checkpoint, read_header, save_checkpoint
from srkd.errors import ConfigError, SrkdError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.io.bags import BagWriter
from srkd.labels import get_scheme
from srkd_train.bag_sources import Source, street_source
from srkd_train.bag_writing import write_source
from srkd_train.commands import distill as command
from srkd_train.commands import evaluate, pretrain
from srkd_train.config import DistillConfig
from srkd_train.distillation import objective_for
from srkd_train.networks import make_network
from srkd_train.objective import DISTILLED, SRKD
from srkd_train.options import parse
from srkd_train.run_command import SWITCHES

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bags of one drive with ground truth (`truth`), without (`plain`, sqlite3), and of another drive (`other`)."""
    made = tmp_path_factory.mktemp("bags")
    write_drive(made / "truth", 9000)
    write_drive(made / "plain", 9000, labels=False, storage="sqlite3")
    write_drive(made / "other", 9001, labels=False)
    return made


def write_drive(path: Path, seed: int, *, labels: bool = True, storage: str = "mcap") -> None:
    source = street_source(seed, "beams16", 3)
    if not labels:
        frames = list(source.frames)
        for frame in frames:
            object.__setattr__(frame, "label", None)
        source = Source(source.count, iter(frames), None, source.name)
    write_source(BagWriter(path, storage=storage), source)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher-nano with random weights on the voxels of the tiny runs."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    scheme, spec = get_scheme("street"), InputSpec(0.5)
    save_checkpoint(
        path,
        (network := build_network("teacher-nano", scheme.num_classes, 4)),
        Header.of(network, "teacher-nano", spec, scheme),
    )
    return path


def words(out: Path, bag: Path, teacher: Path, *more: str, steps: int = 2) -> list[str]:
    tiny = tiny_words(out, bag.parent / "cache", steps=steps)
    return [*tiny, "--teacher", str(teacher), "--data", f"bag:{bag}", *more]


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path)[0].state_dict()


def same(one: Path, other: Path) -> bool:
    left, right = weights(one / "last.safetensors"), weights(other / "last.safetensors")
    return all(torch.equal(left[name], right[name]) for name in left)


def test_the_teachers_terms_train_alone(tmp_path: Path, folder: Path, teacher: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    line = words(out, folder / "plain", teacher, "--trainer.final_eval", "true", "--trainer.val_every", "1")
    assert command.main(line) == 0
    table = rows(out)
    assert len(table) == 2 and "val_miou" in table[0] and not table[0]["val_miou"]
    for row in table:
        assert float(row["cross_entropy"]) == float(row["lovasz"]) == 0
        assert all(float(row[name]) > 0 for name in SRKD), row
    config = parse(["--config", str(out / "config.yaml")], DistillConfig, prog="", about="", switches=SWITCHES)
    fresh, trained = make_network(config, get_scheme("street")).state_dict(), weights(out / "last.safetensors")
    changed = [
        name for name in fresh if fresh[name].is_floating_point() and not torch.equal(fresh[name], trained[name])
    ]
    assert len(changed) > 0.9 * sum(value.is_floating_point() for value in fresh.values())
    header = read_header(out / "last.safetensors")
    assert header.scheme.name == "street" and "miou" not in header.metrics
    assert header.training["data"] == "3 clouds: bag plain, /points"
    assert len(str(header.training["data_sha256"])) == 64
    assert f"bag:{folder / 'plain'}" in str(header.training["command"])
    said = capsys.readouterr()
    assert "note: no validation and no final score: bag plain, /points: no ground truth" in said.err
    assert "Score on" not in said.out and not (out / "evaluation.json").exists()


def test_labels_in_a_bag_change_nothing_unless_asked_for(tmp_path: Path, folder: Path, teacher: Path) -> None:
    for name in ("truth", "plain"):
        command.main(words(tmp_path / name, folder / name, teacher))
    assert same(tmp_path / "truth", tmp_path / "plain")
    one, other = (read_header(tmp_path / name / "last.safetensors").training for name in ("truth", "plain"))
    assert one["data_sha256"] == other["data_sha256"]
    command.main(words(tmp_path / "asked", folder / "truth", teacher, "--data.labels", "true"))
    assert not same(tmp_path / "truth", tmp_path / "asked")
    assert all(float(row["cross_entropy"]) > 0 for row in rows(tmp_path / "asked"))


def test_a_run_on_a_bag_goes_on_where_it_stopped(tmp_path: Path, folder: Path, teacher: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command.main(words(whole, folder / "plain", teacher, steps=4))
    command.main(words(broken, folder / "plain", teacher, "--trainer.max_minutes", "0", steps=4))
    assert len(rows(broken)) == 1
    onward = ["--resume", "--out", str(broken), "--trainer.max_minutes", "null"]
    with pytest.raises(ConfigError, match=r"--resume: data.root .*other holds clouds \w{12}, the run was started with"):
        command.main([*onward, "--data.root", str(folder / "other")])
    with pytest.raises(ConfigError, match=r"--resume: data\.every was 1 and is now 2"):
        command.main([*onward, "--data.every", "2"])
    moved = tmp_path / "plain_moved"
    (folder / "plain").rename(moved)
    try:
        command.main([*onward, "--data", f"bag:{moved}"])
    finally:
        moved.rename(folder / "plain")
    assert same(whole, broken)
    assert [row["loss"] for row in rows(whole)] == [row["loss"] for row in rows(broken)]


def test_a_run_is_scored_where_there_is_ground_truth(
    tmp_path: Path, folder: Path, teacher: Path, capsys: Capture
) -> None:
    out = tmp_path / "run"
    scored = ("--trainer.final_eval", "true", "--data.val_root", str(folder / "truth"), "--trainer.val_every", "1")
    command.main(words(out, folder / "other", teacher, *scored, steps=1))
    facts = json.loads((out / "evaluation.json").read_text())
    assert facts["clouds"] == "3 clouds of bag truth, /points" and 0 <= facts["miou"] < 1
    assert rows(out)[-1]["val_miou"]
    assert "note:" not in capsys.readouterr().err
    own = tmp_path / "own"
    command.main(words(own, folder / "truth", teacher, "--trainer.final_eval", "true", steps=1))
    assert json.loads((own / "evaluation.json").read_text())["clouds"] == "3 clouds of bag truth, /points"
    file = tmp_path / "scores.json"
    line = [str(out / "last.safetensors"), "--data", f"bag:{folder / 'truth'}", "--device", "cpu", "--workers", "0"]
    assert evaluate.main([*line, "--cache-dir", str(tmp_path), "--output", str(file)]) == 0
    assert json.loads(file.read_text())["confusion"] == facts["confusion"]


def test_supervised_learning_from_the_ground_truth_of_a_bag(tmp_path: Path, folder: Path) -> None:
    tiny = tiny_words(tmp_path / "run", tmp_path / "cache", steps=1)
    assert pretrain.main([*tiny, "--data", f"bag:{folder / 'truth'}", "--data.labels", "true"]) == 0
    assert float(rows(tmp_path / "run")[0]["loss"]) > 0


def test_a_dry_run(tmp_path: Path, folder: Path, teacher: Path, capsys: Capture) -> None:
    assert command.main(words(tmp_path / "run", folder / "plain", teacher, "--dry-run")) == 0
    assert "3 clouds" in capsys.readouterr().out and not (tmp_path / "run").exists()


def test_logits_are_compared_at_all_points_of_unlabelled_bags() -> None:
    def used(*more: str) -> str:
        given = ["--out", "x", *more]
        return objective_for(parse(given, DistillConfig, prog="", about="", switches=SWITCHES)).kl_points

    assert used() == "labelled" and used("--objective.kl_points", "all") == "all"
    assert used("--data.name", "bag", "--data.root", "x", "--objective.kl_points", "labelled") == "all"
    assert used("--data.name", "bag", "--data.root", "x", "--data.labels", "true") == "labelled"


def test_mistakes_are_one_line(tmp_path: Path, folder: Path, teacher: Path) -> None:
    out = tmp_path / "run"

    def refused(match: str, *more: str, main: object = command.main) -> None:
        with pytest.raises(SrkdError, match=match) as caught:
            main(words(out, folder / "plain", teacher, *more))  # type: ignore[operator]
        assert "\n" not in str(caught.value) and not out.exists()

    refused("nowhere: no such file or folder; expected a rosbag2", "--data", f"bag:{tmp_path / 'nowhere'}")
    refused("no clouds on /top", "--data.topic", "/top")
    refused(r"no term of the teacher's", *[word for name in DISTILLED for word in (f"--objective.weights.{name}", "0")])
    refused("calibrate_steps=3 .* bags have none", "--objective.calibrate_steps", "3")
    refused("bag plain, /points: no ground truth", "--data.labels", "true")
    refused(
        "bag plain, /points: no ground truth", "--data.val_root", str(folder / "plain"), "--trainer.final_eval=true"
    )
    refused("nowhere.safetensors", "--teacher", "nowhere.safetensors")
    tiny = [*tiny_words(out, tmp_path), "--data", f"bag:{folder / 'plain'}"]
    for words_ in (tiny, [*tiny, "--dry-run"]):
        with pytest.raises(ConfigError, match="have no labels to learn from; learn from a teacher with `srkd distill`"):
            pretrain.main(words_)
    with pytest.raises(ConfigError, match="no ground truth of a named scheme"):
        evaluate.main(["student-nano", "--data", f"bag:{folder / 'plain'}", "--cache-dir", str(tmp_path)])
