# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SpUNet once more, cloud by cloud, in numpy and dictionaries: the network's oracle, by public names and layouts.

Rows of every stage are in the order in which its voxels appear, so nothing leans on sorting, on plans, or on clouds
sharing tables.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Cell = tuple[int, ...]


def cells_of(grid_coord: npt.NDArray[np.int64], stages: int) -> list[dict[Cell, int]]:
    """The row of every voxel, a dictionary a stage."""
    found = [{tuple(int(v) for v in voxel): row for row, voxel in enumerate(grid_coord)}]
    for _ in range(1, stages):
        parents = dict.fromkeys(tuple(v // 2 for v in cell) for cell in found[-1])
        found.append({cell: row for row, cell in enumerate(parents)})
    return found


def submanifold(x: Array, weight: Array, cells: Mapping[Cell, int]) -> Array:
    """(N, in), (out, k, k, k, in) -> (N, out)."""
    edge = weight.shape[1]
    out = np.zeros((len(cells), len(weight)))
    for cell, row in cells.items():
        for tap in np.ndindex(edge, edge, edge):
            read = cells.get(tuple(c + t - edge // 2 for c, t in zip(cell, tap, strict=True)))
            if read is not None:
                out[row] += weight[:, tap[0], tap[1], tap[2]] @ x[read]
    return out


def down(x: Array, weight: Array, fine: Mapping[Cell, int], coarse: Mapping[Cell, int]) -> Array:
    """(N, in), (out, 2, 2, 2, in) -> (M, out): out[o] sums weight[k] in[2 o + k]."""
    out = np.zeros((len(coarse), len(weight)))
    for cell, row in coarse.items():
        for tap in np.ndindex(2, 2, 2):
            read = fine.get(tuple(2 * c + t for c, t in zip(cell, tap, strict=True)))
            if read is not None:
                out[row] += weight[:, tap[0], tap[1], tap[2]] @ x[read]
    return out


def up(x: Array, weight: Array, fine: Mapping[Cell, int], coarse: Mapping[Cell, int]) -> Array:
    """(M, in), (out, 2, 2, 2, in) -> (N, out), by the taps by which ``down`` came."""
    out = np.zeros((len(fine), len(weight)))
    for cell, row in fine.items():
        a, b, c = (v % 2 for v in cell)
        out[row] = weight[:, a, b, c] @ x[coarse[tuple(v // 2 for v in cell)]]
    return out


def pointwise(x: Array, weight: Array) -> Array:
    """A convolution of kernel 1 as spconv 2 computes it: the numbers of its (out, 1, 1, 1, in) weight, one after
    another, are those of a matrix (in, out)."""
    return x @ weight.ravel().reshape(weight.shape[4], weight.shape[0])


def naive_spunet(w: Mapping[str, Array], grid_coord: npt.NDArray[np.int64], features: Array) -> Array:
    """(N, K) logits of one cloud.

    Args:
        w: weights by public names, with ``backbone.`` in front.
        grid_coord: (N, 3).
        features: (N, C).
    """
    depth = sum(name.startswith("backbone.down.") and name.endswith(".0.weight") for name in w)
    cells = cells_of(grid_coord, depth + 1)

    def norm(name: str, x: Array) -> Array:
        scaled = (x - w[f"backbone.{name}.running_mean"]) / np.sqrt(w[f"backbone.{name}.running_var"] + 1e-3)
        return scaled * w[f"backbone.{name}.weight"] + w[f"backbone.{name}.bias"]

    def weight(name: str) -> Array:
        return w[f"backbone.{name}.weight"]

    def relu(x: Array) -> Array:
        return np.maximum(x, 0)

    def blocks(stage_name: str, x: Array, stage: int) -> Array:
        number = 0
        while f"backbone.{stage_name}.block{number}.conv1.weight" in w:
            block = f"{stage_name}.block{number}"
            inner = relu(norm(f"{block}.bn1", submanifold(x, weight(f"{block}.conv1"), cells[stage])))
            inner = norm(f"{block}.bn2", submanifold(inner, weight(f"{block}.conv2"), cells[stage]))
            if f"backbone.{block}.proj.0.weight" in w:
                x = norm(f"{block}.proj.1", pointwise(x, weight(f"{block}.proj.0")))
            x = relu(inner + x)
            number += 1
        return x

    x = relu(norm("conv_input.1", submanifold(features, weight("conv_input.0"), cells[0])))
    skips: list[Array] = []
    for s in range(depth):
        skips.append(x)
        x = relu(norm(f"down.{s}.1", down(x, weight(f"down.{s}.0"), cells[s], cells[s + 1])))
        x = blocks(f"enc.{s}", x, s + 1)
    for s in reversed(range(depth)):
        x = relu(norm(f"up.{s}.1", up(x, weight(f"up.{s}.0"), cells[s], cells[s + 1])))
        x = blocks(f"dec.{s}", np.concatenate([x, skips[s]], axis=1), s)
    return pointwise(x, weight("final")) + w["backbone.final.bias"]


def public_shapes(
    inputs: int, classes: int, base: int, channels: Sequence[int], layers: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a public state dict, by the arguments of the public network (encoder fine to coarse, then
    decoder coarse to fine)."""
    depth, shapes = len(channels) // 2, {}

    def conv(name: str, edge: int, reads: int, writes: int, norm: str) -> None:
        shapes[f"{name}.weight"] = (writes, edge, edge, edge, reads)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = (writes,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    def blocks(name: str, first: int, width: int, count: int) -> None:
        for number in range(count):
            block, reads = f"{name}.block{number}", first if number == 0 else width
            if reads != width:
                conv(f"{block}.proj.0", 1, reads, width, f"{block}.proj.1")
            conv(f"{block}.conv1", 3, reads, width, f"{block}.bn1")
            conv(f"{block}.conv2", 3, width, width, f"{block}.bn2")

    conv("conv_input.0", 5, inputs, base, "conv_input.1")
    encoder, decoder = [base, *channels[:depth]], list(channels[depth:])[::-1]
    for s in range(depth):
        conv(f"down.{s}.0", 2, encoder[s], encoder[s + 1], f"down.{s}.1")
        blocks(f"enc.{s}", encoder[s + 1], encoder[s + 1], layers[s])
        below = decoder[s + 1] if s + 1 < depth else encoder[depth]
        conv(f"up.{s}.0", 2, below, decoder[s], f"up.{s}.1")
        blocks(f"dec.{s}", decoder[s] + encoder[s], decoder[s], layers[2 * depth - 1 - s])
    shapes["final.weight"], shapes["final.bias"] = (classes, 1, 1, 1, decoder[0]), (classes,)
    return {f"backbone.{name}": shape for name, shape in shapes.items()}
