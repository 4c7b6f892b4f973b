# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When the teacher may work, with a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srkd_ros.schedule import Schedule


class Time:
    """A clock."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 2), st.floats(0, 0.5)), min_size=1, max_size=60), st.floats(0.05, 1))
def test_the_share_is_never_exceeded(clouds: list[tuple[float, float]], share: float) -> None:
    time = Time()
    schedule, busy_s, last_end_s = Schedule(time), 0.0, 0.0
    for work_s, pause_s in clouds:
        time.now_s += pause_s
        if schedule.due(share, 0.0):
            assert busy_s <= share * time.now_s * (1 + 1e-9) + 1e-9, "all work so far, its rest included"
            with schedule.at_work():
                time.now_s += work_s
            busy_s, last_end_s = busy_s + work_s, time.now_s
    assert last_end_s > 0, "the first cloud is always due"


def test_work_that_fails_is_measured_too() -> None:
    time = Time()
    schedule = Schedule(time)
    with pytest.raises(ZeroDivisionError), schedule.at_work():
        time.now_s += 1
        raise ZeroDivisionError
    assert not schedule.due(0.5, 0.0)
    time.now_s += 1
    assert schedule.due(0.5, 0.0)


def test_a_least_rate_goes_before_the_share() -> None:
    time = Time()
    schedule = Schedule(time)
    with schedule.at_work():
        time.now_s += 1
    time.now_s += 0.9
    assert not schedule.due(0.01, 2.0)
    time.now_s += 0.1
    assert schedule.due(0.01, 2.0) and not schedule.due(0.01, 0.0)


def test_the_first_and_then_every_nth() -> None:
    schedule = Schedule()
    assert [schedule.takes(3) for _ in range(8)] == [True, False, False, True, False, False, True, False]
    assert all(schedule.takes(1) for _ in range(5))
