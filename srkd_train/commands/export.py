# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd export`: a network as ONNX."""

from __future__ import annotations

import sys
from pathlib import Path

from srkd.checkpoint import load_checkpoint
from srkd.errors import CheckpointError
from srkd_train.cli import checkpoint_path, make_parser
from srkd_train.onnx_export import export_onnx


def main(argv: list[str]) -> int:
    """`srkd export CHECKPOINT OUT.onnx`."""
    parser = make_parser(
        "export",
        "Writes the (features, plan) forward pass of one cloud as ONNX with dynamic point counts and plain operators,"
        " and checks it in onnxruntime. Build the plan with srkd.plan_build; the inputs have its tables' names.",
    )
    parser.add_argument("checkpoint", help="a .safetensors file, or the name of a bundled one")
    parser.add_argument("output", help="the .onnx file to write")
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    args = parser.parse_args(argv)
    if Path(args.output).exists() and not args.force:
        raise CheckpointError(f"{args.output} exists: give another name or --force")
    network, header = load_checkpoint(checkpoint_path(args.checkpoint))
    report = export_onnx(network, header, args.output)
    for voxels, difference in report["differences"].items():
        sys.stdout.write(f"{voxels} voxels: onnxruntime differs from torch by {difference:.1e}\n")
    sys.stdout.write(f"{args.output}: operators {' '.join(report['operators'])}\n")
    return 0
