# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The noise process by its formulas, one number at a time."""

import math
from typing import Any

import pytest
import torch

from srkd.diffusion import DiffusionConfig, add_noise, ddim_step, inference_times, time_embedding
from srkd.errors import ConfigError


def test_linear_schedule() -> None:
    level = DiffusionConfig().signal_level()
    product, expected = 1.0, []
    for step in range(1000):
        product *= 1 - (0.001 + (0.005 - 0.001) * step / 999)
        expected.append(product)
    torch.testing.assert_close(level, torch.tensor(expected), rtol=1e-6, atol=0)
    assert float(level[0]) == pytest.approx(0.999) and float(level[-1]) == pytest.approx(0.0495, abs=5e-5)


def test_cosine_schedule() -> None:
    level = DiffusionConfig(schedule="cosine").signal_level()

    def share(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = [share((step + 1) / 1000) / share(0) for step in range(999)]
    torch.testing.assert_close(level[:-1], torch.tensor(expected), rtol=1e-4, atol=1e-9)
    # The last beta would be 1; it is held at 0.999.
    assert float(level[-1]) == pytest.approx(expected[-1] * 0.001, rel=1e-3) and 0 < float(level[-1]) < 1e-8


def test_noising_keeps_variance_and_a_step_back_undoes_it() -> None:
    generator = torch.Generator().manual_seed(0)
    signal, noise = torch.randn(2, 4000, 2, generator=generator, dtype=torch.float64)
    level, earlier = torch.tensor(0.3), torch.tensor(0.8)
    noisy = add_noise(signal, noise, level.expand(4000, 1))
    assert float(noisy.var()) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(noisy, math.sqrt(0.3) * signal + math.sqrt(0.7) * noise, rtol=1e-6, atol=1e-6)
    back = ddim_step(noisy, noise, level, earlier)
    torch.testing.assert_close(back, add_noise(signal, noise, earlier.expand(4000, 1)), rtol=1e-6, atol=1e-6)


def test_time_embedding() -> None:
    found = time_embedding(torch.tensor([0, 1, 37, 999, -1]), 128)
    for row, step in zip(found, (0, 1, 37, 999, -1), strict=True):
        angle = [step * math.exp(-j * math.log(10000) / 63) for j in range(64)]
        expected = torch.tensor([math.sin(a) for a in angle] + [math.cos(a) for a in angle])
        torch.testing.assert_close(row, expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("steps", "count", "expected"),
    [
        (1000, 1, [999, -1]),
        (1000, 2, [999, 499, -1]),
        (1000, 3, [999, 665, 332, -1]),
        (1000, 4, [999, 749, 499, 249, -1]),
        (10, 10, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_times_of_multi_step_inference(steps: int, count: int, expected: list[int]) -> None:
    assert inference_times(steps, count) == expected


@pytest.mark.parametrize("count", [0, -3, 1001])
def test_impossible_step_counts_are_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"{count} inference steps.*give 1 to 1000"):
        inference_times(1000, count)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 1}, {"steps": 10**9}, {"steps": 10.0}, {"schedule": "sine"}, {"beta_start": 0.1}, {"beta_end": 1.5}],
    ids=str,
)
def test_impossible_schedules_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="diffusion"):
        DiffusionConfig(**wrong)
