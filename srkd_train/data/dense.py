# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dense clouds in place of the clouds of a data set, from a folder of `srkd prepare accumulate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError
from srkd.labels import IGNORE, LabelScheme
from srkd_train.data.accumulate.folder import cloud_path, load, read_index
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.sample import Sample
from srkd_train.data.subset import name_of


class DenseClouds(Dataset[Sample]):
    """The dense clouds of the clouds of a data set, in its order and under its names; the raw ones are not read.

    Args:
        clouds: the data set.
        folder: what `srkd prepare accumulate --out` was given.

    Raises:
        ConfigError: the folder is none of dense clouds, is unfinished, is of another data set, or lacks a cloud.
    """

    def __init__(self, clouds: LabelledClouds, folder: str | os.PathLike[str]) -> None:
        self.clouds = clouds
        self.folder = Path(folder)
        self.settings, names = read_index(self.folder)
        mine = (clouds.scheme.name, list(clouds.scheme.class_names))
        if (self.settings.get("scheme"), self.settings.get("class_names")) != mine:
            raise ConfigError(
                f"{self.folder}: dense clouds of {self.settings.get('data')} ({self.settings.get('scheme')}), but the"
                f" data set has the classes of {clouds.scheme.name}; give a folder made of it"
            )
        missing = [name for name in map(self.name, range(len(clouds))) if name not in names]
        if missing:
            raise ConfigError(
                f"{self.folder}: {len(missing)} of {len(clouds)} clouds are missing, {missing[0]} first; it was made of"
                " another part or data set: run `srkd prepare accumulate` for these clouds into it"
            )

    @property
    def scheme(self) -> LabelScheme:
        return self.clouds.scheme

    def __len__(self) -> int:
        return len(self.clouds)

    def __getitem__(self, index: int) -> Sample:
        """Reads a dense cloud; raises as `read`."""
        return self.read(index)[0]

    def read(self, index: int) -> tuple[Sample, int]:
        """A dense cloud, x, y, z and intensity with labels, and how many points at its beginning are the raw cloud's.

        Raises:
            CloudError: its file is missing or damaged, or holds a label that is not in the scheme.
        """
        name = self.name(index)
        path = cloud_path(self.folder, name)
        dense = load(path)
        known = dense.label[dense.label != IGNORE]
        if known.max(initial=0) >= self.scheme.num_classes:
            raise CloudError(f"{path}: class {known.max()}, {self.scheme.name} has {self.scheme.num_classes}")
        return Sample(Cloud(dense.xyz, dense.intensity), dense.label, name), int(dense.own.sum())

    def name(self, index: int) -> str:
        """Name of cloud `index`, the same as in the data set."""
        return name_of(self.clouds, index)

    def described(self) -> str:
        """How the clouds were made, in words."""
        how: dict[str, Any] = self.settings["accumulation"]
        thin = "" if how["cell_m"] is None else f", one added point a cell of {how['cell_m']:g} m"
        parts = [f"{how['past']} past and {how['future']} future frames, every {how['every']}"]
        parts += ["labelled frames only"] if how["labelled_only"] else []
        parts += ["by poses alone"] if how["by_pose"] else [f"moving objects: {how['moving']}"]
        parts += [f"classes {' '.join(how['classes'])}"] if how["classes"] else []
        parts += [f"within {how['clip_m']} m"] if how["clip_m"] else []
        return f"dense clouds of {', '.join(parts)}{thin}"
