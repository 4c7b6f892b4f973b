# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd evaluate`: IoU of a checkpoint on a split of a data set, and its labels as a benchmark takes them."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from srkd.cloud import Cloud
from srkd.errors import CheckpointError, CloudError, ConfigError
from srkd.io.atomic import write_atomic
from srkd.progress import Progress
from srkd.score import Score
from srkd.segmenter import Labels, Segmenter
from srkd_train import tta
from srkd_train.cli import Parser, add_runtime_arguments, checkpoint_path, load_segmenter, make_parser
from srkd_train.config import cache_dir
from srkd_train.data.catalog import DATA_SPLITS, split_part
from srkd_train.data.dense_part import dense_part, raw_part
from srkd_train.data.order import spread_indices
from srkd_train.data.part import Part
from srkd_train.evaluation import PROTOCOLS, evaluate
from srkd_train.feature_noise import with_noise
from srkd_train.options import spell_out
from srkd_train.submissions import FORMATS, Submission

DEFAULT_SPLITS = {name: {"street": "held_out", "bag": "all"}.get(name, "val") for name in DATA_SPLITS}


def main(argv: list[str]) -> int:
    """`srkd evaluate CHECKPOINT --data NAME [--data.root DIR] [--protocol single|tta] ...`; the exit code."""
    args = _parser().parse_args(spell_out(argv, "data"))
    _check(args)
    path = checkpoint_path(args.checkpoint)
    segmenter = load_segmenter(args.checkpoint, args)
    if args.feature_noise is not None:
        segmenter = with_noise(segmenter, args.feature_noise, args.noise_seed)
    split = args.split or DEFAULT_SPLITS[args.data]
    part = split_part(
        args.data,
        split,
        root=args.root,
        sequences=args.sequences,
        sensors=args.sensors,
        topic=args.topic,
        spec=segmenter.header.input,
        cache=cache_dir(args.cache_dir),
    )
    part = _clouds(args, part, segmenter.header.training)
    scheme = segmenter.header.scheme
    if scheme.class_names != part.clouds.scheme.class_names:
        raise CheckpointError(
            f"{path} has the classes of {scheme.name}, {args.data} those of {part.clouds.scheme.name}:"
            " evaluate it on the data set it was trained for"
        )
    described, score = _score(args, segmenter, part, split)
    protocol = _protocol(args)
    sys.stdout.write(f"{path} on {described}\n")
    if score.counts.any():
        absent = "count as 0 in" if args.absent_as_zero else "are left out of"
        sys.stdout.write(
            f"\nProtocol `{args.protocol}`: {protocol}. Classes absent from the split {absent} the means.\n\n"
            f"{score.to_markdown()}\n"
        )
    if args.output is not None:
        facts = {
            "checkpoint": path.name,
            "weights_sha256": segmenter.header.weights_sha256,
            "architecture": segmenter.header.architecture,
            "data": args.data,
            "clouds": described,
            "kind": part.kind,
            "protocol": args.protocol,
            "protocol_described": protocol,
            "feature_noise": args.feature_noise,
            "noise_seed": None if args.feature_noise is None else args.noise_seed,
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


def _parser() -> Parser:
    parser = make_parser(
        "evaluate",
        "Scores a checkpoint on a split of a data set, with one confusion matrix for the split. Protocol single: one"
        " pass a cloud, labels mapped back to every raw point. Protocol tta: class probabilities summed over fragments"
        " and views, as the papers' tables are made; it takes tens of passes a cloud. Points out of the input range or"
        " not finite are not counted, and the table says so.",
    )
    parser.add_argument("checkpoint", help="a .safetensors file, or the name of a bundled one")
    parser.add_argument("--data", required=True, choices=sorted(DATA_SPLITS), help="data set")
    parser.add_argument("--data.root", dest="root", help="folder of the data set")
    splits = "; ".join(f"{name}: {' | '.join(names)}" for name, names in DATA_SPLITS.items())
    parser.add_argument("--split", help=f"default: held_out of street, all of a bag, else val. {splits}")
    parser.add_argument("--sequences", nargs="+", help="SemanticKITTI sequences instead of a split's, e.g. 08")
    parser.add_argument("--sensors", nargs="+", help="street sensors, e.g. beams16 (default: all)")
    parser.add_argument("--topic", help="topic of the clouds of bags (default: the only one)")
    parser.add_argument(
        "--dense",
        metavar="DIR",
        help="score on dense clouds: a folder of `srkd prepare accumulate`, or whole beside --raw-share",
    )
    parser.add_argument(
        "--raw-share", type=float, default=1.0, help="keep this share of the points of a cloud, as data.raw_share does"
    )
    parser.add_argument("--limit", type=int, help="only so many clouds, spread over the split")
    parser.add_argument("--protocol", default="single", choices=sorted(PROTOCOLS), help="how clouds are labelled")
    parser.add_argument("--absent-as-zero", action="store_true", help="count classes without a point as 0 in the means")
    parser.add_argument(
        "--feature-noise", type=float, metavar="SIGMA", help="add Gaussian noise to the network's input features"
    )
    parser.add_argument("--noise-seed", type=int, default=0, help="seed of that noise (default: 0)")
    parser.add_argument(
        "--submission",
        metavar="DIR",
        help=f"also write the labels as the benchmark takes them ({', '.join(FORMATS)}); the folder must not exist",
    )
    parser.add_argument("--cache-dir", help="folder for generated streets (default: $SRKD_CACHE or ~/.cache/srkd)")
    parser.add_argument("--workers", type=int, default=1, help="processes that read clouds ahead (default: 1)")
    parser.add_argument("--output", help="also write the scores and the confusion matrix as JSON")
    add_runtime_arguments(parser)
    return parser


def _check(args: Any) -> None:
    if (args.limit is not None and args.limit < 1) or args.workers < 0:
        raise ConfigError(
            f"--limit {args.limit}, --workers {args.workers}: give at least 1 cloud and at least 0 workers"
        )
    if not 0 < args.raw_share <= 1:
        raise ConfigError(f"--raw-share {args.raw_share} is no share, give a number above 0, at most 1")
    if args.submission is not None and (args.dense is not None or args.raw_share != 1):
        raise ConfigError(
            "--submission with --dense or --raw-share: a benchmark wants its own clouds, give one of them"
        )
    if args.dense is not None and args.data == "bag":
        raise ConfigError(f"--dense {args.dense}: clouds of bags have no dense ones, leave it out")
    if args.submission is not None and args.limit is not None:
        raise ConfigError(f"--submission with --limit {args.limit}: a benchmark wants every cloud, give one of the two")
    if args.split == "test" and args.sequences is None and args.submission is None:
        other = "give --submission DIR, or another split" if args.data in FORMATS else "give another split"
        raise ConfigError(f"--split test has no labels to score against: {other}")


def _clouds(args: Any, part: Part, training: Mapping[str, Any]) -> Part:
    """The clouds of a split as they are scored on; raw ones are called so where the network knows dense ones."""
    if args.dense is not None and args.raw_share != 1:
        raise ConfigError(
            f"--raw-share {args.raw_share:g} with --dense {args.dense}: dense clouds are not thinned, give one"
        )
    if args.dense is not None:
        return dense_part(part, args.dense)
    return raw_part(part, args.raw_share, named="dense_clouds" in training)


def _score(args: Any, segmenter: Segmenter, part: Part, split: str) -> tuple[str, Score]:
    """Which clouds, in words, and their score; writes the submission on the way."""
    segment: Callable[[Cloud], Labels] = segmenter
    if args.protocol == "tta":
        segment = partial(tta.label, segmenter, recipe=tta.recipe_of(args.data))
    indices = spread_indices(len(part.clouds), args.limit)
    described = f"{len(indices)} of {len(part.clouds)} clouds: {part.described}"
    progress = Progress(len(indices), "evaluated")
    made = None if args.submission is None else Submission(args.submission, args.data, split, part.clouds)
    with nullcontext() if made is None else made:
        score = evaluate(
            segment,
            part.clouds,
            indices,
            absent_as_zero=args.absent_as_zero,
            num_workers=args.workers,
            progress=progress,
            keep=None if made is None else lambda index, sample, labels: made.add(index, sample.name, labels.class_id),
        )
    progress.close()
    if not score.counts.sum() and made is None:
        raise CloudError(f"{described}: no point carries a label, so there is nothing to score; give another split")
    if made is not None:
        filled = f", {made.filled:,} points without a class got the most frequent one of their cloud"
        sys.stdout.write(f"{made.folder}: labels of {made.written} clouds{filled if made.filled else ''}\n")
    return described, score


def _protocol(args: Any) -> str:
    """How the clouds were labelled, in words."""
    text = PROTOCOLS[args.protocol]
    if args.protocol == "tta":
        text += f" ({tta.recipe_of(args.data)})"
    if args.feature_noise is not None:
        text += f"; noise of {args.feature_noise:g} on the input features"
    return text
