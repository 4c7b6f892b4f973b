# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd experiment cost` for a teacher of dense clouds: overhead by strategy, and the search for nearest points."""

import json
from pathlib import Path

import pytest

from srkd_train.__main__ import main
from srkd_train.experiments import nearest_cost
from srkd_train.experiments.cost import to_markdown
from srkd_train.experiments.dynamic_size import STRATEGIES
from srkd_train.experiments.strategy_cost import StrategyCost

CONFIG = Path(__file__).parent.parent / "config" / "distill" / "street_dense_teacher.yaml"


def test_overheads_are_medians_of_pairs() -> None:
    taken = {"plain": [1.0, 1.0, 3.0], "teacher": [0.5, 0.6, 0.7], **{name: [1.5, 1.2, 30.0] for name in STRATEGIES}}
    entry = StrategyCost(2, 9, 30, taken, {}).to_dict()
    assert set(entry["overhead_s"]) == set(STRATEGIES) >= {"pool", "knn", "stats", "voxel"}
    assert entry["overhead_s"]["pool"] == pytest.approx(0.5) and entry["overhead_ratio"]["pool"] == pytest.approx(1.5)
    assert entry["plain_s"] == 1.0 and entry["teacher_s"] == 0.6 and entry["repeats"] == 3


def test_cost_of_strategies_is_measured_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest_cost, "_QUERIES", 500)
    monkeypatch.setattr(nearest_cost, "_POINTS", 5000)
    words = ["--config", str(CONFIG), "--data.cache_dir", str(tmp_path / "cache"), "--data.seeds", "[0,1]"]
    words += ["--data.frames_per_street", "1", "--data.sensors", "[beams16]", "--data.val_seeds", "[9900,9901]"]
    words += ["--data.dense_root", "whole", "--data.raw_share", "0.3", "--trainer.threads", "1"]
    words += ["--data.augment.max_points", "2000", "--trainer.accelerator", "cpu", "--out", str(tmp_path)]
    words += ["--values", "2", "--repeats", "1", "--preset", "study"]
    assert main(["experiment", "cost", *words]) == 0, capsys.readouterr().err
    figures = json.loads((tmp_path / "cost_dense_cpu.json").read_text())
    (entry,) = figures["strategies"]
    assert entry["batch_size"] == 2 and 0 < entry["voxels"] < entry["dense_voxels"]
    assert min(entry["plain_s"], entry["teacher_s"], *entry["step_s"].values()) > 0
    assert entry["step_s"].keys() == entry["overhead_s"].keys() == STRATEGIES.keys()
    assert [search["radius_m"] for search in figures["nearest"]["search"]] == [0.05, 0.4]
    assert all(search["search_s"] > 0 and search["search_s_one_thread"] > 0 for search in figures["nearest"]["search"])
    assert "| teacher's forward | pool | knn | stats | voxel |" in to_markdown(figures)
