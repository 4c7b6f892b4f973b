# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Space-filling curves one point at a time, from their definitions: the oracle of `srkd.curves`."""

from collections.abc import Sequence


def interleave(axes: Sequence[int], depth: int) -> int:
    """Bits of the axes in turn, most significant first."""
    code = 0
    for bit in reversed(range(depth)):
        for value in axes:
            code = code << 1 | (value >> bit & 1)
    return code


def hilbert(point: Sequence[int], depth: int) -> int:
    """J. Skilling, "Programming the Hilbert curve" (2004): axes to transpose, then the transpose's bits in turn."""
    axes = list(point)
    highest = 1 << (depth - 1) if depth else 0
    bit = highest
    while bit > 1:
        low = bit - 1
        for place in range(3):
            if axes[place] & bit:
                axes[0] ^= low
            else:
                swapped = (axes[0] ^ axes[place]) & low
                axes[0] ^= swapped
                axes[place] ^= swapped
        bit >>= 1
    for place in (1, 2):
        axes[place] ^= axes[place - 1]
    flip, bit = 0, highest
    while bit > 1:
        if axes[2] & bit:
            flip ^= bit - 1
        bit >>= 1
    return interleave([value ^ flip for value in axes], depth)


def naive_code(point: Sequence[int], curve: str, depth: int) -> int:
    """Code of one voxel along one of the four curves."""
    x, y, z = point
    if curve.endswith("-trans"):
        x, y = y, x
    return hilbert((x, y, z), depth) if curve.startswith("hilbert") else interleave((x, y, z), depth)
