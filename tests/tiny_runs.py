# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command lines of training runs that take a second a step."""

from pathlib import Path


def tiny_words(out: Path, cache: Path, *more: str, steps: int = 2) -> list[str]:
    """Two crops of streets a step, on a CPU, in this process."""
    tiny = {
        "out": out,
        "data.cache_dir": cache,
        "data.seeds": "[0,2]",
        "data.val_seeds": "[9900,9901]",
        "data.sensors": "[beams16]",
        "data.frames_per_street": 1,
        "data.input.voxel_size_m": 0.5,
        "data.augment.max_points": 3000,
        "trainer.threads": 1,
        "trainer.max_steps": steps,
        "trainer.batch_size": 2,
        "trainer.num_workers": 0,
        "trainer.accelerator": "cpu",
        "trainer.log_every": 1,
        "trainer.final_eval": "false",
    }
    return [word for key, value in tiny.items() for word in (f"--{key}", str(value))] + list(more)
