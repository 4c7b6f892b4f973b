# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""nuScenes: splits, tables, poses, lidarseg files, what is missing; with tables and without."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nuscenes_makers import POINTS, make_nuscenes
from real_data import real_data

from srkd.errors import CloudError, ConfigError
from srkd.labels import IGNORE, SCHEMES
from srkd_train.data.nuscenes import NuScenes
from srkd_train.data.nuscenes_splits import SPLITS, VAL
from srkd_train.data.nuscenes_tables import CATEGORIES, sweeps


def make_root(root: Path) -> None:
    """Key frames of which one has a label, and no more of the tables than names it."""
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


def edit(path: Path, number: int, **values: Any) -> None:
    rows = json.loads(path.read_text())
    rows[number] |= values
    path.write_text(json.dumps(rows))


def test_frames_are_sorted_and_have_labels_where_there_are_some(tmp_path: Path) -> None:
    make_root(tmp_path)
    data = NuScenes(tmp_path)
    assert len(data) == 2
    assert (data[0].name, data[1].name) == ("a", "b")
    assert data[0].label.tolist() == [IGNORE] * 3 and not data.has_labels(0)
    assert data[1].label.tolist() == [3, IGNORE, 10] and data.has_labels(1)
    assert data.path(1).name == "b.pcd.bin" and data[1].pose is None and data.scene(1) is None
    assert data.token(1) == "s"
    with pytest.raises(CloudError, match=r"a\.pcd\.bin: in no .*sample_data\.json"):
        data.token(0)
    assert data.problems() == []


def test_without_a_split_the_tables_still_tell_pose_scene_and_label(tmp_path: Path) -> None:
    make_nuscenes(tmp_path, "v1.0-mini")
    np.zeros((1, 5), "<f4").tofile(tmp_path / "samples" / "LIDAR_TOP" / "z.pcd.bin")
    data = NuScenes(tmp_path)
    assert [data.scene(index) for index in range(5)] == ["scene-0003"] * 2 + ["scene-0001"] * 2 + [None]
    assert data[0].pose is not None and data[4].pose is None
    assert data.has_labels(3) and not data.has_labels(4)


def test_splits_are_the_official_ones() -> None:
    assert len(VAL) == 150
    digest = hashlib.sha256("\n".join(sorted(VAL)).encode()).hexdigest()
    assert digest == "9c6d87239035bbd37818497915c95f6df980f62ffdb7dbcf1e527b997b74dc65"  # of the devkit's list
    assert {"scene-0003", "scene-0221", "scene-0553", "scene-0972", "scene-1073"} <= VAL
    assert not {"scene-0001", "scene-0104x", "scene-0970", "scene-1074", "scene-0628"} & VAL
    mini = (61, 103, 553, 655, 757, 796, 916, 1077, 1094, 1100)
    names = [f"scene-{number:04d}" for number in mini]
    assert [name for name in names if SPLITS["mini_val"].holds(name)] == ["scene-0103", "scene-0916"]
    assert sum(SPLITS["mini_train"].holds(name) for name in names) == 8
    assert all(SPLITS["train"].holds(name) != SPLITS["val"].holds(name) for name in names)
    assert all(SPLITS["test"].holds(name) for name in names)


def test_a_split_is_read_in_order_of_scene_and_time(tmp_path: Path) -> None:
    make_nuscenes(tmp_path, scenes=("scene-0004", "scene-0003", "scene-0001"))
    train, val = NuScenes(tmp_path, "train"), NuScenes(tmp_path, "val")
    assert (len(train), len(val)) == (4, 2)
    assert [train.scene(index) for index in range(4)] == ["scene-0001"] * 2 + ["scene-0004"] * 2
    assert [train[index].cloud.xyz[0, 0] for index in range(4)] == [4, 5, 0, 1]
    assert [val.token(index) for index in range(2)] == ["d10", "d12"]
    assert val[0].label.tolist() == [3, 10, IGNORE, IGNORE]
    assert val[1].label.tolist() == [3, 10, IGNORE, 15]
    assert val[0].name == "n__LIDAR_TOP__1500000001000000" == val.path(0).name.removesuffix(".pcd.bin")
    assert pickle.loads(pickle.dumps(train))[3].label.tolist() == train[3].label.tolist()
    with pytest.raises(IndexError):
        train[4]


def test_the_test_split_has_no_labels(tmp_path: Path) -> None:
    make_nuscenes(tmp_path, "v1.0-test", scenes=("scene-0077",))
    data = NuScenes(tmp_path, "test")
    assert len(data) == 2 and not data.has_labels(0)
    assert data[0].label.tolist() == [IGNORE] * POINTS
    assert data.token(1) == "d02"
    assert data.problems() == []


def test_poses_go_from_the_sensor_to_the_global_frame(tmp_path: Path) -> None:
    make_nuscenes(tmp_path)
    pose = NuScenes(tmp_path, "val")[1].pose
    assert pose is not None
    # Two quarter turns: the sensor looks backwards. Its place (1, 0, 2) of the turned vehicle is (0, 1, 2) from it.
    expected = [[-1, 0, 0, 20], [0, -1, 0, 1], [0, 0, 1, 2], [0, 0, 0, 1]]
    np.testing.assert_allclose(pose, expected, atol=1e-12)


def test_a_pose_of_real_matrices(tmp_path: Path) -> None:
    """The quaternion formula against matrices that nuScenes itself gives."""
    (path,) = real_data("nuscenes").glob("*.boxes.json")
    frame = json.loads(path.read_text())
    ego, lidar = np.array(frame["ego2global"]), np.array(frame["lidar2ego"])

    def quaternion(matrix: Any) -> list[float]:
        """The eigenvector of eigenvalue 1 of Bar-Itzhack's matrix: no formula in common with the reader's."""
        (a, b, c), (d, e, f), (g, h, i) = matrix[:3, :3]
        symmetric = np.array(
            [
                [a - e - i, b + d, c + g, h - f],
                [b + d, e - a - i, f + h, c - g],
                [c + g, f + h, i - a - e, d - b],
                [h - f, c - g, d - b, a + e + i],
            ]
        )
        x, y, z, w = np.linalg.eigh(symmetric / 3)[1][:, -1]
        return [w, x, y, z]

    folder = make_nuscenes(tmp_path)
    for place, matrix in (("calibrated_sensor", lidar), ("ego_pose", ego)):
        for number in range(len(json.loads((folder / f"{place}.json").read_text()))):
            edit(folder / f"{place}.json", number, rotation=quaternion(matrix), translation=matrix[:3, 3].tolist())
    np.testing.assert_allclose(NuScenes(tmp_path, "val")[0].pose, ego @ lidar, atol=1e-4)


def test_sweeps_of_a_scene_come_in_order_of_time(tmp_path: Path) -> None:
    make_nuscenes(tmp_path)
    found = sweeps(tmp_path, "scene-0001")
    assert [sweep.token for sweep in found] == ["d10", "d11", "d12"]
    assert [sweep.is_key_frame for sweep in found] == [True, False, True]
    assert [sweep.stamp_us for sweep in found] == [1_500_000_001_000_000 + step * 250_000 for step in range(3)]
    poses = [sweep.pose for sweep in found if sweep.pose is not None]
    np.testing.assert_allclose([pose[0, 3] for pose in poses], [0, 10, 20], atol=1e-12)
    assert [sweep.labels is not None for sweep in found] == [True, False, True]
    assert all((tmp_path / sweep.filename).is_file() for sweep in found)
    with pytest.raises(CloudError, match=r"no scene 'scene-0009' .*v1\.0-trainval"):
        sweeps(tmp_path, "scene-0009")


def test_raw_ids_go_by_the_index_of_the_category_table(tmp_path: Path) -> None:
    folder = make_nuscenes(tmp_path)
    rows = [{"token": name, "name": name, "index": index} for index, name in enumerate(CATEGORIES)]
    (folder / "category.json").write_text(json.dumps(rows[::-1]))
    assert NuScenes(tmp_path, "val")[1].label.tolist() == [3, 10, IGNORE, 15]
    rows[17]["index"], rows[30]["index"] = 30, 17
    (folder / "category.json").write_text(json.dumps(rows))
    assert NuScenes(tmp_path, "val")[1].label.tolist() == [15, 10, IGNORE, 3]
    (folder / "category.json").write_text(json.dumps(rows[:20]))
    with pytest.raises(CloudError, match=r"_lidarseg\.bin: labels: raw ids 255 are not"):
        NuScenes(tmp_path, "val")[1]
    edit(folder / "category.json", 0, name="vehicle.tank")
    with pytest.raises(CloudError, match=r"category\.json: 'vehicle\.tank' of index 0"):
        NuScenes(tmp_path, "val")
    (folder / "category.json").write_text(json.dumps([{"token": "a", "name": "animal"}]))
    assert NuScenes(tmp_path, "val")[1].label.tolist() == [3, 10, IGNORE, 15]


def test_the_categories_are_those_of_the_scheme() -> None:
    scheme = SCHEMES["nuscenes"]
    classes = scheme.from_raw(np.arange(32, dtype=np.uint8))
    named = {CATEGORIES[raw]: scheme.class_names[classes[raw]] for raw in range(32) if classes[raw] != IGNORE}
    assert named["vehicle.car"] == "car" and named["static.vegetation"] == "vegetation"
    assert {name for name, label in named.items() if label == "bus"} == {"vehicle.bus.bendy", "vehicle.bus.rigid"}
    assert len([name for name in named if name.startswith("human.pedestrian")]) == 4
    assert len(named) == 20
    assert all(word in name for name, label in named.items() for word in label.split("_"))


def test_problems_name_every_missing_file(tmp_path: Path) -> None:
    make_nuscenes(tmp_path)
    data = NuScenes(tmp_path, "train")
    assert data.problems() == []
    data.path(0).unlink()
    (tmp_path / "lidarseg" / "v1.0-trainval" / "d12_lidarseg.bin").write_bytes(bytes(3))
    first, second = data.problems()
    assert first == f"{data.path(0)}: missing"
    assert second.endswith("d12_lidarseg.bin: 3 labels, expected 4")
    (tmp_path / "lidarseg" / "v1.0-trainval" / "d12_lidarseg.bin").unlink()
    data.path(1).write_bytes(bytes(30))
    assert [line.rpartition("/")[2].partition(": ")[2] for line in data.problems()] == [
        "missing",
        "30 bytes, expected a multiple of 20",
        "missing",
    ]


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"LIDAR_TOP: no key frame"):
        NuScenes(tmp_path)
    make_root(tmp_path)
    labels = tmp_path / "lidarseg" / "v1.0-mini" / "t_lidarseg.bin"
    labels.write_bytes(bytes(2))
    with pytest.raises(CloudError, match="2 labels, but the cloud has 3"):
        NuScenes(tmp_path)[1]
    table = tmp_path / "v1.0-mini" / "sample_data.json"
    damage = (
        ("", "0 bytes"),
        ("{", r"expected a list of rows from \[ to \]"),
        ('[{"token": "LIDAR_TOP"}', r"expected a list of rows from \[ to \]; it is cut off"),
        ('[{"token": "LIDAR_TOP"}]', "expected a list of rows with token filename"),
        ('["LIDAR_TOP"]', "no JSON row at byte 2"),
        ('[{"token" "LIDAR_TOP"}]', "no JSON row"),
    )
    for text, reason in damage:
        table.write_text(text)
        with pytest.raises(CloudError, match=rf"sample_data\.json: {reason}"):
            NuScenes(tmp_path)
    table.unlink()
    with pytest.raises(CloudError, match=r"sample_data\.json: cannot be read"):
        NuScenes(tmp_path)
    (tmp_path / "v1.0-mini" / "lidarseg.json").write_text("[1]")
    with pytest.raises(CloudError, match=r"lidarseg\.json: expected a list of rows with sample_data_token filename"):
        NuScenes(tmp_path)


def test_a_split_names_what_its_tables_lack(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'trian'.*train \| val"):
        NuScenes(tmp_path, "trian")
    with pytest.raises(CloudError, match=r"v1\.0-trainval: no scene\.json .*lidarseg\.json; .*nuScenes-lidarseg"):
        NuScenes(tmp_path, "train")
    folder = make_nuscenes(tmp_path)
    rows = json.loads((folder / "lidarseg.json").read_text())
    (folder / "lidarseg.json").write_text(json.dumps(rows[1:]))
    with pytest.raises(CloudError, match=r"lidarseg\.json: no row of sample_data d00"):
        NuScenes(tmp_path, "val")
    (folder / "lidarseg.json").unlink()
    with pytest.raises(CloudError, match=r"v1\.0-trainval: no lidarseg\.json"):
        NuScenes(tmp_path, "val")
    (folder / "lidarseg.json").write_text(json.dumps(rows))
    edit(folder / "ego_pose.json", 0, token="other")
    with pytest.raises(CloudError, match=r"no row 'e00' in ego_pose\.json"):
        NuScenes(tmp_path, "val")
    edit(folder / "ego_pose.json", 0, token="e00", rotation=[0, 0, 0, 0])
    with pytest.raises(CloudError, match=r"ego_pose\.json: row e00 has no translation of 3 and unit rotation"):
        NuScenes(tmp_path, "val")
    edit(folder / "sample.json", 0, scene_token="nowhere")
    edit(folder / "ego_pose.json", 0, rotation=[1, 0, 0, 0])
    with pytest.raises(CloudError, match=r"sample_data\.json: row d0\d is of a sample or scene in no table"):
        NuScenes(tmp_path, "val")
    (folder / "scene.json").write_text(json.dumps([{"token": "s0", "name": "scene-0001"}])[:-1])
    with pytest.raises(CloudError, match=r"scene\.json: no JSON"):
        NuScenes(tmp_path, "val")


def test_the_real_key_frame() -> None:
    data = NuScenes(real_data("nuscenes"))
    sample = data[0]
    assert len(data) == 1 and len(sample.cloud) == 34_688
    assert (sample.label == IGNORE).all() and not data.has_labels(0)
    assert sample.name.endswith("__LIDAR_TOP__1532402927647951")
