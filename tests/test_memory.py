# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When freed memory is handed back."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from srkd import memory
from srkd.memory import Trimmer, resident_bytes

MIB = 2**20


@pytest.fixture
def resident(monkeypatch: pytest.MonkeyPatch) -> dict[str, float | None]:
    """What the process holds, in MiB; a trim takes it down to `needed`, and the work takes that again at once."""
    state: dict[str, float | None] = {"now": 400.0, "needed": 400.0}
    monkeypatch.setattr(memory, "resident_bytes", lambda: None if state["now"] is None else int(state["now"] * MIB))
    monkeypatch.setattr(memory, "return_freed_memory", lambda: state.update(now=state["needed"]))
    return state


def run(trimmer: Trimmer, state: dict[str, float | None], items: int, growth_mib: float) -> tuple[int, float]:
    """How often a heap that grows with every item is trimmed, and the most it has held."""
    trims, most = 0, 0.0
    for _ in range(items):
        assert state["now"] is not None
        state["now"] += growth_mib
        most = max(most, state["now"])
        trims += trimmer.after_item()
    return trims, most


def test_a_heap_that_grows_stays_bounded_and_is_trimmed_seldom(resident: dict[str, float | None]) -> None:
    trims, most = run(Trimmer(), resident, 2000, growth_mib=1.0)
    assert 10 <= trims <= 2000 / 50 and most < 1.2 * 402 + 32 + 2


def test_a_steady_heap_is_left_alone_and_so_is_one_that_needs_more(resident: dict[str, float | None]) -> None:
    trimmer = Trimmer()
    assert run(trimmer, resident, 100, growth_mib=0.0)[0] == 0
    resident |= {"now": 1000.0, "needed": 1000.0}  # larger clouds from here on
    assert run(trimmer, resident, 100, growth_mib=0.0)[0] == 1


def test_nothing_happens_where_the_system_does_not_say(resident: dict[str, float | None]) -> None:
    resident["now"] = None
    assert not any(Trimmer().after_item() for _ in range(30))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_holes_in_a_heap_are_returned_to_the_system() -> None:
    program = (
        "from srkd.memory import resident_bytes, return_freed_memory\n"
        "blocks = [bytearray(60_000) for _ in range(4000)]\n"  # 240 MB in blocks too small to be mapped one by one
        "del blocks[::2]\n"
        "before = resident_bytes(); return_freed_memory(); print(before - resident_bytes())"
    )
    returned = int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    assert returned > 60 * MIB
    assert (resident_bytes() or 0) > MIB
