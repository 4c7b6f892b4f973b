# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where one run of an experiment lies: whether it is done, what there is to do, and that nobody else is doing it."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from srkd.errors import ConfigError
from srkd.io.atomic import write_atomic
from srkd_train.config import DataConfig, DistillConfig
from srkd_train.experiments.run import Run
from srkd_train.options import to_yaml
from srkd_train.runs import RunFolder


@dataclass(frozen=True)
class Workplace:
    """The folder of one run; its log, lock and configuration lie beside it."""

    run: Run
    path: Path
    weights: Path | None
    """File of `run.source`, where it has one."""
    start: Path | None = None
    """File of `run.start`, where it has one."""

    @property
    def folder(self) -> RunFolder:
        """What a training leaves there."""
        return RunFolder(self.path)

    @property
    def log(self) -> Path:
        """All that the run has said."""
        return self.path.with_name(f"{self.path.name}.log")

    def result(self) -> dict[str, Any] | None:
        """The scores; None where the run is not done, or was scored on another number of clouds than asked now."""
        try:
            scores = json.loads((self.path / "evaluation.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        trainer = self._written().get("trainer", {})
        if self.run.verb != "evaluate" and trainer.get("final_eval_limit") != self.run.config.trainer.final_eval_limit:
            return None
        return scores if isinstance(scores, dict) and "miou" in scores else None

    def step(self) -> int:
        """Optimiser steps behind it, by its metrics file."""
        return max((int(row["step"]) for row in self._rows()), default=0)

    def minutes(self) -> float:
        """Training time behind it, by its metrics file."""
        return max((float(row["minutes"] or 0) for row in self._rows()), default=0.0)

    def _rows(self) -> list[dict[str, str]]:
        try:
            with self.folder.metrics.open(newline="", encoding="utf-8") as file:
                return [row for row in csv.DictReader(file) if row.get("step") and row.get("minutes")]
        except OSError:
            return []

    def lock(self) -> int | None:
        """Takes the run for this process, and for those that it hands the descriptor to; None where it is taken.

        The system lets go of it when the last of them ends, however it ends.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def prepare(self, threads: int) -> list[str]:
        """Makes ready what is needed, and returns the words after `srkd`; for the holder of the lock.

        A training that has saved its state goes on from there; what lies there without one is removed.

        Raises:
            ConfigError: the folder cannot be written.
        """
        try:
            if self.path.exists() and not self.folder.state.is_file():
                shutil.rmtree(self.path)
            if self.run.verb == "evaluate":
                return self._evaluation()
            config = replace(self.run.config, out=str(self.path), resume=False, dry_run=False)
            config = replace(config, trainer=replace(config.trainer, threads=threads))
            if isinstance(config, DistillConfig):
                config = replace(config, teacher=self._file(self.weights, "teacher"))
            if self.start is not None:
                config = replace(config, model=replace(config.model, init=self._file(self.start, "model", "init")))
            file = self.path.with_name(f"{self.path.name}.yaml")
            write_atomic(file, [to_yaml(config).encode()])
        except OSError as error:
            raise ConfigError(
                f"--out: {self.path} cannot be written ({error.strerror}), give another folder"
            ) from error
        resume = ["--resume"] if self.folder.state.is_file() else []
        return [self.run.verb, "--config", str(file), "--out", str(self.path), *resume]

    def _file(self, given: Path | None, *keys: str) -> str:
        """A checkpoint, in the words of a run that goes on, which may not change: its digest is in the run's key."""
        written: Any = self._written()
        for key in keys:
            written = written.get(key, {}) if isinstance(written, dict) else None
        return written if isinstance(written, str) and Path(written).is_file() else str(given)

    def _written(self) -> dict[str, Any]:
        """The configuration in the folder; empty where there is none."""
        try:
            found = yaml.safe_load(self.folder.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return found if isinstance(found, dict) else {}

    def _evaluation(self) -> list[str]:
        config = self.run.config
        self.path.mkdir(parents=True, exist_ok=True)
        words = ["evaluate", str(self.weights), *_final_clouds(config.data), "--workers", "0"]
        words += ["--device", "cpu" if config.trainer.accelerator == "cpu" else "auto"]
        if config.trainer.final_eval_limit is not None:
            words += ["--limit", str(config.trainer.final_eval_limit)]
        if self.run.noise[0]:
            words += ["--feature-noise", str(self.run.noise[0]), "--noise-seed", str(self.run.noise[1])]
        return [*words, "--output", str(self.path / "evaluation.json")]


def _final_clouds(data: DataConfig) -> list[str]:
    """The options of `srkd evaluate` that mean `srkd_train.data.catalog.final_part`."""
    words = ["--data", data.name]
    if data.name == "street":
        words += ["--split", "held_out", "--sensors", *data.sensors]
    elif data.name == "semantickitti":
        words += ["--sequences", *data.val_sequences]
    elif data.name == "bag":
        words += [] if data.topic is None else ["--topic", data.topic]
    else:
        words += ["--split", data.val_split]
    root = data.val_root or data.root
    words += [] if root is None else ["--data.root", root]
    if data.dense_val and data.dense_root is not None:
        words += ["--dense", data.dense_root]
    elif data.raw_share != 1:
        words += ["--raw-share", str(data.raw_share)]
    return words + ([] if data.cache_dir is None else ["--cache-dir", data.cache_dir])
