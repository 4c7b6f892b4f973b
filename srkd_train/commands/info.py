# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd info`: what a checkpoint is."""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

from srkd.architectures import config_from_dict, network_from_config
from srkd.checkpoint import file_sha256, read_header
from srkd.spunet import SpUNetConfig
from srkd_train.cli import checkpoint_path, make_parser


def main(argv: list[str]) -> int:
    """`srkd info [CHECKPOINT] [--json]`."""
    parser = make_parser("info", "Says what a checkpoint is: network, input, classes, training, metrics.")
    parser.add_argument("checkpoint", nargs="?", default=None, help="a .safetensors file, or the name of a bundled one")
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.parse_args(argv)
    path = checkpoint_path(args.checkpoint)
    facts = describe(str(path))
    if args.json:
        sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        return 0
    for key, value in facts.items():
        if isinstance(value, dict):
            sys.stdout.write(f"{key}\n" + "".join(f"  {name}: {_short(entry)}\n" for name, entry in value.items()))
        else:
            sys.stdout.write(f"{key}: {_short(value)}\n")
    return 0


def describe(path: str) -> dict[str, Any]:
    """The facts of a checkpoint as plain data.

    Raises:
        CheckpointError: see :func:`srkd.checkpoint.read_header`.
    """
    header = read_header(path)
    config = config_from_dict(header.config)
    with torch.device("meta"):
        network = network_from_config(config)
    return {
        "file": path,
        "file_sha256": file_sha256(path),
        "architecture": header.architecture,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "stride_stages": list(network.stages),
        **({} if isinstance(config, SpUNetConfig) else {"patch_size": config.unet.patch_size}),
        "input": header.input.to_dict(),
        "scheme": header.scheme.name,
        "classes": list(header.scheme.class_names),
        "training": dict(header.training),
        "metrics": dict(header.metrics),
    }


def _short(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "".join(sign if sign.isprintable() else "?" for sign in text)  # a foreign header may hold control codes
