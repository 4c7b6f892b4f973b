# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Space-filling curves over voxel coordinates: Morton (z-order) and Hilbert, each also with x and y swapped.

The Hilbert curve is J. Skilling's ("Programming the Hilbert curve", 2004, axes x y z, most significant bit first). His
loop walks down the bits and, at each, swaps or inverts the lower bits of the axes. All it can have done to them at any
moment is one of a few axis permutations with inversions, so the whole transform is a finite state machine over
octants: a state and three bits in, three bits out. The machine is derived once from that rule, and a code costs two
table look-ups a level.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

CURVES = ("z", "z-trans", "hilbert", "hilbert-trans")
MAX_DEPTH = 16
"""Bits an axis: 16 keep three axes and a batch index inside one int64 (and are the public code's limit)."""


def z_code(coord: Tensor) -> Tensor:
    """Morton code of voxel coordinates.

    Args:
        coord: (N, 3) integers in [0, 2**16), columns x y z.

    Returns:
        (N,) int64; in each triple of bits x is the most significant.
    """
    spread = _spread_bits(coord.device).index_select(0, coord.to(torch.int64).reshape(-1)).view(coord.shape)
    return (spread[:, 0] << 2) | (spread[:, 1] << 1) | spread[:, 2]


@lru_cache(maxsize=8)
def _spread_bits(device: torch.device) -> Tensor:
    """(2**16,) int64: each number with two zero bits before every bit."""
    spread = torch.arange(1 << MAX_DEPTH)
    for shift, mask in (
        (16, 0x0000FF0000FF),
        (8, 0x00F00F00F00F),
        (4, 0x0C30C30C30C3),
        (2, 0x249249249249),
    ):
        spread = (spread | (spread << shift)) & mask
    return spread.to(device)


def swap_xy(z: Tensor) -> Tensor:
    """Morton code of (y, x, z) from the Morton code of (x, y, z), (N,) int64."""
    x_bits, y_bits, z_bits = 0x924924924924, 0x492492492492, 0x249249249249
    return ((z & x_bits) >> 1) | ((z & y_bits) << 1) | (z & z_bits)


def hilbert_code(z: Tensor, depth: int) -> Tensor:
    """Hilbert code of voxels given by their Morton codes.

    Args:
        z: (N,) int64 Morton codes of coordinates below 2**depth.
        depth: number of bits an axis. Orders at two depths agree only where the depths are equal modulo 3.

    Returns:
        (N,) int64. Codes are nested: ``hilbert_code(z, d) >> 3 == hilbert_code(z >> 3, d - 1)``.
    """
    digits, following = (table.to(z.device) for table in _hilbert_machine(2))
    state = torch.zeros_like(z)
    code = torch.zeros_like(z)
    level = depth
    if level % 2:
        single_digits, single_following = (table.to(z.device) for table in _hilbert_machine(1))
        level -= 1
        index = (z >> (3 * level)) & 7
        code = single_digits[index]
        state = single_following[index]
    while level:
        level -= 2
        index = (state << 6) | ((z >> (3 * level)) & 63)
        code = (code << 6) | digits[index]
        state = following[index]
    return code


def curve_code(z: Tensor, curve: str, depth: int) -> Tensor:
    """Code of voxels along a curve.

    Args:
        z: (N,) int64 Morton codes.
        curve: one of ``CURVES``.
        depth: bits an axis; matters for the Hilbert curves only.

    Returns:
        (N,) int64 codes; voxels follow the curve when sorted by them.
    """
    if curve.endswith("-trans"):
        z = swap_xy(z)
    return hilbert_code(z, depth) if curve.startswith("hilbert") else z


def _step(
    state: tuple[tuple[int, int, int], int, int], octant: int
) -> tuple[int, tuple[tuple[int, int, int], int, int]]:
    """One level of Skilling's loop: digit and next state.

    A state is the axis that each place reads, the inverted places (bit mask), and whether the output is inverted.
    """
    axes, inverted, parity = list(state[0]), state[1], state[2]
    raw = ((octant >> 2) & 1, (octant >> 1) & 1, octant & 1)
    bits = [raw[axes[place]] ^ (inverted >> place & 1) for place in range(3)]
    for place in range(3):
        if bits[place]:
            inverted ^= 1
        else:
            axes[0], axes[place] = axes[place], axes[0]
            first, other = inverted & 1, inverted >> place & 1
            if first != other:
                inverted ^= 1 ^ (1 << place)
    gray = (bits[0], bits[0] ^ bits[1], bits[0] ^ bits[1] ^ bits[2])
    digit = sum((bit ^ parity) << (2 - place) for place, bit in enumerate(gray))
    return digit, ((axes[0], axes[1], axes[2]), inverted, parity ^ gray[2])


@lru_cache(maxsize=2)
def _hilbert_machine(levels: int) -> tuple[Tensor, Tensor]:
    """Output digits and next states, each (states * 8**levels,) int64, indexed by ``state * 8**levels + octants``."""
    start = ((0, 1, 2), 0, 0)
    states = {start: 0}
    pending = [start]
    transitions: dict[tuple[int, int], tuple[int, int]] = {}
    while pending:
        state = pending.pop()
        for octant in range(8):
            digit, successor = _step(state, octant)
            if successor not in states:
                states[successor] = len(states)
                pending.append(successor)
            transitions[states[state], octant] = (digit, states[successor])
    digits, following = [], []
    for number in range(len(states)):
        for octants in range(8**levels):
            current, code = number, 0
            for level in reversed(range(levels)):
                digit, current = transitions[current, octants >> (3 * level) & 7]
                code = code << 3 | digit
            digits.append(code)
            following.append(current)
    return torch.tensor(digits), torch.tensor(following)
