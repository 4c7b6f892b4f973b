# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""TFRecord files: where their records are, and one record at a time.

Source: TensorFlow, tfrecord format: u64 length, u32 masked CRC-32C of the length, payload, u32 masked CRC-32C of it.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

from srkd.errors import CloudError
from srkd_train.data.waymo.crc32c import crc32c

_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")


class Record(NamedTuple):
    """Where the payload of a record is in its file."""

    start: int
    length: int


def map_file(path: Path) -> memoryview:
    """The bytes of a file, mapped: only what is looked at is read from disk.

    Raises:
        CloudError: it is missing or empty.
    """
    try:
        with path.open("rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); give the path of a .tfrecord file") from None
    except ValueError:
        raise CloudError(f"{path}: 0 bytes, expected records; copy it again") from None
    if hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)  # an index looks at a few bytes of each megabyte
    return memoryview(mapped)


def find_records(path: Path, data: memoryview) -> list[Record]:
    """All records of a mapped file, from their lengths alone.

    Raises:
        CloudError: a length is damaged, or the file is cut off.
    """
    records = []
    at = 0
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise CloudError(f"{path}: {len(data)} bytes, the record at byte {at} is cut off; copy it again")
        length, checksum = _HEAD.unpack_from(data, at)
        if _masked(data[at : at + 8]) != checksum:
            raise CloudError(f"{path}: the record at byte {at} has a damaged length; copy it again, it is no TFRecord")
        start = at + _HEAD.size
        at = start + length + _TAIL.size
        if at > len(data):
            raise CloudError(f"{path}: {len(data)} bytes, the record at byte {start} ends at {at}; copy it again")
        records.append(Record(start, length))
    return records


def read_record(path: Path, record: Record, *, check: bool = True) -> bytes:
    """The payload of a record.

    Args:
        path: its file.
        record: where it is.
        check: hold it against its checksum.

    Raises:
        CloudError: the file is missing or cut off, or the payload is damaged.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(record.start)
            data = stream.read(record.length + _TAIL.size)
    except OSError as error:
        raise CloudError(f"{path}: cannot be read ({error.strerror}); it was there before") from None
    if len(data) != record.length + _TAIL.size:
        raise CloudError(f"{path}: the record at byte {record.start} is cut off; copy it again")
    payload = data[: record.length]
    if check and _masked(payload) != _TAIL.unpack(data[record.length :])[0]:
        raise CloudError(f"{path}: the record at byte {record.start} does not match its checksum; copy it again")
    return payload


def _masked(data: bytes | memoryview) -> int:
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
