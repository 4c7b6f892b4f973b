# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Experiments: how runs are known again, started, stopped and gone on with, and what tables say."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_networks import SCHEME, SPEC, UNET, randomize
from stand_in_runs import StandIn

from srkd.checkpoint import read_header, save_checkpoint
from srkd.errors import ConfigError, SrkdError
from srkd.header import Header
from srkd.ptv3 import PTv3, PTv3Config
from srkd_train.__main__ import main
from srkd_train.config import DistillConfig, RunConfig
from srkd_train.experiments.cost import to_markdown
from srkd_train.experiments.outcome import run_comparison
from srkd_train.experiments.pool import Pool, Stopped
from srkd_train.experiments.presets import PRESETS
from srkd_train.experiments.rows import COMPARISONS
from srkd_train.experiments.run import Run, folder_name, ordered, override
from srkd_train.experiments.setup import Setup, read_setup
from srkd_train.experiments.statistics import Summary, gap_closed
from srkd_train.experiments.step_cost import StepCost
from srkd_train.objective import SRKD
from srkd_train.picture import side_by_side

STREET = Path(__file__).parent.parent / "config" / "distill" / "street.yaml"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "net.safetensors", 0)


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streets")


@pytest.fixture
def stand_in(tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn(tmp_path / "work", checkpoint, monkeypatch)


def write_checkpoint(path: Path, seed: int) -> Path:
    network = PTv3(PTv3Config(UNET, SCHEME.num_classes))
    randomize(network, seed)
    save_checkpoint(path, network, Header.of(network, "small", SPEC, SCHEME))
    return path


def setup_of(*words: str, preset: str = "study", seeds: tuple[int, ...] = (0, 1), **more: Any) -> Setup:
    return read_setup([str(STREET)], words, preset=preset, seeds=seeds, **more)


def run_of(**changes: Any) -> Run:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return Run("pretrain", override(RunConfig(out="-"), {"trainer.max_steps": 3, "trainer.threads": 1, **dotted}))


# --- keys ---


def test_a_key_does_not_see_folders_and_free_options() -> None:
    name = folder_name(run_of(), None)
    for same in (
        run_of(out="elsewhere", resume=True, dry_run=True),
        run_of(data__cache_dir="/somewhere"),
        run_of(trainer__threads=7, trainer__num_workers=0, trainer__save_minutes=1.0, trainer__max_minutes=2.0),
        run_of(trainer__final_eval_limit=3),
    ):
        assert folder_name(same, None) == name
    assert name.startswith("pretrain-") and len(name) == len("pretrain-") + 12


def test_a_key_sees_all_else() -> None:
    different = [
        run_of(),
        run_of(trainer__seed=1),
        run_of(trainer__max_steps=4),
        run_of(trainer__precision="bf16"),
        run_of(optim__lr=0.1),
        run_of(data__share=0.5),
        run_of(data__augment__flip_p=0.25),
        run_of(model__name="ptv3"),
        Run("distill", override(DistillConfig(out="-"), {"trainer.max_steps": 3})),
        Run("distill", override(DistillConfig(out="-"), {"trainer.max_steps": 3, "objective.kl_tau": 1.0})),
    ]
    names = [folder_name(run, None) for run in different]
    assert len(set(names)) == len(names)


def test_a_key_sees_the_digest_of_a_teacher_not_its_place(tmp_path: Path, checkpoint: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(checkpoint.read_bytes())
    other = write_checkpoint(tmp_path / "other.safetensors", 1)
    run = Run("distill", DistillConfig(out="-", teacher="here"), "here")
    moved = Run("distill", DistillConfig(out="-", teacher="there"), "there")
    assert folder_name(run, checkpoint) == folder_name(moved, copy) != folder_name(run, other)
    started = run_of(model__init=str(checkpoint)), run_of(model__init=str(copy)), run_of(model__init=str(other))
    names = [folder_name(run, None) for run in started]
    assert names[0] == names[1] != names[2]


def test_a_key_of_an_evaluation_sees_noise_clouds_and_weights_only(checkpoint: Path) -> None:
    config = DistillConfig(out="-")

    def name(config: RunConfig = config, **more: Any) -> str:
        return folder_name(Run("evaluate", config, "net", **more), checkpoint)

    fewer = override(config, {"trainer.final_eval_limit": 2})
    assert name() == name(override(config, {"optim.lr": 0.3})) == name(override(config, {"objective.kl_tau": 1.0}))
    assert len({name(), name(noise=(0.1, 0)), name(noise=(0.1, 1)), name(fewer)}) == 4


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.max_step is no key"):
        override(RunConfig(out="-"), {"trainer.max_step": 3})


# --- setups ---


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_configurations(preset: str) -> None:
    setup = setup_of(preset=preset)
    assert setup.base.trainer.final_eval
    assert (setup.teacher_base is None) == (PRESETS[preset].teacher is None)


def test_the_command_line_wins_over_the_preset_and_the_preset_over_the_file() -> None:
    setup = setup_of("--trainer.max_steps", "7", "--teacher.trainer.max_steps", "9", "--teacher.optim.lr=0.5")
    assert setup.base.data.sensors == ("beams16",) and setup.base.trainer.max_steps == 7
    teacher = setup.teacher(3).config
    assert teacher.model.name == "teacher-nano" and teacher.trainer.seed == 3
    assert (teacher.trainer.max_steps, teacher.optim.lr) == (9, 0.5) and setup.base.optim.lr != 0.5
    assert type(teacher) is RunConfig


def test_a_given_teacher_is_evaluated_not_trained() -> None:
    setup = setup_of("--teacher", "teacher-nano")
    assert setup.teacher_base is None
    assert setup.teacher(0) is setup.teacher(1) and setup.teacher(0).verb == "evaluate"
    assert setup.distilled(0).source == "teacher-nano"
    with pytest.raises(ConfigError, match="as it is"):
        setup_of("--teacher", "x", "--teacher.optim.lr", "1")


def test_a_teacher_is_shared_by_all_rows_of_its_seed() -> None:
    setup = setup_of(alone=True)
    rows = {row.series: row for row in COMPARISONS["gap"].rows(setup)}
    students = [row.runs[1] for name, row in rows.items() if name not in ("baseline", "teacher")]
    assert len(students) == 1 + len(setup.terms) and all(run.source is rows["teacher"].runs[1] for run in students)
    assert len(ordered([run for row in rows.values() for run in row.runs.values()])) == 2 * (2 + len(students))


def test_baseline_and_student_differ_in_the_objective_alone() -> None:
    setup = setup_of()
    baseline, distilled = setup.baseline(4).config, setup.distilled(4).config
    for section in ("data", "model", "optim", "trainer"):
        assert getattr(baseline, section) == getattr(distilled, section)
    assert baseline.trainer.seed == 4


def weights(run: Run) -> dict[str, float | None]:
    assert isinstance(run.config, DistillConfig)
    return {term: getattr(run.config.objective.weights, term) for term in SRKD}


def test_terms_alone_left_out_and_added_one_by_one() -> None:
    setup = setup_of("--objective.weights.channel", "0", alone=True, without=True)
    assert "channel" not in setup.terms and len(setup.terms) == 5
    rows = {row.series: weights(row.runs[0]) for row in COMPARISONS["gap"].rows(setup)[3:]}
    assert {term for term, value in rows["only KL"].items() if value != 0} == {"kl"}
    assert {term for term, value in rows["without KL"].items() if value == 0} == {"kl", "channel"}
    steps = COMPARISONS["ablation"].rows(setup)
    counts = [sum(value != 0 for value in weights(row.runs[0]).values()) for row in steps[1:]]
    assert [row.series for row in steps][:2] == ["baseline", "+ KL"] and counts == [1, 2, 3, 4, 5]


def test_batch_sizes_see_as_many_clouds() -> None:
    setup = setup_of("--trainer.max_steps", "40", values=(2, 5))
    for row in COMPARISONS["batch-size"].rows(setup):
        trainer = row.runs[0].config.trainer
        assert trainer.batch_size == row.x and trainer.max_steps * trainer.batch_size == 160


def test_a_share_of_the_scenes_is_the_teachers_too() -> None:
    setup = setup_of(values=(0.25,))
    for row in COMPARISONS["subsample"].rows(setup):
        for run in (row.runs[0], *row.runs[0].needs):
            assert run.config.data.share == 0.25


def test_noise_scores_each_network_once_without_and_once_a_strength() -> None:
    setup = setup_of(values=(0.0, 0.5))
    rows = COMPARISONS["noise"].rows(setup)
    assert [(row.series, row.x) for row in rows[:2]] == [("baseline", 0.0), ("baseline", 0.5)]
    assert rows[0].runs[1].verb == "pretrain" and rows[1].runs[1].source is rows[0].runs[1]
    assert rows[1].runs[0].noise == (0.5, 0) and rows[1].runs[1].noise == (0.5, 1)


def test_widths_of_the_projector() -> None:
    rows = COMPARISONS["feature-dim"].rows(setup_of(values=(32, 64)))
    dims = [
        run.config.objective.cross_sample_dim
        for row in rows[1:]
        if isinstance((run := row.runs[0]).config, DistillConfig)
    ]
    assert dims == [None, 32, 64]


# --- figures ---


def test_mean_spread_and_closed_gap_by_hand() -> None:
    teacher, baseline = Summary({0: 0.70, 1: 0.72, 2: 0.60}), Summary({0: 0.60, 1: 0.62, 2: 0.58})
    distilled = Summary({0: 0.68, 1: 0.67, 2: 0.60})
    assert teacher.mean == pytest.approx(0.6733333) and teacher.std == pytest.approx(0.0642910, rel=1e-5)
    closed = gap_closed(teacher, baseline, distilled)
    assert closed.per_seed[0] == pytest.approx(0.8) and closed.per_seed[1] == pytest.approx(0.5)
    assert math.isnan(closed.per_seed[2])  # a gap of 2 points
    assert closed.mean == pytest.approx(0.65) and closed.to_dict()["per_seed"]["2"] is None
    assert distilled.minus(baseline).percent(sign=True) == "+5.0 ± 3.0"
    assert Summary({0: 0.5}).std is None and Summary({0: 0.5}).percent() == "50.0"
    assert Summary({0: math.nan}).mean is None and Summary({0: math.nan}).percent() == "-"


# --- running ---


def test_runs_are_done_once_needs_first_and_not_too_many_at_once(stand_in: StandIn) -> None:
    setup = setup_of("--trainer.max_steps", "4", "--teacher.trainer.max_steps", "8")
    pool = Pool(Path("out/runs"), jobs=2)
    table = run_comparison("gap", COMPARISONS["gap"], setup, pool, command=["srkd"])
    assert [words[0] for words in stand_in.started].count("pretrain") == 4
    assert [words[0] for words in stand_in.started].count("distill") == 2
    assert stand_in.most_at_once() == 2
    assert {entry[2] for entry in stand_in.journal if entry[0] == "start"} == {"1"}, "threads of the preset"
    figures = table.to_dict()
    assert figures["distilled"]["per_seed"] == {"0": 0.52, "1": 0.53}
    assert figures["gain"]["mean"] == pytest.approx(0.02) and figures["gap_closed"]["mean"] is None
    assert len(figures["runs"]) == 6 and figures["rows"][2]["gain"]["per_seed"]["1"] == pytest.approx(0.02)
    assert "| distilled | 52.5 ± 0.7 | +2.0 ± 0.0 |" in table.to_markdown() and "| bus | - |" in table.to_markdown()
    again = run_comparison(
        "gap",
        COMPARISONS["gap"],
        setup_of(*["--trainer.max_steps", "4"], "--teacher.trainer.max_steps", "8"),
        Pool(Path("out/runs"), 1),
        command=["srkd"],
    )
    assert len(stand_in.started) == 6 and again.to_dict()["rows"] == figures["rows"]


def test_a_distilled_run_gets_the_file_of_its_teacher(stand_in: StandIn) -> None:
    setup = setup_of("--trainer.max_steps", "1", "--teacher.trainer.max_steps", "1", seeds=(5,))
    pool = Pool(Path("runs"), jobs=1)
    result = pool.complete([setup.distilled(5)])
    (run,) = result.keys() - {setup.teacher(5)}
    written = (Path("runs") / f"{result[run].path.name}.yaml").read_text()
    assert f"teacher: {result[setup.teacher(5)].weights}" in written


def test_another_number_of_clouds_is_scored_without_training(stand_in: StandIn) -> None:
    pool = Pool(Path("runs"), jobs=1)
    pool.complete([run_of()])
    Pool(Path("runs"), jobs=1).complete([run_of(trainer__threads=2)])
    assert len(stand_in.started) == 1
    assert stand_in.journal[0][4] == [f".{folder_name(run_of(), None)}.lock"], "held also when the parent is killed"
    Pool(Path("runs"), jobs=1).complete([run_of(trainer__final_eval_limit=7)])
    assert len(stand_in.started) == 2 and "--resume" in stand_in.started[1]


def test_what_lies_there_without_a_state_is_removed(stand_in: StandIn) -> None:
    folder = Path("runs") / folder_name(run_of(), None)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("half")
    (folder / "evaluation.json").write_text('{"miou": 0.')
    result = Pool(Path("runs"), jobs=1).complete([run_of()])
    assert next(iter(result.values())).miou == pytest.approx(0.5 + 0.42)


def test_a_failure_names_the_run_its_last_words_and_the_log(stand_in: StandIn) -> None:
    with pytest.raises(SrkdError, match=r"student-nano, seed 42 ended with status 1 \(.*bad luck\): see runs/.*log"):
        Pool(Path("runs"), jobs=2).complete([run_of(optim__lr=13.0), run_of(trainer__max_steps=500)])
    assert stand_in.journal[-1][0] == "end" and int(str(stand_in.journal[-1][2])) < 500, "the other has saved"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_the_same_again_goes_on(stand_in: StandIn, number: signal.Signals) -> None:
    runs = [run_of(trainer__max_steps=steps) for steps in (150, 151)]

    def when_both_are_at_it() -> None:
        deadline = time.monotonic() + 60
        while len(list(Path("runs").glob("*/metrics.csv"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=when_both_are_at_it).start()
    with pytest.raises(Stopped, match="0 of 2 runs are done"):
        Pool(Path("runs"), 2).complete(runs)
    steps = [int(str(entry[2])) for entry in stand_in.journal if entry[0] == "end"]
    assert len(steps) == 2 and all(1 <= step < 150 for step in steps)
    before = len(stand_in.started)
    Pool(Path("runs"), 2).complete(runs)
    assert all("--resume" in words for words in stand_in.started[before:])
    assert {entry[2] for entry in stand_in.journal[before:] if entry[0] == "end"} >= {150, 151}


def test_runs_whose_time_is_up_wait_for_another_day(stand_in: StandIn) -> None:
    setup = setup_of("--trainer.max_steps", "4", "--trainer.max_minutes", "3", seeds=(0,))
    runs = [setup.distilled(0), setup.baseline(0)]
    with pytest.raises(Stopped, match="0 of 3 runs are done, 3 have used up their time"):
        Pool(Path("runs"), 1).complete(runs)
    assert [words[0] for words in stand_in.started] == ["pretrain", "pretrain"]


def test_a_run_that_another_process_is_at_is_waited_for(stand_in: StandIn) -> None:
    place = Pool(Path("runs"), 1).place(run_of())
    assert place is not None
    mine = place.lock()
    assert mine is not None and place.lock() is None
    code = "import fcntl, os, sys, time; time.sleep(1.0); os.close(int(sys.argv[1]))"
    other = subprocess.Popen([sys.executable, "-c", code, str(mine)], pass_fds=(mine,))
    os.close(mine)
    start = time.monotonic()
    Pool(Path("runs"), 1).complete([run_of()])
    assert other.wait() == 0 and time.monotonic() - start > 0.8 and len(stand_in.started) == 1


def test_an_evaluation_names_the_clouds_of_the_final_score(stand_in: StandIn, checkpoint: Path) -> None:
    setup = setup_of("--trainer.final_eval_limit", "3", "--data.cache_dir", "streets")
    run = setup.evaluation(str(checkpoint), 0.5, 2)
    result = Pool(Path("runs"), 1).complete([run])[run]
    (words,) = stand_in.started
    pairs = dict(pairwise(words))
    assert words[:2] == ["evaluate", str(checkpoint)]
    wanted = {"--data": "street", "--split": "held_out", "--sensors": "beams16", "--limit": "3"}
    wanted |= {"--feature-noise": "0.5", "--noise-seed": "2", "--cache-dir": "streets", "--device": "cpu"}
    assert wanted.items() <= pairs.items()
    assert result.miou == pytest.approx(0.45)


# --- the command ---


def test_runs_are_listed_and_none_is_started(capsys: Capture, tmp_path: Path) -> None:
    for name in ("gap", "noise", "pictures", "cost"):
        words = ["--config", str(STREET), "--out", str(tmp_path), "--seeds", "0", "--list"]
        assert main(["experiment", name, *words]) == (2 if name == "cost" else 0)
    assert "after its source" in capsys.readouterr().out and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gapp"], "did you mean 'gap'"),
        (["gap", "--seeds", "0", "0"], "different numbers"),
        (["gap", "--jobs", "0"], "at least 1"),
        (["gap", "--values", "1"], "no meaning for gap"),
        (["subsample", "--values", "1.5"], "none of the shares"),
        (["batch-size", "--values", "2.5"], "none of the clouds a step"),
        (["noise", "--values", "-1"], "--values"),
        (["compare", "--terms"], "for gap"),
        (["gap", "--trainer.max_step", "3"], "did you mean trainer.max_steps"),
        (["gap", "--preset", "huge"], "huge"),
        (["gap", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys: Capture, tmp_path: Path) -> None:
    assert main(["experiment", *words, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_tiny_networks_from_nothing_to_the_table(streets: Path, tmp_path: Path, capsys: Capture) -> None:
    """Real programs: a teacher, a baseline and a distilled student of two steps each, then noise and a picture."""
    tiny = {
        "data.cache_dir": streets,
        "data.seeds": "[0,2]",
        "data.frames_per_street": 1,
        "data.input.voxel_size_m": 1.0,
        "data.augment.max_points": 2000,
        "trainer.max_steps": 2,
        "trainer.batch_size": 2,
        "trainer.final_eval_limit": 1,
        "teacher.trainer.max_steps": 2,
    }
    words = [word for key, value in tiny.items() for word in (f"--{key}", str(value))]
    words += ["--config", str(STREET), "--seeds", "0", "--jobs", "2", "--out", str(tmp_path / "out")]
    assert main(["experiment", "gap", *words]) == 0, capsys.readouterr().err
    figures = json.loads((tmp_path / "out" / "gap.json").read_text())
    assert "--out" not in figures["command"] and len(figures["runs"]) == 3
    for row in figures["runs"]:
        header = read_header(tmp_path / "out" / "runs" / row["run"] / "last.safetensors")
        assert header.weights_sha256 == row["weights_sha256"] and header.metrics["miou"] == row["miou"]
    by_row = {row["row"]: row for row in figures["runs"]}
    distilled = read_header(tmp_path / "out" / "runs" / by_row["distilled"]["run"] / "last.safetensors")
    assert distilled.training["teacher_sha256"] == by_row["teacher"]["weights_sha256"]
    assert (tmp_path / "out" / "gap.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "out" / "gap.png").read_bytes().startswith(b"\x89PNG")
    runs = sorted((tmp_path / "out" / "runs").iterdir())
    assert main(["experiment", "pictures", *words, "--values", "0"]) == 0
    assert (tmp_path / "out" / "pictures_0000.png").exists() and sorted((tmp_path / "out" / "runs").iterdir()) == runs


# --- cost and pictures ---


def test_ratio_and_relation_time_are_medians_of_pairs() -> None:
    taken = {"ce_lovasz": [1.0, 1.0, 1.0], "kl_mse": [2.0, 1.0, 10.0], "full": [2.2, 1.2, 13.0]}
    cost = StepCost(4, 1024, 9, taken, {})
    assert cost.ratio == pytest.approx(1.2) and cost.relation_s == pytest.approx(0.2)


def test_cost_is_measured_and_written(streets: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["--config", str(STREET), "--data.cache_dir", str(streets), "--data.seeds", "[0,2]"]
    words += ["--data.frames_per_street", "1", "--data.augment.max_points", "2000", "--trainer.threads", "1"]
    words += ["--trainer.accelerator", "cpu", "--values", "2", "--repeats", "1", "--out", str(tmp_path)]
    assert main(["experiment", "cost", *words, "--preset", "study"]) == 0, capsys.readouterr().err
    figures = json.loads((tmp_path / "cost_cpu.json").read_text())
    (entry,) = figures["steps"]
    assert entry["batch_size"] == 2 and entry["cross_sample_points"] == 1024
    assert figures["step_ratio_full_over_kl_mse"] == entry["step_ratio_full_over_kl_mse"] > 0
    assert entry["step_s"]["kl_mse"] > entry["step_s"]["ce_lovasz"] > 0, "a teacher costs time"
    assert set(figures["inference"]["stage_ms"]) == {"student", "teacher"}
    assert "| student (student-nano) | 0.73 |" in to_markdown(figures)


def test_a_picture_has_a_panel_a_prediction() -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    xyz = np.random.default_rng(0).uniform(-20, 20, (500, 3)).astype(np.float32)
    truth = np.zeros(500, np.uint8)
    one = side_by_side(xyz, truth, {"a": truth}, SCHEME, size_px=120)
    two = side_by_side(xyz, truth, {"a": truth, "b": truth}, SCHEME, size_px=120)
    assert (
        two.shape[1] - one.shape[1] == one.shape[1] - side_by_side(xyz, truth, {}, SCHEME, size_px=120).shape[1] > 120
    )
