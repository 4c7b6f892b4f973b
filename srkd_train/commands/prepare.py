# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd prepare`: makes the streets of a training run ahead, checks the other data sets, counts classes."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from srkd.errors import CloudError, ConfigError
from srkd.progress import Progress
from srkd_train.cli import EXIT_FAILED, EXIT_OK, make_parser
from srkd_train.commands.verify import add_data_arguments, listed, page
from srkd_train.config import DataConfig, DistillConfig, cache_dir
from srkd_train.data.catalog import final_part, training_part, validation_part
from srkd_train.data.missing import own_problems, semantickitti_problems
from srkd_train.data.order import spread_indices
from srkd_train.data.part import Part
from srkd_train.data.tally import frequency_path, tally, write_frequency
from srkd_train.options import parse


def main(argv: list[str]) -> int:
    """`srkd prepare DATA [--config FILE] [--data.root DIR] ...`; 1 where something is missing.

    `srkd prepare accumulate ...` is a command of its own, `srkd_train.commands.accumulate`.
    """
    if argv[:1] == ["accumulate"]:
        from srkd_train.commands import accumulate

        return accumulate.main(argv[1:])
    parser = make_parser(
        "prepare",
        "street: makes all clouds of a training run and keeps them, so that training need not wait for them. The other"
        " data sets are read as they are: theirs are checked. In both cases the classes of the training clouds are"
        " counted and written beside the cache, as srkd_DATA.json. `srkd prepare accumulate --help`: dense"
        " clouds of many frames.",
    )
    add_data_arguments(parser)
    parser.add_argument("--config", help="configuration of the run, e.g. config/distill/street.yaml")
    parser.add_argument("--seeds", nargs=2, type=int, help="street: first seed to train on, and one past the last")
    parser.add_argument("--frames", type=int, help="street: scans of each street by each sensor")
    parser.add_argument("--limit", type=int, help="count the classes of only so many clouds, spread (not for street)")
    args = parser.parse_args(argv)
    if (args.limit is not None and (args.limit < 1 or args.data == "street")) or args.workers < 0:
        raise ConfigError(
            f"--limit {args.limit}, --workers {args.workers}: give at least 1 cloud (street: no limit) and 0 workers"
        )
    config = data_config(args)
    part = training_part(config)
    problems = _problems(config, part)
    indices = spread_indices(len(part.clouds), args.limit)
    held = [validation_part(config), final_part(config)] if config.name == "street" else []
    progress = Progress(len(indices) + sum(len(each.clouds) for each in held), "prepared")
    found = tally(part, indices, num_workers=args.workers, progress=progress)
    for each in held:
        problems += _make(each, args.workers, progress)
    progress.close()
    problems += found.unreadable
    target = frequency_path(config.name, cache_dir(config.cache_dir))
    described = f"{len(indices)} of {len(part.clouds)} clouds: {part.described}"
    try:
        write_frequency(target, config.name, described, found)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written ({error.strerror}): give another --cache-dir") from error
    sys.stdout.write(f"{described}\n\n{page({'train': found}, {'train': len(part.clouds)})}{listed(problems)}")
    sys.stdout.write(f"Class frequencies: {target}\n")
    return EXIT_FAILED if problems else EXIT_OK


def data_config(args: Any) -> DataConfig:
    """The data section of the configuration file, or the defaults, with what the command line says.

    Raises:
        ConfigError: the file is for another data set, or a key or value does not fit.
    """
    root = [] if args.root is None else ["--data.root", args.root]
    source = [] if args.config is None else ["--config", args.config]
    name = [] if args.config is not None else ["--data.name", args.data]
    run = parse([*source, *name, *root, "--out", "-"], DistillConfig, prog="srkd prepare", about="")
    if run.data.name != args.data:
        raise ConfigError(f"--config {args.config} is for {run.data.name}: give that instead of {args.data}")
    street = {"seeds": args.seeds, "frames_per_street": args.frames, "sensors": args.sensors}
    if args.data != "street" and any(value is not None for value in street.values()):
        raise ConfigError(f"--seeds, --frames and --sensors are for street, leave them out for {args.data}")
    given = {**street, "sequences": args.sequences, "cache_dir": args.cache_dir}
    changes: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in given.items() if value is not None
    }
    return replace(run.data, **changes)


def _problems(config: DataConfig, part: Part) -> list[str]:
    """What the training and validation clouds of a data set lack; streets are made, they lack nothing."""
    if config.name == "street":
        return []
    if config.name == "semantickitti":
        return semantickitti_problems(str(config.root), (*config.sequences, *config.val_sequences))
    try:
        return own_problems(part.clouds) + own_problems(validation_part(config).clouds)
    except CloudError as error:
        return [*own_problems(part.clouds), " ".join(str(error).split())]


def _make(part: Part, workers: int, progress: Progress) -> list[str]:
    """Reads every cloud once; what cannot be read."""
    return tally(part, range(len(part.clouds)), num_workers=workers, progress=progress).unreadable
