# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Raw and dense clouds of a run: which it is trained on, which its teacher sees, and which it is scored on."""

import hashlib
import json
import zlib
from dataclasses import replace
from pathlib import Path

from numpy.random import default_rng
from torch.utils.data import Dataset

from srkd.labels import LabelScheme
from srkd_train.config import WHOLE, DataConfig, DistillConfig, RunConfig
from srkd_train.data.catalog import training_part
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.part import Part
from srkd_train.data.sample import Sample, select
from srkd_train.data.subset import name_of


class Thinned(Dataset[Sample]):
    """A random share of the points of every cloud, at least one, the same ones at every reading.

    Args:
        clouds: the data set.
        share: above 0, at most 1.
    """

    def __init__(self, clouds: LabelledClouds, share: float) -> None:
        self.clouds = clouds
        self.share = share

    @property
    def scheme(self) -> LabelScheme:
        return self.clouds.scheme

    def __len__(self) -> int:
        return len(self.clouds)

    def __getitem__(self, index: int) -> Sample:
        sample = self.clouds[index]
        count = len(sample.cloud)
        order = default_rng(zlib.crc32(sample.name.encode())).permutation(count)
        order = order[: max(1, round(self.share * count))]
        order.sort()
        return select(sample, order)

    def name(self, index: int) -> str:
        """Name of cloud `index`, the same as in the data set."""
        return name_of(self.clouds, index)


def run_part(config: RunConfig, taught: LabelScheme | None = None) -> Part:
    """The clouds that a run is trained on: raw ones; with data.dense_root the dense ones, and in a distillation both.

    Args:
        config: the run.
        taught: what a teacher teaches, for clouds without labels.

    Raises:
        ConfigError, CloudError, BagError: the data set, or the folder of dense clouds, is not there or cannot be used.
    """
    data = config.data
    part = training_part(data, taught)
    raw = raw_part(part, data.raw_share)
    if data.dense_root is None:
        return raw
    dense = dense_part(part, data.dense_root)
    return replace(raw, dense=dense) if isinstance(config, DistillConfig) else dense


def scored_part(data: DataConfig, part: Part) -> Part:
    """Some clouds of a data set as a run is scored on them; where there are dense ones, the words say which these are.

    Args:
        data: says which.
        part: of the data set.

    Raises:
        ConfigError: see `dense_part`.
    """
    if data.dense_val and data.dense_root is not None:
        return dense_part(part, data.dense_root)
    return raw_part(part, data.raw_share, named=data.dense_root is not None)


def raw_part(part: Part, share: float, *, named: bool = False) -> Part:
    """A share of the points of every cloud of a part; `named`: its words say that these are raw clouds."""
    if share == 1:
        return replace(part, described=f"{part.described}, raw clouds") if named else part
    described = f"{part.described}, raw clouds of a random {100 * share:g} % of the points"
    return replace(part, clouds=Thinned(part.clouds, share), described=described)


def dense_part(part: Part, root: str) -> Part:
    """The dense clouds of a part.

    Args:
        part: clouds of a data set, as they are there.
        root: a folder of `srkd prepare accumulate`, or "whole" for the clouds as they are.

    Raises:
        ConfigError: the folder is unfinished, of another data set, or lacks a cloud.
    """
    from srkd_train.data.dense import DenseClouds

    digest = dense_digest(root)
    if root == WHOLE:
        described = f"{part.described}, dense clouds of all points"
        return replace(part, described=described, kind="dense", dense_sha256=digest)
    clouds = DenseClouds(part.clouds, root)
    described = f"{part.described}, {clouds.described()}"
    return replace(part, clouds=clouds, described=described, kind="dense", dense_sha256=digest)


def dense_digest(root: str) -> str:
    """SHA-256 of how dense clouds were made, wherever they and their data set lie; "whole" as it is.

    Args:
        root: as in `dense_part`.

    Raises:
        ConfigError: the folder is none of dense clouds, or unfinished.
    """
    if root == WHOLE:
        return WHOLE
    from srkd_train.data.accumulate.folder import read_index

    settings, _ = read_index(Path(root))  # a folder may get more clouds; those that a run lacks are refused there
    facts = {key: value for key, value in settings.items() if key != "root"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
