# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page that a demo leaves: one HTML file with everything in it, readable without a network and in ten years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from srkd_train.live.charts import latency_over_time
from srkd_train.live.outcome import Outcome
from srkd_train.live.outputs import GENERATOR
from srkd_train.report.numbers import number, percent
from srkd_train.report.page import Picture, document, figure, station, tile
from srkd_train.report.page import facts as described
from srkd_train.report.tables import class_table, stage_table


def render_page(
    metrics: Mapping[str, Any],
    outcome: Outcome,
    pictures: Sequence[Picture],
    colors: Mapping[str, tuple[int, int, int]],
    facts: Mapping[str, str],
) -> str:
    """The page as text.

    Args:
        metrics: what metrics.json holds.
        outcome: frames and times.
        pictures: some frames: truth, prediction, errors.
        colors: colour of each class.
        facts: how it was made, name to value.
    """
    frames, latency, score = metrics["frames"], metrics["latency_ms"], metrics["score"]
    faults, rate = metrics["faults"], metrics["rate_hz"]
    verdict = (
        '<span class="verdict good">Passed</span>' if not faults else '<span class="verdict bad">Did not pass</span>'
    )
    reasons = f'<ul class="bad">{"".join(f"<li>{escape(fault)}</li>" for fault in faults)}</ul>' if faults else ""
    body = f"""
<header>{verdict}
<h1>Every point of a live cloud, labelled</h1>
<p>A simulated drive was replayed at {rate:g} Hz as <b>sensor_msgs/PointCloud2</b> over DDS to the ROS 2 node, which
ran as a process of its own; its answers were recorded and held against the truth and against the same network run
offline on the same clouds.</p>{reasons}</header>
<div class="tiles">
{tile("mean IoU over the drive", percent(metrics["miou"]), "%")}
{tile("points labelled as offline", _exact_percent(metrics["offline_agreement"]), "%")}
{tile("end to end, p95", number(latency["end_to_end"]["p95"]), "ms")}
{tile("frames labelled", f"{frames['out']}", f"of {frames['in']}")}
</div>
<section><h2>What it saw</h2>
<p>From above, driving upwards. The world is made by a program and its streets were never trained on; the bundled
network knows such streets only, so expect far less on real scans.</p>
{"".join(figure(picture) for picture in pictures)}</section>
<section><h2>Latency</h2>
<p>From just before the replayer's publish to the recorder's callback, a bar for each frame.</p>
{latency_over_time(outcome, 1e3 / rate)}
{stage_table(latency)}</section>
<section><h2>Frames</h2>
<p>{_frames_sentence(frames)}</p>
<div class="way">{station("sent by the replayer", frames["in"])}
{station("received by the node", frames["node"]["received"])}
{station("dropped by the node", frames["dropped"])}
{station("labels recorded", frames["out"])}</div></section>
<section><h2>Classes</h2>
<p>One confusion matrix over all points of all labelled frames.
{percent(score["all_acc"])} % of the points have their true class.</p>
{class_table(score, colors)}</section>
<section><h2>How this was made</h2>{described(facts)}</section>
"""
    return document("Live labels over ROS 2", body, GENERATOR)


def _frames_sentence(frames: Mapping[str, Any]) -> str:
    if frames["in"] == frames["out"] and not frames["dropped"]:
        return "Every cloud that was sent came back once, with as many points."
    return (
        f"{frames['in']} were sent, {frames['out']} came back, the node says that it gave up {frames['dropped']},"
        f" {frames['unaccounted']} unaccounted for."
    )


def _exact_percent(share: float) -> str:
    """100 only where the share is exactly 1."""
    return "100" if share == 1 else f"{min(100 * share, 99.9999):.4f}"
