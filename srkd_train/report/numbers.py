# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers for people: fixed decimals, thin spaces between thousands, round steps for axes."""

from __future__ import annotations

import math

_THIN_SPACE = "\u202f"
_NONE = "-"


def number(value: float | None, decimals: int = 1) -> str:
    """A number for a table; - where there is none, as for NaN."""
    return _NONE if missing(value) else f"{value:.{decimals}f}"


def percent(value: float | None, decimals: int = 1) -> str:
    """A share in [0, 1] for a table."""
    return _NONE if value is None or missing(value) else f"{100 * value:.{decimals}f}"


def grouped(value: int) -> str:
    """A count, thousands apart."""
    return f"{value:,}".replace(",", _THIN_SPACE)


def significant(value: float | None, digits: int = 3) -> str:
    """A number of any size, e.g. a loss, in few digits."""
    return _NONE if value is None or missing(value) else f"{value:.{digits}g}"


def missing(value: float | None) -> bool:
    """Whether there is no such number."""
    return value is None or math.isnan(value)


def nice_step(target: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is at least `target`, which is above 0."""
    power = 10.0 ** math.floor(math.log10(target))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= target * 0.9999)
