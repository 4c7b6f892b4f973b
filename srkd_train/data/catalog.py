# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets by name and split, for training and for evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srkd.errors import ConfigError
from srkd_train.config import DataConfig, cache_dir
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.semantickitti import SPLITS, SemanticKITTI

STREET_SPLITS = {"held_out": (10000, 10020), "val": (9900, 9904), "train": (0, 9900)}
"""First seed, and one past the last, of the street splits; only `held_out` is for published scores."""


@dataclass(frozen=True)
class Part:
    """Some clouds of a data set, and how to speak of them."""

    clouds: LabelledClouds
    described: str
    """Which clouds, in words, for a checkpoint's header."""
    group: int = 1
    """Clouds that are made together."""


def training_part(config: DataConfig) -> Part:
    """The clouds to train on."""
    if config.name == "semantickitti":
        return semantickitti_part(str(config.root), config.sequences)
    return street_part(config.seeds, config.sensors, config.frames_per_street, cache=cache_dir(config.cache_dir))


def validation_part(config: DataConfig) -> Part:
    """The clouds to choose the best weights by."""
    if config.name == "semantickitti":
        return semantickitti_part(str(config.root), config.val_sequences)
    return street_part(config.val_seeds, config.sensors, 1, cache=cache_dir(config.cache_dir))


def final_part(config: DataConfig) -> Part:
    """The clouds of the score in a checkpoint's header: held-out streets, or the validation sequences."""
    if config.name == "semantickitti":
        return validation_part(config)
    return split_part("street", "held_out", cache=cache_dir(config.cache_dir))


def split_part(
    name: str,
    split: str,
    *,
    root: str | None = None,
    sequences: Sequence[str] | None = None,
    cache: Path | None = None,
) -> Part:
    """A split by name.

    Args:
        name: street or semantickitti.
        split: held_out, val or train of street; val or train of semantickitti.
        root: folder of the data set.
        sequences: SemanticKITTI sequences to take instead of a split's.
        cache: folder for generated streets; None makes them anew each time.

    Raises:
        ConfigError: the data set or split is unknown, or the root is missing.
    """
    if name == "semantickitti":
        if root is None:
            raise ConfigError("--data.root is not set, semantickitti needs the folder that holds sequences/")
        if sequences is None and split not in SPLITS:
            raise ConfigError(f"--split {split} is unknown for semantickitti, give {' | '.join(SPLITS)} or --sequences")
        return semantickitti_part(root, SPLITS[split] if sequences is None else sequences)
    if name != "street":
        raise ConfigError(f"--data {name} is unknown, give street | semantickitti")
    if split not in STREET_SPLITS:
        raise ConfigError(f"--split {split} is unknown for street, give {' | '.join(STREET_SPLITS)}")
    return street_part(STREET_SPLITS[split], None, 1, cache=cache)


def semantickitti_part(root: str, sequences: Sequence[str]) -> Part:
    """Whole sequences of SemanticKITTI."""
    return Part(SemanticKITTI(root, sequences=tuple(sequences)), f"SemanticKITTI sequences {' '.join(sequences)}")


def street_part(seeds: tuple[int, int], sensors: Sequence[str] | None, frames: int, *, cache: Path | None) -> Part:
    """Synthetic streets of the seeds from the first to before the last; every sensor when none is named."""
    from srkd_train.data.street import SENSORS, StreetDataset

    names = tuple(SENSORS) if sensors is None else tuple(sensors)
    clouds = StreetDataset(range(*seeds), names, frames, cache_dir=cache)
    described = (
        f"synthetic streets, seeds {seeds[0]}-{seeds[1] - 1}, {', '.join(names)}, {frames} scans a street and sensor"
    )
    return Part(clouds, described, group=len(names) * frames)
