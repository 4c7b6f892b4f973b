# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the commands share: a parser whose errors are one line, runtime options, exit codes, the bundled checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse

import srkd
from srkd.device import PRECISIONS
from srkd.errors import CheckpointError
from srkd.segmenter import Segmenter

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
DEFAULT_CHECKPOINT = "student-nano"
WEIGHTS = Path(srkd.__file__).with_name("weights")


class Parser(jsonargparse.ArgumentParser):
    """An argument parser that reports a mistake in one line and exits with 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = " ".join(message.split())
        sys.stderr.write(f"{self.prog}: error: {line} (see `{self.prog} --help`)\n")
        sys.exit(EXIT_USAGE)


def make_parser(verb: str, description: str) -> Parser:
    """The parser of `srkd VERB`."""
    return Parser(prog=f"srkd {verb}", description=description, allow_abbrev=False)


def add_runtime_arguments(parser: Parser) -> None:
    """--device, --precision, --backend and --sha256, as ``Segmenter.load`` takes them."""
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1 ...")
    parser.add_argument(
        "--precision", default="fp32", choices=sorted(PRECISIONS), help="arithmetic (autocast below fp32)"
    )
    parser.add_argument(
        "--backend", default="torch", help="torch, or accelerators joined by +: spconv, torch-scatter, flash-attn"
    )
    parser.add_argument("--sha256", default=None, help="refuse a checkpoint file of another digest (see `srkd info`)")


def load_segmenter(checkpoint: str | None, args: Any) -> Segmenter:
    """The segmenter that a command's checkpoint and runtime arguments mean.

    Raises:
        CheckpointError, ConfigError: see :meth:`Segmenter.load`.
    """
    return Segmenter.load(
        checkpoint_path(checkpoint),
        device=args.device,
        precision=args.precision,
        backend=args.backend,
        expected_sha256=args.sha256,
    )


def checkpoint_path(name: str | None) -> Path:
    """The file that a path or the name of a bundled checkpoint means; None: the bundled student-nano.

    Raises:
        CheckpointError: neither a file nor a bundled checkpoint.
    """
    given = DEFAULT_CHECKPOINT if name is None else name
    for path in (Path(given), WEIGHTS / f"{given}.safetensors"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))) or "none"
    raise CheckpointError(
        f"{given} is neither a file nor a bundled checkpoint (bundled: {known}): give a .safetensors file"
    )


def table(rows: list[tuple[Any, ...]], *, left: int = 1) -> str:
    """Rows as aligned columns under the first one as heading; all but the first ``left`` columns are right-aligned."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])
