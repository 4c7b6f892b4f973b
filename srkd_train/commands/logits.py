# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd logits`: a network on ready-made voxels, so that any other implementation can be compared with it."""

from __future__ import annotations

import io
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from srkd.backend import Backend, use_backend
from srkd.cdsegnet import CDSegNet
from srkd.checkpoint import load_checkpoint
from srkd.device import autocast, resolve_device
from srkd.errors import CloudError
from srkd.io.atomic import write_atomic
from srkd.plan_build import MAX_CLOUDS, build_plan
from srkd_train.cli import add_runtime_arguments, checkpoint_path, make_parser

Array = npt.NDArray[Any]
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    OSError,
    EOFError,
    AttributeError,
    TypeError,
    KeyError,
    RuntimeError,
    MemoryError,
)
"""What numpy and zipfile raise over a file that is something else, cut off, damaged or absurd."""


def main(argv: list[str]) -> int:
    """`srkd logits CHECKPOINT IN.npz OUT.npz`."""
    parser = make_parser(
        "logits",
        "IN holds grid_coord (N,3) int32, feat (N,C) float32, batch (N,) int64 ascending, and optionally depth"
        " (curve bits; default: each cloud's own) and, for CDSegNet, noise (N,C) float32. OUT gets logits (N,K) float32"
        " in input order.",
    )
    parser.add_argument("checkpoint")
    parser.add_argument("input")
    parser.add_argument("output")
    add_runtime_arguments(parser)
    args = parser.parse_args(argv)
    device = resolve_device(args.device)
    network, _ = load_checkpoint(checkpoint_path(args.checkpoint), device=device, expected_sha256=args.sha256)
    use_backend(network, Backend.parse(args.backend, device))
    voxels = read_voxels(args.input, network.config.in_channels)
    grid = torch.from_numpy(voxels["grid_coord"]).to(device)
    batch = voxels["batch"]
    ends = np.searchsorted(batch, np.arange(int(batch[-1]) + 1), side="right").tolist()
    depth = int(voxels["depth"]) if "depth" in voxels else None
    features = torch.from_numpy(voxels["feat"]).to(device)
    with torch.inference_mode(), autocast(device, args.precision):
        plan = build_plan(grid, ends, network.plan_spec, depth=depth)
        if isinstance(network, CDSegNet) and "noise" in voxels:
            logits = network(features, plan, noise=torch.from_numpy(voxels["noise"]).to(device))
        else:
            logits = network(features, plan)
    buffer = io.BytesIO()
    np.savez(buffer, logits=logits.float().cpu().numpy())
    try:
        write_atomic(args.output, [buffer.getbuffer()])
    except OSError as error:
        raise CloudError(f"{args.output} cannot be written ({error.strerror}): give another output") from error
    sys.stdout.write(f"{args.output}: logits {tuple(logits.shape)}\n")
    return 0


def read_voxels(path: str, channels: int) -> dict[str, Array]:
    """The arrays of an input file, checked.

    Raises:
        CloudError: not an npz, or an array that is missing, of the wrong dtype or shape, not finite or not ascending.
    """
    if not Path(path).is_file():
        raise CloudError(f"{path} is not a file: give an .npz with grid_coord, feat and batch")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _UNREADABLE as error:
        raise CloudError(f"{path} is not a whole .npz file ({error}): write it with numpy.savez") from error
    for name in ("grid_coord", "feat", "batch"):
        if name not in arrays:
            raise CloudError(f"{path} has no array {name!r} (it has {', '.join(arrays) or 'none'}): add it")
    count = arrays["grid_coord"].shape[0] if arrays["grid_coord"].ndim else 0
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {
        "grid_coord": ("iu", (count, 3)),
        "feat": ("f", (count, channels)),
        "batch": ("iu", (count,)),
        "noise": ("f", (count, channels)),
        "depth": ("iu", ()),
    }
    for name, (kinds, shape) in wanted.items():
        if name not in arrays:
            continue
        array = arrays[name]
        if name == "depth" and array.size == 1:
            array = arrays[name] = array.reshape(())
        if array.dtype.kind not in kinds or array.shape != shape:
            kind = "integers" if kinds == "iu" else "floats"
            raise CloudError(f"{path}: {name} is {array.dtype} {array.shape}, expected {kind} of shape {shape}")
    batch = arrays["batch"].astype(np.int64)
    if count == 0 or int(batch[0]) < 0 or int(batch[-1]) >= MAX_CLOUDS or bool((np.diff(batch) < 0).any()):
        raise CloudError(
            f"{path}: batch must hold cloud numbers from 0 to {MAX_CLOUDS - 1} in ascending order, at least one:"
            " sort the voxels by cloud"
        )
    with np.errstate(over="ignore"):
        floats = {name: arrays[name].astype(np.float32) for name in ("feat", "noise") if name in arrays}
    for name, values in floats.items():
        if not bool(np.isfinite(values).all()):
            raise CloudError(f"{path}: {name} holds values that are not finite in float32: remove them")
    rest = {name: arrays[name] for name in ("depth",) if name in arrays}
    return {"grid_coord": arrays["grid_coord"].astype(np.int64), "batch": batch, **floats, **rest}
