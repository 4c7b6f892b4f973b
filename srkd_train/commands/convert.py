# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd convert`: public weights (.pth of Pointcept PTv3 and SpUNet, CDSegNet, SRKD) to a checkpoint of ours."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srkd.architectures import ARCHITECTURES, build_network, config_to_dict, network_from_config
from srkd.cdsegnet import CDSegNetConfig
from srkd.checkpoint import file_sha256, save_checkpoint
from srkd.diffusion import DiffusionConfig
from srkd.errors import CheckpointError, ConfigError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd.public_weights import Matched, match_public
from srkd_train.cli import make_parser

INPUTS = {
    "nuscenes": InputSpec(0.05, ("x", "y", "z", "intensity"), "divide_255"),
    "semantickitti": InputSpec(0.05, ("x", "y", "z", "intensity"), "as_is"),
    "waymo": InputSpec(0.05, ("x", "y", "z", "intensity"), "tanh"),
    "scannet": InputSpec(0.02, ("r", "g", "b", "nx", "ny", "nz"), "as_is"),
    "street": InputSpec(0.2, ("x", "y", "z", "intensity"), "as_is"),
}
"""What the public recipes feed the networks, by scheme."""
_LISTED = 10
_MIN_TORCH = (2, 10)


def main(argv: list[str]) -> int:
    """`srkd convert IN.pth OUT.safetensors --arch NAME --scheme NAME`."""
    parser = make_parser("convert", "Brings public weights in. The file is read with weights_only: it can run no code.")
    parser.add_argument("input", help="a .pth file: a state dict, or a dict that holds one under state_dict or model")
    parser.add_argument("output", help="the .safetensors file to write")
    parser.add_argument("--arch", required=True, help=" | ".join(ARCHITECTURES))
    parser.add_argument(
        "--scheme", required=True, help="nuscenes | semantickitti | waymo | scannet | street | a scheme's YAML"
    )
    parser.add_argument(
        "--input-like", default=None, help="with a scheme of your own: whose voxel size and features to take"
    )
    parser.add_argument(
        "--partial", action="store_true", help="write even where tensors do not match; the rest is random"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the output")
    args = parser.parse_args(argv)
    header = convert(
        args.input,
        args.output,
        args.arch,
        args.scheme,
        input_like=args.input_like,
        partial=args.partial,
        force=args.force,
    )
    sys.stdout.write(f"{args.output}: {args.arch}, {header.scheme.name}, weights sha256 {header.weights_sha256}\n")
    sys.stdout.write(f"file sha256 {file_sha256(args.output)}\n")
    return 0


def convert(
    source: str,
    output: str,
    arch: str,
    scheme_name: str,
    *,
    input_like: str | None = None,
    partial: bool = False,
    force: bool = False,
) -> Header:
    """Converts a file; the arguments are the command's.

    Raises:
        CheckpointError: the file cannot be read safely, does not match the network, or the output exists.
        ConfigError: unknown architecture or scheme.
    """
    if Path(output).exists() and not force:
        raise CheckpointError(f"{output} exists: give another name or --force")
    scheme = get_scheme(scheme_name)
    if input_like is not None and input_like not in INPUTS:
        raise ConfigError(f"--input-like {input_like!r} is unknown: use {' | '.join(INPUTS)}")
    spec = INPUTS.get(input_like or scheme.name)
    if spec is None:
        raise ConfigError(f"scheme {scheme.name!r} says nothing of the input: add --input-like {' | '.join(INPUTS)}")
    network = build_network(arch, scheme.num_classes, len(spec.features))
    config = network.config
    if isinstance(config, CDSegNetConfig) and spec == INPUTS["scannet"]:
        network = network_from_config(replace(config, diffusion=DiffusionConfig(schedule="cosine")))
    public = read_public(source)
    matched = match_public(public, network.state_dict())
    if not matched.complete:
        for line in _mismatches(matched):
            sys.stderr.write(f"{line}\n")
        if not partial or not matched.state:
            raise CheckpointError(
                f"{source} does not match {arch} for {scheme.name} ({len(matched.missing)} missing,"
                f" {len(matched.unexpected)} unexpected, {len(matched.misshapen)} of another shape, listed above):"
                " check --arch and --scheme, or load what matches with --partial"
            )
    network.load_state_dict(matched.state, strict=False)
    header = replace(
        Header.of(network, arch, spec, scheme),
        config=config_to_dict(network.config),
        training={"source": Path(source).name, "source_sha256": file_sha256(source), "complete": matched.complete},
    )
    return save_checkpoint(output, network, header)


def read_public(source: str) -> dict[str, Tensor]:
    """The tensors of a .pth file, read without running anything in it.

    Raises:
        CheckpointError: no such file, a torch too old to read it safely, or content other than tensors.
    """
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < _MIN_TORCH:
        raise CheckpointError(
            f"torch {torch.__version__} does not unpickle safely (CVE-2026-24747): install torch >= 2.10"
        )
    if not Path(source).is_file():
        raise CheckpointError(f"{source} is not a file: give the path of a .pth file")
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            loaded = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the unpickler raise nearly anything
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it wants {foreign[1]}" if foreign else f"{type(error).__name__} while reading"
        raise CheckpointError(
            f"{source} cannot be read as plain tensors ({reason}): fetch it again, or save its state dict alone"
        ) from error
    state = _state_of(loaded)
    if not state:
        raise CheckpointError(
            f"{source} holds no tensors under state_dict, model or at its top: save its state dict alone"
        )
    return state


def _numpy_scalars() -> list[Any]:
    """What a numpy number in a training checkpoint (its best score) is rebuilt from; none of it runs code."""
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = [type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64")]
    return [*((scalar, name) for name in names), np.dtype, *kinds]


def _state_of(loaded: Any) -> dict[str, Tensor]:
    while isinstance(loaded, dict):
        tensors = {name: value for name, value in loaded.items() if isinstance(name, str) and isinstance(value, Tensor)}
        if tensors:
            return tensors
        loaded = next((loaded[key] for key in ("state_dict", "model", "model_state_dict") if key in loaded), None)
    return {}


def _mismatches(matched: Matched) -> list[str]:
    lines = []
    for title, names in (
        ("missing in the file", matched.missing),
        ("unexpected in the file", matched.unexpected),
        ("of another shape", matched.misshapen),
    ):
        lines += [f"{title}: {name}" for name in names[:_LISTED]]
        if len(names) > _LISTED:
            lines.append(f"{title}: and {len(names) - _LISTED} more")
    return lines
