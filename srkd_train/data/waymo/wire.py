# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Protocol-buffer messages read from their wire format, without generated code: fields by number, bytes by reference.

Source: protobuf.dev, "Encoding". A reader of packed numbers takes them unpacked too, as the format asks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10


class Message:
    """The fields of one message; nothing inside a field is read before it is asked for.

    Args:
        data: the bytes of the message; views into it are kept.

    Raises:
        CloudError: the bytes are no message, or are cut off.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._fields: dict[int, list[tuple[int, int | memoryview]]] = {}
        view = memoryview(data)
        at = 0
        while at < len(view):
            tag, at = _varint(view, at)
            number, kind = tag >> 3, tag & 7
            value: int | memoryview
            if kind == _VARINT:
                value, at = _varint(view, at)
            elif kind in (_FIXED64, _BYTES, _FIXED32):
                if kind == _BYTES:
                    length, at = _varint(view, at)
                else:
                    length = 8 if kind == _FIXED64 else 4
                if at + length > len(view):
                    raise CloudError(f"field {number} needs {length} bytes, {len(view) - at} are left; it is cut off")
                value, at = view[at : at + length], at + length
            else:
                raise CloudError(f"field {number} is of wire type {kind}, expected 0, 1, 2 or 5; it is damaged")
            if number == 0:
                raise CloudError("a field has the number 0; it is damaged or no protocol-buffer message")
            self._fields.setdefault(number, []).append((kind, value))

    def has(self, number: int) -> bool:
        """Whether a field is there and, where it holds bytes, is not empty."""
        return any(isinstance(value, int) or len(value) > 0 for _, value in self._fields.get(number, ()))

    def message(self, number: int) -> Message:
        """The message of a field; an empty one where it is not set."""
        return Message(self.data(number))

    def messages(self, number: int) -> Iterator[Message]:
        """The messages of a repeated field, one by one."""
        return (Message(value) for value in self._views(number, _BYTES))

    def data(self, number: int) -> memoryview:
        """The bytes of a field; none where it is not set."""
        views = self._views(number, _BYTES)
        return views[-1] if views else memoryview(b"")

    def text(self, number: int) -> str:
        """The string of a field; empty where it is not set."""
        try:
            return str(self.data(number), "utf-8")
        except UnicodeDecodeError:
            raise CloudError(f"field {number} is no UTF-8 text; it is damaged") from None

    def integer(self, number: int) -> int:
        """The int64, int32 or enum of a field; 0 where it is not set."""
        values = self.integers(number)
        return int(values[-1]) if len(values) else 0

    def integers(self, number: int) -> npt.NDArray[np.int64]:
        """The numbers of a repeated int32 or int64 field, (n,)."""
        parts = []
        for kind, value in self._fields.get(number, ()):
            if isinstance(value, int):
                parts.append(np.array([value], np.uint64).view(np.int64))
            elif kind == _BYTES:
                parts.append(_unpack_varints(value))
            else:
                raise CloudError(f"field {number} is of wire type {kind}, expected an integer; it is damaged")
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def floats(self, number: int) -> npt.NDArray[np.float32]:
        """The numbers of a repeated float field, (n,)."""
        return np.frombuffer(self._fixed(number, _FIXED32, 4), "<f4").astype(np.float32, copy=False)

    def double(self, number: int) -> float:
        """The double of a field; NaN where it is not set."""
        values = self.doubles(number)
        return float(values[-1]) if len(values) else float("nan")

    def doubles(self, number: int) -> npt.NDArray[np.float64]:
        """The numbers of a repeated double field, (n,)."""
        return np.frombuffer(self._fixed(number, _FIXED64, 8), "<f8").astype(np.float64, copy=False)

    def _views(self, number: int, *kinds: int) -> list[memoryview]:
        found = []
        for kind, value in self._fields.get(number, ()):
            if kind not in kinds or isinstance(value, int):
                raise CloudError(f"field {number} is of wire type {kind}, expected {kinds[0]}; it is damaged")
            found.append(value)
        return found

    def _fixed(self, number: int, kind: int, size: int) -> bytes | memoryview:
        views = self._views(number, kind, _BYTES)
        if any(len(view) % size for view in views):
            raise CloudError(f"field {number} has bytes that are no multiple of {size}; it is damaged")
        return views[0] if len(views) == 1 else b"".join(views)


def _unpack_varints(data: memoryview) -> npt.NDArray[np.int64]:
    """Packed varints as (n,) int64; negative ones are of ten bytes."""
    packed = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(packed < 0x80)
    if len(packed) and (len(ends) == 0 or ends[-1] != len(packed) - 1):
        raise CloudError("packed integers are cut off")
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends - starts + 1
    if len(lengths) and int(lengths.max()) > _MOST_VARINT_BYTES:
        raise CloudError("a packed integer is longer than ten bytes; it is damaged")
    values = np.zeros(len(ends), np.uint64)
    for byte in range(int(lengths.max()) if len(lengths) else 0):
        some = lengths > byte if byte else slice(None)
        values[some] |= (packed[starts[some] + byte] & 0x7F).astype(np.uint64) << np.uint64(7 * byte)
    return values.view(np.int64)


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(view):
            raise CloudError("an integer is cut off")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift >= 7 * _MOST_VARINT_BYTES:
            raise CloudError("an integer is longer than ten bytes; it is damaged")
