# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where networks run, and in which arithmetic."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from srkd.errors import ConfigError

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Name to the type of autocast."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The arithmetic that a precision (a key of ``PRECISIONS``) means on a device."""
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


def resolve_device(device: torch.device | str) -> torch.device:
    """The device that a name means; "auto" is a GPU where there is one.

    Raises:
        ConfigError: unknown, or not on this machine.
    """
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r} is unknown: use auto, cpu, cuda or cuda:N") from error
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {str(device)!r} is not there ({torch.cuda.device_count()} CUDA devices): use auto or cpu"
        )
    try:
        torch.zeros(1, device=resolved).cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ConfigError(f"device {str(device)!r} cannot be used here: use auto or cpu") from error
    return resolved


def keep_freed_memory() -> None:
    """Makes glibc keep what a frame frees for the next one; faulting it in again takes 10 to 20 % of a frame.

    Its thresholds adapt: once a mapped block of up to 32 MiB is freed, blocks of that size come from the heap and up to
    twice as much stays there unused. Other allocators just see an allocation.
    """
    torch.empty((32 << 20) - (64 << 10), dtype=torch.uint8)
