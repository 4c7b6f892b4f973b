# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the commands that train have in common: reading a configuration, resuming, a trial, the report."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from srkd.errors import ConfigError
from srkd.io.atomic import write_atomic
from srkd.labels import LabelScheme
from srkd_train.config import RunConfig
from srkd_train.modules import Segmentation
from srkd_train.options import parse, spell_out
from srkd_train.runs import RunFolder
from srkd_train.training import Outcome
from srkd_train.trial import try_steps

SWITCHES = {
    "resume": "Go on from OUT/state.ckpt with OUT/config.yaml; only trainer options that change no result may differ.",
    "dry_run": "Take a few steps, tell step time, memory and total time, and write nothing (but street scans to the"
    " cache).",
}
FREE = (
    "max_minutes",
    "num_workers",
    "threads",
    "accelerator",
    "save_minutes",
    "log_every",
    "final_eval",
    "final_eval_limit",
    "tensorboard",
)
"""Keys of the trainer that may differ when a run is resumed."""

Config = TypeVar("Config", bound=RunConfig)


def run(
    argv: Sequence[str],
    kind: type[Config],
    *,
    verb: str,
    about: str,
    build: Callable[[Config, LabelScheme], Segmentation],
    train: Callable[..., Outcome | None],
    taught: Callable[[Config], LabelScheme] | None = None,
) -> int:
    """Runs a command that trains; the exit code.

    Args:
        argv: its words.
        kind: its configuration.
        verb, about: for the help.
        build: makes what is trained, for a trial.
        train: (config, command=words) -> outcome.
        taught: what the teacher of a run teaches, for a trial on clouds without labels.
    """
    config = read_config(argv, kind, verb=verb, about=about)
    if config.dry_run:
        scheme = None if taught is None else taught(config)
        sys.stdout.write(try_steps(config, lambda scheme: build(config, scheme), taught=scheme).to_text())
        return 0
    outcome = train(config, command=["srkd", verb, *argv])
    if outcome is not None:
        sys.stdout.write(report(outcome, verb))
    return 0


def read_config(argv: Sequence[str], kind: type[Config], *, verb: str, about: str) -> Config:
    """The configuration of a command line; a resumed run starts from its own config.yaml.

    Raises:
        ConfigError: a key is unknown, a value does not fit, or a resumed run would become another one.
    """

    def parsed(words: Sequence[str]) -> Config:
        return parse(spell_out(words), kind, prog=f"srkd {verb}", about=about, switches=SWITCHES)

    given = parsed(argv)
    folder = RunFolder(Path(given.out))
    if not given.resume or not folder.config.is_file():
        return given
    started = folder.first_command()[1:2]
    if started and started != [verb]:
        raise ConfigError(f"--resume: {folder.path} is a run of `srkd {started[0]}`, go on with that")
    own = ["--config", str(folder.config)]
    config, before = parsed([*own, *argv]), parsed([*own, "--out", given.out])
    for key, old, new in _differences(before, config):
        raise ConfigError(f"--resume: {key} was {old!r} and is now {new!r}, resume without it or start another run")
    return config


def report(outcome: Outcome, verb: str) -> str:
    """What there is to say at the end of a run; the score is also written beside the weights."""
    lines = [f"{outcome.steps} steps in {outcome.minutes:.1f} minutes, weights in {outcome.weights}"]
    if outcome.stopped is not None:
        lines.append(
            f"Stopped early: {outcome.stopped}. Go on with: srkd {verb} --resume --out {outcome.weights.parent}"
        )
    if outcome.score is not None:
        lines += ["", f"Score on {outcome.score_of}:", "", outcome.score.to_markdown()]
        target = outcome.weights.with_name("evaluation.json")
        facts = {"clouds": outcome.score_of, "protocol": "single", **outcome.score.to_dict()}
        write_atomic(target, [json.dumps(facts, indent=2).encode() + b"\n"])
    return "\n".join(lines) + "\n"


def _differences(before: RunConfig, after: RunConfig) -> list[tuple[str, Any, Any]]:
    found = []
    for entry in fields(before):
        old, new = getattr(before, entry.name), getattr(after, entry.name)
        if entry.name in ("out", "teacher", *SWITCHES):  # a teacher is known by its weights
            continue
        if not hasattr(old, "__dataclass_fields__"):
            if old != new:
                found.append((entry.name, old, new))
            continue
        for name in old.__dataclass_fields__:
            free = (entry.name == "trainer" and name in FREE) or (entry.name, name) in (
                ("data", "root"),
                ("data", "val_root"),
                ("data", "cache_dir"),
                ("data", "dense_root"),
            )
            if not free and getattr(old, name) != getattr(new, name):
                found.append((f"{entry.name}.{name}", getattr(old, name), getattr(new, name)))
    return found
