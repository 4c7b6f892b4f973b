# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The noise process of CDSegNet's noise branch: schedules, the forward process, the embedding of time, DDIM steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from srkd.errors import ConfigError

_MAX_STEPS = 100_000


@dataclass(frozen=True)
class DiffusionConfig:
    """A schedule of ``steps`` noise levels."""

    steps: int = 1000
    schedule: Literal["linear", "cosine"] = "linear"
    beta_start: float = 0.001
    beta_end: float = 0.005

    def __post_init__(self) -> None:
        if type(self.steps) is not int or not 2 <= self.steps <= _MAX_STEPS:
            raise ConfigError(f"diffusion steps are {self.steps!r}: want a whole number from 2 to {_MAX_STEPS}")
        if self.schedule not in ("linear", "cosine"):
            raise ConfigError(f"diffusion schedule is {self.schedule!r}: want linear or cosine")
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise ConfigError(
                f"diffusion betas are {self.beta_start} to {self.beta_end}: want them rising inside (0, 1)"
            )

    def signal_level(self) -> Tensor:
        """(steps,) float32: the share alpha-bar_t of the signal's variance left after step t.

        Linear: betas evenly spaced from ``beta_start`` to ``beta_end`` (nuScenes, ScanNet200). Cosine: ``cos^2`` of
        (u + 0.008) / 1.008 * pi / 2, betas at most 0.999 (ScanNet).
        """
        if self.schedule == "linear":
            betas = torch.linspace(self.beta_start, self.beta_end, self.steps, dtype=torch.float64)
        else:
            time = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
            level = torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
            betas = (1 - level[1:] / level[:-1]).clamp(max=0.999)
        return torch.cumprod(1 - betas, dim=0).float()


def add_noise(signal: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """x_t = sqrt(alpha-bar) x_0 + sqrt(1 - alpha-bar) eps; signal, noise (N, C), level (N, 1)."""
    return level.sqrt() * signal + (1 - level).sqrt() * noise


def ddim_step(noisy: Tensor, predicted_noise: Tensor, level: Tensor, earlier_level: Tensor) -> Tensor:
    """One deterministic step back: (N, C) at signal level ``level`` to (N, C) at ``earlier_level`` (scalars)."""
    signal = (noisy - (1 - level).sqrt() * predicted_noise) / level.sqrt()
    return earlier_level.sqrt() * signal + (1 - earlier_level).sqrt() * predicted_noise


def time_embedding(time: Tensor, channels: int) -> Tensor:
    """Sinusoidal embedding of time steps.

    Args:
        time: (B,) steps.
        channels: even width; half sines, half cosines, frequencies from 1 down to 1/10000.

    Returns:
        (B, channels) float32.
    """
    half = channels // 2
    frequency = torch.exp(torch.arange(half, device=time.device, dtype=torch.float32) * (-math.log(10000) / (half - 1)))
    angle = time.to(torch.float32).unsqueeze(1) * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def inference_times(steps: int, count: int) -> list[int]:
    """Time steps of multi-step inference, from the last one down.

    As the public code has them: ``linspace(-1, steps - 1, count + 1)`` rounded down and reversed, up to the first that
    is not above 0. So ``count`` steps are ``count + 1`` evaluations, the last of them at time -1 (with ``count ==
    steps`` they are ``count``, the last at time 0).

    Raises:
        ConfigError: ``count`` is not from 1 to ``steps``.
    """
    if not 1 <= count <= steps:
        raise ConfigError(f"{count} inference steps of a noise process of {steps}: give 1 to {steps}")
    times: list[int] = []
    for index in reversed(range(count + 1)):
        times.append(math.floor(-1 + index * steps / count))
        if times[-1] <= 0:
            break
    return times
