# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training step costs more for a teacher that sees dense clouds, by strategy, on the same batches in turn."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from srkd.architectures import Network
from srkd.device import autocast
from srkd_train.config import DistillConfig
from srkd_train.data.batch import Batch
from srkd_train.data.part import Part
from srkd_train.distillation import make_distiller
from srkd_train.experiments.dynamic_size import STRATEGIES
from srkd_train.experiments.run import override
from srkd_train.experiments.step_cost import AUTOCAST, BATCHES, in_turn, plain_module, step_of
from srkd_train.objective import DISTILLED
from srkd_train.training import training_batches

_PLAIN, _TEACHER = "plain", "teacher"


@dataclass(frozen=True)
class StrategyCost:
    """Seconds of forward, backward and update, repeat by repeat; a repeat has one batch for all."""

    batch_size: int
    """Clouds."""
    voxels: int
    """Of the raw clouds of a batch, median."""
    dense_voxels: int
    """Of the dense ones."""
    taken_s: Mapping[str, list[float]]
    """Of the step on labels alone, of a step by strategy, and of what every strategy has in it, the teacher's forward
    pass."""
    memory_mib: Mapping[str, float]
    """GPU memory of a step beyond that of the networks; empty on a CPU."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; overheads are medians over repeats of a strategy's step less the plain one."""
        plain = self.taken_s[_PLAIN]
        pairs = {name: list(zip(self.taken_s[name], plain, strict=True)) for name in STRATEGIES}
        return {
            "batch_size": self.batch_size,
            "voxels": self.voxels,
            "dense_voxels": self.dense_voxels,
            "repeats": len(plain),
            "plain_s": round(statistics.median(plain), 5),
            "teacher_s": round(statistics.median(self.taken_s[_TEACHER]), 5),
            "step_s": {name: round(statistics.median(self.taken_s[name]), 5) for name in STRATEGIES},
            "overhead_s": {
                name: round(statistics.median(more - less for more, less in both), 5) for name, both in pairs.items()
            },
            "overhead_ratio": {
                name: round(statistics.median(more / less for more, less in both), 4) for name, both in pairs.items()
            },
            "spread_s": {name: [round(min(v), 5), round(max(v), 5)] for name, v in self.taken_s.items()},
            "step_memory_mib": dict(self.memory_mib),
        }


def time_strategies(
    config: DistillConfig, teacher: Network, part: Part, *, device: torch.device, repeats: int, warmup: int = 3
) -> StrategyCost:
    """Times steps on labels alone and of each strategy in turn, so that what else the machine does falls on all alike.

    Making batches is not counted. Weights are trained on the way, by a few steps.

    Args:
        config: student, data with dense clouds, optimiser, how clouds are compared, and batch size.
        teacher: is frozen; its values do not matter for the time.
        part: the training clouds with their dense ones, see `run_part`.
        device: where to.
        repeats: steps of each kind that count.
        warmup: steps before them.
    """
    scheme, precision = part.clouds.scheme, AUTOCAST[config.trainer.precision]
    silent = override(config, {f"objective.weights.{term}": 0.0 for term in DISTILLED})
    silent = replace(silent, objective=replace(silent.objective, calibrate_steps=0))
    modules = {}
    for name, weights in STRATEGIES.items():
        weighted = override(silent, {f"objective.weights.{term}": weight for term, weight in weights.items()})
        modules[name] = make_distiller(weighted, scheme, teacher).to(device).train()
    one = next(iter(modules.values()))
    source = training_batches(config, part, one.plan_spec, dense_spec=one.dense_plan_spec)
    batches = [source[step].to(device) for step in range(BATCHES)]

    def look(batch: Batch) -> None:
        assert batch.dense is not None, "made for a teacher of dense clouds"
        with autocast(device, precision):
            one.teacher(batch.dense.features, batch.dense.plan)

    actions = {
        _PLAIN: step_of(plain_module(config, scheme).to(device).train(), config),
        _TEACHER: look,
        **{name: step_of(module, config) for name, module in modules.items()},
    }
    taken, memory = in_turn(actions, batches, repeats=repeats, warmup=warmup)
    voxels = statistics.median(len(batch.label) for batch in batches)
    dense_voxels = statistics.median(len(batch.dense.label) for batch in batches if batch.dense is not None)
    return StrategyCost(config.trainer.batch_size, round(voxels), round(dense_voxels), taken, memory)


def strategies_section(entries: list[Mapping[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    text = ["## Strategies for a teacher of dense clouds, ms a step more than on labels alone", ""]
    text.append(f"| clouds | voxels | dense voxels | labels alone | teacher's forward | {' | '.join(STRATEGIES)} |")
    text.append("|--:" * (5 + len(STRATEGIES)) + "|")
    for entry in entries:
        more = " | ".join(
            f"+{1e3 * entry['overhead_s'][name]:.0f} (x {entry['overhead_ratio'][name]:.2f})" for name in STRATEGIES
        )
        text.append(
            f"| {entry['batch_size']} | {entry['voxels']:,} | {entry['dense_voxels']:,} |"
            f" {1e3 * entry['plain_s']:.0f} | {1e3 * entry['teacher_s']:.0f} | {more} |"
        )
    return [*text, "", "The teacher's forward pass is in every one of them.", ""]
