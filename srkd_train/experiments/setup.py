# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The runs that experiments are made of: baseline, teacher, distilled student, a seed each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from srkd.errors import ConfigError
from srkd_train.config import DistillConfig, RunConfig
from srkd_train.experiments.presets import PRESETS, Preset
from srkd_train.experiments.run import Run, override
from srkd_train.objective import DISTILLED, make_recipe
from srkd_train.options import parse, spell_out

RAW: Mapping[str, Any] = {"data.dense_root": None, "data.dense_val": False}
"""What a network without a teacher is trained on, whatever its teacher sees."""
ABOUT = "The keys of an experiment's runs are those of `srkd distill`."


@dataclass(frozen=True)
class Setup:
    """What every run of an experiment has in common."""

    base: DistillConfig
    """The student's runs, but for the seed."""
    teacher_base: RunConfig | None
    """The teacher's own runs, but for the seed; None where the configuration's teacher is taken."""
    preset: Preset
    seeds: tuple[int, ...]
    values: tuple[float, ...] | None = None
    """What is gone through, where the user has said so."""
    alone: bool = False
    """Also each term of distillation alone."""
    without: bool = False
    """Also the objective without each term."""
    more_teachers: bool = False
    """Also teachers of chosen classes and of clipped clouds."""
    _made: dict[Any, Run] = field(default_factory=dict, repr=False, compare=False)

    @property
    def terms(self) -> tuple[str, ...]:
        """Terms of distillation that have a weight, in the order of the objective."""
        recipe = make_recipe(self.base.objective)
        return tuple(term for term in DISTILLED if recipe.uses(term))

    def baseline(self, seed: int, changes: Mapping[str, Any] | None = None) -> Run:
        """The student without a teacher, on the same schedule, clouds and draws as the distilled one."""
        return self._pretraining(self.base, seed, {**RAW, **(changes or {})})

    def ptv3(self, seed: int) -> Run | None:
        """A full-size PTv3 without a teacher; None where the preset has none."""
        return None if self.preset.ptv3 is None else self._pretraining(self.base, seed, {**RAW, **self.preset.ptv3})

    def teacher(self, seed: int, changes: Mapping[str, Any] | None = None) -> Run:
        """The teacher of a seed, shared by all that learn from it; a given one is only evaluated.

        Args:
            seed: of its training.
            changes: keys of its data that differ; a given teacher has been trained before and keeps its own.
        """
        if self.teacher_base is not None:
            return self._pretraining(self.teacher_base, seed, changes)
        return self.evaluation(self.base.teacher)

    def distilled(
        self,
        seed: int,
        terms: Iterable[str] | None = None,
        *,
        changes: Mapping[str, Any] | None = None,
        teacher_changes: Mapping[str, Any] | None = None,
    ) -> Run:
        """The student with a teacher.

        Args:
            seed: of the student's training; its teacher has the same.
            terms: terms of distillation that count; None for all that the configuration gives a weight.
            changes: keys of its configuration that differ.
            teacher_changes: those of the teacher's.
        """
        kept = None if terms is None else set(terms)
        off = {} if kept is None else {f"objective.weights.{term}": 0.0 for term in DISTILLED if term not in kept}
        config = override(self.base, {"trainer.seed": seed, **off, **(changes or {})})
        source = self.base.teacher if self.teacher_base is None else self.teacher(seed, teacher_changes)
        return self._once(Run("distill", config, source))

    def evaluation(self, source: Run | str, sigma: float = 0.0, noise_seed: int = 0) -> Run:
        """A checkpoint on the clouds of the final score, with Gaussian noise on the features."""
        return self._once(Run("evaluate", self.base, source, noise=(sigma, noise_seed)))

    def _pretraining(self, base: RunConfig, seed: int, changes: Mapping[str, Any] | None) -> Run:
        config = override(base, {"trainer.seed": seed, **(changes or {})})
        plain = RunConfig(**{entry.name: getattr(config, entry.name) for entry in fields(RunConfig)})
        return self._once(Run("pretrain", plain))

    def _once(self, run: Run) -> Run:
        return self._made.setdefault((run.verb, run.config, run.source, run.noise), run)


def read_setup(
    files: Sequence[str],
    words: Sequence[str],
    *,
    preset: str | None,
    seeds: Sequence[int],
    **more: Any,
) -> Setup:
    """The setup of a command line.

    Args:
        files: configuration files, later ones win.
        words: `--section.key value`, which win over files and preset, and `--teacher.section.key value`, which hold for
            the teacher's own training only. `--teacher CHECKPOINT` takes a teacher as it is.
        preset: a key of `PRESETS`; None for "study" on streets, else "none".
        seeds: of the runs.
        more: further fields of `Setup`.

    Raises:
        ConfigError: a file, key, value or preset cannot be used.
    """
    if len(set(seeds)) != len(seeds) or min(seeds, default=-1) < 0:
        raise ConfigError(f"--seeds {' '.join(map(str, seeds))}: give different numbers from 0 on")
    own, teachers = _split(words)
    given = [word for file in files for word in ("--config", file)]
    if preset is None:
        preset = "study" if _parse([*given, *own]).data.name == "street" else "none"
    chosen = PRESETS[preset]
    every = [*given, *_words(chosen.every), *own, "--trainer.final_eval", "true"]
    base = _parse(every)
    taken_as_it_is = any(word.split("=")[0] == "--teacher" for word in own)
    if taken_as_it_is and teachers:
        raise ConfigError(f"--teacher takes a teacher as it is, {teachers[0]} trains one: give one of them")
    teacher_base: RunConfig | None = None
    if teachers or (chosen.teacher is not None and not taken_as_it_is):
        teacher_base = _parse([*every, *_words(chosen.teacher or {}), *teachers])
    return Setup(base, teacher_base, chosen, tuple(seeds), **more)


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words for every run, and those behind `--teacher.`, without it."""
    own: list[str] = []
    teachers: list[str] = []
    target = own
    for word in words:
        if word.startswith("--"):
            target = teachers if word.startswith("--teacher.") else own
        target.append(f"--{word.removeprefix('--teacher.')}" if target is teachers and word.startswith("--") else word)
    return own, teachers


def _parse(words: Sequence[str]) -> DistillConfig:
    return parse([*spell_out(words), "--out", "-"], DistillConfig, prog="srkd experiment", about=ABOUT)


def _words(values: Mapping[str, Any]) -> list[str]:
    plain = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return [word for key, value in plain.items() for word in (f"--{key}", value)]
