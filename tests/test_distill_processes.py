# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Distillation in two processes: by default the mean of two half-batches, gathered one process with the whole batch."""

import pytest
import torch
from halved_distillation import CASES, one_process, process_of_two
from torch import Tensor
from two_processes import run_two

from srkd_train import distributed

CASE_IDS = ["+".join(case) if len(case) == 1 else "all" for case in CASES]


@pytest.fixture(scope="module")
def by_default() -> list[list[dict[str, Tensor]]]:
    return run_two(process_of_two, False)


@pytest.fixture(scope="module")
def gathered() -> list[list[dict[str, Tensor]]]:
    return run_two(process_of_two, True)


def is_gradient(name: str) -> bool:
    return "running" not in name and name not in ("loss", "class_count") and "weights." not in name


@pytest.mark.parametrize("case", range(len(CASES)), ids=CASE_IDS)
def test_default_is_the_mean_of_two_half_batches(
    case: int, by_default: list[list[dict[str, Tensor]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = []
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        halves.append(one_process(CASES[case], range(2 * rank, 2 * rank + 2)))
    names = [name for name in halves[0] if is_gradient(name)]
    assert names
    for name in names:
        expected = (halves[0][name] + halves[1][name]) / 2
        for process in by_default:
            torch.testing.assert_close(process[case][name], expected, rtol=1e-6, atol=1e-9, msg=name)
    mean = (halves[0]["loss"] + halves[1]["loss"]) / 2
    for process in by_default:
        torch.testing.assert_close(process[case]["loss"], mean, rtol=1e-6, atol=0)


@pytest.mark.parametrize("case", range(len(CASES)), ids=CASE_IDS)
def test_gathered_is_one_process_with_the_whole_batch(case: int, gathered: list[list[dict[str, Tensor]]]) -> None:
    if "lovasz" in CASES[case]:
        pytest.skip("Lovasz is a mean over the processes, by definition")
    whole = one_process(CASES[case], range(4))
    names = [name for name in whole if name != "loss" and "teacher_basis" not in name]
    assert any(is_gradient(name) for name in names)
    for name in names:
        for process in gathered:
            torch.testing.assert_close(process[case][name], whole[name], rtol=1e-6, atol=1e-9, msg=name)
    for process in gathered:
        torch.testing.assert_close(process[case]["loss"], whole["loss"], rtol=1e-6, atol=0)
