# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The folder that a demo leaves: all of a run's results or those of the run before, never a half, never a user's files.

New results are made in a hidden folder inside and moved into place at the end.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srkd.errors import ConfigError

BAG, PAGE, METRICS = "labelled", "report.html", "metrics.json"
GENERATOR = '<meta name="generator" content="srkd demo">'
"""Stands in every page of ours; a report.html without it is somebody's own."""
_BAG_FILES = (".mcap", ".db3", ".db3.zstd", ".mcap.zstd")


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """A folder for new results; when the block ends well, its `labelled`, `report.html` and `metrics.json` take the
    place of older ones in `output`.

    Raises:
        ConfigError: one of these names is taken by something that is not of ours (found before the block runs).
    """
    check_output(output)
    output.mkdir(parents=True, exist_ok=True)
    stage = output / f".partial-{os.getpid()}"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        yield stage
        check_output(output)
        for name in (BAG, PAGE, METRICS):
            if (stage / name).exists():
                _remove(output / name)
                (stage / name).rename(output / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def check_output(output: Path) -> None:
    """Makes sure that what a run would replace was made by an earlier run.

    Raises:
        ConfigError: it was not, or `output` is no folder.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output}: is a file, give a folder")
    for name, ours in ((BAG, _our_bag), (PAGE, _our_page), (METRICS, _our_metrics)):
        path = output / name
        if (path.exists() or path.is_symlink()) and (path.is_symlink() or not ours(path)):
            raise ConfigError(f"{path} was not made by this command: move it away, or give another --output")


def _our_bag(path: Path) -> bool:
    if not path.is_dir():
        return False
    names = [entry.name for entry in path.iterdir()]
    return "metadata.yaml" in names and all(
        name == "metadata.yaml" or (name.startswith(BAG) and name.endswith(_BAG_FILES)) for name in names
    )


def _our_page(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open(errors="replace") as stream:
        return GENERATOR in stream.read(4096)


def _our_metrics(path: Path) -> bool:
    try:
        return {"miou", "latency_ms", "machine"} <= set(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
