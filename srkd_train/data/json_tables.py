# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables in JSON, lists of rows: read whole, or mapped and a row decoded here and there."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Any

from srkd.errors import CloudError

Row = dict[str, Any]


def read_table(path: Path, *keys: str) -> list[Row]:
    """A whole table, every row with at least the keys asked for.

    Raises:
        CloudError: it is missing, damaged or lacks a key.
    """
    try:
        rows = json.loads(path.read_bytes())
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); copy the tables of nuScenes again") from None
    except ValueError as error:
        raise CloudError(f"{path}: no JSON ({str(error)[:80]}); it is cut off or damaged") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and set(keys) <= row.keys() for row in rows):
        raise CloudError(f"{path}: expected a list of rows with {' '.join(keys)}")
    return rows


def map_table(path: Path) -> mmap.mmap:
    """The text of a table, mapped: only what is looked at is read from disk.

    Raises:
        CloudError: it is missing, empty or no list.
    """
    try:
        with path.open("rb") as stream:
            text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); copy the tables of nuScenes again") from None
    except ValueError:
        raise CloudError(f"{path}: 0 bytes, expected a list of rows; copy it again") from None
    if not (text[:64].lstrip().startswith(b"[") and text[-64:].rstrip().endswith(b"]")):
        raise CloudError(f"{path}: expected a list of rows from [ to ]; it is cut off or of another type")
    return text


def row_around(path: Path, text: mmap.mmap, at: int, keys: tuple[str, ...]) -> tuple[Row, int]:
    """The flat JSON object around a place in a mapped table, and where it ends.

    Raises:
        CloudError: there is none, or it lacks a key.
    """
    start, end = text.rfind(b"{", 0, at), text.find(b"}", at) + 1
    try:
        if start < 0 or end == 0:
            raise ValueError("no braces around it")
        row = json.loads(text[start:end])
    except ValueError as error:
        raise CloudError(f"{path}: no JSON row at byte {at} ({str(error)[:80]}); it is damaged") from None
    if not set(keys) <= row.keys():
        raise CloudError(f"{path}: expected a list of rows with {' '.join(keys)}")
    return row, end
