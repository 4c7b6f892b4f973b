# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One run of an experiment, and the key by which it is found again: a digest of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from srkd.checkpoint import read_header
from srkd.errors import ConfigError
from srkd_train.cli import checkpoint_path
from srkd_train.config import DataConfig, DistillConfig, RunConfig
from srkd_train.data.bag_part import bag_digests
from srkd_train.data.dense_part import dense_digest
from srkd_train.objective import DENSE
from srkd_train.objective_config import DenseTermsConfig
from srkd_train.run_command import FREE, SWITCHES

Verb = Literal["pretrain", "distill", "evaluate"]
Changed = TypeVar("Changed", bound=RunConfig)

_KEY_CHARACTERS = 12
_OVERHEAD_STEPS = 20
"""Starting and scoring a run take as long as some of its steps."""
_MADE_WITHOUT: tuple[tuple[str, ...], ...] = (
    ("out",),
    *((name,) for name in SWITCHES),
    ("data", "root"),
    ("data", "val_root"),
    ("data", "cache_dir"),
    ("data", "dense_root"),
    *(("trainer", key) for key in FREE),
)
"""Keys on which no weights depend."""


@dataclass(frozen=True, eq=False)
class Run:
    """A training (`pretrain`, `distill`), or the evaluation of a checkpoint with noise on its input."""

    verb: Verb
    config: RunConfig
    """Everything but the folder; of an evaluation its data set and how many clouds."""
    source: Run | str | None = None
    """Teacher of a distillation, or what is evaluated: another run, or a checkpoint by path or name."""
    noise: tuple[float, int] = (0.0, 0)
    """Standard deviation and seed of Gaussian noise on the features; evaluations only."""
    start: Run | None = None
    """The run whose weights a training starts from."""

    @property
    def label(self) -> str:
        """A few words for progress lines."""
        if self.verb == "evaluate":
            noise = f" with noise {self.noise[0]:g}" if self.noise[0] else ""
            return f"evaluate {self.source.label if isinstance(self.source, Run) else self.source}{noise}"
        onward = "" if self.start is None else f" on {self.config.data.name}"
        return f"{self.verb} {self.config.model.name}{onward}, seed {self.config.trainer.seed}"

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return 0 if self.verb == "evaluate" else self.config.trainer.max_steps

    @property
    def work(self) -> int:
        """How long it takes, in steps."""
        return self.steps + _OVERHEAD_STEPS

    @property
    def needs(self) -> tuple[Run, ...]:
        """Runs that must be complete before."""
        return tuple(each for each in (self.source, self.start) if isinstance(each, Run))


def ordered(runs: Sequence[Run]) -> list[Run]:
    """The runs and those that they need, each once, needs first."""
    found: dict[Run, None] = {}
    for run in runs:
        for need in (*ordered(run.needs), run):
            found.setdefault(need)
    return list(found)


def override(config: Changed, values: Mapping[str, Any]) -> Changed:
    """The configuration with other values at some dotted keys.

    Raises:
        ConfigError: no such key.
    """
    for key, value in values.items():
        config = _replace(config, key, key.split("."), value)
    return config


def folder_name(run: Run, weights: Path | None, start: Path | None = None) -> str:
    """Where a run lies among the others: its verb and the first digits of its key.

    The key is the SHA-256 of the canonical JSON of the whole configuration, less what no weights depend on (folders,
    and the trainer's keys that may change when a run is resumed), with digests in place of the paths of checkpoints
    and bags.

    Args:
        run: the run.
        weights: file of `run.source`, where it has one.
        start: file of `run.start`, where it has one.

    Raises:
        CheckpointError: a checkpoint that the run starts from cannot be read.
        BagError: a bag cannot be read.
    """
    facts: dict[str, Any] = {"verb": run.verb, "config": _canonical(run.config)}
    if weights is not None:
        facts["source_sha256"] = read_header(weights).weights_sha256
    if start is not None:
        facts["start_sha256"] = read_header(start).weights_sha256
    if run.verb == "evaluate":
        data = facts["config"]["data"]
        if not run.config.data.dense_val:
            data.pop("dense_sha256", None)
        facts["config"] = {"data": data, "limit": run.config.trainer.final_eval_limit}
        facts["noise"] = list(run.noise)
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{run.verb}-{hashlib.sha256(text.encode()).hexdigest()[:_KEY_CHARACTERS]}"


def _canonical(config: RunConfig) -> dict[str, Any]:
    plain = asdict(config)
    for path in _MADE_WITHOUT:
        section = plain
        for name in path[:-1]:
            section = section[name]
        section.pop(path[-1], None)
    if config.data.name == "bag":
        plain["data"]["bags_sha256"] = bag_digests(config.data)
    else:  # keys of runs from before there were bags stay what they were
        for name in ("topic", "every", "labels"):
            del plain["data"][name]
    _leave_out_usual(config, plain)
    if isinstance(config, DistillConfig):
        del plain["teacher"]  # its digest counts, not its place
    if config.model.init is not None:
        plain["model"]["init"] = read_header(checkpoint_path(config.model.init)).weights_sha256
    return plain


def _leave_out_usual(config: RunConfig, plain: dict[str, Any]) -> None:
    """Keys of runs from before there were dense clouds stay what they were; of these their digest counts, not their
    place."""
    data, usual = plain["data"], DataConfig()
    for name in ("raw_share", "dense_val"):
        if data[name] == getattr(usual, name):
            del data[name]
    if config.data.dense_root is not None:
        data["dense_sha256"] = dense_digest(config.data.dense_root)
    if not isinstance(config, DistillConfig):
        return
    weights = plain["objective"]["weights"]
    for term in DENSE:
        if not weights[term]:
            del weights[term]
    if config.objective.dense == DenseTermsConfig():
        del plain["objective"]["dense"]


def _replace(node: Any, key: str, path: list[str], value: Any) -> Any:
    if path[0] not in {entry.name for entry in fields(node)}:
        raise ConfigError(f"{key} is no key of a run: see srkd distill --help")
    inner = value if len(path) == 1 else _replace(getattr(node, path[0]), key, path[1:], value)
    return replace(node, **{path[0]: inner})
