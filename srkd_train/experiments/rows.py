# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The experiments that compare trained networks: which rows each has, and what is said under its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from srkd_train.experiments import dense_kinds, dynamic_size, shift
from srkd_train.experiments.run import Run
from srkd_train.experiments.setup import Setup

BASELINE, TEACHER, DISTILLED = "baseline", "teacher", "distilled"
TERM_NAMES = {
    "kl": "KL",
    "point_affinity": "point affinity",
    "voxel_affinity": "voxel affinity",
    "channel": "channel-wise",
    "cross_sample": "cross-sample",
    "feature_mse": "feature MSE",
    "pool": "pooled features",
    "stats": "channel statistics",
    "knn_kl": "nearest points' KL",
    "knn_mse": "nearest points' MSE",
    "voxel": "equal voxels' MSE",
}
"""Terms of distillation in words."""


@dataclass(frozen=True)
class Row:
    """One line of a table, or one point of a curve: the same thing once a seed."""

    series: str
    """What it is; points of one curve have it in common."""
    runs: Mapping[int, Run]
    """By seed."""
    x: float | None = None
    """Place along the curve."""
    against: str | None = None
    """Series that it is compared with, where that is not the table's reference."""

    @property
    def name(self) -> str:
        """For tables."""
        return self.series if self.x is None else f"{self.series}, {self.x:g}"


@dataclass(frozen=True)
class Comparison:
    """An experiment whose outcome is a table of scores."""

    about: str
    """One line for the help."""
    rows: Callable[[Setup], list[Row]]
    notes: Callable[[Setup], list[str]]
    x_label: str = ""
    """Name of the horizontal axis, with its unit."""
    reference: str = BASELINE
    """Series of the row that others are compared with."""
    prepare: Callable[[Setup], None] | None = None
    """Makes what its runs need."""


def gap(setup: Setup) -> list[Row]:
    """Teacher, baseline, distilled; on request each term alone, and the objective without each."""
    rows = [
        _row(setup, BASELINE, setup.baseline),
        _row(setup, TEACHER, setup.teacher),
        _row(setup, DISTILLED, setup.distilled),
    ]
    for term in setup.terms if setup.alone else ():
        rows.append(_row(setup, f"only {TERM_NAMES[term]}", partial(setup.distilled, terms=(term,))))
    for term in setup.terms if setup.without else ():
        kept = [other for other in setup.terms if other != term]
        rows.append(_row(setup, f"without {TERM_NAMES[term]}", partial(setup.distilled, terms=kept)))
    return rows


def compare(setup: Setup) -> list[Row]:
    """Baseline, student, teacher and, where the preset has one, PTv3 in full size (Tables 1 and 2)."""
    rows = gap(setup)[:3]
    full = {seed: run for seed in setup.seeds if (run := setup.ptv3(seed)) is not None}
    return rows + ([Row("PTv3", full)] if full else [])


def ablation(setup: Setup) -> list[Row]:
    """Terms added one by one (Table 5)."""
    rows = [_row(setup, BASELINE, setup.baseline)]
    for count in range(1, len(setup.terms) + 1):
        kept = setup.terms[:count]
        rows.append(_row(setup, f"+ {TERM_NAMES[kept[-1]]}", partial(setup.distilled, terms=kept)))
    return rows


def noise(setup: Setup) -> list[Row]:
    """Gaussian noise on the features of trained networks (Table 3)."""
    rows = []
    for source in gap(setup)[:3]:
        for sigma in setup.values or (0.0, 0.01, 0.05, 0.1, 0.5, 1.0):

            def noisy(seed: int, sigma: float = sigma, source: Row = source) -> Run:
                run = source.runs[seed]
                if run.verb == "evaluate" and run.source is not None:  # a teacher that was given
                    return setup.evaluation(run.source, sigma, seed) if sigma else run
                return setup.evaluation(run, sigma, seed) if sigma else run

            rows.append(_row(setup, source.series, noisy, sigma))
    return rows


def subsample(setup: Setup) -> list[Row]:
    """Baseline and student on a share of the training scenes (Table 4)."""
    rows = []
    for share in setup.values or (0.05, 0.1, 0.25, 0.5):
        part = {"data.share": share}
        rows += [
            _row(setup, BASELINE, partial(setup.baseline, changes=part), share),
            _row(setup, TEACHER, partial(setup.teacher, changes=part), share),
            _row(
                setup,
                DISTILLED,
                partial(setup.distilled, changes=part, teacher_changes=part),
                share,
            ),
        ]
    return rows


def batch_size(setup: Setup) -> list[Row]:
    """Baseline and student by clouds a step (Figure 3); every run sees as many clouds."""
    trainer = setup.base.trainer
    rows = []
    for size in map(int, setup.values or (2, 4, 8)):
        steps = max(1, round(trainer.max_steps * trainer.batch_size / size))
        changes = {"trainer.batch_size": size, "trainer.max_steps": steps}
        rows += [
            _row(setup, BASELINE, partial(setup.baseline, changes=changes), size),
            _row(setup, DISTILLED, partial(setup.distilled, changes=changes), size),
        ]
    return rows


def feature_dim(setup: Setup) -> list[Row]:
    """Student by the width of the projector in the cross-sample term (Table 6)."""
    rows = [_row(setup, BASELINE, setup.baseline)]
    none = {"objective.cross_sample_dim": None}
    rows.append(_row(setup, "no projector", partial(setup.distilled, changes=none)))
    for width in map(int, setup.values or (32, 64, 128, 256)):
        changes = {"objective.cross_sample_dim": width}
        rows.append(_row(setup, DISTILLED, partial(setup.distilled, changes=changes), width))
    return rows


def moved(setup: Setup) -> list[Row]:
    """A student before and after it has learnt from the bags of another place."""
    return [Row(series, runs) for series, runs in shift.runs_by_row(setup).items()]


def dense_teachers(setup: Setup) -> list[Row]:
    """Teachers on dense clouds and students of single frames, for a PTv3 and a SpUNet."""
    found = dynamic_size.runs_by_row(setup)
    return [Row(series, runs, against=against) for series, (runs, against) in found.items()]


def _row(setup: Setup, series: str, make: Callable[[int], Run], x: float | None = None) -> Row:
    return Row(series, {seed: make(seed) for seed in setup.seeds}, x)


def _schedule(setup: Setup) -> list[str]:
    trainer = setup.base.trainer
    clouds = f"{trainer.max_steps} steps of {trainer.batch_size * trainer.processes} clouds"
    notes = [f"Baseline and distilled student: {setup.base.model.name}, {clouds}, the same draws for the same seed."]
    if setup.teacher_base is None:
        return [*notes, "The teacher is one given checkpoint for all seeds."]
    own = setup.teacher_base
    return [
        *notes,
        f"Teacher: {own.model.name}, {own.trainer.max_steps} steps of"
        f" {own.trainer.batch_size * own.trainer.processes} clouds, one a seed, shared by all rows.",
    ]


def _compare_notes(setup: Setup) -> list[str]:
    left_out = "" if setup.preset.ptv3 is not None else " PTv3 in full size is left out of this preset."
    return [*_schedule(setup)[:-1], _schedule(setup)[-1] + left_out]


def _subsample_notes(setup: Setup) -> list[str]:
    if setup.teacher_base is None:
        return [*_schedule(setup), "It was trained on more than the share."]
    return [*_schedule(setup), "Each teacher has seen the same share. The number of steps is that of the whole."]


COMPARISONS: Mapping[str, Comparison] = {
    "gap": Comparison("teacher, baseline and distilled student: how much of the gap is closed", gap, _schedule),
    "compare": Comparison("baseline, student, teacher, PTv3 (Tables 1, 2)", compare, _compare_notes),
    "ablation": Comparison("terms of the objective added one by one (Table 5)", ablation, _schedule),
    "noise": Comparison(
        "networks under noise on the input features (Table 3)", noise, _schedule, "standard deviation of the noise"
    ),
    "subsample": Comparison(
        "on a share of the training scenes (Table 4)", subsample, _subsample_notes, "share of the training scenes"
    ),
    "batch-size": Comparison(
        "by clouds a step, every run seeing as many clouds (Figure 3)", batch_size, _schedule, "clouds a step"
    ),
    "feature-dim": Comparison(
        "by the width of the projector in the cross-sample term (Table 6)", feature_dim, _schedule, "projector width"
    ),
    "shift": Comparison(
        "a student moved to an old town and another sensor, before and after learning from its own unlabelled bags",
        moved,
        shift.notes,
        reference=shift.BEFORE,
        prepare=shift.write_bags,
    ),
    "dynamic-size": Comparison(
        "teachers of several frames at once, students of single ones, by strategy",
        dense_teachers,
        dynamic_size.notes,
        prepare=dense_kinds.make_dense,
    ),
}
"""Experiments by name."""
