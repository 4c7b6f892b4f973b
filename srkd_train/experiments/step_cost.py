# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training step costs with more and less of the objective, on the same batches in turn (Table 7)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from srkd.architectures import Network
from srkd.device import autocast
from srkd.labels import LabelScheme
from srkd.progress import Progress
from srkd_train.config import DistillConfig, RunConfig
from srkd_train.data.batch import Batch
from srkd_train.data.part import Part
from srkd_train.distillation import make_distiller
from srkd_train.experiments.run import override
from srkd_train.modules import Segmentation
from srkd_train.objective import DISTILLED
from srkd_train.pretraining import segmentation_module
from srkd_train.training import training_batches

VARIANTS = {"ce_lovasz": "CE + Lovasz", "kl_mse": "+ KL + feature MSE", "full": "full objective"}
"""What is timed: key to words. The first has no teacher."""
AUTOCAST = {"32": "fp32", "bf16": "bf16", "16": "fp16"}
"""Precision of a trainer to that of a segmenter."""
BATCHES = 4
"""Are gone through."""


@dataclass(frozen=True)
class StepCost:
    """Seconds of forward, backward and update, repeat by repeat; a repeat has one batch for all variants."""

    batch_size: int
    """Clouds."""
    points: int
    """Points drawn a cloud in the cross-sample term."""
    voxels: int
    """Voxels a batch, median."""
    step_s: Mapping[str, list[float]]
    """By variant."""
    memory_mib: Mapping[str, float]
    """By variant: GPU memory of a step beyond that of the networks; empty on a CPU."""

    @property
    def ratio(self) -> float:
        """Full objective over KL + MSE, median over repeats."""
        pairs = zip(self.step_s["full"], self.step_s["kl_mse"], strict=True)
        return statistics.median(full / less for full, less in pairs)

    @property
    def relation_s(self) -> float:
        """Seconds that the relation terms add to a step: full objective less KL + MSE, median over repeats."""
        pairs = zip(self.step_s["full"], self.step_s["kl_mse"], strict=True)
        return statistics.median(full - less for full, less in pairs)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "batch_size": self.batch_size,
            "cross_sample_points": self.points,
            "voxels": self.voxels,
            "repeats": len(self.step_s["full"]),
            "step_s": {name: round(statistics.median(values), 5) for name, values in self.step_s.items()},
            "step_s_spread": {name: [round(min(v), 5), round(max(v), 5)] for name, v in self.step_s.items()},
            "step_ratio_full_over_kl_mse": round(self.ratio, 4),
            "relation_s": round(self.relation_s, 5),
            "step_memory_mib": dict(self.memory_mib),
        }


def time_steps(
    config: DistillConfig, teacher: Network, part: Part, *, device: torch.device, repeats: int, warmup: int = 3
) -> StepCost:
    """Times steps of each variant in turn, so that what else the machine does falls on all alike.

    Making batches is not counted. Weights are trained on the way, by a few steps.

    Args:
        config: student, data, optimiser, objective and batch size.
        teacher: is frozen; its values do not matter for the time.
        part: the training clouds.
        device: where to.
        repeats: steps of each variant that count.
        warmup: steps before them.
    """
    modules = {name: _module(name, config, teacher, part.clouds.scheme).to(device).train() for name in VARIANTS}
    source = training_batches(config, part, modules["full"].plan_spec)
    batches = [source[step].to(device) for step in range(BATCHES)]
    steps = {name: step_of(module, config) for name, module in modules.items()}
    taken, memory = in_turn(steps, batches, repeats=repeats, warmup=warmup)
    voxels = round(statistics.median(len(batch.label) for batch in batches))
    return StepCost(config.trainer.batch_size, config.objective.cross_sample_points, voxels, taken, memory)


def in_turn(
    actions: Mapping[str, Callable[[Batch], None]], batches: Sequence[Batch], *, repeats: int, warmup: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each action, repeat by repeat, and the GPU memory in MiB that it takes (empty on a CPU).

    Args:
        actions: by name; all of them get the batch of a repeat, another one first each time.
        batches: are gone through round and round.
        repeats: that count.
        warmup: repeats before them.
    """
    device = batches[0].features.device
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    progress = Progress((warmup + repeats) * len(actions), f"batches of {len(batches[0])}: steps")
    taken: dict[str, list[float]] = {name: [] for name in actions}
    memory: dict[str, float] = {}
    for repeat in range(-warmup, repeats):
        batch = batches[repeat % len(batches)]
        shift = repeat % len(actions)
        for name in [*actions][shift:] + [*actions][:shift]:
            before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            torch.manual_seed(repeat % 2**31)
            wait()
            start = time.perf_counter()
            actions[name](batch)
            wait()
            seconds = time.perf_counter() - start
            progress.step()
            if repeat < 0:
                continue
            taken[name].append(seconds)
            if device.type == "cuda":
                used = (torch.cuda.max_memory_allocated(device) - before) / 2**20
                memory[name] = round(max(memory.get(name, 0.0), used), 1)
    progress.close()
    return taken, memory


def step_of(module: Segmentation, config: RunConfig) -> Callable[[Batch], None]:
    """A training step of a module: forward, backward and update."""
    optimizer = module.configure_optimizers()["optimizer"]
    precision = AUTOCAST[config.trainer.precision]

    def step(batch: Batch) -> None:
        with autocast(batch.features.device, precision):
            loss = module.training_step(batch, 0)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def plain_module(config: RunConfig, scheme: LabelScheme) -> Segmentation:
    """The same student without a teacher."""
    return segmentation_module(RunConfig(**{e.name: getattr(config, e.name) for e in fields(RunConfig)}), scheme)


def _module(name: str, config: DistillConfig, teacher: Network, scheme: LabelScheme) -> Segmentation:
    if name == "ce_lovasz":
        return plain_module(config, scheme)
    if name == "kl_mse":
        relations = [term for term in DISTILLED if term not in ("kl", "feature_mse")]
        config = override(config, {f"objective.weights.{term}": 0.0 for term in relations})
    config = replace(config, objective=replace(config.objective, calibrate_steps=0))
    return make_distiller(config, scheme, teacher)
