# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What happens around the steps of a run: the clock, stopping in time, progress and metrics."""

import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from srkd.memory import return_freed_memory
from srkd.progress import Progress
from srkd_train.modules import Segmentation
from srkd_train.runs import MetricsFile, RunFolder

_STEPS_BETWEEN_TRIMS = 10
SCORES = ("val_miou", "val_macc", "val_all_acc")


class Clock(Callback):
    """Minutes of training, over all resumptions; the one clock that the others ask."""

    def __init__(self) -> None:
        self._before_s = 0.0
        self._start: float | None = None

    @property
    def minutes(self) -> float:
        """Minutes since the run began, without the pauses."""
        return (self._before_s + self.this_time_s) / 60

    @property
    def this_time_s(self) -> float:
        """Seconds since this start or resumption."""
        return 0.0 if self._start is None else time.monotonic() - self._start

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start counting."""
        self._start = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far."""
        return {"seconds": 60 * self.minutes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._before_s = float(state_dict["seconds"])


class Stop(Callback):
    """Ends a run between two steps: on SIGTERM or Ctrl-C, and when its time is up.

    Args:
        clock: the run's clock.
        max_minutes: time of this start or resumption; None for no limit.
    """

    def __init__(self, clock: Clock, max_minutes: float | None) -> None:
        self.clock = clock
        self.max_minutes = max_minutes
        self.reason: str | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note who has the signals; Lightning, which is about to take them, gives them back to the same, whatever
        comes."""
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take them over. Lightning would end a run on SIGTERM that has not been saved."""
        for number in self._handlers:
            signal.signal(number, self._on_signal)
        if trainer.received_sigterm:
            self.reason = "SIGTERM received"

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Ask the trainer to stop where there is a reason; now and then give memory back."""
        if trainer.global_step % _STEPS_BETWEEN_TRIMS == 0:
            return_freed_memory()
        if self.reason is None and self.max_minutes is not None and self.clock.this_time_s >= 60 * self.max_minutes:
            self.reason = f"{self.max_minutes:g} minutes are over"
        stop = self.reason is not None
        if trainer.world_size > 1:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        if stop:
            trainer.should_stop = True

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Give the signals back."""
        while self._handlers:
            number, handler = self._handlers.popitem()
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: object) -> None:
        self.reason = f"{signal.Signals(number).name} received"
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait for the step


class Report(Callback):
    """Progress line with ETA, and metrics.csv.

    Args:
        clock: the run's clock.
        folder: the run folder.
        terms: names of the loss and its terms, columns of metrics.csv.
        every: steps per row of metrics.csv.
    """

    def __init__(self, clock: Clock, folder: RunFolder, terms: Sequence[str], every: int) -> None:
        self.clock = clock
        self.folder = folder
        self.terms = tuple(terms)
        self.every = every
        self._progress: Progress | None = None
        self._file: MetricsFile | None = None
        self._marks = [0.0, 0.0]
        self._data_s = self._total_s = 0.0
        self._steps = 0
        self._lr = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Open the file and the progress line."""
        self._marks[1] = time.monotonic()
        if trainer.is_global_zero:
            self._progress = Progress(trainer.max_steps, "step", done=trainer.global_step)
            self._file = MetricsFile(self.folder.metrics, self._columns(), keep_until=trainer.global_step)

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Note how long the batch was waited for."""
        self._marks[0] = time.monotonic()
        self._data_s += self._marks[0] - self._marks[1]
        self._lr = max(group["lr"] for group in trainer.optimizers[0].param_groups)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write what is due; losses leave the device only then."""
        now = time.monotonic()
        self._total_s += now - self._marks[1]
        self._marks[1] = now
        self._steps += 1
        if self._progress is None or self._file is None:
            return
        step = trainer.global_step
        row_due = step % self.every == 0 or step in (1, trainer.max_steps)
        if not row_due and not self._progress.due:
            self._progress.step()
            return
        terms = {name: float(f"{float(outputs[name]):.7g}") for name in self.terms}
        mean_s, data_s = self._total_s / self._steps, self._data_s / self._steps
        self._progress.step(
            f"loss {terms['loss']:.3f}  {mean_s:.2f} s/step ({100 * data_s / mean_s:.0f} % waiting for data)"
        )
        if row_due:
            times = {"minutes": round(self.clock.minutes, 3), "step_s": round(mean_s, 4), "data_s": round(data_s, 4)}
            self._file.add({"step": step, **terms, **times, "lr": f"{self._lr:.3e}", "voxels": len(batch.label)})
            self._data_s = self._total_s = 0.0
            self._steps = 0

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the scores; the time of a validation is no waiting for data."""
        score = pl_module.last_score if isinstance(pl_module, Segmentation) else None
        if self._file is not None and self._progress is not None and score is not None and not trainer.sanity_checking:
            values = (score.miou, score.macc, score.all_acc)
            row = {name: round(value, 5) for name, value in zip(SCORES, values, strict=True)}
            self._file.add({"step": trainer.global_step, "minutes": round(self.clock.minutes, 3), **row})
            self._progress.say(f"step {trainer.global_step}: validation mIoU {100 * score.miou:.1f} %")
        self._marks[1] = time.monotonic()

    def on_exception(self, *_: Any) -> None:
        """Close what is open."""
        self._close()

    def on_train_end(self, *_: Any) -> None:
        """Close what is open."""
        self._close()

    def _columns(self) -> tuple[str, ...]:
        return ("step", "minutes", *self.terms, "lr", "step_s", "data_s", "voxels", *SCORES)

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.close()
        if self._file is not None:
            self._file.close()
        self._progress = self._file = None
