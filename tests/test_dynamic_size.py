# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The experiment on teachers of several frames: its rows, its dense clouds, and which run goes on from which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_networks import SCHEME, SPEC, UNET, randomize
from stand_in_runs import StandIn

from srkd.checkpoint import save_checkpoint
from srkd.errors import ConfigError
from srkd.header import Header
from srkd.ptv3 import PTv3, PTv3Config
from srkd_train.__main__ import main
from srkd_train.config import DistillConfig
from srkd_train.data.accumulate.folder import INDEX, read_index
from srkd_train.data.catalog import street_part
from srkd_train.experiments import dense_kinds, dynamic_size
from srkd_train.experiments.run import Run
from srkd_train.experiments.setup import Setup, read_setup
from srkd_train.objective import DISTILLED

STREET = Path(__file__).parent.parent / "config" / "distill" / "street_dense_teacher.yaml"
NET = "student-nano"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One held-out cloud."""
    monkeypatch.setattr(
        dense_kinds, "final_part", lambda data: street_part((10000, 10001), data.sensors, 1, cache=None)
    )


def setup_of(cache: Path, *words: str, **more: Any) -> Setup:
    tiny = ["--data.cache_dir", str(cache), "--data.seeds", "[0,1]", "--data.frames_per_street", "1"]
    return read_setup([str(STREET)], [*tiny, *words], preset="study", seeds=(0, 1), **more)


def test_rows_of_both_networks_and_what_each_goes_on_from(cache: Path) -> None:
    setup = setup_of(cache)
    rows = dynamic_size.runs_by_row(setup)
    assert len(rows) == 18 and {name.split(":")[0] for name in rows} == {NET, "spunet-nano"}
    for seed in setup.seeds:
        base, control = (rows[f"{NET}: {name}"][0][seed] for name in (dynamic_size.BASE, dynamic_size.CONTROL))
        assert base.start is None and base.config.model.init == "student-nano-start"
        assert control.start is base and control.config.optim.lr == base.config.optim.lr / 2
        assert base.config.data.dense_root is None and control.config.data.dense_root is None
        teacher = rows[f"{NET}: teacher of all classes, scored on dense clouds"][0][seed]
        assert teacher.verb == "pretrain" and teacher.start is base
        assert teacher.config.data.dense_val and teacher.config.data.dense_root
        single = rows[f"{NET}: teacher of all classes, scored on single frames"][0][seed]
        assert single.source is teacher and single.config.data.dense_root is None
        for name, weights in dynamic_size.STRATEGIES.items():
            run, against = rows[f"{NET}: {name}"]
            config = run[seed].config
            assert isinstance(config, DistillConfig) and run[seed].start is base and run[seed].source is teacher
            assert {term: getattr(config.objective.weights, term) for term in DISTILLED} == {
                term: weights.get(term, 0.0) for term in DISTILLED
            }
            assert config.data.dense_root == teacher.config.data.dense_root and not config.data.dense_val
            assert config.trainer.max_steps == control.config.trainer.max_steps and config.trainer.seed == seed
            assert against == f"{NET}: {dynamic_size.CONTROL}"
        other = rows[f"spunet-nano: {dynamic_size.BASE}"][0][seed].config
        assert other.model.init is None and other.trainer.max_steps == 3 * base.config.trainer.max_steps


def test_a_base_from_nothing_learns_faster_than_what_goes_on(cache: Path) -> None:
    setup = setup_of(cache, "--optim.lr", "0.0002")
    rows = dynamic_size.runs_by_row(setup)
    rates = {name: runs[0].config.optim.lr for name, (runs, _) in rows.items()}
    assert rates[f"{NET}: base"] == 0.0002, "it goes on from trained weights"
    assert rates["spunet-nano: base"] == 0.002
    assert rates["spunet-nano: stats"] == rates[f"{NET}: stats"] == 0.0001
    assert "random weights at a learning rate of 0.002" in " ".join(dynamic_size.notes(setup))


def test_every_network_of_a_preset_has_a_spunet_beside_it(cache: Path) -> None:
    for name, beside in (("student", "spunet"), ("ptv3", "spunet"), (NET, "spunet-nano"), ("spunet", None)):
        setup = setup_of(cache, "--model.name", name, "--model.init", "null")
        assert dynamic_size.networks(setup) == ((name,) if beside is None else (name, beside))


def test_more_teachers_see_other_clouds(cache: Path) -> None:
    rows = dynamic_size.runs_by_row(setup_of(cache, more_teachers=True))
    seen = {
        run.config.data.dense_root
        for name, (runs, _) in rows.items()
        for run in runs.values()
        if name.endswith("scored on dense clouds")
    }
    assert len(rows) == 30 and len(seen) == 4
    assert all(scheme in dense_kinds.CHOSEN for scheme in ("street", "semantickitti", "nuscenes", "waymo"))


def test_chosen_classes_are_those_of_the_data_sets() -> None:
    from srkd.labels import SCHEMES

    for name, classes in dense_kinds.CHOSEN.items():
        assert set(classes) < set(SCHEMES[name].class_names), name


def test_clouds_of_a_score_without_poses_are_not_made_dense(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (dense_kinds, dynamic_size):
        monkeypatch.setattr(module, "scored_dense", lambda data: False)
    setup = setup_of(cache)
    rows = dynamic_size.runs_by_row(setup)
    assert not any(name.endswith("dense clouds") for name in rows)
    assert not any(run.config.data.dense_val for runs, _ in rows.values() for run in runs.values())
    assert "have no poses" in " ".join(dynamic_size.notes(setup))


def test_data_without_sequences_is_refused(cache: Path) -> None:
    setup = setup_of(cache, "--data.root", "/nowhere", "--data.name", "scannet")
    with pytest.raises(ConfigError, match="scannet has no sequences with poses"):
        dynamic_size.runs_by_row(setup)


def test_the_table_compares_with_the_control_of_the_same_network(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "net.safetensors"
    network = PTv3(PTv3Config(UNET, SCHEME.num_classes))
    randomize(network, 0)
    save_checkpoint(checkpoint, network, Header.of(network, "small", SPEC, SCHEME))
    stand_in = StandIn(tmp_path / "work", checkpoint, monkeypatch)
    words = ["--config", str(STREET), "--data.cache_dir", str(cache), "--data.seeds", "[0,1]", "--seeds", "0", "1"]
    words += ["--data.frames_per_street", "1", "--trainer.max_steps", "1", "--out", "out"]
    assert main(["experiment", "dynamic-size", *words, "--list"]) == 0
    assert not stand_in.started and "to do" in capsys.readouterr().out
    assert main(["experiment", "dynamic-size", *words]) == 0, capsys.readouterr().err
    (folder,) = (cache / "dense").iterdir()
    assert sorted(read_index(folder)[1]) == ["street00000/beams16/0000", "street10000/beams16/0000"]
    rows = {row["name"]: row for row in json.loads(Path("out/dynamic-size.json").read_text())["rows"]}
    for net in (NET, "spunet-nano"):
        assert rows[f"{net}: base"]["gain"] is None
        assert rows[f"{net}: {dynamic_size.CONTROL}"]["gain"]["mean"] == pytest.approx(0.0)
        assert rows[f"{net}: stats"]["gain"]["per_seed"] == pytest.approx({"0": 0.02, "1": 0.02})
        assert rows[f"{net}: teacher of all classes, scored on dense clouds"]["gain"] is None
    for given in stand_in.started:
        if given[0] == "distill":
            written = yaml.safe_load(Path(given[given.index("--config") + 1]).read_text())
            assert written["data"]["dense_root"] == str(folder) and Path(written["teacher"]).is_file()
            assert Path(written["model"]["init"]).parent.name.startswith("pretrain-")
    before = len(stand_in.started), (folder / INDEX).stat().st_mtime_ns
    assert main(["experiment", "dynamic-size", *words]) == 0
    assert before == (len(stand_in.started), (folder / INDEX).stat().st_mtime_ns)


def test_a_run_is_known_by_its_settings_not_by_the_folder(cache: Path) -> None:
    one = dynamic_size.runs_by_row(setup_of(cache))[f"{NET}: stats"][0][0]
    assert isinstance(one, Run) and one.needs[0].verb == one.needs[1].verb == "pretrain"
