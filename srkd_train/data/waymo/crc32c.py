# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CRC-32C (Castagnoli), the checksum of TFRecord files, in numpy: many stretches of the data side by side.

The register of a CRC is linear over GF(2): that of two stretches in a row is the first one's, moved on by as many zero
bytes as the second has, XOR the second one's. So equal stretches are run in step, two bytes a turn, and then joined in
pairs. Source of polynomial, start and end values: RFC 3720, appendix B.4.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78  # reflected
_MOST_STRETCHES = 4096
_SHORT = 64

_Words = npt.NDArray[np.uint32]


def crc32c(data: bytes | memoryview) -> int:
    """Checksum of some bytes."""
    count = len(data)
    if count < _SHORT:
        short, bytewise = 0xFFFFFFFF, _byte_table()
        for byte in data:
            short = bytewise[(short ^ byte) & 0xFF] ^ (short >> 8)
        return short ^ 0xFFFFFFFF
    stretches = 1
    while stretches < _MOST_STRETCHES and count > stretches * _SHORT:
        stretches *= 2
    length = -(-count // stretches)
    length += length % 2
    padded = np.zeros(stretches * length, np.uint8)
    padded[len(padded) - count :] = np.frombuffer(data, np.uint8)  # zeros before the data leave a register of 0 alone
    turns = np.ascontiguousarray(padded.view("<u2").reshape(stretches, length // 2).T)
    table = _table()
    register = np.zeros(stretches, np.uint32)
    for word in turns:
        register = table[(register ^ word) & 0xFFFF] ^ (register >> 16)
    move_on = _zero_bytes(length)
    while len(register) > 1:
        register = _apply(move_on, register[0::2]) ^ register[1::2]
        move_on = _apply(move_on, move_on)
    start = _apply(_zero_bytes(count), np.array([0xFFFFFFFF], np.uint32))
    return int(register[0] ^ start[0]) ^ 0xFFFFFFFF


@functools.cache
def _table() -> _Words:
    """(65536,) register after the two bytes of each value, from 0."""
    return _shift(np.arange(65536, dtype=np.uint32), 16)


@functools.cache
def _byte_table() -> list[int]:
    return _shift(np.arange(256, dtype=np.uint32), 8).tolist()


def _shift(register: _Words, bits: int) -> _Words:
    for _ in range(bits):
        register = (register >> 1) ^ np.where(register & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    return register


def _zero_bytes(count: int) -> _Words:
    """(32,) registers after `count` zero bytes, from those of a single bit."""
    images = np.uint32(1) << np.arange(32, dtype=np.uint32)
    for power in range(count.bit_length()):
        if count >> power & 1:
            images = _apply(_zero_bytes_of_power(power), images)
    return images


@functools.cache
def _zero_bytes_of_power(power: int) -> _Words:
    if power == 0:
        return _shift(np.uint32(1) << np.arange(32, dtype=np.uint32), 8)
    half = _zero_bytes_of_power(power - 1)
    return _apply(half, half)


def _apply(images: _Words, register: _Words) -> _Words:
    """Registers under the linear map that takes bit i to images[i]."""
    out = np.zeros_like(register)
    for bit, image in enumerate(images):
        out ^= ((register >> np.uint32(bit)) & np.uint32(1)) * image
    return out
