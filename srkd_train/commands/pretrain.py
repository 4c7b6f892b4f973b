# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd pretrain`: train a network on labelled clouds."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srkd.errors import ConfigError
from srkd_train.config import RunConfig
from srkd_train.options import parse
from srkd_train.pretraining import Outcome, pretrain
from srkd_train.runs import RunFolder

ABOUT = (
    "Trains a network on labelled clouds: synthetic streets made on the fly, or SemanticKITTI. Ready configurations are"
    " in config/pretrain. SIGTERM and Ctrl-C save the run and end it with exit code 0; --resume goes on."
)
SWITCHES = {
    "resume": "Go on from OUT/state.ckpt with OUT/config.yaml; only trainer options that change no result may differ."
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
)
"""Keys of the trainer that may differ when a run is resumed."""


def main(argv: list[str]) -> int:
    """`srkd pretrain --config FILE --out DIR [--section.key value ...] [--resume]`; the process exit code."""
    config = read_config(argv)
    outcome = pretrain(config, command=["srkd", "pretrain", *argv])
    if outcome is not None:
        sys.stdout.write(report(outcome))
    return 0


def read_config(argv: Sequence[str]) -> RunConfig:
    """The configuration of a command line; a resumed run starts from its own config.yaml.

    Raises:
        ConfigError: a key is unknown, a value does not fit, or a resumed run would become another one.
    """
    given = _parse(argv)
    folder = RunFolder(Path(given.out))
    if not given.resume or not folder.config.is_file():
        return given
    own = ["--config", str(folder.config)]
    config, before = _parse([*own, *argv]), _parse([*own, "--out", given.out])
    for key, old, new in _differences(before, config):
        raise ConfigError(f"--resume: {key} was {old!r} and is now {new!r}, resume without it or start another run")
    return config


def report(outcome: Outcome) -> str:
    """What there is to say at the end of a run."""
    lines = [f"{outcome.steps} steps in {outcome.minutes:.1f} minutes, weights in {outcome.weights}"]
    if outcome.stopped is not None:
        lines.append(
            f"Stopped early: {outcome.stopped}. Go on with: srkd pretrain --resume --out {outcome.weights.parent}"
        )
    if outcome.score is not None:
        lines += ["", f"Score on {outcome.score_of}:", "", outcome.score.to_markdown()]
        target = outcome.weights.with_name("evaluation.json")
        target.write_text(
            json.dumps({"clouds": outcome.score_of, **outcome.score.to_dict()}, indent=2), encoding="utf-8"
        )
    return "\n".join(lines) + "\n"


def _parse(argv: Sequence[str]) -> RunConfig:
    return parse(argv, RunConfig, prog="srkd pretrain", about=ABOUT, switches=SWITCHES)


def _differences(before: RunConfig, after: RunConfig) -> list[tuple[str, Any, Any]]:
    found = []
    for section in ("data", "model", "optim", "trainer"):
        old, new = getattr(before, section), getattr(after, section)
        for name in old.__dataclass_fields__:
            free = (section == "trainer" and name in FREE) or (section, name) in (
                ("data", "root"),
                ("data", "cache_dir"),
            )
            if not free and getattr(old, name) != getattr(new, name):
                found.append((f"{section}.{name}", getattr(old, name), getattr(new, name)))
    return found
