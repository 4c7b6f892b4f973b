# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network made ready for clouds: found, checked, loaded and warmed up. Without ROS."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import srkd
from srkd.device import resolve_device
from srkd.errors import CheckpointError, CloudError, ConfigError, SrkdError
from srkd.io.message_layout import Field, RawCloud
from srkd.segmenter import Segmenter
from srkd_ros.class_map import Scheme
from srkd_ros.frame import FrameOptions, label_frame

BUNDLED = Path(srkd.__file__).with_name("weights")
_FP16_CAPABILITY = (7, 0)
"""CUDA compute capability from which half precision is fast."""
_WARM_UP_POINTS = 30_000


@dataclass(frozen=True)
class ModelRequest:
    """Which network, and how it is to run; the fields are the parameters of these names."""

    checkpoint: str
    checkpoint_sha256: str
    device: str
    precision: str
    backend: str


@dataclass(frozen=True, eq=False)
class Model:
    """A network at work."""

    segmenter: Segmenter
    path: Path
    warm_frame_ms: float
    """Milliseconds of the last warm-up frame."""

    @property
    def scheme(self) -> Scheme:
        """What its classes are."""
        scheme = self.segmenter.header.scheme
        return Scheme(scheme.name, scheme.class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of class ids."""
        return self.segmenter.header.scheme.class_names

    @property
    def note(self) -> str:
        """What users must know of it; empty where there is nothing."""
        header = self.segmenter.header
        notes = []
        if header.scheme.name == "street":
            notes.append("this network has seen synthetic streets only: do not rely on its labels elsewhere")
        if header.training.get("clouds") == "dense":
            notes.append("this network has learned from several frames at once: give it past ones, num_past_frames")
        return "; ".join(notes)


def load_model(request: ModelRequest) -> Model:
    """Loads a network and labels made clouds with it, so that the first real one is not slow.

    Raises:
        SrkdError: the checkpoint or a setting cannot be used, or the network does not run here; one line.
    """
    path = checkpoint_path(request.checkpoint)
    try:
        device = resolve_device(request.device)
        segmenter = Segmenter.load(
            path,
            device=str(device),
            precision=resolve_precision(request.precision, device),
            backend=request.backend,
            expected_sha256=request.checkpoint_sha256 or None,
        )
        return Model(segmenter, path, warm_up(segmenter))
    except (SrkdError, MemoryError):
        raise
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} does not run on {request.device} ({type(error).__name__}: {first_line}): try device cpu,"
            " precision fp32 and backend torch"
        ) from error


def checkpoint_path(text: str) -> Path:
    """The file that a path or the name of a bundled network means.

    Raises:
        CheckpointError: there is none.
    """
    bundled = BUNDLED / f"{text}.safetensors"
    if text and "/" not in text and bundled.is_file():
        return bundled
    path = Path(text).expanduser()
    if not text or not path.is_file():
        names = ", ".join(sorted(file.stem for file in BUNDLED.glob("*.safetensors")))
        raise CheckpointError(
            f"checkpoint {text!r} is not a file: give the path of a .safetensors checkpoint, or one of {names}"
        )
    return path


def resolve_precision(precision: str, device: torch.device) -> str:
    """ "auto" as a precision of the segmenter: fp16 on a GPU that is fast with it, else fp32."""
    if precision != "auto":
        return precision
    fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= _FP16_CAPABILITY
    return "fp16" if fast else "fp32"


def path_below(folder: str, path: str) -> Path:
    """The file that `path`, relative to `folder` or absolute, means, once symbolic links are followed.

    Raises:
        ConfigError: no folder is given, or the file is not below it.
        CheckpointError: there is no such file.
    """
    if not folder:
        raise ConfigError("model_dir is empty: start the node with model_dir set to the folder of your models")
    root = Path(folder)
    try:
        root = root.expanduser().resolve()
        found = (root / path).resolve()
        if not found.is_relative_to(root):
            raise ConfigError(f"{path} is not below model_dir {root}: copy the model there")
        if not found.is_file():
            raise CheckpointError(f"{path} is not a file below model_dir {root}: give the path of a checkpoint there")
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, SrkdError):
            raise
        raise CheckpointError(f"{path!r} cannot be looked up below model_dir {root} ({error})") from error
    return found


def warm_up(segmenter: Segmenter, frames: int = 2) -> float:
    """Labels a made cloud a few times; milliseconds of the last.

    Raises:
        SrkdError: the network needs what lidar clouds do not have, e.g. colours, or there is not enough memory.
    """
    message, last_ms = made_sweep(_WARM_UP_POINTS), 0.0
    for _ in range(frames):
        start = time.perf_counter()
        try:
            label_frame(message, segmenter, FrameOptions())
        except CloudError as error:
            raise ConfigError(f"the network does not fit lidar clouds: {error}") from error
        last_ms = (time.perf_counter() - start) * 1e3
    return last_ms


def made_sweep(num_points: int) -> RawCloud:
    """A cloud as of a lidar 1.8 m above a flat street between walls: x y z intensity, 16 bytes a point, no noise."""
    beams = 32
    steps = num_points // beams
    azimuth = np.tile(np.linspace(0, 2 * np.pi, steps, endpoint=False), beams)
    elevation = np.repeat(np.radians(np.linspace(-25, 10, beams)), steps)
    ground = np.where(elevation < -0.02, 1.8 / np.tan(np.maximum(-elevation, 0.02)), np.inf)
    wall = 8 / np.maximum(np.abs(np.sin(azimuth)), 0.15)
    reach = np.minimum(ground, wall)
    points = np.empty((len(azimuth), 4), "<f4")
    points[:, 0] = reach * np.cos(azimuth)
    points[:, 1] = reach * np.sin(azimuth)
    points[:, 2] = reach * np.tan(elevation)
    points[:, 3] = np.where(ground < wall, 20, 60)
    fields = [Field(name, 4 * index, 7) for index, name in enumerate(("x", "y", "z", "intensity"))]
    return RawCloud(1, len(points), fields, False, 16, 16 * len(points), points.tobytes())
