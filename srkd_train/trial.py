# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A few steps of a run, to know what the whole will cost before anything is written."""

import resource
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from srkd.device import autocast
from srkd.labels import LabelScheme
from srkd.progress import clock
from srkd_train.config import RunConfig
from srkd_train.data.dense_part import run_part
from srkd_train.data.loader import PREFETCHED
from srkd_train.modules import Segmentation
from srkd_train.process import prepare_process
from srkd_train.training import training_batches

_WARM_UP, _STEPS = 2, 5


@dataclass(frozen=True)
class Trial:
    """What a run costs, by the median of a few steps."""

    device: str
    parameters: int
    """Trained parameters, adapters included."""
    clouds: int
    """Clouds of the data set."""
    voxels: int
    """Voxels a batch."""
    dense_voxels: int
    """Voxels of the dense clouds beside them; 0 where there are none."""
    data_s: float
    """Seconds to make a batch, in one process."""
    step_s: float
    """Seconds of forward, backward and update."""
    memory_bytes: int
    """Peak: of the GPU, or of this process."""
    steps: int
    """Of the whole run."""
    workers: int
    """Processes that make batches."""
    batch_bytes: int
    """Of a batch, its plan included."""
    shared_bytes: int | None
    """Shared memory that is free; None where nobody says."""

    @property
    def queued_bytes(self) -> int:
        """Shared memory of the batches that workers make ahead."""
        return self.workers * PREFETCHED * self.batch_bytes

    @property
    def total_s(self) -> float:
        """Seconds of all steps, without validations; workers make batches beside the steps."""
        each = self.step_s + self.data_s if self.workers == 0 else max(self.step_s, self.data_s / self.workers)
        return self.steps * each

    def to_text(self) -> str:
        """A short report."""
        dense = f" and {self.dense_voxels:,} for the teacher" if self.dense_voxels else ""
        return (
            f"{self.parameters:,} trained parameters on {self.device}, {self.clouds:,} clouds,"
            f" {self.voxels:,} voxels a step{dense}\n"
            f"{self.step_s:.3f} s a step, {self.data_s:.3f} s to make its batch in one process"
            f" ({self.workers} beside the training)\n"
            f"{self.memory_bytes / 2**30:.2f} GiB at most{self._queue()}\n"
            f"about {clock(self.total_s)} h:mm:ss for {self.steps:,} steps, validations not included\n"
        )

    def _queue(self) -> str:
        """In words; containers often have 64 MiB of shared memory, and a run that fills it is killed."""
        if not self.workers:
            return ""
        words = f", and {self.queued_bytes / 2**20:.0f} MiB of shared memory for batches made ahead"
        if self.shared_bytes is None or self.queued_bytes <= self.shared_bytes:
            return words
        free = self.shared_bytes / 2**20
        return f"{words}; {free:.0f} MiB are free: --trainer.num_workers 0, or more of it (docker run --shm-size)"


def try_steps(
    config: RunConfig, build: Callable[[LabelScheme], Segmentation], *, taught: LabelScheme | None = None
) -> Trial:
    """Takes a few steps on one device as the run would; trains nothing that is kept.

    Args:
        config: the whole run.
        build: makes what is trained for the scheme of the data.
        taught: what a teacher teaches, for clouds without labels.

    Raises:
        SrkdError: the run could not start either.
    """
    prepare_process(config.trainer)
    part = run_part(config, taught)
    on_gpu = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    module = build(part.clouds.scheme).to(device).train()
    batches = training_batches(config, part, module.plan_spec, dense_spec=module.dense_plan_spec)
    optimizer = module.configure_optimizers()["optimizer"]
    precision = {"32": "fp32", "bf16": "bf16", "16": "fp16"}[config.trainer.precision]
    data_s, step_s, voxels, dense_voxels, sizes = [], [], [], [], []
    for step in range(_WARM_UP + _STEPS):
        start = time.perf_counter()
        batch = batches[step]
        made = time.perf_counter()
        batch = batch.to(device)
        torch.manual_seed(step)
        with autocast(device, precision) if precision != "fp32" else nullcontext():
            loss = module.training_step(batch, step)["loss"]
        loss.backward()
        module.configure_gradient_clipping(optimizer, config.optim.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        if on_gpu:
            torch.cuda.synchronize()
        data_s.append(made - start)
        step_s.append(time.perf_counter() - made)
        voxels.append(len(batch.label))
        sizes.append(batch.nbytes)
        dense_voxels.append(0 if batch.dense is None else len(batch.dense.label))
    peak = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Trial(
        device=torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads",
        parameters=sum(parameter.numel() for parameter in module.trained.parameters() if parameter.requires_grad),
        clouds=len(part.clouds),
        voxels=round(statistics.median(voxels)),
        dense_voxels=round(statistics.median(dense_voxels)),
        data_s=statistics.median(data_s[_WARM_UP:]),
        step_s=statistics.median(step_s[_WARM_UP:]),
        memory_bytes=peak,
        steps=config.trainer.max_steps,
        workers=config.trainer.num_workers,
        batch_bytes=max(sizes),
        shared_bytes=_free_bytes(Path("/dev/shm")),
    )


def _free_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
