# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Submissions: the servers' folders and bytes, and nothing left of a failed one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from srkd.errors import ConfigError
from srkd.labels import SCHEMES, LabelScheme
from srkd_train.submissions import Submission, fill


class Clouds:
    def __init__(self, scheme: LabelScheme) -> None:
        self.scheme = scheme

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> None:
        raise AssertionError("labels are written without reading clouds again")

    def token(self, index: int) -> str:
        return f"{index:032x}"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_nuscenes_gets_challenge_classes_by_token(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "results"
    with Submission(target, "nuscenes", "test", Clouds(SCHEMES["nuscenes"])) as made:
        made.add(0, "any", np.array([0, 15, 3, 255, 3], np.uint8))
        made.add(1, "any", np.array([255], np.uint8))
        assert not target.exists()
    tokens = [f"lidarseg/test/{index:032x}_lidarseg.bin" for index in range(2)]
    assert files(target) == [*tokens, "test/submission.json"]
    assert (target / tokens[0]).read_bytes() == bytes([1, 16, 4, 4, 4])
    assert (target / tokens[1]).read_bytes() == bytes([1])
    meta = json.loads((target / "test" / "submission.json").read_text())["meta"]
    assert meta.pop("use_lidar") is True and meta == dict.fromkeys(
        ("use_camera", "use_radar", "use_map", "use_external"), False
    )
    assert (made.written, made.filled) == (2, 2)
    assert [path.name for path in target.parent.iterdir()] == ["results"]


def test_semantickitti_gets_raw_ids(tmp_path: Path) -> None:
    with Submission(tmp_path / "out", "semantickitti", "test", Clouds(SCHEMES["semantickitti"])) as made:
        made.add(0, "11/000007", np.array([0, 18, 8], np.uint8))
    path = tmp_path / "out" / "sequences" / "11" / "predictions" / "000007.label"
    assert files(tmp_path / "out") == [str(path.relative_to(tmp_path / "out"))]
    assert np.fromfile(path, "<u4").tolist() == [10, 81, 40] and made.filled == 0


def test_nothing_is_overwritten_and_nothing_left_of_a_failure(tmp_path: Path) -> None:
    clouds = Clouds(SCHEMES["nuscenes"])
    (tmp_path / "old").mkdir()
    with pytest.raises(ConfigError, match="old exists: give another folder"):
        Submission(tmp_path / "old", "nuscenes", "test", clouds)
    with pytest.raises(ConfigError, match="waymo has no known form"):
        Submission(tmp_path / "new", "waymo", "test", clouds)
    with pytest.raises(KeyboardInterrupt), Submission(tmp_path / "new", "nuscenes", "test", clouds) as made:
        made.add(0, "any", np.zeros(3, np.uint8))
        raise KeyboardInterrupt
    with pytest.raises(ConfigError, match="somebody else"), Submission(tmp_path / "late", "nuscenes", "test", clouds):
        (tmp_path / "late").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["late", "old"]
    assert not files(tmp_path)


def test_points_without_a_class_get_the_most_frequent_one() -> None:
    complete, count = fill(np.array([255, 2, 7, 7, 255], np.uint8))
    assert complete.tolist() == [7, 2, 7, 7, 7] and complete.dtype == np.uint8 and count == 2
    assert fill(np.zeros(0, np.uint8))[1] == 0
