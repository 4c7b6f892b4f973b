# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every piece of work ends with an outcome that is counted, and every fault is said; none ends the worker."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import torch

from srkd.errors import SrkdError
from srkd_ros.counts import Counter
from srkd_ros.fault_log import FaultLog
from srkd_ros.frame import FrameMemoryError
from srkd_ros.vitals import Vitals


class DeactivatedError(Exception):
    """Work was done, but the node has been deactivated meanwhile: nothing of it may be published."""


class Account:
    """Runs work and keeps the books.

    Attributes:
        counter: of the outcomes.
        stopping: whether the node is ending, so that its publishers may be gone already and errors say nothing.
    """

    def __init__(self, what: str, vitals: Vitals, faults: FaultLog, on_fatal: Callable[[str], None]) -> None:
        """
        Args:
            what: is worked on, for the log: "cloud".
            vitals, faults: of the node.
            on_fatal: called with the reason when no further work can be done in this process.
        """
        self.counter = Counter()
        self.stopping = False
        self._what = what
        self._vitals = vitals
        self._faults = faults
        self._on_fatal = on_fatal

    def run(self, work: Callable[[], str]) -> None:
        """Does the work, which returns its outcome, and counts it; lets no exception out."""
        try:
            self.counter.add(work())
        except DeactivatedError:
            self.counter.add("dropped")
        except (FrameMemoryError, MemoryError) as error:
            self.counter.add("dropped")
            reason = str(error) or "out of memory"
            self._fault("memory", f"{self._what} dropped: {reason}", reason)
        except SrkdError as error:
            self.counter.add("rejected")
            self._fault("rejected", f"{self._what} rejected: {error}", str(error))
        except Exception as error:
            self.counter.add("rejected")
            self._unexpected(error)

    def attempt(self, work: Callable[[], object]) -> None:
        """Does work that has no outcome; lets no exception out."""
        try:
            work()
        except SrkdError as error:
            self._faults.report(str(error))
        except Exception as error:
            self._unexpected(error)

    def _fault(self, kind: str, text: str, reason: str) -> None:
        self._vitals.fault(kind, reason)
        self._faults.report(text)

    def _unexpected(self, error: Exception) -> None:
        """A bug, or a broken GPU: said with its traceback once, and the node goes on where it can."""
        if self.stopping:
            return
        text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        self._vitals.fault("rejected", text)
        self._faults.report(f"{self._what} failed, please report this: {text}", traceback.format_exc())
        if is_sticky(error):
            self._on_fatal(text)


def is_sticky(error: BaseException) -> bool:
    """Whether an error of the GPU has spoilt it for the rest of the process."""
    accelerator: Any = getattr(torch, "AcceleratorError", ())
    return isinstance(error, accelerator) or (isinstance(error, RuntimeError) and "CUDA error" in str(error))
