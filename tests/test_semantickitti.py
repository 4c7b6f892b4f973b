# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SemanticKITTI: splits, poses, instances, what is missing; and real scans that must agree with each other."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from real_data import real_data

from srkd.errors import CloudError, ConfigError
from srkd.labels import IGNORE
from srkd_train.data.semantickitti import SPLITS, SemanticKITTI


def make_sequence(root: Path, name: str, scans: int = 2, *, labels: bool = True) -> Path:
    folder = root / "sequences" / name
    (folder / "velodyne").mkdir(parents=True)
    for number in range(scans):
        np.full((3, 4), number + 1, "<f4").tofile(folder / "velodyne" / f"{number:06d}.bin")
    if labels:
        (folder / "labels").mkdir()
        for number in range(scans):
            np.array([10, 252 | 7 << 16, 0], "<u4").tofile(folder / "labels" / f"{number:06d}.label")
    return folder


def test_splits_are_the_official_ones() -> None:
    assert SPLITS["train"] == ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10")
    assert SPLITS["val"] == ("08",)
    assert SPLITS["test"] == ("11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21")


def test_a_split_is_read_in_order(tmp_path: Path) -> None:
    for name in (*SPLITS["train"], *SPLITS["test"]):
        make_sequence(tmp_path, name, labels=name not in SPLITS["test"])
    (tmp_path / "sequences" / "00" / "velodyne" / "._000000.bin").write_bytes(b"")
    train = SemanticKITTI(tmp_path, "train")
    assert len(train) == 20
    assert [train[i].name for i in (0, 1, 2, 19)] == ["00/000000", "00/000001", "01/000000", "10/000001"]
    sample = train[1]
    assert sample.label.tolist() == [0, 0, IGNORE] and sample.cloud.xyz[0].tolist() == [2, 2, 2]
    assert sample.instance is not None and sample.instance.tolist() == [0, 7, 0]
    assert sample.pose is None and train.time_s(1) is None
    assert train.path(1).name == "000001.bin"
    test = SemanticKITTI(tmp_path, "test")
    assert test[0].label.tolist() == [IGNORE] * 3 and test[0].instance is None
    assert len(SemanticKITTI(tmp_path, sequences=["03", "12"])) == 4
    assert pickle.loads(pickle.dumps(train))[5].name == train[5].name
    with pytest.raises(IndexError):
        train[20]


def test_poses_are_brought_into_the_lidar_frame(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, "00")
    axes = np.array([[0, -1, 0, 0.1], [0, 0, -1, 0.2], [1, 0, 0, 0.3]], float)  # camera: right, down, forward
    (folder / "calib.txt").write_text("P0: 1 2 3\nTr: " + " ".join(map(str, axes.ravel())) + "\n")
    drive = np.concatenate([np.eye(3), [[0], [0], [5]]], axis=1)  # 5 m forward in the camera's frame
    rows = [np.eye(4)[:3], drive]
    (folder / "poses.txt").write_text("".join(" ".join(map(str, row.ravel())) + "\n" for row in rows))
    (folder / "times.txt").write_text("0\n0.1\n")
    data = SemanticKITTI(tmp_path, sequences=["00"])
    expected = np.eye(4)
    expected[0, 3] = 5
    pose = data[1].pose
    assert pose is not None
    np.testing.assert_allclose(pose, expected, atol=1e-12)
    assert data.time_s(1) == 0.1


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'trian'.*train"):
        SemanticKITTI(tmp_path, "trian")
    with pytest.raises(CloudError, match=r"no 08/velodyne; .*sequences="):
        SemanticKITTI(tmp_path, "val")
    folder = make_sequence(tmp_path, "08")
    data = SemanticKITTI(tmp_path, "val")
    (folder / "labels" / "000001.label").write_bytes(bytes(8))
    with pytest.raises(CloudError, match=r"000001\.label: 2 labels, but the cloud has 3 points"):
        data[1]
    (folder / "labels" / "000001.label").unlink()
    with pytest.raises(CloudError, match=r"000001\.label: cannot be read"):
        data[1]
    np.array([10, 12, 12345], "<u4").tofile(folder / "labels" / "000000.label")
    with pytest.raises(CloudError, match=r"000000\.label: labels: raw ids 12 12345 are not in scheme semantickitti"):
        data[0]
    (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(CloudError, match=r"calib\.txt: cannot be read"):
        SemanticKITTI(tmp_path, "val")
    (folder / "calib.txt").write_text("Tr: 1 0 0\n")
    with pytest.raises(CloudError, match=r"calib\.txt: no line 'Tr:'"):
        SemanticKITTI(tmp_path, "val")
    (folder / "calib.txt").write_text("Tr: 1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(CloudError, match=r"poses\.txt: 1 lines, but the last scan is number 1"):
        SemanticKITTI(tmp_path, "val")
    (folder / "poses.txt").write_text("1 0 0\n")
    with pytest.raises(CloudError, match=r"poses\.txt: line 1 has 3 numbers, expected 12"):
        SemanticKITTI(tmp_path, "val")
    make_sequence(tmp_path, "09", labels=False)
    with pytest.raises(CloudError, match=r"09/labels: missing"):
        SemanticKITTI(tmp_path, sequences=["09"])
    make_sequence(tmp_path, "10", scans=0)
    with pytest.raises(CloudError, match=r"10/velodyne: no scan"):
        SemanticKITTI(tmp_path, sequences=["10"])


def nearest(points: npt.NDArray[np.float64], targets: npt.NDArray[np.float64], reach_m: float) -> npt.NDArray[np.int64]:
    """Index of the target nearest to each point within reach_m, or -1: buckets of that size, 27 looked up."""

    def key(cell: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return (cell[:, 0] << 42) + (cell[:, 1] << 21) + cell[:, 2]

    cells = np.floor(targets / reach_m).astype(np.int64) + 2**20
    order = np.argsort(key(cells), kind="stable")
    keys = key(cells)[order]
    own = np.floor(points / reach_m).astype(np.int64) + 2**20
    best, distance = np.full(len(points), -1), np.full(len(points), reach_m)
    for shift in np.ndindex(3, 3, 3):
        wanted = key(own + np.array(shift) - 1)
        start, end = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
        for step in range(int((end - start).max())):
            here = np.flatnonzero(start + step < end)
            candidate = order[start[here] + step]
            away = np.linalg.norm(points[here] - targets[candidate], axis=1)
            closer = away < distance[here]
            best[here[closer]], distance[here[closer]] = candidate[closer], away[closer]
    return best


def test_real_scans_agree_when_warped_by_their_poses() -> None:
    data = SemanticKITTI(real_data("semantickitti"), sequences=["00"])
    assert len(data) == 21
    counts = [len(data[index].cloud) for index in range(21)]
    assert min(counts) >= 49_000 and max(counts) <= 52_000
    first, second = data[0], data[1]
    assert first.pose is not None and second.pose is not None
    to_first = np.linalg.inv(first.pose) @ second.pose
    assert 0.7 < np.linalg.norm(to_first[:3, 3]) < 1.0 and to_first[0, 3] > 0.7  # it drives forward
    warped = second.cloud.xyz @ to_first[:3, :3].T + to_first[:3, 3]
    index = nearest(warped, first.cloud.xyz.astype(np.float64), 0.5)
    known = (index >= 0) & (second.label != IGNORE)
    known[known] &= first.label[index[known]] != IGNORE
    agreement = float((second.label == first.label[index])[known].mean())
    assert known.mean() > 0.9
    assert agreement == pytest.approx(0.975, abs=0.005)


def test_real_scans_in_full() -> None:
    data = SemanticKITTI(real_data("semantickitti_full"), sequences=["00"])
    assert [len(sample.cloud) for sample in (data[0], data[1], data[2])] == [124_668, 124_605, 124_478]
    sample = data[0]
    assert sample.instance is not None and len(np.unique(sample.instance)) > 10
    cars = np.unique(sample.label[sample.instance > 0])
    assert set(cars.tolist()) <= {0, 1, 2, 3, 4, 5, 6, 7, IGNORE}  # things, not stuff


def test_the_real_validation_sequence_has_no_poses() -> None:
    data = SemanticKITTI(real_data("semantickitti"), "val")
    assert (len(data), data[0].pose, data[4].name) == (5, None, "08/000004")
