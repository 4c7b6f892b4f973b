# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Networks as ONNX graphs of plain operators, with dynamic point counts.

All that depends on the data's shape (voxels, codes, orders, unique, neighbour tables, padding) is in the plan, so the
graph takes features and the plan's tables and holds nothing but gathers, products, softmax and norms. No plug-ins.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from srkd.architectures import Network
from srkd.cdsegnet import CDSegNet
from srkd.curves import z_code
from srkd.errors import ConfigError
from srkd.header import Header
from srkd.plan import GeometryPlan
from srkd.plan_build import build_plan

OPSET = 18
_TRACED_VOXELS = 6000
_TOLERANCE = 1e-3


class _Recorder(Mapping[str, Tensor]):
    """A plan's tables, remembering which were asked for."""

    def __init__(self, tables: Mapping[str, Tensor]) -> None:
        self._tables = tables
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        table = self._tables[name]
        self.used.add(name)
        return table

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


class PlanFunction(nn.Module):
    """A network as a function of tensors only: (features, [noise], tables by name) -> logits; one cloud, rows in
    plan order."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, tables: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
        """(N, C) -> (N, num_classes)."""
        plan = GeometryPlan({"offsets/0": tables["batch/0"].new_zeros(2), **tables})
        if noise is None:
            out: Tensor = self.network(features, plan)
        else:
            out = self.network(features, plan, noise=noise)
        return out


def example_inputs(network: Network, voxels: int, seed: int = 0) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
    """Features, tables and noise of a made-up cloud: a wavy ground with walls, about ``voxels`` voxels."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(voxels)) + 1
    x, y = np.divmod(np.arange(side * side), side)
    z = 4 + np.rint(2 * np.sin(x / 9) + 2 * np.cos(y / 7)).astype(int)
    z = np.where(rng.random(len(x)) < 0.2, z + rng.integers(1, 30, len(x)), z)
    grid = torch.from_numpy(np.stack([x, y, z], axis=1)[rng.permutation(len(x))[:voxels]])
    plan = build_plan(grid[torch.argsort(z_code(grid))], [len(grid)], network.plan_spec)
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(grid), network.config.in_channels, generator=generator)
    noise = torch.randn(features.shape, generator=generator) if isinstance(network, CDSegNet) else None
    return features, used_tables(network, features, plan, noise), noise


def used_tables(network: Network, features: Tensor, plan: GeometryPlan, noise: Tensor | None) -> dict[str, Tensor]:
    """The tables of a sorted one-cloud plan that a network reads on the table path."""
    recorder = _Recorder(plan.tables)
    shadow = GeometryPlan(recorder)
    kernels = {name for name in plan.tables if name.startswith("neighbours/")}
    with torch.inference_mode():
        network(features, shadow, **({} if noise is None else {"noise": noise}))
    names = (recorder.used | kernels | {"batch/0"}) - {"offsets/0"}
    return {name: table for name, table in plan.tables.items() if name in names}


def export_onnx(network: Network, header: Header, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Writes a network as ONNX and checks it in onnxruntime at sizes other than the traced one.

    Args:
        network: in eval mode on the CPU.
        header: goes into the model's metadata, with the names of the inputs.
        path: the ``.onnx`` file; it appears whole or not at all.

    Returns:
        What was checked: voxels and largest difference by size, operators used.

    Raises:
        ConfigError: onnxruntime's logits differ from torch's; no file is written.
    """
    import onnx
    import onnxruntime

    features, tables, noise = example_inputs(network, _TRACED_VOXELS)
    function = PlanFunction(network).eval()
    shapes = _dynamic_shapes(tables, noise)
    named = {"tables": tables} if noise is None else {"tables": tables, "noise": noise}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            function, (features,), kwargs=named, dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False
        )
    assert program is not None
    model = program.model_proto
    for node, name in zip(model.graph.input, input_names(tables, noise), strict=True):
        _rename(model, node.name, name)
    _rename(model, model.graph.output[0].name, "logits")
    metadata = {"architecture": header.architecture, "input": header.input.to_dict(), "scheme": header.scheme.to_dict()}
    for key, value in {"srkd": json.dumps(metadata), "srkd_weights_sha256": header.weights_sha256}.items():
        model.metadata_props.add(key=key, value=value)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        draft = Path(folder) / "model.onnx"
        onnx.save(model, str(draft))
        session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])
        checked = {}
        for seed, voxels in enumerate((500, 1024, 9000), start=1):
            checked[voxels] = _difference(session, function, voxels, seed)
        worst = max(checked.values())
        if not worst <= _TOLERANCE:
            raise ConfigError(
                f"onnxruntime differs from torch by {worst:.2g}, at most {_TOLERANCE:g} is expected: report this"
            )
        os.replace(draft, target)
    return {"differences": checked, "operators": sorted({node.op_type for node in model.graph.node})}


def input_names(tables: Mapping[str, Tensor], noise: Tensor | None) -> list[str]:
    """Names of the graph's inputs in order: features, the tables by name, noise for CDSegNet."""
    return ["features", *tables] + ([] if noise is None else ["noise"])


def _difference(session: Any, function: PlanFunction, voxels: int, seed: int) -> float:
    features, tables, noise = example_inputs(function.network, voxels, seed)
    feed = {"features": features, **tables} | ({} if noise is None else {"noise": noise})
    wanted = {node.name for node in session.get_inputs()}
    (logits,) = session.run(["logits"], {name: value.numpy() for name, value in feed.items() if name in wanted})
    with torch.inference_mode():
        expected = function(features, tables, noise).numpy()
    return float(np.abs(logits - expected).max())


def _dynamic_shapes(tables: Mapping[str, Tensor], noise: Tensor | None) -> dict[str, Any]:
    auto = torch.export.Dim.AUTO
    shapes: dict[str, Any] = {
        "features": {0: auto},
        "tables": {name: dict.fromkeys(range(2 if name.startswith("patch/") else 1), auto) for name in tables},
    }
    return shapes if noise is None else {**shapes, "noise": {0: auto}}


def _rename(model: Any, old: str, new: str) -> None:
    for value in (*model.graph.input, *model.graph.output):
        if value.name == old:
            value.name = new
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
