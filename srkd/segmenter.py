# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The public inference entry: a cloud in, a label for every point out."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from srkd.architectures import Network
from srkd.backend import Backend, use_backend
from srkd.checkpoint import load_checkpoint
from srkd.cloud import Cloud
from srkd.device import PRECISIONS, autocast, keep_freed_memory, resolve_device
from srkd.errors import ConfigError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.labels import IGNORE
from srkd.plan import GeometryPlan
from srkd.plan_build import build_plan
from srkd.plan_extension import extend_plan
from srkd.voxel import Voxels, reach_m, voxelize, within_reach

STAGES = ("voxelize", "plan", "network", "labels")


@dataclass(frozen=True)
class Labels:
    """What was seen at each input point, in input order."""

    class_id: npt.NDArray[np.uint8]
    """(N,) class, 255 where a point is not finite, out of range or a no-return, or where the network's numbers
    overflowed."""
    probability: npt.NDArray[np.float32]
    """(N,) probability of that class, 0 where there is none."""
    entropy: npt.NDArray[np.float32]
    """(N,) entropy of the class probabilities divided by log(classes), NaN where there is no class."""

    @classmethod
    def none(cls, count: int) -> Labels:
        """Labels of points of which none has a class."""
        return cls(np.full(count, IGNORE, np.uint8), np.zeros(count, np.float32), np.full(count, np.nan, np.float32))


@dataclass(frozen=True, eq=False)
class View:
    """A cloud as networks of one `InputSpec` look at it, whatever their weights."""

    spec: InputSpec
    index: npt.NDArray[np.intp]
    """(V,) the points that are looked at."""
    voxels: Voxels
    """Of those points."""
    inputs: torch.Tensor
    """(M, C) float32 features of the voxels."""
    plan: GeometryPlan


@dataclass(frozen=True, eq=False)
class Inference:
    """What a network made of a cloud."""

    labels: Labels
    view: View | None
    """None where no point is in range."""
    log_probability: torch.Tensor | None
    """(K, M) float32 natural logarithms of the class probabilities of the voxels; None likewise."""


@dataclass(frozen=True)
class FrameStats:
    """How the last frame went."""

    stage_ms: dict[str, float]
    """Milliseconds by stage (``STAGES``)."""
    num_points: int
    num_valid: int
    num_voxels: int


class Segmenter:
    """A network, ready to label clouds.

    The same cloud gives the same labels, bitwise, on a given device and thread count.
    """

    def __init__(
        self,
        network: Network,
        header: Header,
        *,
        device: torch.device | str = "auto",
        precision: str = "fp32",
        backend: str = "torch",
    ) -> None:
        """
        Args:
            network: in any mode; it is put into eval mode and onto the device.
            header: its checkpoint's header.
            device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1", ...
            precision: "fp32", "bf16" or "fp16" (autocast).
            backend: see :class:`srkd.backend.Backend`.

        Raises:
            ConfigError: an unknown or absent device, precision or backend.
        """
        if precision not in PRECISIONS:
            raise ConfigError(f"precision {precision!r} is unknown: use one of {', '.join(PRECISIONS)}")
        self.device = resolve_device(device)
        self.precision = precision
        self.header = header
        self.network = use_backend(network.to(self.device).eval(), Backend.parse(backend, self.device))
        if self.device.type == "cpu":
            keep_freed_memory()
        self.last_frame = FrameStats(dict.fromkeys(STAGES, 0.0), 0, 0, 0)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str = "auto",
        precision: str = "fp32",
        backend: str = "torch",
        expected_sha256: str | None = None,
    ) -> Segmenter:
        """The segmenter of a checkpoint.

        Raises:
            CheckpointError, ConfigError: see :func:`srkd.checkpoint.load_checkpoint` and the constructor.
        """
        resolved = resolve_device(device)
        network, header = load_checkpoint(path, device=resolved, expected_sha256=expected_sha256)
        return cls(network, header, device=resolved, precision=precision, backend=backend)

    @property
    def last_timing(self) -> dict[str, float]:
        """Milliseconds of the last frame by stage."""
        return self.last_frame.stage_ms

    @property
    def reach_m(self) -> float:
        """Points farther away on an axis than this get no class, they would not fit the lattice of 2**16 voxels."""
        return reach_m(self.header.input.voxel_size_m)

    def __call__(self, points: Cloud | npt.NDArray[Any]) -> Labels:
        """Labels every point of a cloud.

        Args:
            points: a cloud, or (N, 3 or more) numbers x y z [intensity]. Other features that are not finite count as 0.

        Raises:
            CloudError: wrong shape or dtype, or the cloud lacks what the network needs (e.g. intensity).
        """
        return self.infer(points).labels

    def infer(self, points: Cloud | npt.NDArray[Any], seen: View | None = None) -> Inference:
        """Labels every point of a cloud, and keeps what another network, or a comparison, can use.

        Args:
            points: see `__call__`.
            seen: another network's view of the very same points. Its voxels and plan are used where its InputSpec and
                device are this network's; else it is not looked at.

        Raises:
            CloudError: see `__call__`.
        """
        cloud = points if isinstance(points, Cloud) else Cloud.from_array(points)
        clock = _Clock(self.device)
        if seen is not None and seen.spec == self.header.input and seen.plan.device == self.device:
            with clock.stage("plan"), torch.inference_mode():
                lists = self.device.type == "cpu"
                view = replace(seen, plan=extend_plan(seen.plan, self.network.plan_spec, lists=lists))
        else:
            found = self._look(cloud, clock)
            if found is None:
                self.last_frame = FrameStats(clock.stage_ms, len(cloud), 0, 0)
                return Inference(Labels.none(len(cloud)), None, None)
            view = found
        labels = Labels.none(len(cloud))
        with torch.inference_mode():
            with clock.stage("network"):
                logits = self.logits(view.inputs, view.plan)
            with clock.stage("labels"):
                # A class a row: sums over a few classes are fast across voxels, slow along them.
                log_probability = torch.log_softmax(logits.float().t().contiguous(), dim=0)
                probability = log_probability.exp()
                entropy = -(probability * log_probability).sum(dim=0) / math.log(max(2, logits.shape[1]))
                best, class_id = probability.max(dim=0)
                broken = best.isnan()
                for target, value in (
                    (labels.class_id, class_id.to(torch.uint8).masked_fill(broken, IGNORE)),
                    (labels.probability, best.masked_fill(broken, 0.0)),
                    (labels.entropy, entropy),
                ):
                    target[view.index] = value.index_select(0, view.voxels.inverse).cpu().numpy()
        self.last_frame = FrameStats(clock.stage_ms, len(cloud), len(view.index), int(logits.shape[0]))
        return Inference(labels, view, log_probability)

    def _look(self, cloud: Cloud, clock: _Clock) -> View | None:
        """The cloud's points, voxels, features and plan; None where no point is in range."""
        spec = self.header.input
        with clock.stage("voxelize"):
            valid = spec.valid_mask(cloud.xyz) & within_reach(cloud.xyz, spec.voxel_size_m)
            index = np.flatnonzero(valid)
            kept = cloud if len(index) == len(cloud) else cloud.select(index)
            features = np.nan_to_num(spec.make_features(kept), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            if not len(index):
                return None
            xyz = torch.from_numpy(np.ascontiguousarray(kept.xyz)).to(self.device)
            voxels = voxelize(xyz, spec.voxel_size_m)
            inputs = torch.from_numpy(features).to(self.device).index_select(0, voxels.point)
        with torch.inference_mode(), clock.stage("plan"):
            plan = self.plan(voxels.grid_coord)
        return View(spec, index, voxels, inputs, plan)

    def plan(self, grid_coord: torch.Tensor) -> GeometryPlan:
        """The plan of one cloud of (M, 3) int32 voxels, sorted by z-code, on the segmenter's device."""
        lists = self.device.type == "cpu"
        with torch.inference_mode():
            return build_plan(grid_coord, [grid_coord.shape[0]], self.network.plan_spec, lists=lists)

    def logits(self, features: torch.Tensor, plan: GeometryPlan) -> torch.Tensor:
        """Class scores (M, K) of the voxels of a plan with features (M, C) float32 in its order."""
        with torch.inference_mode(), autocast(self.device, self.precision):
            return self.network(features, plan)


class _Clock:
    """Milliseconds a stage; waits for what this thread has given the device, so that a stage's time is its own."""

    def __init__(self, device: torch.device) -> None:
        self.stage_ms = dict.fromkeys(STAGES, 0.0)
        # The stream, not the device: another thread's network may be at work there.
        self._wait = torch.cuda.current_stream(device).synchronize if device.type == "cuda" else lambda: None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._wait()
        self.stage_ms[name] = (time.perf_counter() - start) * 1e3
