# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a page says of student and teacher: by the reports of a teacher node, or by both label sets in a bag."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

import numpy as np

from srkd.calibration import Calibration
from srkd_train.live.outcome import percentiles
from srkd_train.report.bag import Bag
from srkd_train.report.charts import Line, legend, line_chart, share_axis
from srkd_train.report.matrices import calibration_pair, confusion_chart
from srkd_train.report.numbers import grouped, percent
from srkd_train.report.page import facts, section, station
from srkd_train.report.palette import BLUE, LIGHT_BLUE
from srkd_train.report.tables import class_table, plain_table, stage_table
from srkd_train.report.tallies import ComparisonTrack

_DISAGREEMENT_NOTE = "srkd.disagreement"
"""Key of what the disagreement recorder notes in a bag."""
_CONFUSION = "<h3>Confusion</h3><p>Of the points of each class of the teacher, the student's labels in percent.</p>"


def teacher_section(bag: Bag, topic: str, track: ComparisonTrack) -> str:
    """Of a teacher node's reports: agreement over time, clouds, classes, calibration, latencies."""
    times = [bag.seconds(time_ns) for time_ns in track.times_ns]
    lines = [
        Line("each cloud", times, track.series["agreement"], LIGHT_BLUE, 1.6),
        Line("over the window", times, track.series["window_agreement"], BLUE),
    ]
    about = "Agreement with the teacher in percent over seconds"
    chart = line_chart(lines, bag.time_axis(times), share_axis(lines), about)
    totals = track.counters.totals
    stations = (
        station("clouds compared", totals["compared"]),
        station("without a partner", totals["unmatched"]),
        station("skipped: the teacher was busy", totals["skipped"]),
        station("rejected", totals["rejected"]),
    )
    text = (
        f"Share of the points to which teacher and student give one class, from <b>{escape(topic)}</b>."
        f" Over all compared points: {percent(track.agreement)} %."
    )
    times_ms = {name: percentiles(track.series[f"{name}_ms"]) for name in ("student", "teacher")}
    known = {name: row for name, row in times_ms.items() if row["p50"] is not None}
    kl = [value for value in track.series["mean_kl"] if math.isfinite(value)]
    parts = [
        chart,
        legend({line.name: line.color for line in lines}),
        f'<div class="way">{"".join(stations)}</div>',
        stage_table(known) if known else "",
        facts({"Mean KL divergence, teacher to student": f"{sum(kl) / len(kl):.3f} nats"}) if kl else "",
        *_teacher_classes(bag, topic, track),
        *_calibration(track.calibration),
    ]
    return section("Teacher and student", text, *parts)


def _teacher_classes(bag: Bag, topic: str, track: ComparisonTrack) -> Iterable[str]:
    counts = track.confusion
    if counts is None:
        return
    scheme, iou = bag.schemes[topic], track.iou()
    fits = scheme.num_classes >= len(iou)
    names = scheme.class_names if fits else [f"class {index}" for index in range(len(iou))]
    rows = [
        [escape(names[index].replace("_", " ")), percent(float(iou[index])), grouped(int(counts[index].sum()))]
        for index in np.argsort(-counts.sum(axis=1), kind="stable")
        if math.isfinite(iou[index])
    ]
    where = "the last window" if track.of_window else "all compared clouds"
    yield f"<h3>Classes</h3><p>IoU of the student, the teacher taken as truth, over {where}.</p>"
    yield plain_table(["class", "IoU %", "points of the teacher"], rows)
    yield _CONFUSION
    yield confusion_chart(counts, names, "teacher", "student")


def taught_section(bag: Bag, topic: str, suffix: str) -> str:
    """Of a topic of labels beside which a teacher's lie: classes, confusion, calibration."""
    taught, score = bag.taught[topic], bag.agreement(topic)
    title = f"Teacher and student{suffix}"
    text = f"<b>{escape(topic)}</b> held against <b>{escape(taught.teacher)}</b>, the teacher taken as truth."
    if _DISAGREEMENT_NOTE in bag.told:
        low_to_high = escape(bag.told[_DISAGREEMENT_NOTE])
        text += f" Recorded because both differ, on a share of {low_to_high} of each cloud's points: no fair sample."
    if not taught.shared.any:
        return section(title, f"{text} No class has the same name in both schemes, so nothing can be counted.")
    if taught.shared.left_out:
        names = escape(", ".join(name.replace("_", " ") for name in taught.shared.left_out))
        text += f" Classes are matched by name; what only one of both has is left out: {names}."
    if score is None:
        return section(title, f"{text} No cloud has labels of both.")
    colors = bag.colors(taught.teacher)
    return section(
        title,
        f"{text} Both give one class to {percent(score.all_acc)} % of the points of {taught.track.scored} clouds.",
        "<h3>Classes</h3><p>IoU of the student; points are the teacher's.</p>",
        class_table(score.to_dict(), colors),
        _CONFUSION,
        confusion_chart(score.counts, score.class_names, "teacher", "student"),
        *_calibration(taught.track.calibration),
    )


def _calibration(calibration: Calibration) -> Iterable[str]:
    if calibration.points:
        yield "<h3>Calibration</h3><p>The student's confidence, the teacher taken as truth.</p>"
        yield calibration_pair(calibration, "Agreement")
