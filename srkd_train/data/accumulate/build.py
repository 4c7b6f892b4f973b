# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The dense clouds of scenes, made by several processes and kept in a folder."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from srkd.errors import SrkdError
from srkd.labels import LabelScheme
from srkd.progress import Progress
from srkd_train.data.accumulate.config import Accumulation
from srkd_train.data.accumulate.dense import dense_clouds
from srkd_train.data.accumulate.folder import cloud_path, save
from srkd_train.data.accumulate.timeline import Scene

_LEAST_CLOUDS = 16
"""Clouds of a job, at least, where a scene has as many: frames around its ends are read by two jobs."""

Made = tuple[str, int, int]
"""Name of a cloud, its own points, and all of them; 0 and 0 where it was there before."""


@dataclass
class Built:
    """What came of it."""

    names: list[str] = field(default_factory=list)
    """Clouds that are there now."""
    made: int = 0
    """How many of them were made now."""
    own_points: int = 0
    """Points that the clouds made now have from their own frame."""
    points: int = 0
    """All of their points."""
    problems: list[str] = field(default_factory=list)
    """One line for every run of clouds that could not be made."""


def build(
    scenes: Sequence[Scene],
    folder: Path,
    config: Accumulation,
    scheme: LabelScheme,
    *,
    num_workers: int = 0,
    progress: Progress | None = None,
) -> Built:
    """Makes the dense clouds of scenes that the folder lacks; each process holds the frames of one window.

    Args:
        scenes: with the clouds to make.
        folder: was begun with these settings (`open_folder`), so that a file that is there is the one wanted.
        config: what makes a dense cloud.
        scheme: of the labels.
        num_workers: processes that make clouds; 0 makes them in this one.
        progress: is moved on by one a cloud.
    """
    jobs = _Jobs(_split(scenes, config), folder, config, config.class_ids(scheme))
    found = Built()
    options: dict[str, Any] = {"num_workers": num_workers}
    if num_workers:
        options |= {"worker_init_fn": _start_worker, "prefetch_factor": 1, "in_order": False}
    for made, problem in DataLoader(jobs, batch_size=None, collate_fn=_as_is, **options):
        for name, own, points in made:
            found.names.append(name)
            found.made += points > 0
            found.own_points += own
            found.points += points
            if progress is not None:
                progress.step()
        if problem is not None:
            found.problems.append(problem)
    return found


def once(scenes: Sequence[Scene]) -> list[Scene]:
    """Scenes without the clouds that an earlier one has: parts of a data set may share some."""
    seen: set[str] = set()
    kept = []
    for scene in scenes:
        targets = tuple(name for name in scene.targets if name not in seen)
        seen.update(targets)
        kept += [replace(scene, targets=targets)] if targets else []
    return kept


class _Jobs(Dataset[tuple[list[Made], str | None]]):
    """Item k makes the clouds of the k-th job; an error ends it and is its second half."""

    def __init__(
        self, jobs: Sequence[list[Scene]], folder: Path, config: Accumulation, class_ids: tuple[int, ...] | None
    ) -> None:
        self._jobs, self._folder, self._config, self._class_ids = jobs, folder, config, class_ids

    def __len__(self) -> int:
        return len(self._jobs)

    def __getitem__(self, number: int) -> tuple[list[Made], str | None]:
        made: list[Made] = []
        try:
            for scene in self._jobs[number]:
                missing = [name for name in scene.targets if not cloud_path(self._folder, name).exists()]
                made += [(name, 0, 0) for name in scene.targets if name not in set(missing)]
                if missing:
                    for name, dense in dense_clouds(scene.open(), missing, self._config, self._class_ids):
                        save(cloud_path(self._folder, name), dense)
                        made.append((name, int(dense.own.sum()), len(dense.own)))
        except (SrkdError, OSError) as error:
            return made, " ".join(str(error).split())
        return made, None


def _split(scenes: Sequence[Scene], config: Accumulation) -> list[list[Scene]]:
    """Jobs: scenes of a group together, long scenes in pieces of several windows."""
    size = max(_LEAST_CLOUDS, 4 * (config.past + config.future) * config.every)
    groups: dict[str, list[Scene]] = {}
    jobs = []
    for scene in scenes:
        if scene.group:
            groups.setdefault(scene.group, []).append(scene)
            continue
        for start in range(0, len(scene.targets), size):
            jobs.append([replace(scene, targets=scene.targets[start : start + size])])
    return [*groups.values(), *jobs]


def _start_worker(_: int) -> None:
    """One thread a worker; an interrupt is the parent's, and being ended still removes what is half written."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)


def _as_is(item: Any) -> Any:
    return item
