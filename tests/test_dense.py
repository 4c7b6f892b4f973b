# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""DenseClouds: the dense clouds of a data set under its names, and folders that do not fit."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError
from srkd.labels import LabelScheme, get_scheme
from srkd_train.data.accumulate.config import Accumulation
from srkd_train.data.accumulate.dense import Dense
from srkd_train.data.accumulate.folder import close_folder, cloud_path, open_folder, save, settings_of
from srkd_train.data.dense import DenseClouds
from srkd_train.data.sample import Sample
from srkd_train.data.subset import Picked


class Clouds:
    """Three clouds of two points."""

    def __init__(self, scheme: LabelScheme) -> None:
        self._scheme = scheme
        self.read = 0

    @property
    def scheme(self) -> LabelScheme:
        return self._scheme

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        self.read += 1
        cloud = Cloud(np.full((2, 3), index, np.float32), intensity=np.full(2, index, np.float32))
        return Sample(cloud, np.array([index, 255], np.uint8), self.name(index))

    def name(self, index: int) -> str:
        return f"scene/{index}"


def dense_of(sample: Sample) -> Dense:
    """Its own points and three more."""
    assert sample.cloud.intensity is not None
    return Dense(
        np.concatenate([sample.cloud.xyz, np.ones((3, 3), np.float32)]),
        np.concatenate([sample.cloud.intensity, np.zeros(3, np.float32)]),
        np.concatenate([sample.label, np.array([1, 2, 255], np.uint8)]),
        np.arange(5) < 2,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clouds = Clouds(get_scheme("street"))
    settings = settings_of(Accumulation(), "street", clouds.scheme, None)
    out = tmp_path / "dense"
    open_folder(out, settings)
    for index in range(3):
        save(cloud_path(out, clouds.name(index)), dense_of(clouds[index]))
    close_folder(out, settings, [clouds.name(index) for index in range(3)])
    return out


def test_dense_clouds_come_under_the_names_of_the_raw_ones(folder: Path) -> None:
    raw = Clouds(get_scheme("street"))
    dense = pickle.loads(pickle.dumps(DenseClouds(raw, folder)))
    assert len(dense) == 3 and dense.scheme == raw.scheme
    for index in range(3):
        expected = raw[index]
        sample, own = dense.read(index)
        assert own == 2 and sample.name == expected.name == dense.name(index)
        np.testing.assert_array_equal(sample.cloud.xyz[:own], expected.cloud.xyz)
        np.testing.assert_array_equal(sample.cloud.intensity[:own], expected.cloud.intensity)
        np.testing.assert_array_equal(sample.label[:own], expected.label)
        assert sample.label[own:].tolist() == [1, 2, 255]
        np.testing.assert_array_equal(dense[index].cloud.xyz, sample.cloud.xyz)
    assert dense.clouds.read == 0  # the raw clouds were not read for it
    words = dense.described()
    assert "4 past and 4 future frames" in words and "moving objects: align" in words and "0.05 m" in words


def test_a_share_has_the_dense_clouds_of_its_own(folder: Path) -> None:
    dense = DenseClouds(Picked(Clouds(get_scheme("street")), [2, 0]), folder)
    assert [dense[index].name for index in range(2)] == ["scene/2", "scene/0"]


def test_folders_that_do_not_fit_are_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    clouds = Clouds(get_scheme("street"))
    index = folder / "accumulation.json"
    facts = json.loads(index.read_text())

    def refused(where: Path, message: str, data: Clouds = clouds) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            DenseClouds(data, where)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "nowhere", r"nowhere/accumulation\.json: missing; make dense clouds first")
    refused(
        folder,
        r"dense clouds of street \(street\), but the data set has the classes of waymo",
        Clouds(get_scheme("waymo")),
    )
    index.write_text(json.dumps({**facts, "names": ["scene/1", "scene/2"]}))
    refused(folder, r"1 of 3 clouds are missing, scene/0 first")
    index.write_text(json.dumps({**facts, "settings": {**facts["settings"], "version": 99}}))
    refused(folder, r"version 99, this srkd reads 1")
    index.write_text("{")
    refused(folder, r"accumulation\.json: cannot be read")
    index.write_text("[]")
    refused(folder, r"accumulation\.json: no settings and names")
    index.unlink()
    (folder / "unfinished.json").write_text(json.dumps({"settings": facts["settings"]}))
    refused(folder, r"unfinished, run the same")


def test_files_that_are_lost_or_damaged_are_named(folder: Path) -> None:
    dense = DenseClouds(Clouds(get_scheme("street")), folder)
    path = cloud_path(folder, "scene/1")
    whole = path.read_bytes()
    path.unlink()
    with pytest.raises(CloudError, match=r"scene/1\.npz: missing"):
        dense[1]
    for damaged in (b"", whole[: len(whole) // 2], b"PK" + bytes(500)):
        path.write_bytes(damaged)
        with pytest.raises(CloudError, match=r"scene/1\.npz: no dense cloud"):
            dense[1]
    good = dense_of(dense.clouds[1])
    save(path, Dense(good.xyz, good.intensity, np.full(5, 200, np.uint8), good.own))
    with pytest.raises(CloudError, match=r"scene/1\.npz: class 200, street has 12"):
        dense[1]
    save(path, Dense(good.xyz[:3], good.intensity, good.label, good.own))
    with pytest.raises(CloudError, match=r"scene/1\.npz: columns of shapes"):
        dense[1]
    save(path, Dense(good.xyz, good.intensity, good.label, good.own[::-1].copy()))
    with pytest.raises(CloudError, match=r"scene/1\.npz: columns of shapes"):
        dense[1]
