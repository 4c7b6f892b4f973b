# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of numbered bags within a limit: the oldest make room for the newest."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from types import TracebackType

from srkd.errors import BagError


class BagRing:
    """Bags are called NAME_000001 and so on, in the order in which they were begun, whatever the clock said then.

    All else in the folder is left alone, also a bag that was renamed to be kept. A bag is there whole or not at all:
    `srkd.io.bags.BagWriter` writes it aside, and one to be deleted is first hidden. A context manager.
    """

    def __init__(self, folder: Path, name: str, limit_bytes: int) -> None:
        """Makes the folder and takes it for this process; what a killed one has left half done goes.

        Args:
            folder: of the bags.
            name: that theirs begin with.
            limit_bytes: of all bags together, the next one included.

        Raises:
            BagError: another process records there.
            OSError: the folder cannot be made, read or written.
        """
        self._folder, self._name, self._limit_bytes = folder, name, limit_bytes
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        try:
            for leftover in folder.glob(f".{name}_*"):
                shutil.rmtree(leftover)
            self._last = max((self._number(bag) for bag in self.bags()), default=0)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> BagRing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets others have the folder."""
        os.close(self._lock)

    def bags(self) -> list[Path]:
        """The bags that are there, the oldest first."""
        return sorted((path for path in self._folder.iterdir() if self._number(path)), key=self._number)

    def free_bytes(self) -> int:
        """What is left on the disk."""
        return shutil.disk_usage(self._folder).free

    def make_room(self, size_bytes: int) -> Path:
        """Deletes the oldest bags until so much more is within the limit; the path of the next bag, which is free.

        Raises:
            OSError: a bag cannot be deleted.
        """
        bags = self.bags()
        sizes = [sum(file.stat().st_size for file in bag.rglob("*")) for bag in bags]
        while bags and sum(sizes) + size_bytes > self._limit_bytes:
            hidden = self._folder / f".{bags[0].name}.old"
            bags.pop(0).rename(hidden)  # at once: a bag of which half is deleted would still look like one
            shutil.rmtree(hidden)
            sizes.pop(0)
        self._last += 1
        return self._folder / f"{self._name}_{self._last:06d}"

    def _number(self, path: Path) -> int:
        """Of a bag of this ring; 0 for all else."""
        match = re.fullmatch(rf"{re.escape(self._name)}_(\d{{6,}})", path.name)
        return int(match[1]) if match and path.is_dir() else 0


def _lock(folder: Path) -> int:
    """A descriptor of the folder that one process can have; its end gives the folder back, whatever ended it."""
    import fcntl  # not on Windows, where a node without record_dir runs nonetheless

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BagError(f"{folder}: another node records there; give each a record_dir of its own") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
