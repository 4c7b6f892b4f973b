# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd benchmark` and `srkd demo --offline`: what they count and what they write; not how fast anything is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import SCHEME, SPEC, UNET, randomize

from srkd.checkpoint import save_checkpoint
from srkd.header import Header
from srkd.plan_build import build_plan
from srkd.ptv3 import PTv3, PTv3Config
from srkd_train.__main__ import main
from srkd_train.workload import MachineRates, Workload, count_work


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    network = PTv3(PTv3Config(UNET, SCHEME.num_classes))
    randomize(network, 0)
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, network, Header.of(network, "small", SPEC, SCHEME))
    return path


def test_work_of_a_pass_by_hand() -> None:
    network = PTv3(PTv3Config(UNET, 5)).eval()
    grid = torch.tensor([[0, 0, 0], [1, 0, 0], [9, 9, 9]])  # two neighbours and a voxel apart
    plan = build_plan(grid, [3], network.plan_spec)
    rows = [plan.num_rows(stage) for stage in range(3)]
    assert rows == [3, 2, 2]
    work = count_work(network, torch.randn(3, 4), plan)

    def block(stage: int, width: int, heads: int, occupied: int) -> tuple[float, float]:
        voxels = rows[stage]
        linear = voxels * width * width * (1 + 3 + 1 + 8)
        return 2.0 * (linear + occupied * width * width + 2 * voxels * voxels * width), float(voxels * voxels * heads)

    occupied = [5, 2, 2]  # centre taps, and the two neighbours of stage 0
    flop = 2.0 * 5 * 4 * 12  # stem
    exps = 0.0
    for stage, (width, depth, heads) in enumerate(zip(UNET.enc_channels, UNET.enc_depths, UNET.enc_heads, strict=True)):
        one = block(stage, width, heads, occupied[stage])
        flop, exps = flop + depth * one[0], exps + depth * one[1]
    for stage, (width, depth, heads) in enumerate(zip(UNET.dec_channels, UNET.dec_depths, UNET.dec_heads, strict=True)):
        one = block(stage, width, heads, occupied[stage])
        flop, exps = flop + depth * one[0], exps + depth * one[1]
    flop += 2.0 * (rows[0] * 12 * 16 + rows[1] * 16 * 24)  # pooling
    flop += 2.0 * (rows[2] * 24 * 12 + rows[1] * 16 * 12 + rows[1] * 12 * 16 + rows[0] * 12 * 16)  # unpooling
    flop += 2.0 * rows[0] * 16 * 5  # head
    assert work.gemm_flop == flop
    assert work.exps == exps
    assert work.bytes_moved > 4 * rows[0] * 12


def test_floor_is_work_over_rate() -> None:
    limit = Workload(2e9, 3e9, 4e9).floor_ms(MachineRates(1e9, 1e9, 2e9))
    assert limit == {"gemm": 2000.0, "exp": 3000.0, "copy": 2000.0, "total": 7000.0}


def test_benchmark_writes_stages_and_floor(checkpoint: Path, tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(-5, 5, (3000, 4)).astype(np.float32)
    np.save(tmp_path / "cloud.npy", points)
    target = tmp_path / "figures" / "out.json"
    arguments = [str(tmp_path / "cloud.npy"), "--checkpoint", str(checkpoint), "--frames", "3", "--warmup", "1"]
    assert main(["benchmark", *arguments, "--device", "cpu", "--output", str(target)]) == 0
    figures = json.loads(target.read_text())
    assert set(figures["stage_ms"]) == {"decode", "voxelize", "plan", "network", "labels", "total"}
    stages = figures["stage_ms"]
    parts = sum(stages[name]["p50"] for name in stages if name != "total")
    assert parts == pytest.approx(stages["total"]["p50"], rel=0.5)
    assert figures["points"]["p50"] == 3000
    assert figures["floor"]["network_over_floor"] > 0
    assert figures["machine"]["cores"] >= 1 and "processor" in figures["machine"]
    assert not any("/" in str(value) for value in figures["machine"].values()), "a path of the machine"


@pytest.mark.parametrize("wrong", [["--frames", "0"], ["--threads", "0"], ["--precision", "fp8"]])
def test_benchmark_refuses_in_one_line(
    checkpoint: Path, tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "cloud.npy", np.ones((5, 4), np.float32))
    try:
        code = main(["benchmark", str(tmp_path / "cloud.npy"), "--checkpoint", str(checkpoint), *wrong])
    except SystemExit as stop:
        code = int(str(stop.code))
    assert code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_offline_demo_draws_and_scores(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("embreex", reason="needs embreex")
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    monkeypatch.delenv("SRKD_DATA", raising=False)
    output = tmp_path / "demo_out"
    assert main(["demo", "--offline", "--checkpoint", str(checkpoint), "--frames", "1", "--output", str(output)]) == 0
    metrics = json.loads((output / "metrics.json").read_text())
    assert 0 <= metrics["miou"] <= 1
    assert metrics["street"]["frames"] == 1
    assert (output / "street_000.png").read_bytes().startswith(b"\x89PNG")
