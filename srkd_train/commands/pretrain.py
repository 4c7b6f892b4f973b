# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd pretrain`: train a network on labelled clouds."""

from srkd_train.config import RunConfig
from srkd_train.pretraining import pretrain, segmentation_module
from srkd_train.run_command import run

ABOUT = (
    "Trains a network on labelled clouds: synthetic streets made on the fly, SemanticKITTI, nuScenes-lidarseg, Waymo"
    " or ScanNet. A CDSegNet is trained with its noise branch. Ready configurations are in config/pretrain. SIGTERM and"
    " Ctrl-C save the run and end it with exit code 0; --resume goes on."
)


def main(argv: list[str]) -> int:
    """`srkd pretrain --config FILE --out DIR [--section.key value ...] [--resume] [--dry-run]`; the exit code."""
    return run(argv, RunConfig, verb="pretrain", about=ABOUT, build=segmentation_module, train=pretrain)
