# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading what a training run left in its folder; a run that is not over, or is of an older version, has less."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from srkd.checkpoint import read_header
from srkd.errors import CheckpointError, ConfigError
from srkd.header import Header
from srkd.labels import SCHEMES, LabelScheme
from srkd_train.objective import PRESETS
from srkd_train.report.classes import numbered_scheme
from srkd_train.runs import RunFolder

Values = npt.NDArray[np.float64]
_NO_TERMS = ("step", "minutes", "lr", "step_s", "data_s", "voxels")
_VALIDATION = "val_"


@dataclass
class Run:
    """What was found in a run folder."""

    path: Path
    command: str
    """Verb of the command that began it, e.g. distill."""
    config: dict[str, Any]
    steps: Values
    """Steps of the training rows."""
    terms: dict[str, Values] = field(default_factory=dict)
    """The loss and its terms by name, unweighted, as logged."""
    rates: dict[str, Values] = field(default_factory=dict)
    """lr, step_s, data_s and voxels at the same steps."""
    validations: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Pairs (step, share) by name: val_miou and others."""
    minutes: float = math.nan
    score: dict[str, Any] | None = None
    """`Score.to_dict()` of the final evaluation, and `clouds`: of which."""
    header: Header | None = None
    """Of the last weights."""
    notes: list[str] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        """Of all rows; 0 where there is none."""
        places = [*self.steps, *(step for pairs in self.validations.values() for step, _ in pairs)]
        return int(max(places, default=0))

    @property
    def planned_steps(self) -> int | None:
        """Steps that the configuration wants."""
        steps = self.setting("trainer", "max_steps")
        return steps if isinstance(steps, int) else None

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and mIoU of the best validation."""
        pairs = [(step, value) for step, value in self.validations.get("val_miou", ()) if math.isfinite(value)]
        step, value = max(pairs, key=lambda pair: pair[1], default=(0.0, math.nan))
        return None if math.isnan(value) else (int(step), value)

    @property
    def scheme(self) -> LabelScheme | None:
        """Classes of the final evaluation; None without one."""
        if self.score is None:
            return None
        names = tuple(self.score["iou"])
        own = [self.header.scheme] if self.header is not None else []
        return next((each for each in (*own, *SCHEMES.values()) if each.class_names == names), None)

    def colors(self) -> dict[str, tuple[int, int, int]]:
        """Of the classes of the final evaluation."""
        names = tuple((self.score or {"iou": ()})["iou"])
        scheme = self.scheme or numbered_scheme(max(len(names), 1))
        return dict(zip(names, scheme.colors, strict=False))

    def setting(self, *keys: str) -> Any:
        """A value of the configuration; None where there is none."""
        value: Any = self.config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def weight(self, term: str) -> float | None:
        """Weight of a term of the objective; None where it is not known (calibrated, or another kind of run)."""
        preset = self.setting("objective", "preset")
        if preset not in PRESETS or self.setting("objective", "calibrate_steps"):
            return None
        given = self.setting("objective", "weights", term)
        return PRESETS[preset].weights.get(term) if given is None else float(given)


def is_run(path: Path) -> bool:
    """Whether a folder looks like one of a training run."""
    folder = RunFolder(path)
    return folder.metrics.is_file() or (folder.config.is_file() and not (path / "metadata.yaml").exists())


def read_run(path: Path) -> Run:
    """Reads a run folder.

    Raises:
        ConfigError: a file of it is damaged.
    """
    folder = RunFolder(path)
    config = _config(folder.config)
    words = folder.first_command()
    run = Run(path, words[1] if len(words) > 1 else "", config, np.zeros(0))
    if folder.metrics.is_file():
        _read_metrics(run, folder.metrics)
    run.score = _score(path / "evaluation.json")
    for name in (folder.last, folder.best):
        if run.header is None and name.is_file():
            try:
                run.header = read_header(name)
            except CheckpointError as error:
                run.notes.append(f"{name.name} cannot be read: {error}")
    if run.score is None and run.header is not None and run.header.metrics.get("iou"):
        run.score = _complete(dict(run.header.metrics))
    return run


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no YAML ({' '.join(str(error).split())[:120]}); restore it") from None
    return found if isinstance(found, dict) else {}


def _read_metrics(run: Run, path: Path) -> None:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows = [{name: _value(row.get(name)) for name in columns} for row in reader]
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{path}: no table of numbers ({error}); restore it") from None
    if columns[:1] != ["step"]:
        raise ConfigError(f"{path}: its first column is {columns[0] if columns else 'missing'!r}, expected 'step'")
    rows = [row for row in rows if not math.isnan(row["step"])]
    validated = [name for name in columns if name.startswith(_VALIDATION)]
    training = [row for row in rows if any(not math.isnan(row.get(name, math.nan)) for name in ("lr", "loss"))]
    run.steps = np.array([row["step"] for row in training])
    for name in columns:
        values = np.array([row[name] for row in training])
        if name in validated:
            run.validations[name] = [(row["step"], row[name]) for row in rows if not math.isnan(row[name])]
        elif name not in _NO_TERMS and len(values) and not np.isnan(values).all():
            run.terms[name] = values
        elif name in _NO_TERMS[2:]:
            run.rates[name] = values
    minutes = [row["minutes"] for row in rows if not math.isnan(row.get("minutes", math.nan))]
    run.minutes = max(minutes, default=math.nan)
    broken = next((step for step, row in zip(run.steps, training, strict=True) if math.isnan(row.get("loss", 0))), None)
    if broken is not None:
        run.notes.append(f"The loss is no number from step {int(broken)} on.")


def _value(text: str | None) -> float:
    return math.nan if text is None or text == "" else float(text)


def _score(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return _complete(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: no scores of `srkd` ({type(error).__name__}); restore it") from None


def _complete(score: dict[str, Any]) -> dict[str, Any]:
    """With - where something is missing that a table shows."""
    names = list(score["iou"])
    score["miou"], score["macc"] = (score.get(name) for name in ("miou", "macc"))
    for name, nothing in (("accuracy", None), ("points", 0)):
        score[name] = {each: score.get(name, {}).get(each, nothing) for each in names}
    score["counted_points"] = score.get("counted_points") or sum(score["points"].values())
    return score
