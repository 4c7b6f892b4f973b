# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of experiments: keys that change the configuration given, and how teacher and full-size PTv3 are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """Keys of a configuration, dotted, with their values."""

    about: str
    """One line."""
    every: Mapping[str, Any]
    """Of every run; the command line wins over them."""
    teacher: Mapping[str, Any] | None
    """Of a teacher's own training, on top; None: the configuration's `teacher` is taken as it is."""
    ptv3: Mapping[str, Any] | None
    """Of a full-size PTv3's training, on top; None: it is left out."""


_ONE_CORE: Mapping[str, Any] = {
    "model.name": "student-nano",
    "trainer.val_every": 0,
    "trainer.num_workers": 0,
    "trainer.threads": 1,
    "trainer.accelerator": "cpu",
    "trainer.precision": "32",
    "trainer.save_minutes": 1,
    "trainer.tensorboard": False,
}
"""A student small enough for one core, and how it is trained there."""

PRESETS: Mapping[str, Preset] = {
    "study": Preset(
        about="the bundled nano networks go on, on streets from 16 beams (6 thousand voxels a cloud); minutes a run",
        every={
            "data.sensors": ["beams16"],
            "data.seeds": [0, 400],
            **_ONE_CORE,
            "model.init": "student-nano-start",
            "trainer.max_steps": 160,
            "trainer.batch_size": 4,
        },
        teacher={
            "model.name": "teacher-nano",
            "model.init": "teacher-nano",
            "model.loss": "gls",
            "optim.lr": 0.0015,  # wider than the student
            "trainer.batch_size": 3,
            "trainer.max_steps": 300,
        },
        ptv3=None,
    ),
    "scans": Preset(
        about="a handful of real scans, nano networks from scratch; a run takes minutes on one core",
        every={
            **_ONE_CORE,
            "trainer.max_steps": 100,
            "trainer.batch_size": 2,
        },
        teacher={
            "model.name": "teacher-nano",
            "model.loss": "gls",
            "optim.lr": 0.003,  # as config/pretrain/street_teacher.yaml
            "trainer.max_steps": 120,
        },
        ptv3=None,
    ),
    "gpu": Preset(
        about="the full-size pair in bf16, for one GPU",
        every={
            "model.name": "student",
            "optim.lr": 0.002,  # [C]
            "trainer.batch_size": 8,  # [C]
            "trainer.max_steps": 3000,
            "trainer.val_every": 0,
            "trainer.num_workers": 8,
            "trainer.accelerator": "gpu",
            "trainer.precision": "bf16",
            "trainer.save_minutes": 2,
            "trainer.tensorboard": False,
        },
        teacher={"model.name": "cdsegnet", "model.loss": "gls", "trainer.max_steps": 4500},
        ptv3={"model.name": "ptv3"},
    ),
    "none": Preset(
        about="the configuration as it is, its teacher included",
        every={},
        teacher=None,
        ptv3={"model.name": "ptv3"},
    ),
}
"""Presets by name."""
