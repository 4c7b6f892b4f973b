# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What became of every frame of a live run, and how long it took: the logs and reports, joined by stamp."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srkd.errors import BagError

NODE_STAGES = ("wait", "decode", "voxelize", "plan", "network", "labels", "encode", "publish", "total")
"""Stages that the node reports."""
STAGES = ("end_to_end", *NODE_STAGES, "transport")
"""The whole way, the node's stages, and what is left: both ways over DDS."""
_COUNTERS = ("received", "labelled", "dropped", "rejected", "skipped")


@dataclass(frozen=True)
class Frames:
    """Counts of frames; `sent` = `labelled` + `dropped` + `unaccounted`."""

    sent: int
    """Clouds that the replayer published."""
    labelled: int
    """Clouds whose labels the recorder got."""
    node: Mapping[str, int]
    """The node's own counters: received, labelled, dropped, rejected, skipped."""
    foreign: int = 0
    """Labels of a stamp that was never sent, or was answered already."""

    @property
    def dropped(self) -> int:
        """Clouds that the node says it gave up: replaced by a newer one, too old, malformed, or wanted by nobody."""
        return self.node["dropped"] + self.node["rejected"] + self.node["skipped"]

    @property
    def unaccounted(self) -> int:
        """Clouds that neither came back nor are among those that the node says it gave up."""
        return self.sent - self.labelled - self.dropped

    def faults(self) -> list[str]:
        """What is wrong with the counts; empty where every cloud came back once."""
        faults = []
        if self.dropped:
            faults.append(f"{_frames(self.dropped)} dropped by the node")
        if self.unaccounted:
            lost_in = self.sent - self.node["received"]
            lost_out = self.node["labelled"] - self.labelled
            faults.append(
                f"{_frames(abs(self.unaccounted))} {'unaccounted for' if self.unaccounted > 0 else 'counted twice'}"
                f" ({lost_in} lost on the way to the node, {lost_out} on the way back)"
            )
        if self.foreign:
            faults.append(f"{_frames(self.foreign)} labelled that nobody sent, or labelled twice")
        return faults

    def to_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json."""
        return {
            "in": self.sent,
            "out": self.labelled,
            "dropped": self.dropped,
            "unaccounted": self.unaccounted,
            "foreign": self.foreign,
            "node": dict(self.node),
        }


@dataclass(frozen=True)
class Outcome:
    """Frames and times of a run."""

    frames: Frames
    stamps_ns: tuple[int, ...]
    """Stamps of the clouds that came back, in the order in which they were sent."""
    time_s: tuple[float, ...]
    """When each of them was published, from the first publication on."""
    stage_ms: Mapping[str, tuple[float, ...]]
    """Milliseconds of each of them by stage (`STAGES`; without reports `end_to_end` only)."""
    without_report: int = 0
    """Frames with labels but no report."""

    @property
    def latency_ns(self) -> dict[int, int]:
        """From publish to callback, by stamp."""
        return {stamp: round(ms * 1e6) for stamp, ms in zip(self.stamps_ns, self.stage_ms["end_to_end"], strict=True)}


def read_log(path: Path, topic: str, time_key: str) -> list[tuple[int, int]]:
    """Pairs (stamp, time) in ns of a replayer's or recorder's log, of one topic.

    Raises:
        BagError: the log is missing or a line is not what it should be.
    """
    pairs = []
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise BagError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if entry["topic"] == topic:
                pairs.append((int(entry["stamp_ns"]), int(entry[time_key])))
        except (ValueError, KeyError, TypeError):
            raise BagError(f"{path}: line {number} has no topic, stamp_ns and {time_key}") from None
    return pairs


def join(sent: Sequence[tuple[int, int]], received: Sequence[tuple[int, int]], reports: Mapping[int, Any]) -> Outcome:
    """Joins what was sent with what came back.

    Args:
        sent: (stamp, time of publication) a cloud, in order.
        received: (stamp, time of arrival) of the labels.
        reports: the node's reports by stamp, with the attributes of srkd_ros/SegmentationReport.
    """
    arrival = dict(reversed(received))  # where a stamp came twice, its first arrival
    back = [(stamp, published) for stamp, published in sent if stamp in arrival]
    start = sent[0][1] if sent else 0
    stages: dict[str, list[float]] = {"end_to_end": [(arrival[stamp] - published) / 1e6 for stamp, published in back]}
    missing = [stamp for stamp, _ in back if stamp not in reports]
    if not missing:
        for name in NODE_STAGES:
            stages[name] = [float(getattr(reports[stamp], f"{name}_ms")) for stamp, _ in back]
        stages["transport"] = [whole - node for whole, node in zip(stages["end_to_end"], stages["total"], strict=True)]
    frames = Frames(
        sent=len(sent),
        labelled=len(back),
        node=last_counters(reports.values()),
        foreign=len(received) - len(back),
    )
    return Outcome(
        frames,
        tuple(stamp for stamp, _ in back),
        tuple((published - start) / 1e9 for _, published in back),
        {name: tuple(values) for name, values in stages.items()},
        len(missing),
    )


def last_counters(reports: Iterable[Any]) -> dict[str, int]:
    """The node's counters as of its last report; zeros where there is none."""
    best = dict.fromkeys(_COUNTERS, 0)
    for report in reports:
        if int(report.received) >= best["received"]:
            best = {name: int(getattr(report, name)) for name in _COUNTERS}
    return best


def percentiles(values: Iterable[float]) -> dict[str, float | None]:
    """p50, p95 and p99, numbers that are not finite left out; None where there is none."""
    known = np.array([value for value in values if np.isfinite(value)])
    return {f"p{q}": round(float(np.percentile(known, q)), 2) if len(known) else None for q in (50, 95, 99)}


def latency(outcome: Outcome) -> dict[str, dict[str, float | None]]:
    """`percentiles` of every stage."""
    return {name: percentiles(values) for name, values in outcome.stage_ms.items()}


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"
