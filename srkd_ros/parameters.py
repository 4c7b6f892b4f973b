# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the nodes: one table, from which come the declarations, the YAML file and the README's table.

`python -m srkd_ros.parameters segment` (or another node) prints the Markdown table, with `--yaml` the file; neither
needs ROS.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace

from srkd_ros.comparison_parameters import COMPARISON
from srkd_ros.densify_parameters import DENSIFY
from srkd_ros.parameter import WHEN, Parameter, Value

MODEL = (
    Parameter(
        "checkpoint",
        "student-nano",
        "Model file (.safetensors), or the name of a bundled network.",
        "configure",
    ),
    Parameter(
        "checkpoint_sha256",
        "",
        "Digest that the model file must have, as `sha256sum` prints it; empty: not checked.",
        "configure",
    ),
    Parameter("device", "auto", "Torch device: auto (a GPU where there is one), cpu, cuda, cuda:1, ...", "configure"),
    Parameter(
        "precision",
        "auto",
        "Arithmetic of the network; auto is fp16 on a GPU that has it, else fp32.",
        "configure",
        choices=("auto", "fp32", "bf16", "fp16"),
    ),
    Parameter(
        "backend",
        "torch",
        "torch, or accelerators joined by +: spconv, torch-scatter, flash-attn.",
        "configure",
    ),
    Parameter("num_threads", 0, "CPU threads of the network; 0: as torch chooses.", "configure", 0, 1024),
)
"""Of every node that runs a network."""

INPUT = (
    Parameter(
        "input_reliability",
        "best_effort",
        "QoS asked of the input; best_effort hears every driver, reliable loses nothing but needs a reliable driver.",
        "activate",
        choices=("best_effort", "reliable"),
    ),
    Parameter(
        "intensity_field",
        "",
        "Field that holds the intensity; empty: intensity, or reflectivity where that is absent or zero throughout.",
    ),
    Parameter(
        "match_intensity",
        True,
        "Bring intensities that are plainly on another scale onto the network's own.",
    ),
    Parameter(
        "missing_intensity",
        "zero",
        "Clouds without the intensity that the network needs: take it as zero, or reject them.",
        choices=("zero", "reject"),
    ),
    Parameter("max_points", 2_000_000, "Larger clouds are rejected.", "at once", 1, 20_000_000),
)

START = Parameter("autostart", True, "Configure and activate at start, with no lifecycle manager.", "start")
WATCH = (
    Parameter("input_timeout_s", 2.0, "Silence of the input after which diagnostics warn.", "at once", 0.1, 3600.0),
    Parameter("diagnostics_period_s", 1.0, "Time between two messages on /diagnostics.", "at once", 0.1, 60.0),
)

SEGMENT = (
    *MODEL,
    Parameter("model_dir", "", "Folder whose files the service ~/load_model may load; empty: none.", "start"),
    START,
    *INPUT,
    Parameter(
        "max_age_ms",
        0.0,
        "Clouds whose stamp is older than this when their turn comes are dropped; 0: none are. A stamp more than an"
        " hour old is taken for one of another clock: kept.",
        "at once",
        0.0,
        3.6e6,
    ),
    Parameter(
        "filter_classes",
        ("",),
        "Names of the classes whose points ~/output/filtered leaves out; an empty name means none.",
    ),
    *DENSIFY,
    Parameter(
        "latency_warn_ms",
        100.0,
        "Diagnostics warn where the 95th percentile from arrival to labels is above this.",
        "at once",
        0.1,
        3.6e6,
    ),
    Parameter(
        "latency_error_ms",
        1000.0,
        "Diagnostics report an error where it is above this.",
        "at once",
        0.1,
        3.6e6,
    ),
    *WATCH,
)
"""Of the node `segment`."""

TEACHER = (
    replace(MODEL[0], default="teacher-nano"),
    *MODEL[1:],
    START,
    *INPUT,
    *COMPARISON,
    Parameter(
        "buffer_frames",
        20,
        "Clouds, and labels, that wait for each other; more is needed where the student is slow.",
        "activate",
        1,
        1000,
    ),
    *WATCH,
)
"""Of the node `teacher`."""

SEGMENT_WITH_TEACHER = (
    *SEGMENT,
    replace(MODEL[0], name="teacher_checkpoint", default="teacher-nano"),
    replace(MODEL[1], name="teacher_checkpoint_sha256"),
    Parameter(
        "teacher_num_threads",
        1,
        "CPU threads of the teacher; with more, both networks' threads get into each other's way.",
        "activate",
        1,
        1024,
    ),
    *(replace(each, default=5) if each.name == "teacher_niceness" else each for each in COMPARISON),
)
"""Of the node `segment` of the executable `segment_with_teacher`; device, precision and backend are those of both."""

TABLES = {"segment": SEGMENT, "teacher": TEACHER, "segment_with_teacher": SEGMENT_WITH_TEACHER}


def markdown(parameters: Sequence[Parameter]) -> str:
    """The table of the README."""
    rows = ["| parameter | default | range | changes | meaning |", "|---|---|---|---|---|"]
    for parameter in parameters:
        cells = (
            f"`{parameter.name}`",
            f"`{_yaml_value(parameter.default)}`",
            parameter.limits.replace("|", "\\|"),
            WHEN[parameter.when],
            parameter.description.replace("|", "\\|"),
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def yaml_file(parameters: Sequence[Parameter]) -> str:
    """A parameter file with every default."""
    lines = [
        "# SPDX-FileCopyrightText: 2026 The srkd_ros authors",
        "# SPDX-License-Identifier: Apache-2.0",
        "# All parameters with their defaults; give a copy of it as params_file. QoS of a topic can be changed with",
        "# qos_overrides./TOPIC.publisher.reliability and the like (or subscription; history, depth, durability).",
        "/**:",
        "  ros__parameters:",
    ]
    for parameter in parameters:
        limits = f" {parameter.limits}." if parameter.limits else ""
        lines.append(f"    # {parameter.description}{limits} Changes {WHEN[parameter.when]}.")
        lines.append(f"    {parameter.name}: {_yaml_value(parameter.default)}")
    return "\n".join(lines) + "\n"


def _yaml_value(value: Value) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    table = next((TABLES[word] for word in sys.argv[1:] if word in TABLES), SEGMENT)
    sys.stdout.write(yaml_file(table) if "--yaml" in sys.argv[1:] else markdown(table))
