# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The list of frames of many TFRecord files, kept in a small file: to find them anew takes a look into every frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from srkd.errors import CloudError
from srkd.io.atomic import write_atomic
from srkd_train.data.waymo.tfrecord import Record
from srkd_train.data.waymo.v1 import V1Frame

_VERSION = 1


def indexed(
    files: Sequence[Path],
    find: Callable[[Path], list[V1Frame]],
    folder: Path | None,
    damaged: list[str] | None = None,
) -> Iterator[list[V1Frame]]:
    """The frames of each file in turn, from the kept list where the file has the same size and time as then.

    Args:
        files: TFRecord files of one folder.
        find: looks for the frames of one.
        folder: where the list is kept; None keeps none.
        damaged: takes a line for each file that `find` refuses, which is then left out; None: that is an error.

    Raises:
        CloudError: as `find`.
    """
    path = None if folder is None else folder / f"waymo_{files[0].absolute().parent.name}.json"
    known = {} if path is None else _read(path)
    changed = False
    try:
        for file in files:
            stamp = _stamp(file)
            entry = known.get(str(file.absolute()))
            if not isinstance(entry, dict) or entry.get("stamp") != stamp or "frames" not in entry:
                try:
                    frames = find(file)
                except CloudError as error:
                    if damaged is None:
                        raise
                    damaged.append(str(error))
                    continue
                rows = [[*frame.record, frame.segment, frame.stamp_us, frame.has_labels] for frame in frames]
                entry = known[str(file.absolute())] = {"stamp": stamp, "frames": rows}
                changed = True
            yield [
                V1Frame(str(file), Record(start, length), segment, stamp_us, has_labels)
                for start, length, segment, stamp_us, has_labels in entry["frames"]
            ]
    finally:  # a damaged file does not cost what is known of the others
        if path is not None and changed:
            with suppress(OSError):  # it only saves time
                write_atomic(path, (json.dumps({"version": _VERSION, "files": known}).encode(),))


def _stamp(file: Path) -> list[int]:
    with suppress(OSError):  # a file that has gone is reported by who reads it
        status = file.stat()
        return [status.st_size, status.st_mtime_ns]
    return []


def _read(path: Path) -> dict[str, Any]:
    """The kept list by file; nothing where there is none, or one of another make."""
    with suppress(OSError, ValueError):
        held = json.loads(path.read_bytes())
        if isinstance(held, dict) and held.get("version") == _VERSION and isinstance(held.get("files"), dict):
            return dict(held["files"])
    return {}
