# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets by name and split, for training and for evaluation."""

from collections.abc import Sequence
from pathlib import Path

from srkd.errors import ConfigError
from srkd.input_spec import InputSpec
from srkd.labels import LabelScheme
from srkd_train.config import HELD_OUT_SEEDS, ROOT_HOLDS, DataConfig, cache_dir
from srkd_train.data.bag_part import bag_part
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.part import Part
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
    "bag": ("all",),
}
"""Data sets, and their splits."""

TITLES = {"semantickitti": "SemanticKITTI", "nuscenes": "nuScenes", "waymo": "Waymo", "scannet": "ScanNet"}


def training_part(config: DataConfig, taught: LabelScheme | None = None) -> Part:
    """The clouds to train on: a share of the scenes (streets, rooms; of the scans of SemanticKITTI, the clouds of bags)
    of a split.

    Args:
        config: which.
        taught: what a teacher teaches; the classes of clouds that have no labels.

    Raises:
        ConfigError: the data set cannot be used, or there are neither labels nor a teacher.
        CloudError, BagError: it is not there, or damaged.
    """
    if config.name == "bag":
        if config.unlabelled and taught is None:
            raise ConfigError(
                f"data.root {config.root}: bags have no labels to learn from; learn from a teacher with `srkd distill`,"
                " or from the ground truth of bags that hold some with --data.labels true"
            )
        scheme = None if config.labels else taught
        return bag_part(
            config.root,
            scheme,
            topic=config.topic,
            every=config.every,
            share=config.share,
            spec=config.input,
            cache=cache_dir(config.cache_dir),
        )
    for key, usual in (("topic", None), ("every", 1), ("labels", False), ("val_root", None)):
        if getattr(config, key) != usual:
            raise ConfigError(f"data.{key}={getattr(config, key)} is for bags, leave it out for {config.name}")
    if config.name == "street":
        cache = cache_dir(config.cache_dir)
        return street_part(config.seeds, config.sensors, config.frames_per_street, cache=cache, share=config.share)
    whole = _part(config.name, config.train_split, config.root, config.sequences, cache_dir(config.cache_dir))
    clouds, portion = share_of(whole.clouds, config.share)
    return Part(clouds, portion + whole.described)


def validation_part(config: DataConfig) -> Part:
    """The clouds to choose the best weights by."""
    if config.name == "bag":
        every = config.every if config.val_root is None else 1
        root, cache = config.val_root or config.root, cache_dir(config.cache_dir)
        return bag_part(root, None, topic=config.topic, every=every, spec=config.input, cache=cache)
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
    topic: str | None = None,
    spec: InputSpec | None = None,
    cache: Path | None = None,
) -> Part:
    """A split by name.

    Args:
        name: a key of `DATA_SPLITS`.
        split: one of its splits there.
        root: folder of the data set.
        sequences: SemanticKITTI sequences to take instead of a split's.
        sensors: street sensors; None for all.
        topic: of the clouds of bags; None for the only one.
        spec: input of the network; intensities of bags are brought to its scale.
        cache: folder for generated streets; None makes them anew each time.

    Raises:
        ConfigError: the data set or split is unknown, the root is missing, or an option is for another data set.
        CloudError: the data set is not there.
    """
    if name not in DATA_SPLITS:
        raise ConfigError(f"--data {name} is unknown, give {' | '.join(DATA_SPLITS)}")
    options = (("sequences", sequences, "semantickitti"), ("sensors", sensors, "street"), ("topic", topic, "bag"))
    for option, value, owner in options:
        if value is not None and name != owner:
            words = value if isinstance(value, str) else " ".join(value)
            raise ConfigError(f"--{option} {words} is for {owner}, leave it out for {name}")
    if name != "street" and root is None:
        raise ConfigError(f"--data.root is not set, {name} needs {ROOT_HOLDS[name]}")
    if split not in DATA_SPLITS[name] and sequences is None:
        more = " or --sequences" if name == "semantickitti" else ""
        raise ConfigError(f"--split {split} is unknown for {name}, give {' | '.join(DATA_SPLITS[name])}{more}")
    if name == "street":
        return street_part(STREET_SPLITS[split], sensors, 1, cache=cache)
    if name == "bag":
        return bag_part(root, None, topic=topic, spec=spec, cache=cache_dir(None) if cache is None else cache)
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
