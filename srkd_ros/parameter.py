# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One parameter of a node: its default, what it may be, and when a change is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Value = bool | int | float | str | tuple[str, ...]

WHEN = {
    "at once": "at once",
    "activate": "while not active",
    "configure": "while unconfigured",
    "start": "at start only",
}
"""When a change is taken, and how that reads."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a node."""

    name: str
    default: Value
    description: str
    """One line, a full stop at its end."""
    when: Literal["at once", "activate", "configure", "start"] = "at once"
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def limits(self) -> str:
        """The range or the choices, in words; empty where there are none."""
        if self.choices:
            return " | ".join(self.choices)
        return "" if self.minimum is None or self.maximum is None else f"{self.minimum:.9g} to {self.maximum:.9g}"

    def refuse(self, value: Value) -> str | None:
        """Why a value of the right type cannot be taken, in one line, or None."""
        if self.choices and value not in self.choices:
            return f"{self.name}: {value!r} is unknown, expected {self.limits}"
        if self.minimum is None or self.maximum is None or not isinstance(value, int | float):
            return None
        if not self.minimum <= value <= self.maximum:
            return f"{self.name}: {value!r}, expected {self.limits}"
        return None
