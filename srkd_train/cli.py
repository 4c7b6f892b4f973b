# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the commands of the runtime share: parser, runtime options, exit codes, bundled checkpoints."""

from __future__ import annotations

import argparse
from pathlib import Path

import srkd
from srkd.errors import CheckpointError
from srkd.segmenter import PRECISIONS

EXIT_OK = 0
EXIT_FAILED = 1
DEFAULT_CHECKPOINT = "student-nano"
WEIGHTS = Path(srkd.__file__).with_name("weights")


def make_parser(verb: str, about: str) -> argparse.ArgumentParser:
    """The parser of `srkd VERB`; options are never abbreviated."""
    return argparse.ArgumentParser(prog=f"srkd {verb}", description=about, allow_abbrev=False)


def add_runtime_arguments(parser: argparse.ArgumentParser) -> None:
    """--device, --precision and --backend, as `Segmenter.load` takes them."""
    parser.add_argument("--device", default="auto", help="auto | cpu | cuda | cuda:N (default: auto)")
    parser.add_argument("--precision", default="fp32", choices=sorted(PRECISIONS), help="arithmetic (default: fp32)")
    parser.add_argument("--backend", default="torch", help="see srkd.backend (default: torch)")


def checkpoint_path(name: str | None) -> Path:
    """The file that a path or the name of a bundled checkpoint means; None: the bundled student-nano.

    Raises:
        CheckpointError: neither a file nor a bundled checkpoint.
    """
    given = DEFAULT_CHECKPOINT if name is None else name
    bundled = WEIGHTS / f"{given}.safetensors"
    for path in (Path(given), bundled):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))) or "none"
    raise CheckpointError(f"{given} is neither a file nor a bundled checkpoint (bundled: {known}): give a .safetensors file")
