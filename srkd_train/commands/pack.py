# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd pack`: a checkpoint in half precision, with the score of the stored weights in its header."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from srkd.checkpoint import file_sha256, load_checkpoint, save_checkpoint
from srkd.errors import CheckpointError
from srkd.progress import Progress
from srkd.segmenter import Segmenter
from srkd_train.cli import checkpoint_path, make_parser
from srkd_train.config import cache_dir
from srkd_train.data.catalog import split_part
from srkd_train.evaluation import evaluate


def main(argv: list[str]) -> int:
    """`srkd pack CHECKPOINT OUT.safetensors`."""
    parser = make_parser(
        "pack",
        "Stores a street network in half precision, scores what was stored on the held-out streets, and puts"
        " the score into the header; `srkd evaluate OUT --data street` gives it again.",
    )
    parser.add_argument("checkpoint", help="a .safetensors file")
    parser.add_argument("output", help="the .safetensors file to write")
    parser.add_argument("--note", default=None, help="a line for the header, e.g. how the machine was shared")
    parser.add_argument("--command", default=None, help="for the header: the command that repeats the training")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    args = parser.parse_args(argv)
    target = Path(args.output)
    if target.exists() and not args.force:
        raise CheckpointError(f"{target} exists: give another name or --force")
    network, header = load_checkpoint(checkpoint_path(args.checkpoint))
    part = split_part("street", "held_out", cache=cache_dir(None))
    if header.scheme.class_names != part.clouds.scheme.class_names:
        raise CheckpointError(f"{args.checkpoint} labels {header.scheme.name} classes: pack takes networks for streets")
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "stored.safetensors"
        save_checkpoint(stored, network, header, dtype=torch.float16)
        segmenter = Segmenter.load(stored, device="cpu")
    indices = range(len(part.clouds))
    progress = Progress(len(indices), "evaluated")
    score = evaluate(segmenter, part.clouds, indices, num_workers=1, progress=progress)
    progress.close()
    facts = score.to_dict()
    kept = {key: facts[key] for key in ("miou", "macc", "all_acc", "iou", "counted_points", "unpredicted_points")}
    metrics = {"street_held_out": {"protocol": "single", "clouds": part.described, **kept}}
    given = {"command": args.command, "note": args.note}
    training = {**header.training, **{name: text for name, text in given.items() if text is not None}}
    header = replace(header, metrics=metrics, training=training)
    save_checkpoint(target, network, header, dtype=torch.float16)
    sys.stdout.write(f"{score.to_markdown()}\n\n{target}: file sha256 {file_sha256(target)}\n")
    return 0
