# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd report`: bags and training runs as one HTML page that needs no network."""

from __future__ import annotations

import sys
from pathlib import Path

from srkd.errors import ConfigError
from srkd.io.atomic import write_atomic
from srkd.labels import get_scheme
from srkd_train.cli import EXIT_OK, make_parser
from srkd_train.report.make import Options, check_inputs, check_output, make_page


def main(argv: list[str]) -> int:
    """`srkd report RUN_OR_BAG... [--out PAGE.html]`; the exit code."""
    parser = make_parser(
        "report",
        "Bags: worst frames, IoU, confusion, calibration, latency, clouds given up, agreement with a teacher. Runs of"
        " `srkd pretrain` and `srkd distill`: loss terms, learning rate, validation, final scores. What an input lacks"
        " is left out, and the page says so. Several inputs are compared at the top.",
    )
    parser.add_argument("inputs", nargs="+", metavar="RUN_OR_BAG", help="rosbag2, or the folder of a training run")
    parser.add_argument("--out", default="report.html", help="page to write; only an earlier report is replaced")
    parser.add_argument("--pictures", type=int, default=3, help="worst frames to draw of each bag; 0 for none")
    parser.add_argument("--scheme", help="classes of the bags' labels: nuscenes, street, ..., or a YAML file")
    args = parser.parse_args(argv)
    if args.pictures < 0:
        raise ConfigError(f"--pictures {args.pictures}: give 0 or more")
    out, paths = Path(args.out), [Path(each) for each in args.inputs]
    options = Options(args.pictures, None if args.scheme is None else get_scheme(args.scheme))
    check_output(out)
    check_inputs(paths)
    page = make_page(paths, options).encode()
    write_atomic(out, [page])
    sys.stdout.write(f"{out} ({len(page) / 1e6:.1f} MB)\n")
    return EXIT_OK
