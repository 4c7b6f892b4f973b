# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""LZF decompression (Marc Lehmann's format), as `binary_compressed` PCD files use it."""

from __future__ import annotations

from srkd.errors import CloudError

_GREATEST_EXPANSION = 88  # 3 bytes stand for at most 264


def decompress(packed: bytes, size: int) -> bytes:
    """Decompresses to exactly `size` bytes.

    A control byte below 32 announces that many literal bytes and one more. Any other is a copy of what came before: its
    length is 2 plus the high 3 bits (7: a further byte is added), its distance 1 plus the low 5 bits and the next byte.

    Raises:
        CloudError: the data is cut off, points before its start, or has another size.
    """
    if size > len(packed) * _GREATEST_EXPANSION:
        raise CloudError(f"compressed data: {len(packed)} bytes cannot hold {size}; the file is cut off or damaged")
    out = bytearray()
    at, end = 0, len(packed)
    try:
        while at < end and len(out) <= size:
            control = packed[at]
            at += 1
            if control < 32:
                out += packed[at : at + control + 1]
                at += control + 1
                continue
            length = (control >> 5) + 2
            if length == 9:
                length += packed[at]
                at += 1
            start = len(out) - ((control & 31) << 8) - packed[at] - 1
            at += 1
            if start < 0:
                raise CloudError("compressed data: a copy from before the start; the file is damaged")
            piece = out[start : start + length]
            if len(piece) < length:  # the copy overlaps what it writes: the piece repeats
                piece = (piece * (length // len(piece) + 1))[:length]
            out += piece
    except IndexError:
        raise CloudError("compressed data: ends within a token; the file is cut off") from None
    if len(out) != size or at != end:
        raise CloudError(f"compressed data: unpacks to {len(out)} bytes, expected {size}; the file is damaged")
    return bytes(out)
