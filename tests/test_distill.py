# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation runs of a few steps on tiny streets: terms, exports, resuming, a teacher that stays frozen, refusals."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_runs import tiny_words

from srkd.architectures import build_network
from srkd.checkpoint import load_checkpoint, read_header, save_checkpoint
from srkd.errors import CheckpointError, ConfigError, TrainingError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd.segmenter import Segmenter
from srkd_train.adapters import Adapters
from srkd_train.commands import distill as command
from srkd_train.commands import pretrain
from srkd_train.config import DistillConfig
from srkd_train.data.catalog import training_part
from srkd_train.distillation import distiller_module
from srkd_train.objective import DENSE, DISTILLED, SRKD, SUPERVISED, TERMS, Weights, make_recipe
from srkd_train.objective_config import ObjectiveConfig, WeightsConfig
from srkd_train.options import parse
from srkd_train.run_command import SWITCHES
from srkd_train.training import training_batches


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streets")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher-nano with random weights on the voxels of the tiny runs."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    scheme, spec = get_scheme("street"), InputSpec(0.5)
    network = build_network("teacher-nano", scheme.num_classes, 4)
    save_checkpoint(path, network, Header.of(network, "teacher-nano", spec, scheme))
    return path


def words(out: Path, cache: Path, teacher: Path, *more: str, steps: int = 2) -> list[str]:
    return [*tiny_words(out, cache, steps=steps), "--teacher", str(teacher), *more]


def config(cache: Path, teacher: Path, *more: str) -> DistillConfig:
    return parse(words(Path("x"), cache, teacher, *more), DistillConfig, prog="", about="", switches=SWITCHES)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def same(one: Path, other: Path) -> bool:
    left, right = (load_checkpoint(path)[0].state_dict() for path in (one, other))
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("preset", ["balanced", "paper_literal"])
def test_every_term_is_logged_and_the_student_leaves_alone(
    tmp_path: Path, cache: Path, teacher: Path, preset: str
) -> None:
    out = tmp_path / "run"
    assert command.main(words(out, cache, teacher, "--objective.preset", preset)) == 0
    table = rows(out)
    assert len(table) == 2
    recipe = make_recipe(ObjectiveConfig(preset=preset))  # type: ignore[arg-type]
    for row in table:
        values = {name: float(row[name]) for name in SUPERVISED + SRKD}
        assert all(value > 0 for value in values.values()), values
        total = sum(recipe.weights[name] * value for name, value in values.items())
        assert float(row["loss"]) == pytest.approx(total, rel=1e-3)
    header = read_header(out / "last.safetensors")
    assert header.architecture == "student-nano"
    assert header.training["teacher"] == "teacher-nano"
    assert header.training["teacher_sha256"] == read_header(teacher).weights_sha256
    plain = build_network("student-nano", 12, 4)
    assert set(load_checkpoint(out / "last.safetensors")[0].state_dict()) == set(plain.state_dict())
    Segmenter.load(out / "last.safetensors", device="cpu")


def test_one_term_alone_and_none(tmp_path: Path, cache: Path, teacher: Path) -> None:
    off = [word for name in DISTILLED for word in (f"--objective.weights.{name}", "0")]
    command.main(words(tmp_path / "none", cache, teacher, *off, steps=1))
    (row,) = rows(tmp_path / "none")
    assert not set(DISTILLED) & set(row)
    assert float(row["loss"]) == pytest.approx(float(row["cross_entropy"]) + float(row["lovasz"]), rel=1e-5)
    command.main(words(tmp_path / "one", cache, teacher, *off, "--objective.weights.kl", "2", steps=1))
    (one,) = rows(tmp_path / "one")
    assert set(DISTILLED) & set(one) == {"kl"}
    supervised = float(one["cross_entropy"]) + float(one["lovasz"])
    assert float(one["loss"]) == pytest.approx(supervised + 2 * float(one["kl"]), rel=1e-4)
    assert float(one["cross_entropy"]) == pytest.approx(float(row["cross_entropy"]), rel=1e-6)


def test_published_count_of_trained_parameters() -> None:
    student, teacher = build_network("student", 20, 6), build_network("cdsegnet", 20, 6)
    adapters = Adapters(
        student.config.unet.dec_channels,
        teacher.config.unet.dec_channels,
        features=True,
        channel=False,
        cross_sample_dim=None,
        seed=0,
    )
    count = sum(parameter.numel() for module in (student, adapters) for parameter in module.parameters())
    assert count == 11_612_436


def test_teacher_stays_frozen_whatever_the_trainer_does(cache: Path, teacher: Path) -> None:
    given = config(cache, teacher)
    part = training_part(given.data)
    module = distiller_module(given, part.clouds.scheme)
    before = {name: value.clone() for name, value in module.teacher.network.state_dict().items()}
    assert not any("teacher" in name for name, _ in module.named_parameters())
    assert not any(name.startswith("teacher.") for name in module.state_dict())
    module.train()
    module.teacher.network.train()
    optimizer = module.configure_optimizers()["optimizer"]
    batch = training_batches(given, part, module.plan_spec)[0]
    module.training_step(batch, 0)["loss"].backward()
    optimizer.step()
    assert not module.teacher.network.training
    assert all(parameter.grad is None for parameter in module.teacher.network.parameters())
    after = module.teacher.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    one, two = (module.teacher(batch.features, batch.plan).logits for _ in range(2))
    assert torch.equal(one, two)
    lonely = replace(batch.plan, orders=())
    assert torch.equal(one, module.teacher(batch.features, lonely).logits), "curve orders of training reach the teacher"


def test_teacher_does_not_depend_on_batch_mates(cache: Path, teacher: Path) -> None:
    given = config(cache, teacher)
    part = training_part(given.data)
    module = distiller_module(given, part.clouds.scheme)
    both = training_batches(given, part, module.plan_spec)[0]
    alone = training_batches(replace(given, trainer=replace(given.trainer, batch_size=1)), part, module.plan_spec)[0]
    seen = module.teacher(both.features, both.plan).logits[: both.offsets[0]]
    torch.testing.assert_close(module.teacher(alone.features, alone.plan).logits, seen, rtol=1e-4, atol=1e-4)


def test_teacher_equals_the_segmenter(cache: Path, teacher: Path) -> None:
    given = config(cache, teacher)
    part = training_part(given.data)
    module = distiller_module(given, part.clouds.scheme)
    cloud = part.clouds[0].cloud
    labels = Segmenter.load(teacher, device="cpu")(cloud)
    from srkd_train.data.batch import collate, prepare

    batch = collate([prepare(part.clouds[0], given.data.input)], module.plan_spec)
    class_id = module.teacher(batch.features, batch.plan).logits.argmax(1)
    agree = (batch.spread(class_id).numpy() == labels.class_id).mean()
    assert agree > 0.999  # random weights: a tie may fall either way


def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, cache: Path, teacher: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    more = ("--trainer.save_minutes", "0", "--objective.calibrate_steps", "3", "--trainer.val_every", "2")
    command.main(words(whole, cache, teacher, *more, steps=6))
    line = [sys.executable, "-m", "srkd_train", "distill", *words(broken, cache, teacher, *more, steps=6)]
    child = subprocess.Popen(line, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        if (broken / "metrics.csv").exists() and len(rows(broken)) >= 3:
            break
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL
    assert (broken / "state.ckpt").exists()
    assert torch.load(broken / "state.ckpt", weights_only=True)["global_step"] < 6
    command.main(["--resume", "--out", str(broken)])
    assert same(whole / "last.safetensors", broken / "last.safetensors")
    columns = ("step", "loss", *SUPERVISED, *SRKD, "val_miou")
    assert [[row[name] for name in columns] for row in rows(whole)] == [
        [row[name] for name in columns] for row in rows(broken)
    ]


def test_half_precision_with_clipped_gradients(tmp_path: Path, cache: Path, teacher: Path) -> None:
    more = ("--trainer.precision", "bf16", "--optim.clip_norm", "0.5", "--optim.ema_decay", "0.9")
    command.main(words(tmp_path / "run", cache, teacher, *more, steps=1))
    assert float(rows(tmp_path / "run")[0]["loss"]) > 0


def test_a_run_is_resumed_by_its_own_command_and_teacher(tmp_path: Path, cache: Path, teacher: Path) -> None:
    out = tmp_path / "run"
    stop = ("--trainer.max_minutes", "0")
    command.main(words(out, cache, teacher, *stop, steps=3))
    settings = (out / "config.yaml").read_bytes()
    with pytest.raises(ConfigError, match="a run of `srkd distill`"):
        pretrain.main(["--resume", "--out", str(out)])
    torch.manual_seed(1)
    other, moved = tmp_path / "other.safetensors", tmp_path / "moved.safetensors"
    header = read_header(teacher)
    save_checkpoint(other, build_network("teacher-nano", 12, 4), header)
    with pytest.raises(ConfigError, match="give the same teacher"):
        command.main(["--resume", "--out", str(out), "--teacher", str(other)])
    assert (out / "config.yaml").read_bytes() == settings
    moved.write_bytes(teacher.read_bytes())
    command.main(["--resume", "--out", str(out), "--teacher", str(moved), "--trainer.max_minutes", "null"])
    assert read_header(out / "last.safetensors").training["steps"] == 3


def test_adapters_do_not_depend_on_each_other() -> None:
    def made(features: bool) -> Adapters:
        return Adapters((8, 8), (16, 16), features=features, channel=True, cross_sample_dim=4, seed=3)

    one, other = made(True), made(False)
    assert one.channel is not None and other.channel is not None
    assert torch.equal(one.channel.weight, other.channel.weight)
    assert one.cross_sample is not None and other.cross_sample is not None
    assert torch.equal(one.cross_sample.weight, other.cross_sample.weight)


def test_calibrated_terms_weigh_the_same(cache: Path, teacher: Path) -> None:
    recipe = make_recipe(ObjectiveConfig(weights=WeightsConfig(channel=0.0)))
    weights = Weights(recipe, steps=2, share=0.25)
    assert weights.current() == dict(recipe.weights)
    means = {name: float(at + 1) for at, name in enumerate(TERMS)}
    for factor in (0.5, 1.5, 100.0):  # the third step is after calibration
        weights.update({name: torch.tensor(factor * value) for name, value in means.items()})
    current = weights.current()
    supervised = means["cross_entropy"] + means["lovasz"]
    for name in DISTILLED:
        expected = 0.0 if name in ("channel", *DENSE) else 0.25 * supervised
        assert current[name] * means[name] == pytest.approx(expected)
    assert current["cross_entropy"] == current["lovasz"] == 1.0


def test_a_dry_run_tells_costs_and_writes_nothing(
    tmp_path: Path, cache: Path, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert command.main(words(out, cache, teacher, "--dry-run")) == 0
    text = capsys.readouterr().out
    assert "s a step" in text and "GiB" in text and "h:mm:ss for 2 steps" in text
    assert "shared memory" not in text
    assert not out.exists()


def test_a_dry_run_tells_the_shared_memory_of_batches_made_ahead(
    tmp_path: Path, cache: Path, teacher: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = words(tmp_path / "run", cache, teacher, "--dry-run", "--trainer.num_workers", "100")
    monkeypatch.setattr("srkd_train.trial._free_bytes", lambda _: 2**40)
    assert command.main(many) == 0
    text = capsys.readouterr().out
    assert re.search(r"GiB at most, and [1-9]\d* MiB of shared memory for batches made ahead$", text, re.MULTILINE)
    monkeypatch.setattr("srkd_train.trial._free_bytes", lambda _: 3 * 2**20)
    assert command.main(many) == 0
    assert "; 3 MiB are free: --trainer.num_workers 0, or more of it" in capsys.readouterr().out


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, cache: Path, teacher: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"step 1: .*not finite.*kl.*optim\.lr") as caught:
        command.main(words(out, cache, teacher, "--objective.weights.kl", "1e300"))
    assert "\n" not in str(caught.value)
    assert not (out / "last.safetensors").exists() and not (out / "state.ckpt").exists()


def test_mistakes_are_one_line(tmp_path: Path, cache: Path, teacher: Path) -> None:
    out = tmp_path / "run"

    def refused(kind: type[Exception], match: str, *more: str) -> None:
        with pytest.raises(kind, match=match) as caught:
            command.main(words(out, cache, teacher, *more))
        assert "\n" not in str(caught.value)
        assert not out.exists()

    refused(CheckpointError, "nowhere.safetensors", "--teacher", "nowhere.safetensors")
    refused(CheckpointError, r"voxel_size_m 0\.5.*0\.3", "--data.input.voxel_size_m", "0.3")
    refused(ConfigError, "did you mean objective.weights.kl", "--objective.weights.kll", "1")
    refused(ConfigError, "kl_tau", "--objective.kl_tau", "0")
    refused(ConfigError, "angle_bins", "--objective.supervoxels.angle_bins", "0")
    refused(ConfigError, r"weights\.kl=-1", "--objective.weights.kl", "-1")
    refused(ConfigError, "noise branch", "--model.name", "teacher-nano")
    if not torch.cuda.is_available():
        refused(ConfigError, "trainer: ", "--trainer.accelerator", "gpu")
    few = ("--trainer.devices", "2", "--trainer.val_every", "1", "--trainer.val_limit", "1")
    refused(ConfigError, "validate on", *few)
    short = tmp_path / "short.safetensors"
    short.write_bytes(teacher.read_bytes()[:5000])
    refused(CheckpointError, "short.safetensors", "--teacher", str(short))
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    refused(CheckpointError, "foreign.safetensors", "--teacher", str(foreign))
    scheme = get_scheme("semantickitti")
    other = tmp_path / "other.safetensors"
    network = build_network("teacher-nano", scheme.num_classes, 4)
    save_checkpoint(other, network, Header.of(network, "teacher-nano", InputSpec(0.5), scheme))
    refused(CheckpointError, "19 classes of semantickitti.*12 of street", "--teacher", str(other))
