# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training run is told: frozen dataclasses whose fields are the keys of YAML files and command lines."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from srkd.diffusion import DiffusionConfig
from srkd.errors import ConfigError
from srkd.input_spec import InputSpec
from srkd_train.data.augment import Augment
from srkd_train.objective_config import ObjectiveConfig

HELD_OUT_SEEDS = (10000, 10020)
"""Street seeds of the held-out set: the first, and one past the last."""
DataName = Literal["street", "semantickitti", "nuscenes", "waymo", "scannet", "bag"]

WHOLE = "whole"
"""In place of a folder of dense clouds: the clouds themselves, before they are thinned."""
ROOT_HOLDS = {
    "semantickitti": "the folder that holds sequences/",
    "nuscenes": "the folder that holds samples/, lidarseg/ and v1.0-trainval/",
    "waymo": "the folder that holds training/ and validation/",
    "scannet": "the folder that holds scans/",
    "bag": "a rosbag2, a folder of them, or several joined by commas",
}
"""What the root folder of a data set holds, in words."""


@dataclass(frozen=True)
class DataConfig:
    """Which clouds to train on and how they enter the network."""

    name: DataName = "street"
    """Data set: street (made on the fly), or semantickitti, nuscenes, waymo, scannet, bag (they need data.root)."""
    root: str | None = None
    """Folder of the data set; rosbags: one, a folder of them, or several joined by commas."""
    train_split: str = "train"
    """Split of nuScenes, Waymo and ScanNet to train on."""
    val_split: str = "val"
    """Split of nuScenes, Waymo and ScanNet to validate on."""
    share: float = 1.0
    """Share of the training clouds, spread evenly, by scene where there are any; a smaller share is in a larger."""
    sequences: tuple[str, ...] = ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10")
    """SemanticKITTI sequences to train on."""
    val_sequences: tuple[str, ...] = ("08",)
    """SemanticKITTI sequences to validate on."""
    seeds: tuple[int, int] = (0, 2000)
    """Street seeds to train on: the first, and one past the last."""
    val_seeds: tuple[int, int] = (9900, 9904)
    """Street seeds to validate on, outside `seeds`; 10000 and above are the held-out set and refused."""
    sensors: tuple[str, ...] = ("beams16", "beams32", "beams64")
    """Street sensors by name."""
    frames_per_street: int = 2
    """Scans of each training street by each sensor, 0.8 s apart."""
    topic: str | None = None
    """Topic of the clouds in bags; null for the only one."""
    every: int = 1
    """Train on every n-th cloud of a bag: the clouds of a slow robot are much alike."""
    labels: bool = False
    """Take the ground truth that bags hold on TOPIC/labels, and only clouds that have it; else none is looked at."""
    val_root: str | None = None
    """Bags with ground truth to validate and to score on; null for those of data.root, where they have it."""
    cache_dir: str | None = None
    """Folder for generated streets and the indices of bags; null for $SRKD_CACHE or ~/.cache/srkd."""
    raw_share: float = 1.0
    """Share of the points of every cloud that is kept, the same ones each time: what a sparser sensor would see."""
    dense_root: str | None = None
    """Dense clouds of the same places, which `pretrain` trains on and `distill` shows to the teacher: a folder of
    `srkd prepare accumulate`, or "whole" for the clouds before data.raw_share thins them."""
    dense_val: bool = False
    """Validate and score a pretrained network on dense clouds; without it on raw ones."""
    input: InputSpec = field(default_factory=lambda: InputSpec(voxel_size_m=0.05))
    """Voxel size, feature columns, intensity transform and range; stored in the checkpoint."""
    augment: Augment = field(default_factory=Augment)
    """Training augmentation."""
    mix_p: float = 0.0
    """Probability of Mix3D: the clouds of a batch are merged in pairs, before they are voxelised."""
    shuffle_orders: bool = True
    """Draw the curve of every attention block at random in training."""

    @property
    def unlabelled(self) -> bool:
        """Whether there is nothing but clouds to learn from."""
        return self.name == "bag" and not self.labels

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(f"data.every={self.every} takes no cloud, give at least 1")
        if self.name != "street" and self.root is None:
            raise ConfigError(f"data.root is not set, {self.name} needs {ROOT_HOLDS[self.name]}: --data.root DIR")
        shares = (("data.share", self.share), ("data.mix_p", self.mix_p), ("data.raw_share", self.raw_share))
        for key, value in shares:
            if not 0 <= value <= 1 or (key != "data.mix_p" and value == 0):
                raise ConfigError(f"{key}={value} is no share, give a number from 0 to 1")
        for key, (first, end) in (("data.seeds", self.seeds), ("data.val_seeds", self.val_seeds)):
            if not 0 <= first < end <= HELD_OUT_SEEDS[0]:
                raise ConfigError(f"{key}=[{first}, {end}] is no training range, give 0 <= first < end <= 10000")
        if self.dense_val and self.dense_root is None:
            raise ConfigError("data.dense_val=true scores on dense clouds: give their folder, --data.dense_root DIR")
        if self.dense_root is not None and self.name == "bag":
            raise ConfigError(f"data.dense_root={self.dense_root}: clouds of bags have no dense ones, leave it out")
        if self.name == "semantickitti" and self.dense_root not in (None, WHOLE) and self.share < 1:
            raise ConfigError(f"data.share={self.share}: dense clouds bring labels of all scans, give data.sequences")
        if self.dense_root == WHOLE and self.raw_share == 1:
            raise ConfigError("data.dense_root=whole is denser than thinned clouds only: give data.raw_share below 1")
        if self.name == "street" and max(self.seeds[0], self.val_seeds[0]) < min(self.seeds[1], self.val_seeds[1]):
            raise ConfigError(
                f"data.val_seeds={list(self.val_seeds)} overlaps data.seeds={list(self.seeds)}, separate them"
            )


@dataclass(frozen=True)
class ModelConfig:
    """Which network to train."""

    name: str = "student-nano"
    """Architecture, one of srkd.architectures."""
    loss: Literal["sum", "gls"] = "gls"
    """How a network with a noise branch joins task and noise loss; others have the task loss only."""
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """Noise process of a network with a noise branch; linear 0.001 to 0.005 on nuScenes, cosine on ScanNet."""
    init: str | None = None
    """Checkpoint of the same architecture to start from; null for random weights."""


@dataclass(frozen=True)
class OptimConfig:
    """AdamW under a one-cycle cosine schedule; the defaults are the public nuScenes recipe."""

    lr: float = 2e-3
    """Peak learning rate."""
    block_lr_factor: float = 0.1
    """Factor on the learning rate of parameters whose name contains "block"."""
    weight_decay: float = 0.005
    """Decoupled weight decay."""
    pct_start: float = 0.04
    """Share of max_steps spent rising to the peak."""
    div_factor: float = 10.0
    """The schedule starts at the peak divided by this."""
    final_div_factor: float = 1000.0
    """The schedule ends at its start divided by this."""
    clip_norm: float | None = None
    """Largest gradient norm; null for no clipping."""
    ema_decay: float | None = None
    """Decay of the averaged weights that are validated and saved; null to use the trained weights."""

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ConfigError(f"optim.lr={self.lr} does not train, give a positive number")
        if not 0 < self.pct_start < 1:
            raise ConfigError(f"optim.pct_start={self.pct_start} is no share, give a number between 0 and 1")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ConfigError(f"optim.ema_decay={self.ema_decay} is no decay, give a number between 0 and 1, or null")


@dataclass(frozen=True)
class TrainerConfig:
    """How long, where, and how often to look."""

    max_steps: int = 1000
    """Optimiser steps of the whole schedule."""
    max_minutes: float | None = None
    """Stop after this wall-clock time, saved and resumable; the schedule stays that of max_steps."""
    batch_size: int = 4
    """Clouds per step and device."""
    num_workers: int = 1
    """Processes that read, augment, voxelise and plan; 0 does it in the training process."""
    threads: int | None = None
    """CPU threads of the training process; null for torch's default."""
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train."""
    devices: int = 1
    """Devices (processes) a machine to train on."""
    num_nodes: int = 1
    """Machines."""
    sync_batchnorm: bool = False
    """Batch norms look at the clouds of all processes."""
    precision: Literal["32", "bf16", "16"] = "32"
    """Arithmetic of the network: 32, bf16 or 16 (the last two as autocast)."""
    seed: int = 42
    """Seed of weights, sample order, augmentation and noise."""
    val_every: int = 0
    """Validate every so many steps; 0 never."""
    val_limit: int | None = None
    """Clouds of a validation, spread over the split; null for all."""
    final_eval: bool = True
    """Evaluate the last weights when the schedule is complete; the scores go into the checkpoint."""
    final_eval_limit: int | None = None
    """Clouds of that evaluation, spread over the split; null for all."""
    save_minutes: float = 5.0
    """Save the resumable state this often."""
    log_every: int = 10
    """Steps per row of metrics.csv."""
    tensorboard: bool = True
    """Log to TensorBoard too, where it is installed."""

    @property
    def processes(self) -> int:
        """Processes of the whole run."""
        return self.devices * self.num_nodes

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "num_workers", "devices", "num_nodes", "log_every"):
            least = 0 if name == "num_workers" else 1
            if getattr(self, name) < least:
                raise ConfigError(f"trainer.{name}={getattr(self, name)} is too small, give at least {least}")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"trainer.threads={self.threads} is too small, give at least 1, or null")
        if self.val_every < 0:
            raise ConfigError(f"trainer.val_every={self.val_every} is negative, give 0 for never")


@dataclass(frozen=True)
class RunConfig:
    """One training run."""

    out: str
    """Run folder: metrics.csv, config.yaml, last.safetensors, best.safetensors, state.ckpt."""
    resume: bool = False
    """Go on from the run folder's state.ckpt; without it an existing run is never touched."""
    dry_run: bool = False
    """Take a few steps, tell what the run would cost, and write nothing."""
    data: DataConfig = field(default_factory=DataConfig)
    """Clouds."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Network."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and schedule."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Length, hardware, logging."""


@dataclass(frozen=True)
class DistillConfig(RunConfig):
    """One distillation run."""

    teacher: str = "teacher-nano"
    """Checkpoint of the frozen teacher, or the name of a bundled one."""
    teacher_seed: int = 0
    """Seed of the noise that a CDSegNet teacher looks at."""
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    """Terms and weights."""


def cache_dir(given: str | None) -> Path:
    """Where generated streets are kept: the given folder, else $SRKD_CACHE, else ~/.cache/srkd."""
    return Path(given or os.environ.get("SRKD_CACHE") or Path.home() / ".cache" / "srkd")
