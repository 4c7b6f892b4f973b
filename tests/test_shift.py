# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The experiment that moves a student: its streets, its bags, and which run goes on from which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from small_networks import SCHEME, SPEC, UNET, randomize
from stand_in_runs import StandIn

pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (the `bags` extra)")

from srkd.checkpoint import save_checkpoint
from srkd.errors import ConfigError
from srkd.header import Header
from srkd.io.bags import BagReader
from srkd.ptv3 import PTv3, PTv3Config
from srkd_train.__main__ import main
from srkd_train.bag_sources import street_source
from srkd_train.config import DistillConfig
from srkd_train.data.catalog import final_part, training_part
from srkd_train.data.street import SENSORS, Drive, StreetConfig, get_world
from srkd_train.data.street.config import get_sensor
from srkd_train.experiments import shift
from srkd_train.experiments.run import Run, folder_name, override
from srkd_train.experiments.setup import Setup, read_setup

STREET = Path(__file__).parent.parent / "config" / "distill" / "street.yaml"
NAMES = list(SCHEME.class_names)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive of two clouds to learn from, and one cloud to be scored on."""
    monkeypatch.setattr(shift, "DRIVES", range(9000, 9001))
    monkeypatch.setattr(shift, "HELD_OUT", range(10000, 10001))
    monkeypatch.setattr(shift, "CLOUDS", 2)
    monkeypatch.setattr(shift, "HELD_OUT_CLOUDS", 1)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn(tmp_path / "work", write_checkpoint(tmp_path / "net.safetensors", 0), monkeypatch)


def write_checkpoint(path: Path, seed: int) -> Path:
    network = PTv3(PTv3Config(UNET, SCHEME.num_classes))
    randomize(network, seed)
    save_checkpoint(path, network, Header.of(network, "small", SPEC, SCHEME))
    return path


def setup_of(cache: Path, *words: str) -> Setup:
    return read_setup([str(STREET)], ["--data.cache_dir", str(cache), *words], preset="study", seeds=(0, 1))


def share_of_classes(world: str, seeds: range) -> np.ndarray:
    """(C,) share of each class in the first clouds of some streets."""
    count = np.zeros(len(NAMES), np.int64)
    for seed in seeds:
        label = Drive(seed, get_world(world)).frame(get_sensor("beams16"), 0).label
        count += np.bincount(label[label != 255], minlength=len(NAMES))
    return count / count.sum()


def test_an_old_town_has_other_shares_of_the_classes() -> None:
    old, usual = (share_of_classes(world, range(9100, 9104)) for world in ("old_town", "street"))
    ratio = dict(zip(NAMES, old / np.maximum(usual, 1e-9), strict=True))
    assert ratio["pedestrian"] > 1.8 and ratio["bicycle"] > 1.8 and ratio["building"] > 1.2, ratio
    assert ratio["road"] < 0.7 and ratio["car"] < 0.7, ratio


def test_scans_made_before_there_were_other_worlds_are_found_again() -> None:
    assert repr(StreetConfig()) == (
        "StreetConfig(length_m=200.0, half_width_m=60.0, start_m=(80.0, 100.0), end_margin_m=30.0,"
        " ego_speed_mps=(4.0, 10.0), sensor_height_m=(1.6, 2.2), max_curvature_per_m=0.007142857142857143,"
        " max_grade=0.05, crossing_probability=0.5, parked_density=0.6, pedestrians_per_100m=14.0,"
        " riders_per_100m=4.0, bicycle_racks_per_100m=3.5, moving_vehicles=(4, 9))"
    )
    assert "lot_mix" in repr(get_world("old_town")) and "beams40" not in SENSORS
    with pytest.raises(ConfigError, match="world is 'town': give one of street, old_town"):
        get_world("town")


def test_a_drive_of_few_clouds_has_the_stamps_of_its_scans() -> None:
    frames = list(street_source(9000, "beams40", 3, world="old_town", step=4).frames)
    scan = Drive(9000, get_world("old_town")).frame(get_sensor("beams40"), 8)
    np.testing.assert_array_equal(frames[2].cloud.xyz, scan.cloud.xyz)
    assert [frame.stamp_ns - frames[0].stamp_ns for frame in frames] == [0, 400_000_000, 800_000_000]


def test_bags_are_written_once_and_held_out_streets_apart(cache: Path) -> None:
    setup = setup_of(cache)
    shift.write_bags(setup)
    written = {path: path.stat().st_mtime_ns for path in (cache / "bags").rglob("*") if path.is_file()}
    shift.write_bags(setup)
    assert written == {path: path.stat().st_mtime_ns for path in (cache / "bags").rglob("*") if path.is_file()}
    assert not list((cache / "bags").glob(".*"))
    runs = shift.runs_by_row(setup)
    data = runs[shift.OWN_BAGS][0].config.data
    train, final = training_part(data, SCHEME), final_part(data)
    assert (len(train.clouds), len(final.clouds)) == (2, 1)
    assert (train.clouds[0].label == 255).all() and (final.clouds[0].label != 255).any()
    with BagReader(Path(str(data.root)) / "old_town_beams40_9000") as bag:
        assert bag.notes["srkd.source"] == "street (old_town) 9000 beams40"
    assert "old_town_beams40_10000" in final.described
    true = training_part(runs[shift.TRUE_LABELS][0].config.data)
    assert (true.clouds[1].label != 255).any(), "the same clouds with their labels"
    np.testing.assert_array_equal(true.clouds[1].cloud.xyz, train.clouds[1].cloud.xyz)


def test_every_run_goes_on_from_the_student_of_its_seed(cache: Path) -> None:
    setup = setup_of(cache)
    rows = shift.runs_by_row(setup)
    for seed in setup.seeds:
        student = setup.baseline(seed)
        before, stayed, own, true = (rows[name][seed] for name in list(rows)[:4])
        assert before.source is student and before.verb == "evaluate"
        assert own.start is student and true.start is student and own.source == setup.base.teacher
        assert isinstance(stayed.source, Run) and stayed.source.start is student
        assert isinstance(stayed.source.config, DistillConfig) and stayed.source.config.data == setup.base.data
        weights = stayed.source.config.objective.weights
        assert weights.cross_entropy == weights.lovasz == 0
        for run in (own, true, stayed.source):
            assert run.config.trainer.max_steps == student.config.trainer.max_steps
            assert run.config.trainer.seed == seed and run.config.optim.lr == setup.base.optim.lr / 2
        assert not own.config.data.labels and true.config.data.labels and true.verb == "pretrain"
        assert rows[shift.TEACHER][seed] is rows[shift.TEACHER][0]
    with pytest.raises(ConfigError, match=r"shift moves a student that knows streets, but not through beams40"):
        shift.runs_by_row(setup_of(cache, "--data.sensors", "[beams40]"))


def test_a_key_is_of_what_is_in_a_bag_not_of_where_it_lies(cache: Path, tmp_path: Path) -> None:
    setup = setup_of(cache)
    shift.write_bags(setup)
    config = shift.runs_by_row(setup)[shift.OWN_BAGS][0].config
    moved = tmp_path / "moved"
    moved.symlink_to(str(config.data.root))
    one, two = (write_checkpoint(tmp_path / f"{seed}.safetensors", seed) for seed in (1, 2))

    def name(config: Any, start: Path | None = None) -> str:
        return folder_name(Run("distill", config, "t"), one, start)

    same = override(config, {"data.root": str(moved), "data.cache_dir": str(tmp_path)})
    assert name(config) == name(same) != name(override(config, {"data.root": str(config.data.val_root)}))
    assert len({name(config), name(config, one), name(config, two)}) == 3
    assert (
        len({name(config), *(name(override(config, {f"data.{k}": v})) for k, v in (("labels", True), ("every", 2)))})
        == 3
    )


def test_the_table_compares_with_the_student_as_it_came(
    stand_in: StandIn, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = write_checkpoint(stand_in.folder / "teacher.safetensors", 3)
    words = ["--config", str(STREET), "--data.cache_dir", str(cache), "--trainer.max_steps", "2", "--out", "out"]
    words += ["--teacher", str(teacher), "--model.init", str(teacher), "--seeds", "0", "1"]
    assert main(["experiment", "shift", *words, "--list"]) == 0
    assert not stand_in.started and "to do" in capsys.readouterr().out
    assert main(["experiment", "shift", *words, "--jobs", "2"]) == 0, capsys.readouterr().err
    figures = json.loads(Path("out/shift.json").read_text())
    rows = {row["name"]: row for row in figures["rows"]}
    assert list(rows) == [shift.BEFORE, shift.OLD_STREETS, shift.OWN_BAGS, shift.TRUE_LABELS, shift.TEACHER]
    assert rows[shift.BEFORE]["gain"] is None
    assert rows[shift.OWN_BAGS]["gain"]["per_seed"] == pytest.approx({"0": 0.02, "1": 0.03})
    assert "| distilled from its own bags, no labels | 52.5 ± 0.7 | +2.5 ± 0.7 |" in Path("out/shift.md").read_text()
    verbs = [given[0] for given in stand_in.started]
    # The stand-in leaves one and the same checkpoint, which is evaluated once; and there is the teacher.
    assert {verb: verbs.count(verb) for verb in set(verbs)} == {"pretrain": 4, "distill": 4, "evaluate": 2}
    for run in figures["runs"]:
        if run["row"] in (shift.OWN_BAGS, shift.TRUE_LABELS):
            written = yaml.safe_load(Path(f"out/runs/{run['run']}.yaml").read_text())
            start = Path(written["model"]["init"])
            student = yaml.safe_load((start.parent / "config.yaml").read_text())
            assert start.name == "last.safetensors" and start.parent.name.startswith("pretrain-")
            assert student["trainer"]["seed"] == run["seed"] and student["data"]["name"] == "street"
            assert written["data"]["name"] == "bag"
    for given in stand_in.started:
        if given[0] == "evaluate":
            assert "old_town" in given[given.index("--data.root") + 1] and given[given.index("--data") + 1] == "bag"
    before = len(stand_in.started)
    assert main(["experiment", "shift", *words]) == 0 and len(stand_in.started) == before


def test_a_teacher_that_would_be_trained_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "shift", "--config", str(STREET), "--teacher.optim.lr", "1"]) == 2
    assert "shift takes a teacher as it is" in capsys.readouterr().err
