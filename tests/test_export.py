# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The forward pass as a graph: torch.compile without recompiling, torch.export, and ONNX in onnxruntime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import SCHEME, SPEC, randomize

from srkd.cdsegnet import CDSegNet, CDSegNetConfig
from srkd.checkpoint import save_checkpoint
from srkd.header import Header
from srkd.nn.unet import UNetConfig
from srkd.plan import GeometryPlan
from srkd.plan_build import build_plan
from srkd.ptv3 import PTv3, PTv3Config
from srkd_train.__main__ import main
from srkd_train.onnx_export import PlanFunction, example_inputs

UNET = UNetConfig(4, (0, 1), (8, 16), (1, 1), (1, 2), (16,), (1,), (2,), patch_size=64)
NOISE = replace(UNET, time_channels=8, merge_skips=True)


def small_ptv3() -> PTv3:
    network = PTv3(PTv3Config(UNET, SCHEME.num_classes)).eval()
    randomize(network, 0)
    return network


def cloud(network: PTv3 | CDSegNet, voxels: int) -> tuple[torch.Tensor, GeometryPlan]:
    """Features and a sorted plan of a random cloud of about so many voxels."""
    rng = np.random.default_rng(voxels)
    grid = torch.from_numpy(np.unique(rng.integers(0, 24, (voxels, 3)), axis=0))
    order = build_plan(grid, [len(grid)], network.plan_spec).input_order()
    grid = grid if order is None else grid[order]
    return torch.from_numpy(rng.standard_normal((len(grid), 4)).astype(np.float32)), build_plan(
        grid, [len(grid)], network.plan_spec
    )


def test_compile_takes_every_size_with_one_graph() -> None:
    network = small_ptv3()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(network, dynamic=True, fullgraph=True)
    with torch.no_grad():
        for voxels in (900, 1500, 2600, 701):
            features, plan = cloud(network, voxels)
            torch.testing.assert_close(compiled(features, plan), network(features, plan), rtol=1e-4, atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_export_holds_at_other_sizes() -> None:
    network = small_ptv3()
    function = PlanFunction(network).eval()
    features, tables, _ = example_inputs(network, 2000)
    auto = torch.export.Dim.AUTO
    shapes = {
        "features": {0: auto},
        "tables": {name: dict.fromkeys(range(2 if "patch/" in name else 1), auto) for name in tables},
    }
    exported = torch.export.export(function, (features,), {"tables": tables}, dynamic_shapes=shapes).module()
    for seed, voxels in enumerate((300, 5000), start=1):
        features, tables, _ = example_inputs(network, voxels, seed)
        with torch.no_grad():
            torch.testing.assert_close(
                exported(features, tables=tables), function(features, tables), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("kind", ["ptv3", "cdsegnet"])
def test_onnx_agrees_with_torch_at_other_sizes(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    pytest.importorskip("onnxscript", reason="needs onnxscript")
    network = small_ptv3() if kind == "ptv3" else CDSegNet(CDSegNetConfig(UNET, NOISE, SCHEME.num_classes)).eval()
    randomize(network, 1)
    checkpoint, target = tmp_path / "net.safetensors", tmp_path / "net.onnx"
    save_checkpoint(checkpoint, network, Header.of(network, kind, SPEC, SCHEME))
    assert main(["export", str(checkpoint), str(target)]) == 0
    model = onnx.load(str(target))
    assert all(not node.domain for node in model.graph.node), "operators of other domains"
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["srkd"])["scheme"]["name"] == SCHEME.name
    session = runtime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    for seed, voxels in ((7, 60), (8, 3000)):
        features, tables, noise = example_inputs(network, voxels, seed)
        feed = {"features": features, **tables} | ({} if noise is None else {"noise": noise})
        names = {entry.name for entry in session.get_inputs()}
        (logits,) = session.run(["logits"], {name: value.numpy() for name, value in feed.items() if name in names})
        with torch.no_grad():
            expected = PlanFunction(network)(features, tables, noise).numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    capsys.readouterr()
    assert main(["export", str(checkpoint), str(target)]) == 2
    assert "exists" in capsys.readouterr().err
