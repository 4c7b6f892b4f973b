# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo without ROS: a street drive is made, labelled in this process, scored and drawn; real frames where given."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError
from srkd.header import Header
from srkd.intensity import match_intensity
from srkd.io.atomic import write_atomic
from srkd.io.files import read_cloud
from srkd.labels import IGNORE, SCHEMES, LabelScheme
from srkd.progress import Progress
from srkd.score import Score, count
from srkd.segmenter import STAGES, Segmenter
from srkd_train.cli import EXIT_OK
from srkd_train.data.sample import Sample
from srkd_train.data.semantickitti import SemanticKITTI
from srkd_train.data.street import drive
from srkd_train.machine import describe_machine
from srkd_train.picture import bird_eye, comparison

SENSOR = "beams32"
SEED = 10008
"""A held-out street of middling extent: six of the twenty have more voxels in their first scan, thirteen have fewer."""
STREET_OF_KITTI = {
    "car": "car", "bicycle": "bicycle", "motorcycle": "bicycle", "truck": "truck", "other-vehicle": "bus",
    "person": "pedestrian", "bicyclist": "bicycle", "motorcyclist": "bicycle", "road": "road", "parking": "road",
    "sidewalk": "sidewalk", "building": "building", "fence": "fence", "vegetation": "vegetation", "trunk": "vegetation",
    "terrain": "terrain", "pole": "pole", "traffic-sign": "pole",
}  # fmt: skip
"""The street class that comes nearest to each SemanticKITTI class; the others (other-ground) are not scored."""
_PICTURES = 3
_REAL_FRAMES = 3


@dataclass(frozen=True)
class DemoOptions:
    """What a demo labels, with what, and where the results go."""

    output: Path
    checkpoint: Path
    frames: int
    seed: int
    device: str = "auto"
    precision: str = "fp32"


def check_scheme(checkpoint: Path, header: Header) -> None:
    """Raises CloudError unless a checkpoint labels the classes of the street world."""
    if header.scheme.class_names != SCHEMES["street"].class_names:
        raise CloudError(
            f"{checkpoint} labels {header.scheme.name} classes, the demo's world has street classes: use predict"
        )


def offline_demo(options: DemoOptions) -> int:
    """Labels, scores and draws a drive, and real frames where SRKD_DATA names a folder of them; the exit code.

    Raises:
        SrkdError: the checkpoint or the data cannot be used.
    """
    segmenter = Segmenter.load(options.checkpoint, device=options.device, precision=options.precision)
    check_scheme(options.checkpoint, segmenter.header)
    output, frames = options.output, options.frames
    samples = drive(options.seed, SENSOR, frames)
    score, timing = label_drive(segmenter, samples, frames, output)
    metrics: dict[str, Any] = {
        "checkpoint": {"name": options.checkpoint.name, "weights_sha256": segmenter.header.weights_sha256},
        "street": {"seed": options.seed, "sensor": SENSOR, "frames": frames, **score.to_dict()},
        "miou": score.miou,
        "latency_ms": timing,
        "machine": describe_machine(segmenter.device),
    }
    sys.stdout.write(f"street drive, seed {options.seed}, {frames} frames of 32 beams\n\n{score.to_markdown()}\n")
    root = os.environ.get("SRKD_DATA")
    if root and Path(root).is_dir():
        metrics["real"] = label_real(segmenter, Path(root), output)
    write_atomic(output / "metrics.json", [(json.dumps(metrics, indent=2) + "\n").encode()])
    pictures = ", ".join(sorted(file.name for file in output.glob("*.png")))
    sys.stdout.write(f"\n{output}/: metrics.json, {pictures}\n")
    return EXIT_OK


def label_drive(
    segmenter: Segmenter, samples: Iterable[Sample], frames: int, output: Path
) -> tuple[Score, dict[str, dict[str, float]]]:
    """Labels a drive and draws some of its frames.

    Returns:
        The score over all frames, and milliseconds by stage (p50, p95, p99).
    """
    scheme = segmenter.header.scheme
    counts = np.zeros((256, 256), np.int64)
    drawn = {round(index) for index in np.linspace(0, frames - 1, min(_PICTURES, frames))}
    stages: dict[str, list[float]] = {name: [] for name in (*STAGES, "total")}
    progress = Progress(frames, "drive: frame")
    for number, sample in enumerate(samples):
        if number == 0:
            segmenter(sample.cloud)  # the first pass pays for lazy initialisation
        start = time.perf_counter()
        labels = segmenter(sample.cloud)
        stages["total"].append((time.perf_counter() - start) * 1e3)
        for name, value in segmenter.last_timing.items():
            stages[name].append(value)
        counts += count(sample.label, labels.class_id)
        if number in drawn:
            picture = output / f"street_{number:03d}.png"
            comparison(sample.cloud.xyz, sample.label, labels.class_id, scheme, picture, half_extent_m=45.0)
        progress.step()
    progress.close()
    return Score.from_counts(scheme.class_names, counts), {
        name: {f"p{q}": round(float(np.percentile(values, q)), 2) for q in (50, 95, 99)}
        for name, values in stages.items()
    }


def label_real(segmenter: Segmenter, root: Path, output: Path) -> dict[str, Any]:
    """Labels some real frames below ``root`` and draws them; SemanticKITTI's are scored over the classes both have."""
    report: dict[str, Any] = {}
    kitti = root / "semantickitti"
    if (kitti / "sequences" / "08").is_dir():
        clouds = SemanticKITTI(kitti, sequences=["08"])
        translate = _translation(clouds.scheme, segmenter.header.scheme)
        names = segmenter.header.scheme.class_names
        counts = np.zeros((256, 256), np.int64)
        frames = min(_REAL_FRAMES, len(clouds))
        for index in range(frames):
            sample = clouds[index]
            cloud, _ = match_intensity(sample.cloud, segmenter.header.input)
            class_id = segmenter(cloud).class_id
            truth = translate[sample.label]
            counts += count(truth, class_id)
            picture = output / f"semantickitti_08_{index:06d}.png"
            comparison(cloud.xyz, truth, class_id, segmenter.header.scheme, picture, half_extent_m=45.0)
        score = Score.from_counts(names, counts)
        report["semantickitti_08"] = {"frames": frames, "note": "classes mapped onto the street's", **score.to_dict()}
        sys.stdout.write(
            f"\nSemanticKITTI 08, {frames} real frames, never trained on anything real: mIoU {100 * score.miou:.1f} %"
            f" over the classes both have, {100 * score.all_acc:.1f} % of points\n"
        )
    for file in sorted((root / "nuscenes").glob("samples/LIDAR_TOP/*.pcd.bin"))[:1]:
        cloud, note = match_intensity(read_cloud(file), segmenter.header.input)
        labels = segmenter(cloud)
        bird_eye(cloud.xyz, labels.class_id, segmenter.header.scheme, output / "nuscenes.png", half_extent_m=45.0)
        report["nuscenes"] = {
            "frames": 1,
            "points": len(cloud),
            "labelled": int((labels.class_id != IGNORE).sum()),
            "note": note,
        }
    return report


def _translation(source: LabelScheme, target: LabelScheme) -> npt.NDArray[np.uint8]:
    table = np.full(256, IGNORE, np.uint8)
    for theirs, ours in STREET_OF_KITTI.items():
        table[source.class_names.index(theirs)] = target.class_names.index(ours)
    return table
