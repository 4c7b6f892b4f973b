# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a page says of the nodes whose reports a bag holds: latency, clouds given up, the teacher's judgement."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd_train.live.outcome import percentiles
from srkd_train.report.bag import Bag
from srkd_train.report.bag_teacher import teacher_section
from srkd_train.report.charts import Axis, Line, legend, line_chart, stacked_bars
from srkd_train.report.numbers import grouped
from srkd_train.report.page import facts, section, station
from srkd_train.report.palette import BLUE, LAYERS
from srkd_train.report.tables import stage_table
from srkd_train.report.tallies import ReportTrack

_BARS = 400
"""Bars of a chart of latencies; where there are more frames, a bar is the slowest of several."""
_FACTS = {
    "name": "Checkpoint",
    "architecture": "Architecture",
    "weights_sha256": "Weights, sha256",
    "num_parameters": "Parameters",
    "scheme": "Classes",
    "voxel_size_m": "Voxel size",
    "device": "Device",
    "precision": "Precision",
    "note": "Note",
}
"""Fields of ModelInfo that are shown; the one float is in metres."""


def node_sections(bag: Bag) -> Iterable[str]:
    """Sections of all reports of a bag."""
    for report in bag.reports.values():
        yield _latency_section(bag, report)
        yield _frames_section(bag, report)
    for topic, comparison in bag.comparisons.items():
        yield teacher_section(bag, topic, comparison)
    for topic, info in bag.infos.items():
        yield _network_section(topic, info)


def _latency_section(bag: Bag, report: ReportTrack) -> str:
    total = np.array(report.stage_ms["total"])
    known = np.flatnonzero(np.isfinite(total))
    if not len(known):
        return section("Latency", "The reports hold no times.")
    groups = np.array_split(known, min(_BARS, len(known)))
    shown = np.array([group[np.argmax(total[group])] for group in groups])
    layers = _layers(report, shown)
    times = [bag.seconds(report.times_ns[index]) for index in shown]
    steps = np.diff(times)
    width_s = max(float(np.median(steps)) if len(steps) else 0.1, 1e-3)
    period_ms = next((each.period_ms for each in bag.clouds.values() if each.period_ms), None)
    chart = stacked_bars(
        times,
        width_s,
        layers,
        {name: color for name, (_, color) in LAYERS.items()},
        None if period_ms is None else (period_ms, f"next cloud after {period_ms:.0f} ms"),
        f"Latency of {len(known)} clouds in milliseconds over time in seconds, by stage",
    )
    each = "a bar for each cloud"
    if len(known) > _BARS:
        each = f"each bar is the slowest of up to {len(groups[0])} clouds"
    topic = escape(report.topic)
    text = f"In the node, from a cloud's arrival to its labels being published; {each}. From <b>{topic}</b>."
    table = {name: percentiles(values) for name, values in report.stage_ms.items()}
    ordered = {name: table[name] for name in ("total", *table) if table[name]["p50"] is not None}
    return section("Latency", text, chart, legend(dict(LAYERS[name] for name in layers)), stage_table(ordered))


def _layers(report: ReportTrack, shown: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[np.float64]]:
    """Milliseconds of some reports by layer; together they are the whole time."""
    stages = {name: np.nan_to_num(np.array(values)[shown]).clip(0) for name, values in report.stage_ms.items()}
    layers = {name: stages[name] for name in LAYERS if name in stages}
    layers["rest"] = (stages["total"] - sum(layers.values())).clip(0)
    return layers


def _frames_section(bag: Bag, report: ReportTrack) -> str:
    totals = report.counters.totals
    aside = totals["rejected"] + totals["skipped"]
    lost = totals["dropped"] + aside
    again = f"; it was activated {report.counters.restarts + 1} times" if report.counters.restarts else ""
    text = f"The node's own counts since it was activated{again}."
    text += f" Given up: {grouped(lost)}." if lost else " No cloud was given up."
    stations = (
        station("received by the node", totals["received"]),
        station("labelled", totals["labelled"]),
        station("dropped: late or replaced", totals["dropped"]),
        station("rejected or skipped", aside),
    )
    parts = [f'<div class="way">{"".join(stations)}</div>']
    if lost:
        times = [bag.seconds(time_ns) for time_ns in report.times_ns]
        counts = [0.0, *map(float, report.given_up)]
        steps = [(at, count) for index, at in enumerate(times) for count in counts[index : index + 2]]
        line = Line("given up", [at for at, _ in steps], [count for _, count in steps], BLUE)
        y = Axis.linear(float(lost), parts=3, whole=True)
        parts.append(line_chart([line], bag.time_axis(times), y, "Clouds given up so far, over seconds"))
        parts.append(legend({"clouds dropped, rejected or skipped so far": BLUE}))
    return section("Frames", text, *parts)


def _network_section(topic: str, info: Any) -> str:
    values = {}
    for key, name in _FACTS.items():
        value = getattr(info, key, "")
        if isinstance(value, float):
            if math.isfinite(value):
                values[name] = f"{value:.4g} m"
        elif value:
            values[name] = grouped(value) if isinstance(value, int) else str(value)
    return section("The network", f"As <b>{escape(topic)}</b> tells.", facts(values))
