# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far student and teacher agree, as a status of /diagnostics: plain functions, without ROS."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from srkd_ros.comparison import Window
from srkd_ros.counts import Counts
from srkd_ros.diagnostics import ERROR, OK, WARN, Status
from srkd_ros.disagreement_recorder import RecordCounts


@dataclass(frozen=True)
class Books:
    """Where all went that came in since activation: clouds + labels = 2 * pairs.received + unmatched + waiting."""

    pairs: Counts = field(default_factory=Counts)
    """`labelled` is how many were compared."""
    clouds: int = 0
    labels: int = 0
    unmatched: int = 0
    """Clouds and labels that went without a partner."""
    waiting: int = 0
    """Clouds and labels that may find one yet."""

    @property
    def skipped(self) -> int:
        """Pairs passed by, replaced by newer ones, or too large for the memory."""
        return self.pairs.skipped + self.pairs.dropped


@dataclass(frozen=True)
class AgreementReading:
    """The window of the last compared clouds."""

    frames: int = 0
    agreement: float = math.nan
    miou: float = math.nan
    """Mean over the classes that either sees."""
    calibration_error: float = math.nan
    mean_kl: float = math.nan
    latency_ms: tuple[float, float] = (math.nan, math.nan)
    """Median of the student's and the teacher's."""
    compared_s: float = math.nan
    """When the last cloud was compared, on a monotonic clock."""

    @classmethod
    def of(cls, window: Window, now_s: float) -> AgreementReading:
        """The reading just after a cloud was added to a window."""
        total, iou = window.total, window.total.iou()
        seen = iou[~np.isnan(iou)]
        return cls(
            len(window),
            total.agreement,
            float(seen.mean()) if len(seen) else math.nan,
            total.calibration.error(),
            total.mean_kl,
            window.median_ms(),
            now_s,
        )


@dataclass(frozen=True)
class AgreementLimits:
    """Below which the student is not trusted; the fields are the parameters of these names."""

    agreement_warn: float
    agreement_error: float
    agreement_min_frames: int


def judge_agreement(
    state: str,
    model: str,
    device: str,
    reading: AgreementReading,
    books: Books,
    limits: AgreementLimits,
    recorded: RecordCounts,
) -> Status:
    """The status of a comparison.

    Args:
        state: label of the lifecycle state.
        model: file name of the teacher; empty where none is loaded.
        device: that runs it.
        reading, books, limits, recorded: as they are now.
    """
    findings = list(_findings(reading, limits)) if state == "active" else []
    level, message = findings[0] if findings else (OK, _all_well(state, reading, limits))
    since_s = time.monotonic() - reading.compared_s
    values = {
        "state": state,
        "teacher": model,
        "device": device,
        "agreement": f"{reading.agreement:.4f}",
        "mean IoU": f"{reading.miou:.4f}",
        "calibration error": f"{reading.calibration_error:.4f}",
        "mean KL (nats)": f"{reading.mean_kl:.4f}",
        "window (clouds)": str(reading.frames),
        "agreement_warn": f"{limits.agreement_warn:g}",
        "agreement_error": f"{limits.agreement_error:g}",
        "student latency p50 (ms)": f"{reading.latency_ms[0]:.1f}",
        "teacher latency p50 (ms)": f"{reading.latency_ms[1]:.1f}",
        "since last comparison (s)": f"{since_s:.2f}",
        "clouds": str(books.clouds),
        "labels": str(books.labels),
        "matched": str(books.pairs.received),
        "unmatched": str(books.unmatched),
        "waiting": str(books.waiting),
        "compared": str(books.pairs.labelled),
        "skipped": str(books.skipped),
        "rejected": str(books.pairs.rejected),
        "recorded": str(recorded.recorded),
        "not recorded (disk too slow)": str(recorded.dropped),
        "not recorded (see the log)": str(recorded.failed),
    }
    return Status(level, message, values)


def _findings(reading: AgreementReading, limits: AgreementLimits) -> Iterator[tuple[int, str]]:
    """The worst first."""
    if reading.frames < limits.agreement_min_frames:
        return
    for level, name in ((ERROR, "agreement_error"), (WARN, "agreement_warn")):
        if reading.agreement < getattr(limits, name):
            yield (
                level,
                f"student and teacher agree on {100 * reading.agreement:.1f} % of the points of the last"
                f" {reading.frames} clouds, {name} is {100 * getattr(limits, name):g} %: look at ~/output/disagreement",
            )


def _all_well(state: str, reading: AgreementReading, limits: AgreementLimits) -> str:
    if state != "active":
        return state
    if not reading.frames:
        return "active, no cloud compared yet"
    few = f", judged from {limits.agreement_min_frames} on" if reading.frames < limits.agreement_min_frames else ""
    return f"agreement {100 * reading.agreement:.1f} % over {reading.frames} clouds{few}"
