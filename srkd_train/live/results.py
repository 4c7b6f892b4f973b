# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The results of a live demo: what metrics.json holds, whether the run passes, what is printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srkd.header import Header
from srkd.score import Score
from srkd_train.cli import table
from srkd_train.demo_offline import SENSOR, DemoOptions
from srkd_train.live.compare import Agreement, LiveScore
from srkd_train.live.outcome import Outcome, latency
from srkd_train.live.outputs import BAG, METRICS, PAGE


@dataclass(frozen=True)
class Results:
    """All that came of a run."""

    outcome: Outcome
    agreed: Agreement
    live: LiveScore

    def faults(self) -> list[str]:
        """Why the run does not pass; empty where every frame came back with the labels of the offline run."""
        faults = self.outcome.frames.faults()
        if self.outcome.without_report:
            faults.append(f"{self.outcome.without_report} labelled frames came without a report")
        agreed = self.agreed
        if not agreed.frames:
            return [*faults, "no frame came back"]
        if self.live.clouds != agreed.frames:
            faults.append(f"{self.live.clouds} of {agreed.frames} labelled frames were scored")
        if agreed.share < 1:
            wrong = agreed.points - agreed.same_class
            faults.append(f"{wrong} of {agreed.points} points have another class than in the offline run")
        elif agreed.identical_frames < agreed.frames:
            others = agreed.frames - agreed.identical_frames
            faults.append(f"{others} frames have other probabilities than in the offline run")
        return faults


def make_metrics(
    options: DemoOptions,
    header: Header,
    points: int,
    rate_hz: float,
    results: Results,
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """What metrics.json holds.

    Args:
        options: of the demo.
        header: of the checkpoint.
        points: of all clouds of the drive.
        rate_hz: of the replay.
        results: of the run.
        machine: `srkd_train.machine.describe_machine`.
    """
    faults, score = results.faults(), results.live.score.to_dict()
    return {
        "passed": not faults,
        "faults": faults,
        "miou": score["miou"],
        "offline_agreement": results.agreed.share,
        "offline": results.agreed.to_dict(),
        "frames": results.outcome.frames.to_dict(),
        "latency_ms": latency(results.outcome),
        "rate_hz": rate_hz,
        "checkpoint": {
            "name": options.checkpoint.name,
            "architecture": header.architecture,
            "weights_sha256": header.weights_sha256,
            "precision": options.precision,
        },
        "drive": {
            "seed": options.seed,
            "sensor": SENSOR,
            "frames": options.frames,
            "points_per_frame": round(points / options.frames),
        },
        "score": score,
        "machine": dict(machine),
    }


def summary(output: Path, metrics: Mapping[str, Any], score: Score) -> str:
    """What the command prints at the end."""
    frames, offline = metrics["frames"], metrics["offline"]
    rows: list[tuple[Any, ...]] = [("latency", "p50 ms", "p95 ms", "p99 ms")]
    rows += [
        (name, *("-" if row[key] is None else f"{row[key]:.1f}" for key in ("p50", "p95", "p99")))
        for name, row in metrics["latency_ms"].items()
    ]
    lines = [
        "",
        score.to_markdown(),
        "",
        table(rows),
        "",
        f"mIoU       {100 * score.miou:.1f} %",
        f"offline    {100 * metrics['offline_agreement']:.6g} % of {offline['points']:,} points have the class of the"
        f" offline run; {offline['identical_frames']} of {offline['frames']} frames are equal in every byte",
        f"frames     {frames['in']} sent, {frames['out']} labelled, {frames['dropped']} dropped,"
        f" {frames['unaccounted']} unaccounted for",
        f"latency    p95 {metrics['latency_ms']['end_to_end']['p95']} ms from the replayer's publish to the recorder",
        "took       " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in metrics["took_s"].items()),
        f"written    {output}/: {PAGE}, {METRICS}, {BAG}/",
        "passed" if metrics["passed"] else f"NOT PASSED: {'; '.join(metrics['faults'])}{_hint(metrics)}",
        "",
    ]
    return "\n".join(lines)


def _hint(metrics: Mapping[str, Any]) -> str:
    """Why frames were dropped, where it was for want of time."""
    node_ms, period_ms = metrics["latency_ms"].get("total", {}).get("p50"), 1e3 / metrics["rate_hz"]
    if not metrics["frames"]["dropped"] or node_ms is None or node_ms < period_ms:
        return ""
    return f" (a cloud took the node {node_ms:.0f} ms, one came every {period_ms:.0f} ms: is the machine busy?)"


def facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """How the run was made, for the page."""
    machine, checkpoint, drive = metrics["machine"], metrics["checkpoint"], metrics["drive"]
    hardware = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    versions = f"Python {machine['python']}, torch {machine['torch']}, numpy {machine['numpy']}"
    return {
        "Network": f"{checkpoint['name']} ({checkpoint['architecture']}, {checkpoint['precision']})",
        "Weights": f"sha256 {checkpoint['weights_sha256']}",
        "Drive": f"street {drive['seed']}, {drive['frames']} frames of 32 beams, about"
        f" {drive['points_per_frame']} points each, with exact truth",
        "Machine": hardware + (f", {machine['gpu']}" if "gpu" in machine else ""),
        "Software": f"{versions}, {machine['system']}",
        "Again": f"srkd demo --frames {drive['frames']} --seed {drive['seed']}",
        "Beside this page": f"{METRICS} has every figure; {BAG}/ is a rosbag2 of input, truth, labels and reports",
    }
