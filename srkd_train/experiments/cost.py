# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cost of training steps and of inference (Tables 7 and 8), measured in this process on one device."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from srkd.architectures import Network, build_network
from srkd.checkpoint import load_checkpoint, read_header
from srkd.cloud import Cloud
from srkd.device import resolve_device
from srkd.header import Header
from srkd.labels import LabelScheme
from srkd.progress import Progress
from srkd.segmenter import STAGES, Segmenter
from srkd_train.cli import checkpoint_path
from srkd_train.data.catalog import final_part
from srkd_train.data.dense_part import run_part
from srkd_train.data.order import spread_indices
from srkd_train.experiments.nearest_cost import nearest_line, time_nearest
from srkd_train.experiments.plot import draw_bars
from srkd_train.experiments.setup import Setup
from srkd_train.experiments.step_cost import AUTOCAST, VARIANTS, time_steps
from srkd_train.experiments.strategy_cost import strategies_section, time_strategies
from srkd_train.experiments.table import write_figures
from srkd_train.machine import describe_machine, peak_memory_mib
from srkd_train.process import prepare_process
from srkd_train.teacher import check_pair

_CLOUDS = 5
_WARMUP = 2


def measure_cost(setup: Setup, *, repeats: int, command: Sequence[str]) -> dict[str, Any]:
    """Times steps and frames; plain JSON values.

    Args:
        setup: its `values` are the batch sizes (4 and 8 by default).
        repeats: steps of each kind, and frames of each network.
        command: for the record.

    Raises:
        SrkdError: the data or the teacher cannot be used.
    """
    base = setup.base
    prepare_process(base.trainer)
    device = resolve_device({"cpu": "cpu", "gpu": "cuda", "auto": "auto"}[base.trainer.accelerator])
    part = run_part(base)
    scheme = part.clouds.scheme
    networks = _networks(setup, scheme)
    timed = time_steps if part.dense is None else time_strategies
    entries = []
    for size in map(int, setup.values or (4, 8)):
        sized = replace(base, trainer=replace(base.trainer, batch_size=size))
        entries.append(timed(sized, networks["teacher"][1], part, device=device, repeats=repeats).to_dict())
    if part.dense is None:
        steps = {key: entries[0][key] for key in ("step_ratio_full_over_kl_mse", "relation_s")} | {"steps": entries}
    else:
        steps = {"dense_data": part.dense.described, "strategies": entries}
    return {
        "title": "Cost of distillation",
        "experiment": "cost",
        "command": list(command),
        "machine": describe_machine(device),
        "device": device_name(device),
        "precision": base.trainer.precision,
        "data": part.described,
        "voxel_size_m": base.data.input.voxel_size_m,
        "networks": {
            role: {"architecture": name, "parameters": sum(weight.numel() for weight in network.parameters())}
            for role, (name, network) in networks.items()
        },
        **steps,
        "nearest": time_nearest(device, repeats=repeats),
        "inference": _time_frames(setup, networks, scheme, device=device, frames=repeats),
        "peak_memory_mib": peak_memory_mib(device),
    }


def device_name(device: torch.device) -> str:
    """For the names of files: cpu, or the GPU's own name in small letters."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def write_cost(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """cost_DEVICE.json, .md and, where matplotlib is installed, .png; cost_dense_DEVICE where there are dense clouds.

    Raises:
        ConfigError: the folder cannot be written.
    """
    if "strategies" in figures:
        times = [(entry, {"labels alone": entry["plain_s"], **entry["step_s"]}) for entry in figures["strategies"]]
        name = f"cost_dense_{figures['device']}"
    else:
        times = [
            (entry, {words: entry["step_s"][key] for key, words in VARIANTS.items()}) for entry in figures["steps"]
        ]
        name = f"cost_{figures['device']}"
    bars = {
        f"{words}, B = {entry['batch_size']}": 1e3 * taken for entry, each in times for words, taken in each.items()
    }
    return write_figures(folder, name, figures, to_markdown(figures), draw_bars("A training step", bars, "ms"))


def to_markdown(figures: Mapping[str, Any]) -> str:
    """Steps, then frames, then what was measured on."""
    machine = figures["machine"]
    where = machine.get("gpu") or f"{machine['processor']}, {machine['threads']} threads"
    text = [f"# {figures['title']}", "", f"On {where}, precision {figures['precision']}, {figures['data']}.", ""]
    if "strategies" in figures:
        text += [f"Dense clouds: {figures['dense_data']}.", "", *strategies_section(figures["strategies"])]
    else:
        text += _steps_section(figures["steps"])
    text += [nearest_line(figures["nearest"]), ""]
    text += ["## A frame, ms", "", f"| network | M parameters | {' | '.join((*STAGES, 'total'))} |"]
    text.append("|---|" + "--:|" * (len(STAGES) + 2))
    for role, stages in figures["inference"]["stage_ms"].items():
        network = figures["networks"][role]
        times = " | ".join(f"{stages[name]:.1f}" for name in (*STAGES, "total"))
        text.append(f"| {role} ({network['architecture']}) | {network['parameters'] / 1e6:.2f} | {times} |")
    counts = figures["inference"]
    text += ["", f"Medians; a frame has {counts['points']:,} points in {counts['voxels']:,} voxels. Making batches and"]
    text[-1] += " reading files are not counted. Times do not depend on weights; those that are not given are random."
    return "\n".join(text) + "\n"


def _steps_section(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    text = ["## A training step, ms", "", f"| clouds | voxels | {' | '.join(VARIANTS.values())} | full / (KL + MSE) |"]
    text.append("|--:" * (3 + len(VARIANTS)) + "|")
    for entry in entries:
        times = " | ".join(f"{1e3 * entry['step_s'][name]:.0f}" for name in VARIANTS)
        ratio = f"{entry['step_ratio_full_over_kl_mse']:.3f}"
        text.append(f"| {entry['batch_size']} | {entry['voxels']:,} | {times} | {ratio} |")
    return [*text, "", f"Relation terms: {', '.join(_relation(entry) for entry in entries)}.", ""]


def _relation(entry: Mapping[str, Any]) -> str:
    return f"{1e3 * entry['relation_s']:.0f} ms at B = {entry['batch_size']}, N = {entry['cross_sample_points']}"


def _networks(setup: Setup, scheme: LabelScheme) -> dict[str, tuple[str, Network]]:
    """Role to (architecture, network); fixed random weights but for a teacher that is given."""
    base = setup.base
    names = {"student": base.model.name}
    if setup.teacher_base is not None:
        names["teacher"] = setup.teacher_base.model.name
    if setup.preset.ptv3 is not None:
        names["PTv3"] = str(setup.preset.ptv3["model.name"])
    found = {}
    for role, name in names.items():
        torch.manual_seed(0)
        found[role] = name, build_network(name, scheme.num_classes, len(base.data.input.features)).eval()
    if setup.teacher_base is None:
        path = checkpoint_path(base.teacher)
        header = read_header(path)
        check_pair(path.name, header.input, header.scheme, base.data.input, scheme)
        found["teacher"] = header.architecture, load_checkpoint(path)[0]
    return found


def _time_frames(
    setup: Setup,
    networks: Mapping[str, tuple[str, Network]],
    scheme: LabelScheme,
    *,
    device: torch.device,
    frames: int,
) -> dict[str, Any]:
    """Milliseconds a stage, median, of each network in turn on the same clouds."""
    base = setup.base
    part = final_part(base.data)
    clouds: list[Cloud] = [part.clouds[index].cloud for index in spread_indices(len(part.clouds), min(_CLOUDS, frames))]
    precision = AUTOCAST[base.trainer.precision]
    segmenters = {
        role: Segmenter(
            network, Header.of(network, name, base.data.input, scheme), device=str(device), precision=precision
        )
        for role, (name, network) in networks.items()
    }
    taken: dict[str, dict[str, list[float]]] = {role: {stage: [] for stage in STAGES} for role in segmenters}
    points, voxels = [], []
    progress = Progress((_WARMUP + frames) * len(segmenters), "frames")
    for frame in range(-_WARMUP, frames):
        for role, segmenter in segmenters.items():
            segmenter(clouds[frame % len(clouds)])
            progress.step()
            if frame >= 0:
                for stage, value in segmenter.last_timing.items():
                    taken[role][stage].append(value)
                points.append(segmenter.last_frame.num_points)
                voxels.append(segmenter.last_frame.num_voxels)
    progress.close()
    stage_ms = {}
    for role, stages in taken.items():
        medians = {stage: statistics.median(values) for stage, values in stages.items()}
        total = statistics.median(map(sum, zip(*stages.values(), strict=True)))
        stage_ms[role] = {name: round(value, 3) for name, value in {**medians, "total": total}.items()}
    return {
        "frames": frames,
        "points": round(statistics.median(points)),
        "voxels": round(statistics.median(voxels)),
        "stage_ms": stage_ms,
    }
