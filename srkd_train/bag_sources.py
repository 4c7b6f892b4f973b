# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a bag can be written from: streets, data sets and files, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.errors import ConfigError

EPOCH_NS = 1_700_000_000_000_000_000
"""Stamp of a bag's first cloud where its source has no time: always the same, so that runs can be compared."""


@dataclass(frozen=True)
class Frame:
    """A cloud to write; `label` (N,) uint8 is its ground truth, 255 for none, or None."""

    cloud: Cloud
    stamp_ns: int
    label: npt.NDArray[np.uint8] | None = None
    time_s: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Source:
    """Frames to come, read or made one by one."""

    count: int
    frames: Iterator[Frame]
    scheme: str | None = None
    """Name of the labels' scheme."""


def street_source(seed: int, sensor: str, frames: int) -> Source:
    """A drive through a synthetic street, 10 clouds a second, with ground truth."""
    from srkd_train.data.street import StreetConfig, drive
    from srkd_train.data.street.config import FRAME_PERIOD_S

    if frames < 1:
        raise ConfigError(f"frames: {frames}, expected at least 1")
    short = StreetConfig()
    needed_m = short.start_m[1] + short.end_margin_m + frames * FRAME_PERIOD_S * short.ego_speed_mps[1]
    config = replace(short, length_m=max(short.length_m, needed_m))
    samples = drive(seed, sensor, frames, config=config)

    def made() -> Iterator[Frame]:
        for index, sample in enumerate(samples):
            at_once = np.zeros(len(sample.cloud), np.float32)  # the simulated sensor turns in no time
            yield Frame(sample.cloud, EPOCH_NS + round(index * FRAME_PERIOD_S * 1e9), sample.label, at_once)

    return Source(frames, made(), "street")


def semantickitti_source(root: str, sequence: str, frames: int | None) -> Source:
    """A sequence of SemanticKITTI, with ground truth where it has labels, at the times of its times.txt or at 10 Hz."""
    from srkd_train.data.semantickitti import SPLITS, SemanticKITTI

    clouds = SemanticKITTI(root, sequences=(sequence,))
    count = len(clouds) if frames is None else min(frames, len(clouds))
    known = sequence not in SPLITS["test"]

    def read() -> Iterator[Frame]:
        for index in range(count):
            time_s = clouds.time_s(index)
            sample = clouds[index]
            stamp_ns = EPOCH_NS + round((index / 10 if time_s is None else time_s) * 1e9)
            yield Frame(sample.cloud, stamp_ns, sample.label if known else None)

    return Source(count, read(), clouds.scheme.name if known else None)


def nuscenes_source(root: str, frames: int | None) -> Source:
    """The LiDAR key frames of nuScenes at their own times, with ground truth where they have lidarseg files."""
    from srkd_train.data.nuscenes import NuScenes

    clouds = NuScenes(root)
    count = len(clouds) if frames is None else min(frames, len(clouds))
    known = any(clouds.has_labels(index) for index in range(count))

    def read() -> Iterator[Frame]:
        for index in range(count):
            sample = clouds[index]
            microseconds = sample.name.rpartition("__")[2]
            stamp_ns = int(microseconds) * 1000 if microseconds.isdigit() else EPOCH_NS + index * 500_000_000
            yield Frame(sample.cloud, stamp_ns, sample.label if clouds.has_labels(index) else None)

    return Source(count, read(), clouds.scheme.name if known else None)


def files_source(files: Sequence[str], rate_hz: float) -> Source:
    """Cloud files, or folders of them (.bin .npy .pcd .ply), one after the other."""
    from srkd.io.files import find_clouds, read_cloud

    if not rate_hz > 0:
        raise ConfigError(f"rate_hz: {rate_hz}, expected clouds a second, above 0")
    paths = find_clouds(files)
    frames = (Frame(read_cloud(path), EPOCH_NS + round(index / rate_hz * 1e9)) for index, path in enumerate(paths))
    return Source(len(paths), frames)
