# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one switch for optional accelerators: spconv (or spconv-triton), torch-scatter, flash-attn.

Plain torch is the default everywhere and the reference; an accelerator is used only when asked for by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from srkd.errors import ConfigError

if TYPE_CHECKING:
    from srkd.plan import GeometryPlan

NetworkT = TypeVar("NetworkT", bound=nn.Module)

ACCELERATORS = {"spconv": "conv", "torch-scatter": "pool", "flash-attn": "attention"}
"""Package to the part of the networks it can take over."""


@dataclass(frozen=True)
class Backend:
    """Who does what; "torch" is plain torch."""

    conv: str = "torch"
    pool: str = "torch"
    attention: str = "torch"

    @staticmethod
    def parse(text: str, device: torch.device | None = None) -> Backend:
        """``"torch"``, one accelerator, or several joined by ``+`` (``"spconv+flash-attn"``).

        Raises:
            ConfigError: an unknown name, a package that is not installed, or one that fails or errs on the device.
        """
        backend = Backend()
        for name in text.split("+"):
            if name in ("torch", "auto"):
                continue
            if name not in ACCELERATORS:
                raise ConfigError(
                    f"backend {name!r} is unknown: use torch, {', '.join(ACCELERATORS)}, or several joined by +"
                )
            if find_spec(name.replace("-", "_")) is None:
                raise ConfigError(
                    f"backend {name!r} is not installed: install it, or use backend torch (equal results)"
                )
            backend = replace(backend, **{ACCELERATORS[name]: name})
        if device is not None:
            backend.refuse_wrong_device(device)
        return backend

    def refuse_wrong_device(self, device: torch.device) -> None:
        """Says at once what would fail, or be wrong, at the first frame.

        Raises:
            ConfigError: flash-attn on a CPU; spconv on a CPU with more than one thread (its scatter-add races).
        """
        if device.type == "cpu" and self.attention == "flash-attn":
            raise ConfigError("backend flash-attn runs on NVIDIA GPUs only: use device cuda, or backend torch")
        if device.type == "cpu" and self.conv == "spconv" and torch.get_num_threads() > 1:
            raise ConfigError(
                "backend spconv on a CPU is wrong with more than one thread: set_num_threads(1) or backend torch"
            )


def use_backend(network: NetworkT, backend: Backend) -> NetworkT:
    """Sets the backend of every layer that has one; returns the network."""
    for module in network.modules():
        if isinstance(getattr(module, "backend", None), Backend):
            setattr(module, "backend", backend)  # noqa: B010 - nn.Module types its attributes as tensors and modules
    return network


def spconv_subm(features: Tensor, weight: Tensor, plan: GeometryPlan, stage: int, kernel: int) -> Tensor:
    """Submanifold convolution by spconv (or spconv-triton); the indices of a stage are built once a plan.

    On a CPU spconv is right with one thread only (its scatter-add races), so it is refused with more.
    """
    import spconv.pytorch as spconv

    Backend(conv="spconv").refuse_wrong_device(features.device)
    name = f"spconv/{stage}"
    if name not in plan._memo:
        indices = torch.cat([plan.batch(stage).unsqueeze(1), plan.coord(stage)], dim=1).contiguous()
        shape = (plan.coord(stage).amax(dim=0) + 1).tolist()
        plan._memo[name] = (indices, shape, {})
    indices, shape, found = plan._memo[name]
    sparse = spconv.SparseConvTensor(features, indices, shape, plan.num_clouds)
    sparse.indice_dict.update(found)
    # On the meta device, so that no weights are drawn that nobody wants.
    with torch.device("meta"):
        layer = spconv.SubMConv3d(weight.shape[-1], weight.shape[0], kernel, bias=False, indice_key=f"subm{kernel}")
    del layer.weight
    layer.weight = weight
    out = layer(sparse)
    found.update(out.indice_dict)
    result: Tensor = out.features
    return result


def scatter_max(values: Tensor, index: Tensor, count: int) -> Tensor:
    """(N, C) -> (count, C) maximum over rows of equal, sorted index, by torch-scatter."""
    from torch_scatter import segment_csr

    ends = torch.searchsorted(index, torch.arange(count + 1, device=index.device, dtype=index.dtype))
    result: Tensor = segment_csr(values, ends, reduce="max")
    return result


def flash_attention(query: Tensor, key: Tensor, value: Tensor, lengths: Tensor | None) -> Tensor:
    """(P, H, K, D) each -> (P, H, K, D) by flash-attn, in half precision whatever comes in; keys beyond
    ``lengths`` (P,) are left out."""
    from flash_attn import flash_attn_func, flash_attn_varlen_func

    patches, heads, size, width = query.shape
    half = query.dtype if query.dtype in (torch.float16, torch.bfloat16) else torch.float16
    rows: list[Any] = [part.transpose(1, 2).to(half) for part in (query, key, value)]
    if lengths is None:
        out = flash_attn_func(*rows)
    else:
        starts = torch.arange(patches + 1, device=query.device, dtype=torch.int32) * size
        kept = torch.arange(size, device=query.device) < lengths.unsqueeze(1)
        ends = torch.nn.functional.pad(torch.cumsum(lengths, 0, dtype=torch.int32), (1, 0))
        flat = [part.reshape(-1, heads, width) for part in rows]
        out = flash_attn_varlen_func(
            flat[0], flat[1][kept.flatten()], flat[2][kept.flatten()], starts, ends, size, int(lengths.max())
        ).view(patches, size, heads, width)
    result: Tensor = out.transpose(1, 2).to(query.dtype)
    return result
