# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files that are there in full or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_atomic(path: str | os.PathLike[str], chunks: Iterable[Any]) -> None:
    """Writes bytes-like chunks beside `path` and renames them into place; folders are made as needed.

    Raises:
        OSError: the folder cannot be written; what stood at `path` is untouched.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
