# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two networks in one process, of which one pauses while the other is at work.

A lower priority is not enough there: threads share the interpreter's lock, and one that holds it and gets no CPU stops
all others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

_PATIENCE_S = 1.0
"""Longest pause at one place: a network that is never idle does not stop the other for good."""


class Courtesy:
    """Between two modules the courteous network waits until the other is idle."""

    def __init__(self) -> None:
        self._idle = threading.Event()
        self._idle.set()
        self._hooks: list[Any] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Of the network that goes first, from one thread."""
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()

    def bind(self, network: nn.Module) -> None:
        """Makes a network courteous, until `release`."""
        for module in network.modules():
            self._hooks.append(module.register_forward_pre_hook(lambda module, inputs: self._pause()))

    def release(self) -> None:
        """Gives the network back as it was; what is paused goes on."""
        while self._hooks:
            self._hooks.pop().remove()

    def _pause(self) -> None:
        if self._hooks:
            self._idle.wait(_PATIENCE_S)
