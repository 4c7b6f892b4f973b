# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd predict`: labels for point cloud files and bags, in the data set's own format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srkd.cloud import Cloud
from srkd.errors import CloudError, SrkdError
from srkd.intensity import match_intensity
from srkd.io.label_files import label_path, write_labels
from srkd.io.ply import write_colored_ply
from srkd.labels import LabelScheme
from srkd.progress import Progress
from srkd.segmenter import Labels, Segmenter
from srkd_train.cli import EXIT_FAILED, EXIT_OK, add_runtime_arguments, load_segmenter, make_parser
from srkd_train.cloud_sources import CloudBag, CloudFile, plan_sources, read_sources


@dataclass(frozen=True)
class Outputs:
    """What to write for each cloud."""

    folder: Path
    ply: bool
    picture: bool


def main(argv: list[str]) -> int:
    """`srkd predict FILE... [--checkpoint PATH] [--output DIR] [--ply] [--picture]`."""
    parser = make_parser(
        "predict",
        "Labels point clouds: .bin .npy .pcd .ply files, rosbags (TOPIC/STAMP for each cloud), folders of them,"
        " SemanticKITTI and nuScenes roots. Labels are written in the format of the checkpoint's label scheme, one for"
        " every point.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="clouds, bags, or folders of them")
    parser.add_argument("--checkpoint", default=None, help="a .safetensors file; default: the bundled student-nano")
    parser.add_argument("--output", default="predictions", help="folder for the labels")
    parser.add_argument("--ply", action="store_true", help="also a coloured point cloud (.ply)")
    parser.add_argument("--picture", action="store_true", help="also a picture from above (.png)")
    parser.add_argument(
        "--raw-intensity", action="store_true", help="do not bring intensities onto the network's scale"
    )
    add_runtime_arguments(parser)
    args = parser.parse_args(argv)
    sources = plan_sources(args.files, Path(args.output))
    segmenter = load_segmenter(args.checkpoint, args)
    scheme = segmenter.header.scheme
    if scheme.name == "street":
        sys.stderr.write(
            "note: these weights were trained on synthetic streets; on real clouds they are a demonstration\n"
        )
    outputs = Outputs(Path(args.output), args.ply, args.picture)
    refuse_overwriting(outputs, sources, scheme)
    total = sum(source.count for source in sources)
    progress = Progress(total, "labelled")
    labelled, failures, points = 0, 0, 0
    notes: set[str] = set()
    for named in read_sources(sources):
        try:
            cloud = named.read()
            if not args.raw_intensity:
                cloud, note = match_intensity(cloud, segmenter.header.input)
                if note and note not in notes:
                    notes.add(note)
                    progress.say(f"{named.name}: {note}")
            labels = segmenter(cloud)
            write_outputs(outputs, named.place, cloud, labels, segmenter)
            labelled += 1
            points += len(cloud)
            outcome = f"{segmenter.last_frame.num_voxels} voxels"
        except (SrkdError, OSError) as error:
            failures += 1
            outcome = "failed"
            progress.say(f"srkd predict: error: {error}")
        progress.step(f"{named.place.name}: {outcome}")
    progress.close()
    sys.stdout.write(f"{labelled} of {total} clouds, {points} points labelled in {args.output}/\n")
    return EXIT_FAILED if failures else EXIT_OK


def refuse_overwriting(outputs: Outputs, sources: Sequence[CloudFile | CloudBag], scheme: LabelScheme) -> None:
    """Labels and pictures must not land on the clouds they come from.

    Raises:
        CloudError: an output would replace an input.
    """
    files = [source for source in sources if isinstance(source, CloudFile)]
    inputs = {source.path.resolve() for source in files}
    for source in files:
        target = label_path(outputs.folder / source.place.parent, source.place.name, scheme)
        for written in (target, target.with_suffix(".ply")) if outputs.ply else (target,):
            if written.resolve() in inputs:
                raise CloudError(f"labels of {source.path} would overwrite the cloud {written}: give another --output")


def write_outputs(outputs: Outputs, place: Path, cloud: Cloud, labels: Labels, segmenter: Segmenter) -> None:
    """Writes what was asked for one cloud, each file whole or not at all."""
    scheme = segmenter.header.scheme
    folder = outputs.folder / place.parent
    target = label_path(folder, place.name, scheme)
    write_labels(target, labels.class_id, scheme)
    if outputs.ply:
        write_colored_ply(target.with_suffix(".ply"), cloud.xyz, scheme.palette()[labels.class_id], labels.class_id)
    if outputs.picture:
        from srkd_train.picture import bird_eye

        seen = segmenter.header.input.valid_mask(cloud.xyz)
        extent = float(np.quantile(np.abs(cloud.xyz[seen][:, :2]), 0.98)) if seen.any() else 10.0
        bird_eye(
            cloud.xyz[seen], labels.class_id[seen], scheme, target.with_suffix(".png"), half_extent_m=max(5.0, extent)
        )
