# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that end with the one that started them: on success, failure, timeout, Ctrl-C and SIGTERM, and on Linux
where it is killed, too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from srkd.errors import SrkdError

_POLL_S = 0.05
_PATIENCE_S = (5.0, 3.0)
"""Seconds for a process to end after SIGINT, then after SIGTERM; then it is killed."""
_QUOTED_CHARACTERS = 300
_PR_SET_PDEATHSIG = 1
_TIE = f"""
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Takes a process id and a command and becomes the command, which gets SIGTERM as soon as that process has ended.

A program, and no `preexec_fn`: Python between fork and exec is not safe where the parent has threads."""


class ProcessError(SrkdError):
    """A process did not do its part; the message holds the last it said."""


class Child:
    """One process; all it says goes into a file. To be made by the main thread: with the maker's thread it ends.

    Args:
        name: for messages.
        command: what to run.
        environment: its variables.
        said: the file.
        on_terminal: standard error goes where this process's goes, so that a progress bar is seen.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        said: Path,
        *,
        on_terminal: bool = False,
    ) -> None:
        self.name = name
        self._said = said
        with said.open("wb") as stream:
            # A session of its own: Ctrl-C reaches only the parent, which ends its children in order.
            self._process = subprocess.Popen(
                [*_tie(), *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=None if on_terminal else subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def said(self) -> str:
        """All it has written so far, standard output and error together."""
        return self._said.read_text(errors="replace")

    def wait_for(self, text: str, timeout_s: float) -> None:
        """Waits until it has written `text`.

        Raises:
            ProcessError: it ended before, or time is up.
        """
        self.wait_until(lambda: text in self.said(), timeout_s, f"say {text!r}")

    def wait_until(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Waits until `done()`, which it is to bring about; `what` says so in messages.

        Raises:
            ProcessError: it ended before, or time is up.
        """
        deadline = time.monotonic() + timeout_s
        while not done():
            if not self.running:
                if done():
                    return
                raise ProcessError(f"{self.name} ended with status {self._process.returncode}: {self._last_words()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} did not {what} within {timeout_s:.0f} s: {self._last_words()}")
            time.sleep(_POLL_S)

    def finish(self, timeout_s: float) -> None:
        """Waits until it ends by itself.

        Raises:
            ProcessError: its status is not 0, or time is up.
        """
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.name} has not ended within {timeout_s:.0f} s: {self._last_words()}") from None
        if status:
            raise ProcessError(f"{self.name} ended with status {status}: {self._last_words()}")

    def stop(self) -> int:
        """Ends it: SIGINT, SIGTERM, SIGKILL, each when the one before had no effect. Returns its exit status."""
        for number, patience_s in zip((signal.SIGINT, signal.SIGTERM), _PATIENCE_S, strict=True):
            if self.running:
                self._process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return self._process.wait(patience_s)
        self.kill()
        return self._process.wait()

    def kill(self) -> None:
        """Ends it at once, where it still runs."""
        if self.running:
            self._process.kill()

    def _last_words(self) -> str:
        words = " | ".join(line.strip() for line in self.said().strip().splitlines()[-3:])
        return words[-_QUOTED_CHARACTERS:] or "it said nothing"


def _tie() -> list[str]:
    """What stands before a command that is to end with this process, however that ends; only Linux has it."""
    if sys.platform != "linux":
        return []
    return [sys.executable, "-ISc", _TIE, str(os.getpid())]


class Family:
    """A context in which processes are started; leaving it, for whatever reason, ends those that still run.

    Args:
        folder: where what they say is kept, one file a process.
        environment: their variables.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._children: list[Child] = []

    def __enter__(self) -> Family:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for child in reversed(self._children):
                child.stop()
        finally:
            for child in self._children:  # where a second Ctrl-C cut the orderly way short
                child.kill()

    def start(self, name: str, module: str, arguments: Sequence[str], *, on_terminal: bool = False) -> Child:
        """Starts `python -m MODULE ARGUMENTS` with this interpreter; `on_terminal` as for `Child`."""
        said = self.folder / f"{name}.{len(self._children)}.log"
        command = [sys.executable, "-m", module, *arguments]
        with _signals_held():  # one that came while a process is made would leave nobody to end it
            child = Child(name, command, self.environment, said, on_terminal=on_terminal)
            self._children.append(child)
        return child


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """What ends this process does so after the block, not inside it. No mask: a process made inside would inherit it.

    To be used by the main thread.
    """
    came: list[int] = []
    handled = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    held = {number: handler for number, handler in handled.items() if callable(handler)}
    for number in held:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for missed in came:
            signal.raise_signal(missed)


@contextlib.contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise KeyboardInterrupt, so that processes and temporary files go with this one.

    To be used by the main thread.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # A signal that is ignored stays so: nohup asks for that.
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
