# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The page that a demo leaves: one HTML file with everything in it, readable without a network and in ten years."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from srkd_train.live.charts import class_table, latency_over_time, number, percent, stage_table
from srkd_train.live.outcome import Outcome
from srkd_train.live.outputs import GENERATOR

_STYLE = """
:root{--ink:#141b2b;--soft:#5b667a;--line:#e3e7ee;--blue:#2a6ab5;--good:#19744b;--bad:#b3261e}
*{box-sizing:border-box}
body{margin:0;background:#f4f6f9;color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:44px 24px 72px}
h1{font-size:34px;line-height:1.15;letter-spacing:-.02em;margin:0 0 10px}
h2{font-size:20px;letter-spacing:-.01em;margin:0 0 4px}
p{margin:0 0 14px;color:var(--soft);max-width:78ch}
p b,li b{color:var(--ink);font-weight:600}
.verdict{display:inline-block;padding:3px 12px;border-radius:99px;font-size:14px;font-weight:600;margin-bottom:14px}
.good{background:#dcf1e6;color:var(--good)}.bad{background:#fbe3e1;color:var(--bad)}
ul.bad{border-radius:10px;padding:12px 12px 12px 32px;margin:6px 0 18px}
section{background:#fff;border:1px solid var(--line);border-radius:14px;padding:24px 26px;margin-top:20px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin-top:26px}
.tile{background:#fff;border:1px solid var(--line);border-radius:14px;padding:16px 20px}
.tile small{display:block;color:var(--soft);font-size:13.5px}
.tile strong{display:block;font-size:31px;line-height:1.25;letter-spacing:-.02em;font-weight:650}
.tile strong span{font-size:17px;font-weight:500;color:var(--soft);letter-spacing:0;margin-left:3px}
figure{margin:18px 0 0}figure img{display:block;width:100%;border-radius:10px}
figcaption{font-size:14px;color:var(--soft);margin-top:6px}
svg{display:block;width:100%;height:auto;margin-top:10px}
svg text{font:12.5px system-ui,sans-serif;fill:#5b667a}
.grid{stroke:#e8ebf1}
.budget{stroke:#b3261e;stroke-dasharray:5 4}
svg .budget-text{fill:#b3261e;paint-order:stroke;stroke:#fff;stroke-width:4px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13.5px;color:var(--soft);margin:6px 0 22px 64px}
i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:7px}
table{border-collapse:collapse;width:100%;font-size:14.5px;font-variant-numeric:tabular-nums;margin-top:10px}
th,td{text-align:right;padding:5px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child{text-align:left;font-weight:400;padding-left:0}
thead th{color:var(--soft);font-weight:500;font-size:13px}thead th:first-child{font-weight:500}
.bar{width:46%;text-align:left}tr.strong th,tr.strong td{font-weight:650}
.track{position:relative;height:11px;background:#eef1f6;border-radius:4px}
.track>div{height:100%;border-radius:4px;min-width:1px}
.track b{position:absolute;top:-3px;width:2px;height:17px;background:var(--ink);opacity:.55}
.way{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin:16px 0 4px}
.way div{background:#f4f6f9;border-radius:10px;padding:10px 16px}
.way strong{display:block;font-size:23px}.way small{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:5px 24px;margin:12px 0 0;font-size:14.5px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media(max-width:760px){.tiles,.way{grid-template-columns:1fr 1fr}section{padding:18px}dl{grid-template-columns:1fr}}
@media print{body{background:#fff}section,.tile{break-inside:avoid}}
"""


@dataclass(frozen=True)
class Picture:
    """A bird's-eye comparison with what it shows."""

    png: bytes
    caption: str


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
{_tile("mean IoU over the drive", percent(metrics["miou"]), "%")}
{_tile("points labelled as offline", _exact_percent(metrics["offline_agreement"]), "%")}
{_tile("end to end, p95", number(latency["end_to_end"]["p95"]), "ms")}
{_tile("frames labelled", f"{frames['out']}", f"of {frames['in']}")}
</div>
<section><h2>What it saw</h2>
<p>From above, driving upwards. The world is made by a program and its streets were never trained on; the bundled
network knows such streets only, so expect far less on real scans.</p>
{"".join(_figure(picture) for picture in pictures)}</section>
<section><h2>Latency</h2>
<p>From just before the replayer's publish to the recorder's callback, a bar for each frame.</p>
{latency_over_time(outcome, 1e3 / rate)}
{stage_table(latency)}</section>
<section><h2>Frames</h2>
<p>{_frames_sentence(frames)}</p>
<div class="way">{_station("sent by the replayer", frames["in"])}
{_station("received by the node", frames["node"]["received"])}
{_station("dropped by the node", frames["dropped"])}
{_station("labels recorded", frames["out"])}</div></section>
<section><h2>Classes</h2>
<p>One confusion matrix over all points of all labelled frames.
{percent(score["all_acc"])} % of the points have their true class.</p>
{class_table(score, colors)}</section>
<section><h2>How this was made</h2>{_facts(facts)}</section>
"""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
{GENERATOR}
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Live labels over ROS 2</title><style>{_STYLE}</style></head>
<body><main>{body}</main></body></html>
"""


def _tile(name: str, value: str, unit: str) -> str:
    return f'<div class="tile"><small>{name}</small><strong>{value}<span>{unit}</span></strong></div>'


def _station(name: str, value: int) -> str:
    return f"<div><strong>{value}</strong><small>{name}</small></div>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    caption = escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _frames_sentence(frames: Mapping[str, Any]) -> str:
    if frames["in"] == frames["out"] and not frames["dropped"]:
        return "Every cloud that was sent came back once, with as many points."
    return (
        f"{frames['in']} were sent, {frames['out']} came back, the node says that it gave up {frames['dropped']},"
        f" {frames['unaccounted']} unaccounted for."
    )


def _facts(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in facts.items())}</dl>"


def _exact_percent(share: float) -> str:
    """100 only where the share is exactly 1."""
    return "100" if share == 1 else f"{min(100 * share, 99.9999):.4f}"
