# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the nodes that compare student and teacher: how often, what is watched, what is recorded."""

from __future__ import annotations

from srkd_ros.parameter import Parameter

COMPARISON = (
    Parameter(
        "compare_every_nth",
        1,
        "Only every n-th labelled cloud is compared; 1: each, as far as the teacher keeps up.",
        "at once",
        1,
        100_000,
    ),
    Parameter(
        "teacher_busy_share",
        1.0,
        "Greatest part of the time that the teacher may be at work; 1: as much as it can get.",
        "at once",
        0.001,
        1.0,
    ),
    Parameter(
        "compare_within_s",
        2.0,
        "A cloud is compared whatever teacher_busy_share says where the last comparison began longer ago than this; 0:"
        " never so.",
        "at once",
        0.0,
        3600.0,
    ),
    Parameter(
        "teacher_niceness",
        19,
        "By how much the teacher's threads give way to others for a CPU; 19: to all, 0: to none. Linux only.",
        "activate",
        0,
        19,
    ),
    Parameter(
        "class_map",
        "",
        "YAML file with a line `student's class: teacher's class` each, for label schemes that differ; classes that are"
        " not in it are left out. Empty: both must have the same classes.",
        "configure",
    ),
    Parameter(
        "window_frames",
        100,
        "Compared clouds over which ~/comparison and diagnostics give agreement, IoU, confusion and calibration.",
        "at once",
        1,
        10_000,
    ),
    Parameter(
        "agreement_warn",
        0.8,
        "Diagnostics warn where student and teacher agree on a smaller part of the window's points; 0: never.",
        "at once",
        0.0,
        1.0,
    ),
    Parameter(
        "agreement_error",
        0.5,
        "Diagnostics report an error where that part is below this; 0: never.",
        "at once",
        0.0,
        1.0,
    ),
    Parameter(
        "agreement_min_frames",
        10,
        "Compared clouds that the window must hold before diagnostics judge it.",
        "at once",
        1,
        10_000,
    ),
    Parameter(
        "record_dir",
        "",
        "Folder where the clouds on which both differ most are recorded, with both label sets; empty: nowhere.",
        "activate",
    ),
    Parameter(
        "record_disagreement_min",
        0.1,
        "Clouds are recorded where both differ on at least this part of the points.",
        "activate",
        0.0,
        1.0,
    ),
    Parameter(
        "record_worst_of",
        10,
        "Of so many compared clouds the one on which both differ most is recorded; 1: each.",
        "activate",
        1,
        100_000,
    ),
    Parameter(
        "record_file_mib",
        64,
        "A bag is closed before it grows beyond this; at most half of record_max_mib.",
        "activate",
        1,
        1_000_000,
    ),
    Parameter(
        "record_file_s",
        60.0,
        "A bag is closed when it is so old; what is in an open one is lost where the process is killed.",
        "activate",
        1.0,
        86_400.0,
    ),
    Parameter(
        "record_max_mib",
        1024,
        "All bags in record_dir together; the oldest make room for the newest.",
        "activate",
        2,
        100_000_000,
    ),
    Parameter(
        "record_min_free_mib",
        1024,
        "Recording pauses where a bag could leave less than this on the disk.",
        "activate",
        0,
        100_000_000,
    ),
)
"""Of every node that compares student and teacher."""
