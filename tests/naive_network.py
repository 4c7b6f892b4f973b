# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point Transformer V3 and CDSegNet once more, cloud by cloud, in numpy and dictionaries: the networks' oracle.

Written from the description of what the public networks compute; weights go by their public names. Rows are in the
order in which voxels appear, so nothing here leans on sorting, on plans, or on clouds sharing tables.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from naive_curves import naive_code

Array = npt.NDArray[np.float64]
Weights = Mapping[str, Array]
Orders = Sequence[Sequence[int]]
CURVES = ("z", "z-trans", "hilbert", "hilbert-trans")


class Level:
    """The voxels of one stride: a row for each, and the rows along every curve."""

    def __init__(
        self, cells: Sequence[tuple[int, ...]], members: Sequence[tuple[int, ...]], shift: int, depth: int
    ) -> None:
        self.cells = list(dict.fromkeys(cells))
        self.row = {cell: row for row, cell in enumerate(self.cells)}
        member = dict(zip(cells, members, strict=True))
        self.walks = [
            sorted(
                range(len(self.cells)), key=lambda row: naive_code(member[self.cells[row]], curve, depth) >> 3 * shift
            )
            for curve in CURVES
        ]


def levels_of(grid_coord: npt.NDArray[np.int64], stages: int, depth: int) -> list[Level]:
    """Levels of stride 1, 2, 4, ... of one cloud."""
    voxels = [tuple(int(v) for v in voxel) for voxel in grid_coord]
    return [
        Level([tuple(v >> stage for v in voxel) for voxel in voxels], voxels, stage, depth) for stage in range(stages)
    ]


def patches_of(walk: Sequence[int], size: int) -> list[list[int]]:
    """Rows of each patch; the last one is filled up with the rows a patch earlier, a short walk is one short patch."""
    if len(walk) <= size:
        return [list(walk)]
    full = -(-len(walk) // size) * size
    filled = [walk[place] if place < len(walk) else walk[place - size] for place in range(full)]
    return [filled[start : start + size] for start in range(0, full, size)]


def gelu(x: Array) -> Array:
    """With the exact error function."""
    return np.asarray(0.5 * x * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))))


def swish(x: Array) -> Array:
    """x times its logistic."""
    return np.asarray(x / (1 + np.exp(-x)))


def attend(query: Array, key: Array, value: Array) -> Array:
    """(Q, D), (K, D), (K, D) -> (Q, D) for one head."""
    score = query @ key.T / math.sqrt(query.shape[1])
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True) @ value)


@dataclass
class Shape:
    """What the weights' names do not tell of a U."""

    stages: Sequence[int]
    heads: Sequence[int]
    decoder_heads: Sequence[int]
    patch_size: int


class Branch:
    """A U, ``n`` (segmentation) or ``c`` (noise), over the levels of one cloud."""

    def __init__(self, weights: Weights, branch: str, shape: Shape, levels: list[Level], orders: Orders) -> None:
        self.w, self.branch, self.shape, self.levels, self.orders = (
            weights,
            f"backbone._{branch}",
            shape,
            levels,
            orders,
        )

    def walk(self, stage: int, block: int) -> list[int]:
        return self.levels[stage].walks[self.orders[stage][block % 4]]

    def linear(self, name: str, x: Array) -> Array:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def layer_norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def batch_norm(self, name: str, x: Array) -> Array:
        scaled = (x - self.w[f"{name}.running_mean"]) / np.sqrt(self.w[f"{name}.running_var"] + 1e-3)
        return scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def conv(self, name: str, x: Array, stage: int) -> Array:
        weight, level = self.w[f"{name}.weight"], self.levels[stage]
        edge = weight.shape[1]
        out = np.zeros((len(x), weight.shape[0]))
        for row, cell in enumerate(level.cells):
            for a, b, c in np.ndindex(edge, edge, edge):
                read = level.row.get((cell[0] + a - edge // 2, cell[1] + b - edge // 2, cell[2] + c - edge // 2))
                if read is not None:
                    out[row] += weight[:, a, b, c] @ x[read]
        return out + self.w.get(f"{name}.bias", 0)

    def cpe(self, name: str, x: Array, stage: int) -> Array:
        return self.layer_norm(f"{name}.2", self.linear(f"{name}.1", self.conv(f"{name}.0", x, stage)))

    def self_attention(self, name: str, x: Array, walk: list[int], heads: int) -> Array:
        qkv = self.linear(f"{name}.qkv", x).reshape(len(x), 3, heads, -1)
        out = np.empty((len(x), heads, qkv.shape[-1]))
        for patch_number, rows in enumerate(patches_of(walk, self.shape.patch_size)):
            own = walk[patch_number * self.shape.patch_size :][: self.shape.patch_size]
            for head in range(heads):
                out[own, head] = attend(qkv[own, 0, head], qkv[rows, 1, head], qkv[rows, 2, head])
        return self.linear(f"{name}.proj", out.reshape(len(x), -1))

    def mlp(self, name: str, x: Array) -> Array:
        return self.linear(f"{name}.0.fc2", gelu(self.linear(f"{name}.0.fc1", x)))

    def block(
        self, name: str, x: Array, stage: int, number: int, heads: int, conv_input: Array, time: Array | None
    ) -> Array:
        x = x + self.cpe(f"{name}.cpe", conv_input, stage)
        if time is not None:
            x = x + self.linear(f"{name}.t_mlp", time[None])
        normed = self.layer_norm(f"{name}.norm1.0", x)
        x = x + self.self_attention(f"{name}.attn", normed, self.walk(stage, number), heads)
        return x + self.mlp(f"{name}.mlp", self.layer_norm(f"{name}.norm2.0", x))

    def blocks(self, name: str, x: Array, stage: int, heads: int, skip: Array | None, time: Array | None) -> Array:
        number = 0
        while f"{name}.block{number}.norm1.0.weight" in self.w:
            conv_input = skip if skip is not None and number == 0 else x
            x = self.block(f"{name}.block{number}", x, stage, number, heads, conv_input, time)
            number += 1
        return x

    def encode(self, features: Array, time: Array | None = None) -> list[Array]:
        stem = f"{self.branch}_embedding.stem"
        x = gelu(self.batch_norm(f"{stem}.norm", self.conv(f"{stem}.conv", features, 0)))
        outputs = []
        for at, stage in enumerate(self.shape.stages):
            name = f"{self.branch}_enc.enc{at}"
            if at:
                fine, coarse = self.levels[self.shape.stages[at - 1]], self.levels[stage]
                shift = stage - self.shape.stages[at - 1]
                projected = self.linear(f"{name}.down.proj", x)
                pooled = np.full((len(coarse.cells), projected.shape[1]), -np.inf)
                for row, cell in enumerate(fine.cells):
                    parent = coarse.row[tuple(v >> shift for v in cell)]
                    pooled[parent] = np.maximum(pooled[parent], projected[row])
                x = gelu(self.batch_norm(f"{name}.down.norm.0", pooled))
            x = self.blocks(name, x, stage, self.shape.heads[at], None, time)
            outputs.append(x)
        return outputs

    def decode(self, encoded: list[Array], time: Array | None = None) -> Array:
        x = encoded[-1]
        for at in reversed(range(len(self.shape.stages) - 1)):
            stage, below = self.shape.stages[at], self.shape.stages[at + 1]
            name = f"{self.branch}_dec.dec{at}"
            raised = gelu(self.batch_norm(f"{name}.up.proj.1", self.linear(f"{name}.up.proj.0", x)))
            skip = gelu(self.batch_norm(f"{name}.up.proj_skip.1", self.linear(f"{name}.up.proj_skip.0", encoded[at])))
            coarse = self.levels[below].row
            parents = [coarse[tuple(v >> below - stage for v in cell)] for cell in self.levels[stage].cells]
            if f"{name}.up.proj_cat.0.weight" in self.w:
                scale = 2**-0.5 * 1.25
                x = self.linear(f"{name}.up.proj_cat.0", np.concatenate([scale * skip, raised[parents]], axis=1))
            else:
                x = skip + raised[parents]
            x = self.blocks(name, x, stage, self.shape.decoder_heads[at], skip, time)
        return x


def naive_ptv3(weights: Weights, shape: Shape, levels: list[Level], features: Array, orders: Orders) -> Array:
    """Logits of one cloud, in the order of its voxels."""
    branch = Branch(weights, "n", shape, levels, orders)
    return branch.linear("backbone._n_head", branch.decode(branch.encode(features)))


def naive_cdsegnet(
    weights: Weights,
    shape: Shape,
    noise_shape: Shape,
    levels: list[Level],
    features: Array,
    noisy: Array,
    step: int,
    orders: Orders,
    noise_orders: Orders,
) -> tuple[Array, Array]:
    """Logits and predicted noise of one cloud at one time step."""
    main = Branch(weights, "n", shape, levels, orders)
    noise = Branch(weights, "c", noise_shape, levels, noise_orders)
    width = weights["backbone.fc_t1.weight"].shape[1]
    angles = [step * math.exp(-j * math.log(10000) / (width // 2 - 1)) for j in range(width // 2)]
    embedding = np.array([math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles])
    time = swish(main.linear("backbone.fc_t2", swish(main.linear("backbone.fc_t1", embedding))))

    context_levels, encoded = noise.encode(noisy, time), main.encode(features)
    name, last = "backbone._tm_dec0.cross_block2", shape.stages[-1]
    n, c = encoded[-1], context_levels[-1]
    n = n + main.cpe(f"{name}.q_cpe", n, last)
    c = main.layer_norm(f"{name}.kv_norm1.0", c + main.cpe(f"{name}.kv_cpe", c, last))
    heads = shape.heads[-1]
    query = main.linear(f"{name}.attn.q", main.layer_norm(f"{name}.q_norm1.0", n)).reshape(len(n), heads, -1)
    key_value = main.linear(f"{name}.attn.kv", c).reshape(len(n), 2, heads, -1)
    own_walk, other_walk = main.walk(last, 0), noise.walk(last, 0)
    attended = np.empty_like(query)
    for patch_number, rows in enumerate(patches_of(other_walk, shape.patch_size)):
        own = own_walk[patch_number * shape.patch_size :][: shape.patch_size]
        for head in range(heads):
            attended[own, head] = attend(query[own, head], key_value[rows, 0, head], key_value[rows, 1, head])
    n = n + main.linear(f"{name}.attn.proj", attended.reshape(len(n), -1))
    n = n + main.mlp(f"{name}.mlp", main.layer_norm(f"{name}.q_norm2.0", n))

    logits = main.linear("backbone._n_head", main.decode([*encoded[:-1], n]))
    return logits, main.linear("backbone._c_head", noise.decode([*context_levels[:-1], c], time))
