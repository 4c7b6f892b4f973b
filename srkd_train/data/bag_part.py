# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds of bags as a part of a data set: to learn from, to be scored on, to be known again."""

from pathlib import Path

from srkd.errors import ConfigError
from srkd.input_spec import InputSpec
from srkd.labels import LabelScheme
from srkd_train.config import ROOT_HOLDS, DataConfig, cache_dir
from srkd_train.data.part import Part
from srkd_train.data.subset import share_of


def bag_part(
    root: str | None,
    scheme: LabelScheme | None,
    *,
    topic: str | None = None,
    every: int = 1,
    share: float = 1.0,
    spec: InputSpec | None = None,
    cache: Path,
) -> Part:
    """Clouds of bags.

    Args:
        root, topic, cache: see :func:`srkd_train.data.bag.open_bags`.
        scheme: what a teacher teaches; None for the ground truth that the bags hold.
        every, spec: see :class:`srkd_train.data.bag.BagClouds`.
        share: share of the clouds to take.

    Raises:
        ConfigError: the root is missing, the bags do not fit each other, or have no ground truth.
        BagError, CloudError: a bag is damaged or has no such clouds.
    """
    from srkd_train.data import bag

    if root is None:
        raise ConfigError(f"--data.root is not set, bag needs {ROOT_HOLDS['bag']}")
    indices = bag.open_bags(root, topic, cache)
    known = bag.truth_scheme(indices) if scheme is None else scheme
    if known is None:
        raise ConfigError(f"{bag.named(indices)}: no ground truth of a named scheme, as `srkd to_bag` writes it")
    whole = bag.BagClouds(indices, known, every=every, labels=scheme is None, spec=spec)
    clouds, portion = share_of(whole, share)
    described = bag.named(indices) + (f", one cloud in {every}" if every > 1 else "")
    return Part(clouds, portion + described, digest=bag.digest(indices, labels=scheme is None), note=whole.note())


def bag_digests(config: DataConfig) -> list[str]:
    """What is in the bags to train on and to score on, ground truth included, as SHA-256.

    Raises:
        ConfigError, BagError, CloudError: see :func:`bag_part`.
    """
    from srkd_train.data import bag

    roots = filter(None, (config.root, config.val_root))
    cache = cache_dir(config.cache_dir)
    return [bag.digest(bag.open_bags(root, config.topic, cache), labels=True) for root in roots]


def why_not_scored(config: DataConfig, scheme: LabelScheme) -> str | None:
    """Why a run cannot be validated and scored on its own bags; None where it can.

    Args:
        config: of any data set.
        scheme: what is learnt.
    """
    if config.name != "bag" or config.val_root is not None:
        return None
    from srkd_train.data import bag

    indices = bag.open_bags(str(config.root), config.topic, cache_dir(config.cache_dir))
    truth = bag.truth_scheme(indices)
    if truth is None:
        return f"{bag.named(indices)}: no ground truth; --data.val_root takes bags that hold some"
    if truth.class_names != scheme.class_names:
        return f"{bag.named(indices)}: its ground truth is of {truth.name}, the classes learnt of {scheme.name}"
    return None
