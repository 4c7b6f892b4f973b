# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The top of a page: all inputs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from srkd_train.live.outcome import percentiles
from srkd_train.report.bag import Bag
from srkd_train.report.charts import Line, legend, line_chart, share_axis
from srkd_train.report.numbers import grouped, missing, number, percent
from srkd_train.report.page import section
from srkd_train.report.palette import SERIES
from srkd_train.report.run import Run
from srkd_train.report.run_section import step_axis
from srkd_train.report.tables import iou_table, plain_table

Iou = Mapping[str, float | None]


def comparison(inputs: Mapping[str, Bag | Run], anchors: Mapping[str, str]) -> str:
    """Tables of all bags, of all runs and of all classes, and the runs' validation; nothing for a single input.

    Args:
        inputs: title to input.
        anchors: title to the id of its section.
    """
    if len(inputs) < 2:
        return ""
    bags = {title: each for title, each in inputs.items() if isinstance(each, Bag)}
    runs = {title: each for title, each in inputs.items() if isinstance(each, Run)}
    parts = []
    if bags:
        parts += ["<h3>Bags</h3>", _bag_table(bags, anchors)]
    if runs:
        parts += ["<h3>Training runs</h3>", _run_table(runs, anchors), _validations(runs)]
    parts += _class_tables(inputs)
    return section("Side by side", "", *parts)


def _bag_table(bags: Mapping[str, Bag], anchors: Mapping[str, str]) -> str:
    head = [
        "bag",
        "clouds",
        "labelled",
        "mIoU %",
        "right %",
        "calibration error %",
        "agreement %",
        "p50 ms",
        "p95 ms",
        "given up",
    ]
    rows = []
    for title, bag in bags.items():
        clouds = sum(len(each.stamps_ns) for each in bag.clouds.values())
        reported = next((each.agreement for each in bag.comparisons.values()), None)
        report = next(iter(bag.reports.values()), None)
        latency = percentiles(report.stage_ms["total"]) if report else {"p50": None, "p95": None}
        lost = str(report.given_up[-1]) if report else "-"
        for topic in bag.labels or ("",):
            track = bag.labels.get(topic)
            score = bag.score(topic) if track else None
            name = f"{title} {topic}" if len(bag.labels) > 1 else title
            scores = [score.miou, score.all_acc] if score else [None, None]
            error = track.calibration.error() if track else None
            cells = [grouped(clouds), grouped(len(track.frames)) if track else "-", *map(percent, (*scores, error))]
            taught = bag.agreement(topic)
            agreement = reported if taught is None else taught.all_acc
            cells += [percent(agreement), number(latency["p50"]), number(latency["p95"]), lost]
            rows.append([_link(name, anchors[title]), *cells])
    return _without_empty(head, rows)


def _run_table(runs: Mapping[str, Run], anchors: Mapping[str, str]) -> str:
    head = ["run", "command", "network", "steps", "minutes", "best validation mIoU %", "final mIoU %", "final right %"]
    rows = []
    for title, run in runs.items():
        score = run.score or {}
        cells = [run.command or "-", str(run.setting("model", "name") or "-"), grouped(run.last_step)]
        cells += [number(run.minutes), percent(run.best[1] if run.best else None)]
        cells += [percent(score.get("miou")), percent(score.get("all_acc"))]
        rows.append([_link(title, anchors[title]), *map(escape, cells)])
    return _without_empty(head, rows)


def _validations(runs: Mapping[str, Run]) -> str:
    found = {title: run.validations["val_miou"] for title, run in runs.items() if run.validations.get("val_miou")}
    if len(found) < 2:
        return ""
    lines = [
        Line(title, [step for step, _ in pairs], [share for _, share in pairs], SERIES[index % len(SERIES)], dots=True)
        for index, (title, pairs) in enumerate(found.items())
    ]
    last = max(step for pairs in found.values() for step, _ in pairs)
    chart = line_chart(lines, step_axis(last), share_axis(lines), "Validation mIoU of the runs in percent over steps")
    text = "<h3>Validation mIoU</h3><p>In percent over steps; each run on its own validation clouds.</p>"
    return text + chart + legend({line.name: line.color for line in lines})


def _class_tables(inputs: Mapping[str, Bag | Run]) -> Sequence[str]:
    """IoU by class, a table for all that have the same classes."""
    groups: dict[tuple[str, ...], dict[str, tuple[Iou, float | None, Mapping[str, tuple[int, int, int]]]]] = {}
    for title, each in inputs.items():
        if isinstance(each, Run):
            if each.score is not None:
                entry = each.score["iou"], each.score["miou"], each.colors()
                groups.setdefault(tuple(entry[0]), {})[title] = entry
            continue
        for topic in each.labels:
            score = each.score(topic)
            if score is not None:
                heading = f"{title} {topic}" if len(each.labels) > 1 else title
                iou = score.to_dict()["iou"]
                groups.setdefault(score.class_names, {})[heading] = iou, score.miou, each.colors(topic)
    parts = []
    for entries in groups.values():
        if len(entries) > 1:
            colors = next(iter(entries.values()))[2]
            columns = {heading: iou for heading, (iou, _, _) in entries.items()}
            means = {heading: None if missing(mean) else mean for heading, (_, mean, _) in entries.items()}
            parts.append("<h3>Classes</h3><p>Each on its own clouds; the best of each row in bold.</p>")
            parts.append(iou_table(columns, colors, means))
    return parts


def _without_empty(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns in which no row has anything."""
    kept = [place for place in range(len(head)) if any(row[place] != "-" for row in rows)]
    return plain_table([head[place] for place in kept], [[row[place] for place in kept] for row in rows])


def _link(title: str, anchor: str) -> str:
    return f'<a href="#{anchor}">{escape(title)}</a>'
