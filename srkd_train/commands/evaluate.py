# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd evaluate`: IoU of a checkpoint on a split of a data set."""

import json
import sys
from pathlib import Path

from srkd.errors import CheckpointError, ConfigError
from srkd.io.atomic import write_atomic
from srkd.progress import Progress
from srkd_train.cli import add_runtime_arguments, checkpoint_path, load_segmenter, make_parser
from srkd_train.config import cache_dir
from srkd_train.data.catalog import split_part
from srkd_train.data.loader import spread_indices
from srkd_train.evaluation import evaluate

DEFAULT_SPLITS = {"street": "held_out", "semantickitti": "val"}


def main(argv: list[str]) -> int:
    """`srkd evaluate CHECKPOINT --data NAME [--data.root DIR] [--split NAME] [--output FILE]`; the exit code."""
    parser = make_parser(
        "evaluate",
        "Scores a checkpoint by the single protocol: one pass a cloud, labels mapped back to every raw point, one"
        " confusion matrix for the split. Points out of the input range or not finite are not counted, and the table"
        " says so.",
    )
    parser.add_argument("checkpoint", help="a .safetensors file, or the name of a bundled one")
    parser.add_argument("--data", required=True, choices=sorted(DEFAULT_SPLITS), help="data set")
    parser.add_argument("--data.root", dest="root", help="folder of the data set, the one that holds sequences/")
    parser.add_argument(
        "--split", help="street: held_out (default) | val | train; semantickitti: val (default) | train"
    )
    parser.add_argument("--sequences", nargs="+", help="SemanticKITTI sequences instead of a split's, e.g. 08")
    parser.add_argument("--limit", type=int, help="only so many clouds, spread over the split")
    parser.add_argument("--absent-as-zero", action="store_true", help="count classes without a point as 0 in the means")
    parser.add_argument("--cache-dir", help="folder for generated streets (default: $SRKD_CACHE or ~/.cache/srkd)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read clouds ahead (default: 1)")
    parser.add_argument("--output", help="also write the scores and the confusion matrix as JSON")
    add_runtime_arguments(parser)
    args = parser.parse_args(argv)
    if (args.limit is not None and args.limit < 1) or args.workers < 0:
        raise ConfigError(
            f"--limit {args.limit}, --workers {args.workers}: give at least 1 cloud and at least 0 workers"
        )
    path = checkpoint_path(args.checkpoint)
    segmenter = load_segmenter(args.checkpoint, args)
    split = args.split or DEFAULT_SPLITS[args.data]
    part = split_part(args.data, split, root=args.root, sequences=args.sequences, cache=cache_dir(args.cache_dir))
    scheme = segmenter.header.scheme
    if scheme.class_names != part.clouds.scheme.class_names:
        raise CheckpointError(
            f"{path} has the classes of {scheme.name}, {args.data} those of {part.clouds.scheme.name}:"
            " evaluate it on the data set it was trained for"
        )
    indices = spread_indices(len(part.clouds), args.limit)
    progress = Progress(len(indices), "evaluated")
    score = evaluate(
        segmenter,
        part.clouds,
        indices,
        absent_as_zero=args.absent_as_zero,
        num_workers=args.workers,
        progress=progress,
    )
    progress.close()
    described = f"{len(indices)} of {len(part.clouds)} clouds: {part.described}"
    sys.stdout.write(f"{path} on {described}\n\n{score.to_markdown()}\n")
    if args.output is not None:
        facts = {
            "checkpoint": path.name,
            "weights_sha256": segmenter.header.weights_sha256,
            "architecture": segmenter.header.architecture,
            "data": args.data,
            "clouds": described,
            "protocol": "single",
            "precision": args.precision,
            **score.to_dict(),
        }
        try:
            write_atomic(Path(args.output), [json.dumps(facts, indent=2, allow_nan=False).encode() + b"\n"])
        except OSError as error:
            raise ConfigError(
                f"--output {args.output} cannot be written ({error.strerror}): give another path"
            ) from error
    return 0
