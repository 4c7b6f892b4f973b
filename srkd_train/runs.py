# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The run folder: what is written where, and nothing half-written."""

import csv
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srkd.errors import ConfigError
from srkd.io.atomic import write_atomic
from srkd_train.options import to_yaml


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The whole configuration, readable by --config, under a comment with the command line."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """One row per logged step or validation."""
        return self.path / "metrics.csv"

    @property
    def state(self) -> Path:
        """What --resume goes on from."""
        return self.path / "state.ckpt"

    @property
    def last(self) -> Path:
        """Newest weights."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """Weights of the best validation so far."""
        return self.path / "best.safetensors"

    def first_command(self) -> list[str]:
        """The command line that started the run here; empty where none did."""
        if not self.config.is_file():
            return []
        first = self.config.read_text(encoding="utf-8").partition("\n")[0]
        return shlex.split(first.removeprefix("# ")) if first.startswith("# srkd ") else []

    def check(self, *, resume: bool) -> None:
        """Whether a run can start here, before anything expensive.

        Raises:
            ConfigError: the folder holds a run and `resume` is off, or it is on and there is no state.
        """
        if resume:
            if not self.state.is_file():
                raise ConfigError(f"--resume: {self.state} does not exist, start the run without --resume")
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ConfigError(f"--out {self.path} exists and is not empty, give another folder or go on with --resume")

    def create(self, config: Any, command: Sequence[str]) -> None:
        """Make the folder and write config.yaml.

        Raises:
            ConfigError: it cannot be written.
        """
        text = f"# {shlex.join(command)}\n{to_yaml(config)}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomic(self.config, [text.encode()])
        except OSError as error:
            raise ConfigError(f"--out {self.path} cannot be written ({error.strerror}), give another folder") from error


class MetricsFile:
    """Rows of a CSV file with fixed columns; rows of steps after `keep_until` (a resumed run redoes them) are dropped.

    Args:
        path: the file.
        columns: names; the first is the step.
        keep_until: last step whose rows stay; 0 starts a new file.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, keep_until: int = 0) -> None:
        kept: list[list[str]] = []
        if keep_until and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            kept = [[row.get(name) or "" for name in columns] for row in rows if int(row[columns[0]]) <= keep_until]
        self.columns = tuple(columns)
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(self.columns)
        self._writer.writerows(kept)
        self._file.flush()

    def add(self, values: Mapping[str, object]) -> None:
        """Append one row; columns that are not named stay empty."""
        self._writer.writerow([values.get(name, "") for name in self.columns])
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
