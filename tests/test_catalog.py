# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets by name: which class, which split, which share; and what is said about them."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError
from srkd.labels import SCHEMES
from srkd_train.config import DataConfig
from srkd_train.data import catalog
from srkd_train.data.catalog import DATA_SPLITS, final_part, split_part, training_part, validation_part
from srkd_train.data.sample import Sample
from srkd_train.data.street import StreetDataset
from srkd_train.data.subset import Picked, evenly, share_of


class Scenes:
    """Ten scenes of three clouds each."""

    scheme = SCHEMES["nuscenes"]

    def __init__(self, root: object = None, split: str = "train", index_dir: object = None) -> None:
        self.made_with = root, split

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int) -> Sample:
        return Sample(Cloud(np.zeros((1, 3), np.float32)), np.zeros(1, np.uint8), str(index))

    def scene(self, index: int) -> str:
        return f"scene-{index // 3}"


@given(st.integers(1, 300), st.floats(0.01, 1), st.floats(0.01, 1))
def test_shares_are_nested_even_and_of_the_right_size(count: int, one: float, other: float) -> None:
    small, large = evenly(count, min(one, other)), evenly(count, max(one, other))
    assert set(small) <= set(large) <= set(range(count)) and small == sorted(set(small))
    assert len(large) == max(1, round(max(one, other) * count)) and evenly(count, 1) == list(range(count))
    gaps = np.diff([*large, count + large[0]])
    assert gaps.max() <= 4 * count / len(large) + 1


def test_a_half_is_every_second() -> None:
    assert evenly(10, 0.5) == [0, 2, 4, 6, 8] and evenly(40, 0.25) == list(range(0, 40, 4))


def test_a_share_takes_whole_scenes() -> None:
    clouds, words = share_of(Scenes(), 0.5)
    assert [clouds[number].name for number in range(6)] == ["0", "1", "2", "6", "7", "8"] and len(clouds) == 15
    assert words == "5 of 10 scenes of "
    whole = Scenes()
    assert share_of(whole, 1.0) == (whole, "")
    one = Picked(Scenes(), range(8))
    rest, words = share_of(one, 0.25)
    assert [rest[number].name for number in range(len(rest))] == ["0", "4"] and words == "2 of 8 clouds of "
    assert rest.scheme is Scenes.scheme and pickle.loads(pickle.dumps(rest))[1].name == "4"


def test_street_shares_are_of_seeds_and_nested(tmp_path: Path) -> None:
    names = {}
    for share in (0.05, 0.1, 1.0):
        part = training_part(DataConfig(seeds=(0, 400), share=share, sensors=("beams16",), cache_dir=str(tmp_path)))
        assert isinstance(part.clouds, StreetDataset)
        names[share] = set(part.clouds.seeds)
        assert len(part.clouds) == 2 * round(400 * share) and part.group == 2
        assert ("of 400 synthetic streets" in part.described) == (share < 1)
    assert names[0.05] < names[0.1] < names[1.0] == set(range(400))


def test_the_final_score_of_a_street_run_is_on_its_own_sensors(tmp_path: Path) -> None:
    config = DataConfig(sensors=("beams16",), cache_dir=str(tmp_path), share=0.1)
    final, validation = final_part(config), validation_part(config)
    assert len(final.clouds) == 20 and "seeds 10000-10019, beams16, 1 scans" in final.described
    assert len(validation.clouds) == 4 and "seeds 9900-9903, beams16" in validation.described
    assert len(final_part(DataConfig(cache_dir=str(tmp_path))).clouds) == 60
    assert len(split_part("street", "held_out", sensors=["beams16", "beams64"]).clouds) == 40
    assert split_part("street", "held_out").described == final_part(DataConfig()).described


@pytest.mark.parametrize(
    ("name", "module", "title"),
    [
        ("nuscenes", "srkd_train.data.nuscenes", "NuScenes"),
        ("waymo", "srkd_train.data.waymo", "Waymo"),
        ("scannet", "srkd_train.data.scannet", "ScanNet"),
    ],
)
def test_the_other_data_sets_are_made_by_root_and_split(
    name: str, module: str, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{title: Scenes}))  # type: ignore[arg-type]
    config = DataConfig(name=name, root="/data", share=0.5, val_split="val")  # type: ignore[arg-type]
    train, val, final = training_part(config), validation_part(config), final_part(config)
    assert isinstance(train.clouds, Picked) and len(train.clouds) == 15
    assert train.clouds.clouds.made_with == ("/data", "train")  # type: ignore[attr-defined]
    assert val.clouds.made_with == final.clouds.made_with == ("/data", "val")  # type: ignore[attr-defined]
    assert (
        train.described == f"5 of 10 scenes of {title[0].lower() if name == 'nuscenes' else title[0]}{title[1:]} train"
    )
    assert val.described == final.described
    for split in DATA_SPLITS[name]:
        part = split_part(name, split, root="/data")
        assert part.clouds.made_with == ("/data", split)  # type: ignore[attr-defined]


def test_semantickitti_shares_are_of_scans(tmp_path: Path) -> None:
    for name in ("00", "08"):
        folder = tmp_path / "sequences" / name
        (folder / "velodyne").mkdir(parents=True)
        (folder / "labels").mkdir()
        for number in range(8):
            np.full((1, 4), number, "<f4").tofile(folder / "velodyne" / f"{number:06d}.bin")
            np.array([10], "<u4").tofile(folder / "labels" / f"{number:06d}.label")
    config = DataConfig(name="semantickitti", root=str(tmp_path), sequences=("00",), share=0.5)
    part = training_part(config)
    assert [part.clouds[number].name for number in range(4)] == [f"00/{number:06d}" for number in (0, 2, 4, 6)]
    assert part.described == "4 of 8 clouds of SemanticKITTI sequences 00"
    assert validation_part(config).described == "SemanticKITTI sequences 08"
    assert split_part("semantickitti", "val", root=str(tmp_path)).described == "SemanticKITTI sequences 08"
    with pytest.raises(CloudError, match="01/velodyne"):
        split_part("semantickitti", "train", root=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "split", "options", "message"),
    [
        ("kitti", "val", {}, "--data kitti is unknown, give street"),
        ("nuscenes", "val", {}, "data.root is not set, nuscenes needs the folder that holds samples"),
        ("waymo", "held_out", {"root": "x"}, r"unknown for waymo, give train \| val \| test$"),
        ("semantickitti", "no", {"root": "x"}, "or --sequences"),
        ("nuscenes", "val", {"root": "x", "sequences": ["08"]}, "--sequences 08 is for semantickitti"),
        ("nuscenes", "val", {"root": "x", "sensors": ["beams16"]}, "--sensors beams16 is for street"),
        ("street", "val", {"sensors": ["beams17"]}, "beams17"),
    ],
)
def test_mistakes_are_one_line(name: str, split: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        split_part(name, split, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_every_configurable_data_set_is_in_the_catalog() -> None:
    assert set(DATA_SPLITS) - {"street"} == set(catalog.TITLES) | {"bag"} == set(catalog.ROOT_HOLDS)
