# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Streets as a data set, with an optional cache on disk."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from srkd.cloud import Cloud
from srkd.errors import ConfigError
from srkd.labels import SCHEMES, LabelScheme
from srkd_train.data.sample import Sample
from srkd_train.data.street.config import SENSORS, LidarConfig, StreetConfig, get_sensor
from srkd_train.data.street.drive import Drive, sample_name

CODE_VERSION = 2
"""Part of every cache key: raise it whenever the same seed gives another scan."""
HELD_OUT_SEEDS = range(10000, 10020)
TRAIN_SEEDS = range(10000)


class StreetDataset(Dataset[Sample]):
    """Scans of many streets, ordered by seed, then sensor, then frame.

    Args:
        seeds: one street each.
        sensors: names of presets in ``SENSORS``.
        frames_per_street: scans of each street by each sensor.
        frame_step: frames (of 0.1 s) between two of them; 1 gives consecutive scans, a large step more variety.
        cache_dir: where scans are kept once they are made; a miss makes all scans of that street.
        config: what the streets look like.

    Raises:
        ConfigError: for an unknown sensor, a count that is not positive, or frames beyond the end of a street.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        sensors: Sequence[str] = ("beams32",),
        frames_per_street: int = 1,
        *,
        frame_step: int = 8,
        cache_dir: str | os.PathLike[str] | None = None,
        config: StreetConfig = StreetConfig(),  # noqa: B008
    ) -> None:
        if frames_per_street < 1 or frame_step < 1:
            raise ConfigError(f"frames_per_street, frame_step are {frames_per_street}, {frame_step}: give at least 1")
        last = (frames_per_street - 1) * frame_step
        if last >= config.min_frames:
            raise ConfigError(
                f"frames_per_street, frame_step are {frames_per_street}, {frame_step}, but the shortest drive has "
                f"{config.min_frames} frames: give fewer or smaller ones, or a larger StreetConfig.length_m"
            )
        self.seeds = seeds
        self.sensors = tuple(get_sensor(name) for name in sensors)
        self.frames_per_street = frames_per_street
        self.frame_step = frame_step
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.config = config
        self._drive: Drive | None = None

    @property
    def scheme(self) -> LabelScheme:
        return SCHEMES["street"]

    def __len__(self) -> int:
        return len(self.seeds) * len(self.sensors) * self.frames_per_street

    def __getitem__(self, index: int) -> Sample:
        seed, lidar, frame = self.place(index)
        if self.cache_dir is None:
            return self._drive_of(seed).frame(lidar, frame)
        path = self._path(seed, lidar, frame)
        if not path.exists():
            for each in self.sensors:
                for i in range(self.frames_per_street):
                    target = self._path(seed, each, i * self.frame_step)
                    if not target.exists():
                        _save(target, self._drive_of(seed).frame(each, i * self.frame_step))
        return _load(path, sample_name(seed, lidar, frame))

    def place(self, index: int) -> tuple[int, LidarConfig, int]:
        """Seed, sensor and frame (of 0.1 s) of scan ``index``; raises IndexError beyond the last."""
        if not 0 <= index < len(self):
            raise IndexError(f"index is {index}, but there are {len(self)} scans")
        street, rest = divmod(int(index), len(self.sensors) * self.frames_per_street)
        sensor, frame = divmod(rest, self.frames_per_street)
        return self.seeds[street], self.sensors[sensor], frame * self.frame_step

    def name(self, index: int) -> str:
        """Name of scan ``index``."""
        return sample_name(*self.place(index))

    def _drive_of(self, seed: int) -> Drive:
        if self._drive is None or self._drive.street.seed != seed:
            self._drive = Drive(seed, self.config)
        return self._drive

    def _path(self, seed: int, lidar: LidarConfig, frame: int) -> Path:
        assert self.cache_dir is not None
        key = hashlib.sha256(repr((CODE_VERSION, self.config, lidar, seed, frame)).encode()).hexdigest()[:24]
        return self.cache_dir / key[:2] / f"{key}.npz"

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_drive": None}


def _save(path: Path, sample: Sample) -> None:
    """Write to a temporary file beside ``path``, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cloud = sample.cloud
    assert cloud.intensity is not None and cloud.ring is not None
    assert sample.pose is not None and sample.instance is not None
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            np.savez(
                file,
                xyz=cloud.xyz,
                intensity=cloud.intensity,
                ring=cloud.ring,
                label=sample.label,
                pose=sample.pose,
                instance=sample.instance,
            )
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _load(path: Path, name: str) -> Sample:
    with np.load(path, allow_pickle=False) as data:
        cloud = Cloud(data["xyz"], intensity=data["intensity"], ring=data["ring"])
        return Sample(cloud, data["label"], name, data["pose"], data["instance"])


def train_split(
    num_streets: int = 1000,
    *,
    sensors: Sequence[str] = ("beams32",),
    frames_per_street: int = 4,
    cache_dir: str | os.PathLike[str] | None = None,
) -> StreetDataset:
    """The first ``num_streets`` training streets.

    Raises:
        ConfigError: beyond the 10000 training seeds.
    """
    if not 0 < num_streets <= len(TRAIN_SEEDS):
        raise ConfigError(f"num_streets is {num_streets}: give 1 to {len(TRAIN_SEEDS)}")
    return StreetDataset(TRAIN_SEEDS[:num_streets], sensors, frames_per_street, cache_dir=cache_dir)


def held_out_split(
    *, sensors: Sequence[str] = tuple(SENSORS), cache_dir: str | os.PathLike[str] | None = None
) -> StreetDataset:
    """The held-out set: 20 streets, one scan by each sensor."""
    return StreetDataset(HELD_OUT_SEEDS, sensors, cache_dir=cache_dir)
