# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pretraining runs of a few steps on tiny streets: what is written, resuming, stopping, refusing."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from real_data import real_data
from tiny_runs import tiny_words

from srkd.cdsegnet import CDSegNet
from srkd.checkpoint import load_checkpoint, read_header
from srkd.errors import CheckpointError, CloudError, ConfigError, TrainingError
from srkd_train.callbacks import Clock, Report
from srkd_train.commands import pretrain as command
from srkd_train.config import RunConfig
from srkd_train.options import parse, to_yaml
from srkd_train.run_command import SWITCHES
from srkd_train.run_command import read_config as read_any_config
from srkd_train.runs import RunFolder

CONFIGS = sorted((Path(__file__).parent.parent / "config" / "pretrain").glob("*.yaml"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streets")


def read_config(words: list[str]) -> RunConfig:
    return read_any_config(words, RunConfig, verb="pretrain", about="")


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path)[0].state_dict()


def same(one: Path, other: Path) -> bool:
    left, right = weights(one), weights(other)
    return all(torch.equal(left[name], right[name]) for name in left)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_two_steps_leave_a_loadable_scored_checkpoint(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    more = (
        "--trainer.final_eval",
        "true",
        "--trainer.final_eval_limit",
        "1",
        "--trainer.val_every",
        "1",
        "--trainer.val_limit",
        "1",
    )
    assert command.main(tiny_words(out, cache, *more)) == 0
    assert {path.name for path in out.iterdir()} == {
        "config.yaml", "metrics.csv", "last.safetensors", "best.safetensors", "state.ckpt", "evaluation.json",
    }  # fmt: skip
    header = read_header(out / "last.safetensors")
    assert header.architecture == "student-nano" and header.scheme.name == "street" and header.input.voxel_size_m == 0.5
    assert (
        header.training["steps"] == 2
        and header.training["seed"] == 42
        and "synthetic streets" in header.training["data"]
    )
    command_line = header.training["command"]
    assert command_line.startswith("srkd pretrain --data") and "--out" not in command_line
    assert 0 <= header.metrics["miou"] <= 1 and header.metrics["protocol"] == "single"
    table = rows(out)
    assert [row["step"] for row in table] == ["1", "1", "2", "2"]
    assert all(float(row["loss"]) > 0 for row in table if row["loss"]) and any(row["val_miou"] for row in table)
    state = torch.load(out / "state.ckpt", weights_only=True)
    assert state["global_step"] == 2
    printed = capsys.readouterr()
    assert "| road |" in printed.out and "ETA" in printed.err


@pytest.mark.parametrize("ema", ["null", "0.9"])
def test_a_resumed_run_equals_an_unbroken_one(tmp_path: Path, cache: Path, ema: str) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    more = ("--optim.ema_decay", ema, "--trainer.save_minutes", "0")
    command.main(tiny_words(whole, cache, *more, steps=4))
    command.main(tiny_words(broken, cache, *more, "--trainer.max_minutes", "0", steps=4))
    assert read_header(broken / "last.safetensors").training["steps"] == 1
    command.main(["--resume", "--out", str(broken), "--trainer.max_minutes", "null"])
    assert read_header(broken / "last.safetensors").training["steps"] == 4
    assert same(whole / "last.safetensors", broken / "last.safetensors")
    assert [(r["step"], r["loss"]) for r in rows(whole)] == [(r["step"], r["loss"]) for r in rows(broken)]


def test_workers_see_the_same_batches(tmp_path: Path, cache: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    command.main(tiny_words(one, cache))
    command.main(tiny_words(other, cache, "--trainer.num_workers", "1"))
    assert same(one / "last.safetensors", other / "last.safetensors")


def test_semantickitti_trains_and_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = real_data("semantickitti")
    names = "[" + ",".join(f"'{path.name}'" for path in (root / "sequences").iterdir()) + "]"
    words = ["--data.name", "semantickitti", "--data.root", str(root), "--data.sequences", names]
    small = ["--data.input.voxel_size_m", "0.1", "--data.augment.max_points", "3000", "--trainer.max_steps", "1"]
    rest = ["--trainer.batch_size", "1", "--trainer.num_workers", "0", "--trainer.threads", "1"]
    out = tmp_path / "run"
    words += ["--data.val_sequences", names, "--trainer.final_eval_limit", "1"]
    assert command.main(["--out", str(out), *words, *small, *rest]) == 0
    header = read_header(out / "last.safetensors")
    assert header.scheme.name == "semantickitti" and header.scheme.num_classes == 19
    assert "| parking |" in capsys.readouterr().out


def test_a_batch_of_one_coarse_voxel_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(CloudError, match="larger crops"):
        command.main(tiny_words(tmp_path / "run", cache, "--data.augment.max_points", "1", "--trainer.batch_size", "1"))


@pytest.mark.parametrize("loss", ["gls", "sum"])
def test_the_teacher_trains_with_its_noise_branch(tmp_path: Path, cache: Path, loss: str) -> None:
    out = tmp_path / "run"
    command.main(tiny_words(out, cache, "--model.name", "teacher-nano", "--model.loss", loss, steps=1))
    (row,) = rows(out)
    task, noise = float(row["cross_entropy"]) + float(row["lovasz"]), float(row["noise_mse"])
    expected = (task * noise) ** 0.5 if loss == "gls" else task + noise
    assert float(row["loss"]) == pytest.approx(expected, rel=1e-4)
    header = read_header(out / "last.safetensors")
    assert header.architecture == "teacher-nano"


def test_starting_from_given_weights(tmp_path: Path, cache: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    command.main(tiny_words(first, cache))
    frozen = ("--optim.lr", "1e-12", "--optim.weight_decay", "0")
    command.main(tiny_words(second, cache, *frozen, "--model.init", str(first / "last.safetensors")))
    assert "init_sha256" in read_header(second / "last.safetensors").training
    one, other = weights(first / "last.safetensors"), weights(second / "last.safetensors")
    torch.testing.assert_close(one["head.weight"], other["head.weight"])
    other_network = ("--model.name", "teacher-nano", "--model.init", str(first / "last.safetensors"))
    with pytest.raises(CheckpointError, match="teacher-nano"):
        command.main(tiny_words(tmp_path / "third", cache, *other_network))


@pytest.mark.parametrize(("workers", "to_all"), [(0, False), (1, False), (1, True)])
def test_sigterm_saves_and_ends_well(tmp_path: Path, cache: Path, workers: int, to_all: bool) -> None:
    out = tmp_path / "run"
    words = tiny_words(out, cache, "--trainer.num_workers", str(workers), steps=10_000)
    run = [sys.executable, "-m", "srkd_train", "pretrain", *words]
    child = subprocess.Popen(run, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(rows(out) if (out / "metrics.csv").exists() else []) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGTERM) if to_all else child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    steps = read_header(out / "last.safetensors").training["steps"]
    assert 2 <= steps == torch.load(out / "state.ckpt", weights_only=True)["global_step"] < 10_000
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_sigterm_just_before_saving_saves(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    write = Report.on_train_batch_end

    def write_and_ask(self: Report, *args: Any, **more: Any) -> None:  # after Stop and before Save had their turn
        write(self, *args, **more)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Report, "on_train_batch_end", write_and_ask)
    before = handlers()
    assert command.main(tiny_words(out, cache, steps=10_000)) == 0
    assert read_header(out / "last.safetensors").training["steps"] == 2
    assert handlers() == before


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def test_a_run_that_fails_gives_the_signals_back(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Report, *args: Any, **more: Any) -> None:
        assert handlers() != before
        raise TrainingError("the loss is not finite")

    monkeypatch.setattr(Report, "on_train_batch_end", fail)
    before = handlers()
    with pytest.raises(TrainingError):
        command.main(tiny_words(tmp_path / "run", cache))
    assert handlers() == before


def test_sigterm_before_the_first_step_saves_it(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    start = Clock.on_train_start

    def start_and_ask(self: Clock, *args: Any, **more: Any) -> None:  # before Stop takes the signals over
        start(self, *args, **more)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Clock, "on_train_start", start_and_ask)
    with pytest.raises(SystemExit) as ended:
        command.main(tiny_words(out, cache, steps=10_000))
    assert not ended.value.code
    assert read_header(out / "last.safetensors").training["steps"] == 1


def test_a_run_is_never_overwritten_nor_changed_by_resuming(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "run"
    command.main(tiny_words(out, cache))
    with pytest.raises(ConfigError, match="not empty"):
        command.main(tiny_words(out, cache))
    with pytest.raises(ConfigError, match=r"optim\.lr was 0\.002 and is now 0\.5"):
        command.main(["--resume", "--out", str(out), "--optim.lr", "0.5"])
    with pytest.raises(ConfigError, match="does not exist"):
        command.main(tiny_words(tmp_path / "none", cache, "--resume"))
    (out / "state.ckpt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        command.main(["--resume", "--out", str(out)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trainer.max_step", "3"], "trainer.max_steps"),
        (["--trainer.max_steps", "many"], "trainer.max_steps"),
        (["--trainer.max_steps", "0"], "at least 1"),
        (["--data.name", "mars"], "street"),
        (["--data.name", "semantickitti"], "--data.root DIR"),
        (["--data.seeds", "[0,10001]"], "data.seeds"),
        (["--data.seeds", "[0,9901]"], "overlaps"),
        (["--data.input.voxel_size_m", "-1"], "voxel_size_m"),
        (["--model.name", "student-mega"], "student-nano"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_mistakes_are_one_line_with_the_fix(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        command.main(["--out", str(tmp_path / "run"), *words])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_unknown_key_in_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("trainer:\n  max_step: 4\n")
    with pytest.raises(ConfigError, match=r"max_step'?.*did you mean trainer\.max_steps"):
        read_config(["--out", "x", "--config", str(file)])


def test_written_configuration_reads_back(tmp_path: Path) -> None:
    config = read_config(["--out", "x", "--data.augment.max_points", "9", "--optim.ema_decay", "0.5"])
    file = tmp_path / "a.yaml"
    file.write_text(to_yaml(config))
    assert parse(["--config", str(file)], RunConfig, prog="", about="", switches=SWITCHES) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_are_valid(path: Path) -> None:
    more = ["--data.root", "somewhere"] if yaml.safe_load(path.read_text())["data"]["name"] != "street" else []
    read_config(["--config", str(path), "--out", "x", *more])


def test_there_are_shipped_configurations() -> None:
    assert {path.stem for path in CONFIGS} >= {"street", "street_teacher", "semantickitti", "semantickitti_nano"}


def test_a_run_remembers_the_command_that_started_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.first_command() == []
    line = ["srkd", "pretrain", "--data.root", "a folder", "--out", "run"]
    folder.create(RunConfig(out="run"), line)
    assert folder.first_command() == line


def test_the_noise_process_is_configured_and_saved(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "run"
    words = ("--model.name", "teacher-nano", "--model.diffusion.schedule", "cosine", "--model.diffusion.steps", "50")
    command.main(tiny_words(out, cache, *words, steps=1))
    network, _ = load_checkpoint(out / "last.safetensors")
    assert isinstance(network, CDSegNet)
    assert network.config.diffusion.schedule == "cosine" and len(network.signal_level) == 50
    with pytest.raises(ConfigError, match="diffusion steps are 1"):
        command.main(tiny_words(tmp_path / "bad", cache, "--model.diffusion.steps", "1"))
