# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A function run by two processes of one gloo group on this machine, as a distributed run on two CPUs would be."""

from __future__ import annotations

import importlib
import inspect
import multiprocessing
import os
import socket
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing import ProcessContext, start_processes

PATIENCE_S = 100.0


def run_two(function: Callable[..., Any], *args: Any) -> list[Any]:
    """What ``function(*args)`` returns in process 0 and in process 1; each finds itself by torch.distributed's rank.

    A lightning.Trainer(accelerator="cpu", devices=2, strategy="ddp") in it joins the same group.

    Args:
        function: defined at the top level of a module in tests/.
        args: picklable; not of types of the calling test module, which the processes import under another name.

    Raises:
        torch.multiprocessing.ProcessRaisedException: one of them raised; its traceback is in the message.
        TimeoutError: they did not end, most likely because they wait for each other.
    """
    # Forked off a server that has imported torch and nothing else: half a second instead of six.
    multiprocessing.set_forkserver_preload(["torch"])
    with tempfile.TemporaryDirectory() as folder:
        work = (Path(inspect.getfile(function)).stem, function.__qualname__, args, folder)
        context = start_processes(_process, work, nprocs=2, join=False, start_method="forkserver")
        assert context is not None
        _wait(context, work[1])
        return [torch.load(Path(folder) / str(rank), weights_only=False) for rank in range(2)]


def _wait(context: ProcessContext, name: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    try:
        while not context.join(timeout=deadline - time.monotonic()):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{name} runs for {PATIENCE_S:g} s: do both processes call the same collectives?")
    finally:
        for process in context.processes:
            process.kill()
            process.join()


def _process(rank: int, module: str, name: str, args: tuple[Any, ...], folder: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1")
    if "lo" in (interface for _, interface in socket.if_nameindex()):
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2, timeout=timedelta(seconds=PATIENCE_S)
    )
    # Only now, because lightning asks the environment for its rank when it is imported.
    function = getattr(importlib.import_module(module), name)
    torch.save(function(*args), Path(folder) / str(rank))
    distributed.destroy_process_group()
