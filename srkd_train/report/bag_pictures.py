# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of chosen frames of a bag: from above, and as the sensor sees them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.io.bags import BagReader, stamp_ns
from srkd.io.pointcloud2 import decode, read_fields
from srkd.labels import IGNORE, LabelScheme
from srkd_train.panels import UNLABELLED, Panel, class_colors, compose
from srkd_train.range_view import compose_strips, render_range
from srkd_train.raster import Image, render
from srkd_train.report.numbers import grouped, percent
from srkd_train.report.page import Picture
from srkd_train.report.taught import SharedClasses

_SIZE_PX, _TEXT_SCALE = 640, (1.0, 1.0, 1.3, 1.8)
"""Of a panel, and of the text by the number of panels: the more there are, the smaller they are shown."""
_EXTENT_M = (5.0, 60.0)
_RIGHT, _WRONG = (66, 82, 108), (255, 64, 84)
_RAMP = np.array([(38, 52, 110), (58, 124, 190), (120, 200, 170), (236, 220, 120), (255, 250, 235)], float)
"""From low to high."""


@dataclass(frozen=True)
class Wanted:
    """A frame to draw; `first_ns` and `last_ns` are between which it was recorded."""

    stamp_ns: int
    first_ns: int
    last_ns: int
    caption: str


@dataclass(frozen=True)
class View:
    """A colouring of the points: `front` (N,) bool are drawn over the others."""

    title: str
    note: str
    colors: Image
    front: npt.NDArray[np.bool_]


def draw_frames(
    path: Path, wanted: Sequence[Wanted], topics: Mapping[str, str], classes: LabelScheme | SharedClasses
) -> Iterator[Picture]:
    """Draws frames, in the order given.

    Args:
        path: of the bag.
        wanted: which.
        topics: role (labels, truth, teacher or clouds) to topic; clouds are needed where there is nothing else.
        classes: of labels and truth; of labels and the teacher's.

    Raises:
        BagError: the bag cannot be read.
        SrkdError: matplotlib is not installed.
    """
    with BagReader(path) as reader:
        for frame in wanted:
            try:
                found = _read(reader, frame, topics)
                if found:
                    yield _picture(*found, classes, frame.caption)
            except CloudError:
                continue


def _read(
    reader: BagReader, frame: Wanted, topics: Mapping[str, str]
) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[Any]]] | None:
    """Coordinates (N, 3) and columns labels, probability, truth, teacher, intensity (N,), as far as they are there."""
    missing = {topic: role for role, topic in topics.items()}
    xyz: npt.NDArray[np.float32] | None = None
    columns: dict[str, npt.NDArray[Any]] = {}
    for message in reader.messages(list(missing), start_ns=frame.first_ns):
        if message.time_ns > frame.last_ns or not missing:
            break
        if message.topic not in missing or stamp_ns(content := reader.deserialize(message)) != frame.stamp_ns:
            continue
        role = missing.pop(message.topic)
        cloud = decode(content).cloud
        xyz = cloud.xyz if xyz is None else xyz
        if role == "labels":
            columns["labels"] = read_fields(content, ["class_id"])["class_id"]
            if any(field.name == "probability" for field in content.fields):
                columns["probability"] = read_fields(content, ["probability"])["probability"]
        elif role == "clouds" and cloud.intensity is not None:
            columns["intensity"] = cloud.intensity
        elif role in ("truth", "teacher"):
            columns[role] = read_fields(content, ["class_id"])["class_id"]
    return None if xyz is None else (xyz, columns)


def _picture(
    xyz: npt.NDArray[np.float32],
    columns: Mapping[str, npt.NDArray[Any]],
    classes: LabelScheme | SharedClasses,
    caption: str,
) -> Picture:
    scheme = classes.scheme if isinstance(classes, SharedClasses) else classes
    if isinstance(classes, SharedClasses) and {"teacher", "labels"} <= set(columns):
        views, entries = _taught_views(columns["teacher"], columns["labels"], classes)
    else:
        views, entries = _views(xyz, columns, scheme)
    flat = np.abs(xyz[np.isfinite(xyz).all(axis=1), :2]).max(axis=1, initial=0)
    extent = float(np.clip(5 * np.ceil((np.quantile(flat, 0.93) if len(flat) else 0) / 5), *_EXTENT_M))
    panels = [Panel(view.title, view.note, render(xyz, view.colors, view.front, _SIZE_PX, extent)) for view in views]
    strips = [Panel(view.title, "", render_range(xyz, view.colors, view.front)) for view in views]
    with tempfile.TemporaryDirectory(prefix="srkd_report_") as scratch:
        path = Path(scratch) / "picture.png"
        compose(panels, entries, scheme, path, extent, _TEXT_SCALE[len(views)])
        above = path.read_bytes()
    return Picture(above, caption, (compose_strips(strips),))


def _views(
    xyz: npt.NDArray[np.float32], columns: Mapping[str, npt.NDArray[Any]], scheme: LabelScheme
) -> tuple[list[View], list[tuple[int, str]]]:
    """What to show of a frame, and the legend."""
    palette, size = class_colors(scheme), f"{grouped(len(xyz))} points"
    truth, labels = columns.get("truth"), columns.get("labels")
    views = []
    if truth is not None:
        views.append(View("truth", size, palette[truth], truth != IGNORE))
    if labels is not None:
        views.append(View("labels", size if truth is None else "", palette[labels], labels != IGNORE))
    if truth is not None and labels is not None and truth.shape == labels.shape:
        views.append(_differences("errors", truth, labels))
    elif labels is not None and "probability" in columns:
        known = labels != IGNORE
        colors = np.where(known[:, None], ramp(columns["probability"]), UNLABELLED).astype(np.uint8)
        views.append(View("confidence", "dark 0, bright 100 %", colors, known))
    elif labels is None:
        views.append(_measured("height", xyz[:, 2], " m"))
        if "intensity" in columns and truth is None:
            views.append(_measured("intensity", columns["intensity"], ""))
    shown = labels if truth is None else truth
    return views, [] if shown is None else _shares(np.bincount(shown, minlength=256)[: scheme.num_classes])


def _taught_views(
    teacher: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], shared: SharedClasses
) -> tuple[list[View], list[tuple[int, str]]]:
    """The same of a frame with a teacher's labels."""
    if teacher.shape != labels.shape:
        raise CloudError(f"teacher's labels: {len(teacher)} for {len(labels)} points")
    palette, said = class_colors(shared.scheme), shared.drawn[labels]
    views = [
        View("teacher", f"{grouped(len(teacher))} points", palette[teacher], teacher != IGNORE),
        View("student", "", palette[said], said != IGNORE),
        _differences("differences", shared.teacher[teacher], shared.student[labels]),
    ]
    counts = np.bincount(teacher, minlength=256)
    alone = ~np.isin(np.arange(256), teacher)  # the student's own classes, and those that the teacher sees nowhere
    counts = np.where(alone, np.bincount(said, minlength=256), counts)
    return views, _shares(counts[: shared.scheme.num_classes])


def _differences(title: str, truth: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> View:
    both = (truth != IGNORE) & (labels != IGNORE)
    wrong = both & (truth != labels)
    colors = np.where(wrong[:, None], _WRONG, np.where(both[:, None], _RIGHT, UNLABELLED)).astype(np.uint8)
    return View(title, f"{percent(int(wrong.sum()) / max(int(both.sum()), 1))} % of points", colors, wrong)


def _shares(counts: npt.NDArray[np.int64]) -> list[tuple[int, str]]:
    """The legend: classes that occur, the most frequent first."""
    order = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    return [(index, f"{100 * counts[index] / counts.sum():.1f} %") for index in order]


def _measured(name: str, values: npt.NDArray[np.floating], unit: str) -> View:
    """Values (N,) from their 2 % to their 98 % quantile."""
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, (0.02, 0.98)) if len(finite) else (0.0, 1.0)
    shares = (values - low) / max(high - low, 1e-6)
    return View(name, f"{low:.3g} to {high:.3g}{unit}", ramp(shares), np.zeros(len(values), bool))


def ramp(share: npt.NDArray[np.floating]) -> Image:
    """(N, 3) uint8 colours of shares from 0 (dark) to 1 (bright); dim grey where there is none."""
    place = np.clip(np.nan_to_num(share), 0, 1) * (len(_RAMP) - 1)
    axis = np.arange(len(_RAMP))
    colors = np.stack([np.interp(place, axis, _RAMP[:, channel]) for channel in range(3)], axis=1)
    colors[~np.isfinite(share)] = UNLABELLED
    return np.rint(colors).astype(np.uint8)
