# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes key frames and their lidarseg files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from real_data import real_data

from srkd.errors import CloudError
from srkd.labels import IGNORE
from srkd_train.data.nuscenes import NuScenes


def make_root(root: Path) -> None:
    (root / "samples" / "LIDAR_TOP").mkdir(parents=True)
    (root / "v1.0-mini").mkdir()
    (root / "lidarseg" / "v1.0-mini").mkdir(parents=True)
    for name in ("b", "a"):
        np.full((3, 5), ord(name), "<f4").tofile(root / "samples" / "LIDAR_TOP" / f"{name}.pcd.bin")
    (root / "lidarseg" / "v1.0-mini" / "t_lidarseg.bin").write_bytes(bytes([17, 0, 24]))
    lidarseg = [{"token": "t", "sample_data_token": "s", "filename": "lidarseg/v1.0-mini/t_lidarseg.bin"}]
    sample_data = [
        {"token": "r", "filename": "samples/CAM_FRONT/b.jpg"},
        {"token": "s", "filename": "samples/LIDAR_TOP/b.pcd.bin"},
    ]
    (root / "v1.0-mini" / "lidarseg.json").write_text(json.dumps(lidarseg))
    (root / "v1.0-mini" / "sample_data.json").write_text(json.dumps(sample_data))


def test_frames_are_sorted_and_have_labels_where_there_are_some(tmp_path: Path) -> None:
    make_root(tmp_path)
    data = NuScenes(tmp_path)
    assert len(data) == 2
    assert (data[0].name, data[1].name) == ("a", "b")
    assert data[0].label.tolist() == [IGNORE] * 3 and not data.has_labels(0)
    assert data[1].label.tolist() == [3, IGNORE, 10] and data.has_labels(1)
    assert data.path(1).name == "b.pcd.bin"


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"LIDAR_TOP: no key frame"):
        NuScenes(tmp_path)
    make_root(tmp_path)
    labels = tmp_path / "lidarseg" / "v1.0-mini" / "t_lidarseg.bin"
    labels.write_bytes(bytes(2))
    with pytest.raises(CloudError, match="2 labels, but the cloud has 3"):
        NuScenes(tmp_path)[1]
    table = tmp_path / "v1.0-mini" / "sample_data.json"
    for text, reason in (("{", "no JSON"), ("{}", "expected a list"), ('[{"token": 1}]', "expected a list")):
        table.write_text(text)
        with pytest.raises(CloudError, match=rf"sample_data\.json: {reason}"):
            NuScenes(tmp_path)
    table.unlink()
    with pytest.raises(CloudError, match=r"sample_data\.json: cannot be read"):
        NuScenes(tmp_path)


def test_the_real_key_frame() -> None:
    data = NuScenes(real_data("nuscenes"))
    sample = data[0]
    assert len(data) == 1 and len(sample.cloud) == 34_688
    assert (sample.label == IGNORE).all() and not data.has_labels(0)
    assert sample.name.endswith("__LIDAR_TOP__1532402927647951")
