# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The outcome of a comparison as one table: Markdown, JSON and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from srkd.architectures import config_from_dict, network_from_config
from srkd.errors import ConfigError
from srkd.header import Header
from srkd.io.atomic import write_atomic
from srkd_train.experiments.plot import draw
from srkd_train.experiments.rows import BASELINE, Row
from srkd_train.experiments.statistics import Summary


@dataclass(frozen=True)
class Line:
    """A row with its figures, shares in [0, 1]."""

    row: Row
    miou: Summary
    macc: Summary
    all_acc: Summary
    iou: Mapping[str, Summary]
    """By class."""
    parameters: int
    """Of the network that was scored."""


@dataclass(frozen=True)
class Table:
    """What an experiment came to."""

    title: str
    lines: Sequence[Line]
    clouds: Sequence[str]
    """What was scored, in words."""
    notes: Sequence[str]
    x_label: str
    facts: Mapping[str, Any]
    """For the JSON file: machine, command, runs, and what the experiment says of itself."""
    reference: str = BASELINE
    """Series of the row that others are compared with."""

    def gain(self, line: Line) -> Summary | None:
        """By how much it is better than the reference of the same place, or than the one reference; seed by seed."""
        reference = line.row.against or self.reference
        others = [other for other in self.lines if other.row.series == reference and other is not line]
        match = [other for other in others if other.row.x == line.row.x] or [o for o in others if o.row.x is None]
        return line.miou.minus(match[0].miou) if match and line.row.series != reference else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = []
        for line in self.lines:
            gain = self.gain(line)
            figures = {"miou": line.miou, "macc": line.macc, "all_acc": line.all_acc}
            rows.append(
                {
                    "name": line.row.name,
                    "series": line.row.series,
                    "x": line.row.x,
                    "parameters": line.parameters,
                    **{name: summary.to_dict() for name, summary in figures.items()},
                    "gain": None if gain is None else gain.to_dict(),
                    "iou": {name: summary.to_dict() for name, summary in line.iou.items()},
                }
            )
        head = {"title": self.title, "unit": "shares in [0, 1]", "clouds": list(self.clouds), "x": self.x_label}
        return {**head, **self.facts, "rows": rows, "notes": list(self.notes)}

    def to_markdown(self) -> str:
        """The table in percent, what was scored and how below it, then IoU by class."""
        seeds = len(next(iter(self.lines)).row.runs)
        spread = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
        text = [f"# {self.title}", "", f"Percent, {spread}.", ""]
        heads = ("", "mIoU", "gain", "mAcc", "allAcc", "M parameters")
        text += [f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
        for line in self.lines:
            gain = self.gain(line)
            gained = "" if gain is None else gain.percent(sign=True)
            figures = (line.miou.percent(), gained, line.macc.percent(), line.all_acc.percent())
            text.append(f"| {' | '.join((line.row.name, *figures, f'{line.parameters / 1e6:.2f}'))} |")
        text += ["", *(f"- {note}" for note in (*self.notes, *(f"Scored on {clouds}." for clouds in self.clouds)))]
        text += ["", "## IoU by class", "", f"| class | {' | '.join(line.row.name for line in self.lines)} |"]
        text.append("|---|" + "--:|" * len(self.lines))
        for name in self.lines[0].iou:
            text.append(f"| {name} | {' | '.join(line.iou[name].percent() for line in self.lines)} |")
        return "\n".join(text) + "\n"

    def write(self, folder: Path, name: str) -> list[Path]:
        """Write NAME.json, NAME.md and, where matplotlib is installed, NAME.png.

        Raises:
            ConfigError: the folder cannot be written.
        """
        picture = draw(self.title, [(line.row, line.miou) for line in self.lines], self.x_label)
        return write_figures(folder, name, self.to_dict(), self.to_markdown(), picture)


def write_figures(
    folder: Path, name: str, figures: Mapping[str, Any], markdown: str, picture: bytes | None
) -> list[Path]:
    """NAME.json, NAME.md and, where there is a picture, NAME.png, each whole or not at all.

    Raises:
        ConfigError: the folder cannot be written.
    """
    text = json.dumps(figures, indent=2, allow_nan=False) + "\n"
    contents = {"json": text.encode(), "md": markdown.encode(), **({} if picture is None else {"png": picture})}
    try:
        for suffix, content in contents.items():
            write_atomic(folder / f"{name}.{suffix}", [content])
    except OSError as error:
        raise ConfigError(f"--out {folder} cannot be written ({error.strerror}), give another folder") from error
    return [folder / f"{name}.{suffix}" for suffix in contents]


def make_line(row: Row, scores: Mapping[int, Mapping[str, Any]], header: Header) -> Line:
    """The figures of a row.

    Args:
        row: what it is.
        scores: contents of evaluation.json by seed.
        header: of the checkpoint of one seed.
    """

    def over_seeds(*path: str) -> Summary:
        values = {}
        for seed, found in scores.items():
            value: Any = found
            for key in path:
                value = value[key]
            values[seed] = float("nan") if value is None else float(value)
        return Summary(values)

    classes = next(iter(scores.values()))["iou"]
    with torch.device("meta"):
        network = network_from_config(config_from_dict(header.config))
    return Line(
        row,
        over_seeds("miou"),
        over_seeds("macc"),
        over_seeds("all_acc"),
        {name: over_seeds("iou", name) for name in classes},
        sum(parameter.numel() for parameter in network.parameters()),
    )
