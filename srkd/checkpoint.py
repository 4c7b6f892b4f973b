# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: one safetensors file with a validated JSON header. The runtime loads nothing else.

The header says which network it is, what it wants as input, what its classes are, how it was trained and how it
scored, and holds a digest of the weights, so a file that was cut or changed is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from srkd.architectures import Network, config_from_dict, config_to_dict, network_from_config
from srkd.cdsegnet import CDSegNet
from srkd.errors import CheckpointError, SrkdError
from srkd.header import Header, check_counts, header_from_json, header_to_json

_KEY = "srkd"
_MAX_HEADER_BYTES = 1 << 20


def save_checkpoint(
    path: str | os.PathLike[str], network: Network, header: Header, *, dtype: torch.dtype | None = None
) -> Header:
    """Writes a checkpoint; the file appears whole or not at all.

    Args:
        path: where, usually ``*.safetensors``.
        network: its weights are written.
        header: see :meth:`Header.of`; its digest is replaced.
        dtype: floating dtype of the stored weights (e.g. float16 to halve the file); default: as they are.

    Returns:
        The header as written.

    Raises:
        CheckpointError: the folder cannot be written, header and network disagree, the header is not plain JSON, or a
            weight is too large for ``dtype``.
    """
    target = Path(path)
    state = {name: _stored(name, tensor, dtype) for name, tensor in network.state_dict().items()}
    header = replace(header, config=config_to_dict(network.config), weights_sha256=_digest(state))
    check_counts(header, target.name)
    try:
        text = json.dumps(header_to_json(header), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{target.name}: the header is not plain JSON ({error}): leave such facts out") from error
    if len(text) > _MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{target.name}: a header of {len(text)} bytes, at most {_MAX_HEADER_BYTES} are read: shorten it"
        )
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        try:
            safetensors.torch.save_file(state, temporary, metadata={_KEY: text})
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except (OSError, safetensors.SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{target} cannot be written ({reason}): choose another folder") from error
    return header


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a checkpoint, without its weights.

    Raises:
        CheckpointError: not a file, not safetensors, cut short, not one of ours, or a header that contradicts itself.
    """
    with _open(path) as file:
        return _header(file, path)


def load_checkpoint(
    path: str | os.PathLike[str], *, device: torch.device | str = "cpu", expected_sha256: str | None = None
) -> tuple[Network, Header]:
    """The network of a checkpoint, in eval mode and fp32, and its header.

    Args:
        path: a file written by :func:`save_checkpoint`.
        device: where the weights go.
        expected_sha256: digest of the whole file; it is checked before anything is parsed.

    Raises:
        CheckpointError: as :func:`read_header`; also a digest that differs, or tensors that do not fit the network.
    """
    if expected_sha256 is not None:
        found = file_sha256(path)
        if found != expected_sha256.lower():
            raise CheckpointError(
                f"{path} has sha256 {found}, expected {expected_sha256}: fetch the file again or fix the pin"
            )
    with _open(path) as file:
        header = _header(file, path)
        try:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (safetensors.SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(f"{path} cannot be read to its end ({error}): fetch the file again") from error
    if _digest(state) != header.weights_sha256:
        raise CheckpointError(f"{path} holds weights that differ from the digest in its header: fetch the file again")
    with torch.device("meta"):
        network = network_from_config(config_from_dict(header.config))
    wanted = network.state_dict()
    wrong = [name for name in wanted.keys() | state.keys() if name not in state or name not in wanted]
    wrong += [name for name in wanted.keys() & state.keys() if wanted[name].shape != state[name].shape]
    if wrong:
        raise CheckpointError(
            f"{path} does not fit its own configuration at {len(wrong)} tensors, first {sorted(wrong)[0]}: convert"
            " it again"
        )
    network.to_empty(device=device)
    network.load_state_dict({name: tensor.to(wanted[name].dtype) for name, tensor in state.items()})
    if isinstance(network, CDSegNet):
        network.reset_schedule()
    return network.eval(), header


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Hex digest of a file.

    Raises:
        CheckpointError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): give the path of a checkpoint") from error
    return digest.hexdigest()


def _open(path: str | os.PathLike[str]) -> Any:
    if not Path(path).is_file():
        raise CheckpointError(f"{path} is not a file: give the path of a .safetensors checkpoint")
    try:
        return safetensors.safe_open(str(path), framework="pt")
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}): fetch it again, or bring a .pth in with `srkd convert`"
        ) from error


def _header(file: Any, path: str | os.PathLike[str]) -> Header:
    text = (file.metadata() or {}).get(_KEY)
    if text is None:
        raise CheckpointError(
            f"{path} is a safetensors file without our header: bring foreign weights in with `srkd convert`"
        )
    if len(text) > _MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{path} has a header of {len(text)} bytes, at most {_MAX_HEADER_BYTES} are read: convert it again"
        )
    try:
        header = header_from_json(json.loads(text))
        check_counts(header, path)
    except CheckpointError:
        raise
    except (SrkdError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CheckpointError(f"{path} has a header that is not understood ({error}): convert it again") from error
    return header


def _stored(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    plain = tensor.detach().to("cpu")
    if dtype is None or not plain.is_floating_point():
        return plain.contiguous()
    stored = plain.to(dtype)
    if bool((stored.isinf() & ~plain.isinf()).any()):
        raise CheckpointError(f"{name} reaches {float(plain.abs().max()):g}, too large for {dtype}: store float32")
    return stored.contiguous()


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
