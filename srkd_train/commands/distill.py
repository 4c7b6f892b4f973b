# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd distill`: a small student learns from labels and from a large frozen teacher (SRKD)."""

from srkd_train.config import DistillConfig
from srkd_train.distillation import distill, distiller_module, teacher_scheme
from srkd_train.run_command import run

ABOUT = (
    "Trains a student on labelled clouds beside a frozen teacher that sees the same voxels (SRKD, arXiv 2506.17290):"
    " logits, point and voxel affinities, channels, similarities across the clouds of a batch, features. Ready"
    " configurations are in config/distill. --data bag:PATH takes the clouds of rosbags without labels: the student"
    " learns from the teacher alone. --objective.weights.TERM 0 switches a term off. SIGTERM and Ctrl-C save the run"
    " and end it with exit code 0; --resume goes on."
)


def main(argv: list[str]) -> int:
    """`srkd distill --config FILE --teacher CHECKPOINT --out DIR [--section.key value ...] [--resume] [--dry-run]`;
    the exit code."""
    return run(
        argv, DistillConfig, verb="distill", about=ABOUT, build=distiller_module, train=distill, taught=teacher_scheme
    )
