# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets by name and split, for training and for evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srkd.errors import ConfigError
from srkd_train.config import HELD_OUT_SEEDS, ROOT_HOLDS, DataConfig, cache_dir
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.semantickitti import SPLITS
from srkd_train.data.subset import evenly, share_of

STREET_SPLITS = {"held_out": HELD_OUT_SEEDS, "val": (9900, 9904), "train": (0, 9900)}
"""First seed, and one past the last, of the street splits; only `held_out` is for published scores."""

DATA_SPLITS: dict[str, tuple[str, ...]] = {
    "street": tuple(STREET_SPLITS),
    "semantickitti": tuple(SPLITS),
    "nuscenes": ("train", "val", "test", "mini_train", "mini_val"),
    "waymo": ("train", "val", "test"),
    "scannet": ("train", "val", "test"),
}
"""Data sets, and their splits."""

TITLES = {"semantickitti": "SemanticKITTI", "nuscenes": "nuScenes", "waymo": "Waymo", "scannet": "ScanNet"}


@dataclass(frozen=True)
class Part:
    """Some clouds of a data set, and how to speak of them."""

    clouds: LabelledClouds
    described: str
    """Which clouds, in words, for a checkpoint's header."""
    group: int = 1
    """Clouds that are made together."""


def training_part(config: DataConfig) -> Part:
    """The clouds to train on: a share of the scenes (streets, rooms; of the scans of SemanticKITTI) of a split."""
    if config.name == "street":
        cache = cache_dir(config.cache_dir)
        return street_part(config.seeds, config.sensors, config.frames_per_street, cache=cache, share=config.share)
    whole = _part(config.name, config.train_split, config.root, config.sequences, cache_dir(config.cache_dir))
    clouds, portion = share_of(whole.clouds, config.share)
    return Part(clouds, portion + whole.described)


def validation_part(config: DataConfig) -> Part:
    """The clouds to choose the best weights by."""
    if config.name == "street":
        return street_part(config.val_seeds, config.sensors, 1, cache=cache_dir(config.cache_dir))
    return _part(config.name, config.val_split, config.root, config.val_sequences, cache_dir(config.cache_dir))


def final_part(config: DataConfig) -> Part:
    """The clouds of the score in a checkpoint's header: held-out streets seen by the run's sensors, or the validation
    clouds."""
    if config.name != "street":
        return validation_part(config)
    return street_part(HELD_OUT_SEEDS, config.sensors, 1, cache=cache_dir(config.cache_dir))


def split_part(
    name: str,
    split: str,
    *,
    root: str | None = None,
    sequences: Sequence[str] | None = None,
    sensors: Sequence[str] | None = None,
    cache: Path | None = None,
) -> Part:
    """A split by name.

    Args:
        name: a key of `DATA_SPLITS`.
        split: one of its splits there.
        root: folder of the data set.
        sequences: SemanticKITTI sequences to take instead of a split's.
        sensors: street sensors; None for all.
        cache: folder for generated streets; None makes them anew each time.

    Raises:
        ConfigError: the data set or split is unknown, the root is missing, or an option is for another data set.
        CloudError: the data set is not there.
    """
    if name not in DATA_SPLITS:
        raise ConfigError(f"--data {name} is unknown, give {' | '.join(DATA_SPLITS)}")
    for option, value, owner in (("sequences", sequences, "semantickitti"), ("sensors", sensors, "street")):
        if value is not None and name != owner:
            raise ConfigError(f"--{option} {' '.join(value)} is for {owner}, leave it out for {name}")
    if name != "street" and root is None:
        raise ConfigError(f"--data.root is not set, {name} needs {ROOT_HOLDS[name]}")
    if split not in DATA_SPLITS[name] and sequences is None:
        more = " or --sequences" if name == "semantickitti" else ""
        raise ConfigError(f"--split {split} is unknown for {name}, give {' | '.join(DATA_SPLITS[name])}{more}")
    if name == "street":
        return street_part(STREET_SPLITS[split], sensors, 1, cache=cache)
    if name == "semantickitti" and sequences is None:
        sequences = SPLITS[split]
    return _part(name, split, root, sequences, cache)


def street_part(
    seeds: tuple[int, int], sensors: Sequence[str] | None, frames: int, *, cache: Path | None, share: float = 1.0
) -> Part:
    """Synthetic streets of the seeds from the first to before the last.

    Args:
        seeds: the first seed, and one past the last.
        sensors: names; every sensor when none is named.
        frames: scans a street and sensor.
        cache: folder for generated streets; None makes them anew each time.
        share: share of the seeds to take, see `evenly`.
    """
    from srkd_train.data.street import SENSORS, StreetDataset

    names = tuple(SENSORS) if sensors is None else tuple(sensors)
    chosen = range(*seeds) if share == 1 else [seeds[0] + number for number in evenly(seeds[1] - seeds[0], share)]
    clouds = StreetDataset(chosen, names, frames, cache_dir=cache)
    described = (
        f"synthetic streets, seeds {seeds[0]}-{seeds[1] - 1}, {', '.join(names)}, {frames} scans a street and sensor"
    )
    portion = "" if share == 1 else f"{len(chosen)} of {seeds[1] - seeds[0]} "
    return Part(clouds, portion + described, group=len(names) * frames)


def _part(name: str, split: str, root: str | None, sequences: Sequence[str] | None, cache: Path | None) -> Part:
    """All clouds of a split of a data set that needs a root; `sequences` are SemanticKITTI's in place of a split."""
    if root is None:
        raise ConfigError(f"--data.root is not set, {name} needs {ROOT_HOLDS[name]}")
    clouds: LabelledClouds
    described = f"{TITLES[name]} {split}"
    if name == "semantickitti":
        from srkd_train.data.semantickitti import SemanticKITTI

        assert sequences is not None
        clouds = SemanticKITTI(root, sequences=tuple(sequences))
        described = f"{TITLES[name]} sequences {' '.join(sequences)}"
    elif name == "nuscenes":
        from srkd_train.data.nuscenes import NuScenes

        clouds = NuScenes(root, split)
    elif name == "waymo":
        from srkd_train.data.waymo import Waymo

        clouds = Waymo(root, split, index_dir=cache)
    else:
        from srkd_train.data.scannet import ScanNet

        clouds = ScanNet(root, split)
    return Part(clouds, described)
