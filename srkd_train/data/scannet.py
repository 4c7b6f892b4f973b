# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ScanNet v2: scans/sceneXXXX_YY/ with the mesh *_vh_clean_2.ply and its labels, splits in scannetv2_*.txt.

A point is a vertex of the mesh, with its colour and normal. Source: github.com/ScanNet/ScanNet.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError
from srkd.io.columns import cloud_from_columns
from srkd.io.ply_mesh import read_ply_mesh
from srkd.labels import IGNORE, SCHEMES
from srkd_train.data.normals import vertex_normals
from srkd_train.data.sample import Sample
from srkd_train.data.scannet_labels import (
    AGGREGATION,
    CATEGORIES,
    LABELS,
    SEGMENTS,
    read_categories,
    read_labelled_mesh,
    read_segments,
)

SPLITS = ("train", "val", "test")
MESH = "_vh_clean_2.ply"


class ScanNet(Dataset[Sample]):
    """The scans of a split in the order of its list, with classes of the 20-class scheme.

    Normals are those of the file; where it has none, the area-weighted means of the faces around a vertex. Labels come
    from `*_vh_clean_2.labels.ply`; where a scan has none, from its segments, their aggregation and ScanNet's label map
    (scannetv2-labels.combined.tsv in the root). The scans of the test split have none, all theirs are 255.

    Args:
        root: the folder that holds `scans` (and `scans_test`) and the lists scannetv2_{train,val,test}.txt.
        split: "train", "val" or "test".

    Raises:
        ConfigError: the split is unknown.
        CloudError: the list of the split is missing or empty, or none of its scans is there.
    """

    scheme = SCHEMES["scannet"]

    def __init__(self, root: str | os.PathLike[str], split: str = "train") -> None:
        if split not in SPLITS:
            raise ConfigError(f"split: unknown {split!r}, expected {' | '.join(SPLITS)}")
        self.root = Path(root)
        self.split = split
        self.names = _read_list(self.root / f"scannetv2_{split}.txt")
        self._folder = self.root / "scans"
        if split == "test" and (self.root / "scans_test").is_dir():
            self._folder = self.root / "scans_test"
        if not any((self._folder / name).is_dir() for name in self.names):
            raise CloudError(
                f"{self._folder}: none of the {len(self.names)} scans of scannetv2_{split}.txt is there; "
                "give the folder that holds scans/"
            )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Reads scan `index`.

        Raises:
            CloudError: its mesh or labels are missing or damaged.
        """
        path = self.path(index)
        mesh = read_ply_mesh(path)
        try:
            cloud, _ = cloud_from_columns(mesh.columns, mesh.columns.__getitem__)
        except CloudError as error:
            raise CloudError(f"{path}: {error}") from None
        if cloud.normal is None:
            normal = vertex_normals(cloud.xyz, mesh.faces)
            cloud = Cloud(cloud.xyz, cloud.intensity, cloud.color, normal, cloud.ring)
        return Sample(cloud, self._label(index, len(cloud)), self.names[index])

    def name(self, index: int) -> str:
        """Name of scan `index`, such as "scene0000_00"."""
        return self.names[index]

    def path(self, index: int) -> Path:
        """The mesh of scan `index`."""
        name = self.names[index]
        return self._folder / name / f"{name}{MESH}"

    def problems(self) -> list[str]:
        """Missing files of the split, one line each."""
        missing = []
        for index in range(len(self)):
            if not self.path(index).is_file():
                missing.append(f"{self.path(index)}: missing")
            labels, segments, aggregation = (self._file(index, ending) for ending in (LABELS, SEGMENTS, AGGREGATION))
            if self.split == "test" or labels.is_file():
                continue
            if not (segments.is_file() and aggregation.is_file() and (self.root / CATEGORIES).is_file()):
                missing.append(f"{labels}: missing, and so is {SEGMENTS}, {AGGREGATION} or {CATEGORIES} instead of it")
        return missing

    @cached_property
    def _categories(self) -> dict[str, int]:
        return read_categories(self.root / CATEGORIES)

    def _file(self, index: int, ending: str) -> Path:
        name = self.names[index]
        return self._folder / name / f"{name}{ending}"

    def _label(self, index: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        if self.split == "test":
            return np.full(count, IGNORE, np.uint8)
        path = self._file(index, LABELS)
        if path.is_file() or not self._file(index, SEGMENTS).is_file():
            raw = read_labelled_mesh(path, count)
        else:
            path = self._file(index, AGGREGATION)
            raw = read_segments(self._file(index, ""), self._categories, count)
        try:
            return self.scheme.from_raw(raw)
        except CloudError as error:
            raise CloudError(f"{path}: {error}") from None


def _read_list(path: Path) -> tuple[str, ...]:
    try:
        names = tuple(path.read_text(encoding="ascii").split())
    except (OSError, UnicodeError) as error:
        raise CloudError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'no text'}); "
            "it is in Tasks/Benchmark of github.com/ScanNet/ScanNet"
        ) from None
    if not names or not all(name.startswith("scene") and "/" not in name for name in names):
        raise CloudError(f"{path}: expected names like scene0000_00, one a line")
    return names
