# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs, a few at a time, each in a process of its own; what is done stays done, what was stopped goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srkd.errors import SrkdError
from srkd.progress import Progress
from srkd_train.cli import checkpoint_path
from srkd_train.experiments.run import Run, folder_name, ordered
from srkd_train.experiments.workplace import Workplace

_POLL_S = 0.2
_PATIENCE_S = 120.0
"""For a run to save and end after SIGTERM; a step of a large network is not interrupted."""
_QUOTED_CHARACTERS = 300


@dataclass(frozen=True)
class Result:
    """A run that is done."""

    run: Run
    path: Path
    """Its folder."""
    scores: dict[str, Any]
    """Its evaluation.json."""

    @property
    def weights(self) -> Path:
        """The weights that were scored."""
        return self.path / "last.safetensors"

    @property
    def miou(self) -> float:
        """In [0, 1]; NaN where no class was present."""
        value = self.scores["miou"]
        return float("nan") if value is None else float(value)


class Stopped(Exception):  # noqa: N818 - it is no error
    """The experiment was asked to end, or some of its runs have used up their time; all can go on later."""


@dataclass
class _Child:
    place: Workplace
    process: subprocess.Popen[bytes]
    lock: int


@dataclass
class Pool:
    """Completes runs.

    Args:
        folder: where runs lie, one folder each.
        jobs: runs at a time.
    """

    folder: Path
    jobs: int
    _done: dict[Run, Result] = field(default_factory=dict, init=False)
    _places: dict[Run, Workplace] = field(default_factory=dict, init=False)
    """Looked up several times a second, and a key can take the digests of many bags."""
    _children: list[_Child] = field(default_factory=list, init=False)
    _paused: list[Run] = field(default_factory=list, init=False)
    _elsewhere: list[Workplace] = field(default_factory=list, init=False)
    """Of runs that another process is at."""
    _asked_to_stop: bool = field(default=False, init=False)

    def place(self, run: Run) -> Workplace | None:
        """Where a run lies; None as long as what it builds on is not done.

        Raises:
            CheckpointError: a checkpoint it starts from cannot be read.
        """
        if run not in self._places:
            if any(self.result(need) is None for need in run.needs):
                return None
            weights, start = (self._weights(each) for each in (run.source, run.start))
            self._places[run] = Workplace(run, self.folder / folder_name(run, weights, start), weights, start)
        return self._places[run]

    def result(self, run: Run) -> Result | None:
        """The result of a run; None where it is not done."""
        if run not in self._done:
            place = self.place(run)
            scores = None if place is None else place.result()
            if place is None or scores is None:
                return None
            self._done[run] = Result(run, place.path, scores)
        return self._done[run]

    def _weights(self, source: Run | str | None) -> Path | None:
        """The file that a run has left, or a path or name means."""
        if source is None:
            return None
        return self._done[source].weights if isinstance(source, Run) else checkpoint_path(source)

    def complete(self, runs: Sequence[Run]) -> dict[Run, Result]:
        """Does what is not done yet, what others build on first.

        SIGTERM, SIGHUP and Ctrl-C are passed on as SIGTERM, which makes trainings save and end.

        Raises:
            SrkdError: a run failed, with its last words; the others have saved.
            Stopped: not all are done, and none is running any more.
        """
        wanted = ordered(runs)
        needed = {need for run in wanted for need in run.needs}
        waiting = [run for run in wanted if self.result(run) is None]
        waiting.sort(key=lambda run: run not in needed)  # others wait for these
        if waiting:
            places = [place for place in map(self.place, waiting) if place is not None]
            before = sum(place.step() for place in places)
            progress = Progress(sum(run.work for run in waiting), "steps", done=before)
            progress.say(f"{len(wanted)} runs, {len(wanted) - len(waiting)} of them done before")
            with self._signals():
                try:
                    self._work_off(waiting, progress)
                finally:
                    self._end_children()
                    progress.close()
        missing = [run for run in wanted if self.result(run) is None]
        if missing:
            why = "" if self._asked_to_stop else f", {len(self._paused)} have used up their time"
            raise Stopped(f"{len(wanted) - len(missing)} of {len(wanted)} runs are done{why}")
        return {run: self._done[run] for run in wanted}

    def _work_off(self, waiting: list[Run], progress: Progress) -> None:
        total = len(waiting)
        finished: list[Run] = []
        while not self._asked_to_stop and (waiting or self._children):
            self._elsewhere.clear()
            for run in list(waiting):
                if any(need in self._paused for need in run.needs):
                    self._paused.append(run)
                    waiting.remove(run)
                elif self.result(run) is not None:
                    finished.append(run)
                    waiting.remove(run)
                elif len(self._children) < self.jobs and self._start(run, progress):
                    waiting.remove(run)
            time.sleep(_POLL_S)
            for child in [child for child in self._children if child.process.poll() is not None]:
                finished += self._finish(child, progress)
            if progress.due:
                at_work = [child.place for child in self._children] + self._elsewhere
                steps = {place.run.label: place.step() for place in at_work}
                reached = sum(run.work for run in finished) + sum(steps.values())
                progress.done = max(reached, progress.done) - 1  # a run that was killed goes on from before
                now = ", ".join(f"{label} at step {step}" for label, step in steps.items())
                others = f" ({len(self._elsewhere)} with another process)" if self._elsewhere else ""
                progress.step(f"{len(finished)}/{total} runs; {now}{others}")

    def _start(self, run: Run, progress: Progress) -> bool:
        """Starts a run; False where it must wait, for what it builds on or for another process that is at it."""
        place = self.place(run)
        if place is None:
            return False
        lock = place.lock()
        if lock is None:
            self._elsewhere.append(place)
            return False
        if place.result() is not None:  # another process has just done it
            os.close(lock)
            return False
        threads = run.config.trainer.threads or max(1, len(os.sched_getaffinity(0)) // self.jobs)
        words = place.prepare(threads)
        progress.say(f"{'go on' if '--resume' in words else 'start'}: {run.label} ({place.path.name})")
        with place.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches only the parent, which passes on what makes it save.
            process = subprocess.Popen(
                [sys.executable, "-m", "srkd_train", *words],
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
            )
        self._children.append(_Child(place, process, lock))
        return True

    def _finish(self, child: _Child, progress: Progress) -> list[Run]:
        """Takes in a child that has ended; the run, where it is done."""
        self._children.remove(child)
        os.close(child.lock)
        run = child.place.run
        if child.process.returncode and not self._asked_to_stop:
            words = child.place.log.read_text(errors="replace").replace("\r", "\n").strip().splitlines()
            said = " | ".join(line.strip() for line in words[-3:])[-_QUOTED_CHARACTERS:] or "it said nothing"
            raise SrkdError(
                f"{run.label} ended with status {child.process.returncode} ({said}): see {child.place.log}, then"
                " run the experiment again"
            )
        result = self.result(run)
        if result is None:
            self._paused.append(run)
            return []
        progress.say(f"done: {run.label}, mIoU {100 * result.miou:.1f} % ({child.place.path.name})")
        return [run]

    def _end_children(self) -> None:
        """Asks those that run to save and end, and waits; a second Ctrl-C does not."""
        try:
            for child in self._children:
                child.process.terminate()
            for child in self._children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(_PATIENCE_S)
        finally:
            for child in self._children:
                if child.process.poll() is None:
                    child.process.kill()
                child.process.wait()
                os.close(child.lock)
            self._children.clear()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def ask(number: int, _: object) -> None:
            self._asked_to_stop = True
            if number == signal.SIGINT:
                signal.signal(signal.SIGINT, signal.default_int_handler)

        # A signal that is ignored stays so: nohup asks for that.
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.getsignal(number) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
        for number in before:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
