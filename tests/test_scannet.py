# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ScanNet: whole scans of closed-form rooms in the published layout, normals, both sources of labels, what is missing.

No real scan is at hand: what is written here follows the published formats.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ply_files import Properties, write_ply

from srkd.architectures import build_network
from srkd.errors import CloudError, ConfigError
from srkd.input_spec import InputSpec
from srkd.labels import IGNORE
from srkd_train.data.augment import Augment
from srkd_train.data.loader import EvaluationBatches, TrainingBatches
from srkd_train.data.normals import vertex_normals
from srkd_train.data.scannet import ScanNet

WALL, FLOOR, SINK, CEILING = 1, 2, 34, 22  # ids of NYU40; the last one is not among the 20 classes
COLOR: Properties = [("uchar", name) for name in ("red", "green", "blue", "alpha")]
AXES: Properties = [("float", axis) for axis in "xyz"]
FACE: Properties = [("list", "uchar", "int", "vertex_indices")]
SPEC = InputSpec(0.02, features=("r", "g", "b", "nx", "ny", "nz"))

Floats = npt.NDArray[np.float64]


def sheet(side: int, origin: Floats, u: Floats, v: Floats) -> tuple[Floats, list[list[int]]]:
    """A flat square of side x side vertices; its normal is u x v."""
    steps = np.arange(side)
    xyz = origin + steps[:, None, None] * u + steps[None, :, None] * v
    number = (steps[:, None] * side + steps)[:-1, :-1].ravel()
    one, other = np.stack([number, number + side, number + 1]), np.stack([number + 1, number + side, number + side + 1])
    return xyz.reshape(-1, 3), np.concatenate([one, other], axis=1).T.tolist()


def octahedron(center: Floats, radius_m: float) -> tuple[Floats, list[list[int]]]:
    """Six vertices, eight outward faces of equal area."""
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    faces = []
    for x in (0, 3):
        for y in (1, 4):
            for z in (2, 5):
                outward = np.linalg.det(axes[[x, y, z]]) > 0
                faces.append([x, y, z] if outward else [x, z, y])
    return center + radius_m * axes, faces


def room(side: int = 12) -> tuple[Floats, list[list[int]], list[int], Floats]:
    """Floor, wall, a ball in between and a loose vertex: vertices, faces, NYU40 ids, normals in closed form."""
    x, y, z = np.eye(3) * 0.05
    center = np.array([0.3, 0.3, 0.3])
    parts = [
        (*sheet(side, np.array([1.0, 2.0, -0.5]), x, y), FLOOR),
        (*sheet(side, np.array([1.0, 2.0, -0.5]), y, z), WALL),
        (*octahedron(center, 0.2), SINK),
        (np.array([[5.0, 5.0, 5.0]]), [], CEILING),
    ]
    xyz = np.concatenate([part[0] for part in parts])
    starts = np.cumsum([0, *(len(part[0]) for part in parts)])
    faces = [[corner + int(at) for corner in face] for part, at in zip(parts, starts, strict=False) for face in part[1]]
    label = [part[2] for part in parts for _ in part[0]]
    flat = side * side
    ball = (parts[2][0] - center) / 0.2
    normal = np.concatenate([np.tile([0.0, 0, 1], (flat, 1)), np.tile([1.0, 0, 0], (flat, 1)), ball, np.zeros((1, 3))])
    return xyz, faces, label, normal


def colors(count: int) -> list[list[int]]:
    return [[index % 256, (3 * index) % 256, 7, 255] for index in range(count)]


def write_scan(root: Path, name: str, *, labels: str = "mesh", folder: str = "scans", side: int = 12) -> Path:
    """One scan; labels "mesh", "segments" or "none"."""
    xyz, faces, label, _ = room(side)
    path = root / folder / name / f"{name}_vh_clean_2.ply"
    path.parent.mkdir(parents=True)
    rows = [[*point, *color] for point, color in zip(xyz.tolist(), colors(len(xyz)), strict=True)]
    write_ply(path, [("vertex", AXES + COLOR, rows), ("face", FACE, [[f] for f in faces])], "binary_little_endian")
    stem = str(path).removesuffix("_vh_clean_2.ply")
    if labels == "mesh":
        properties: Properties = [*AXES, *COLOR, ("ushort", "label")]
        labelled = [[*row, value] for row, value in zip(rows, label, strict=True)]
        path = Path(f"{stem}_vh_clean_2.labels.ply")
        write_ply(path, [("vertex", properties, labelled), ("face", FACE, [[f] for f in faces])], "binary_big_endian")
    if labels == "segments":
        # Over-segments of five vertices, numbered with gaps; objects are sets of them.
        index = np.arange(len(label))
        segment = 1000 * np.array(label) + index // 5 * 3
        names = {WALL: "the wall", FLOOR: "carpet", SINK: "wash basin"}
        groups = [
            {"id": i, "label": text, "segments": sorted({int(s) for s in segment[np.array(label) == raw]})}
            for i, (raw, text) in enumerate(names.items())
        ]
        Path(f"{stem}_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": segment.tolist()}))
        Path(f"{stem}.aggregation.json").write_text(json.dumps({"segGroups": groups}))
        table = [("id", "raw_category", "category", "nyu40id"), (1, "the wall", "wall", WALL)]
        table += [(2, "carpet", "floor", FLOOR), (3, "wash basin", "sink", SINK), (4, "ceiling", "ceiling", CEILING)]
        lines = "".join("\t".join(map(str, row)) + "\n" for row in table)
        (root / "scannetv2-labels.combined.tsv").write_text(lines)
    return path


def dataset(root: Path, split: str = "train", *names: str, **options: Any) -> ScanNet:
    for name in names:
        write_scan(root, name, **options)
    (root / f"scannetv2_{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return ScanNet(root, split)


def test_a_whole_scan(tmp_path: Path) -> None:
    data = dataset(tmp_path, "train", "scene0001_00", "scene0000_01")
    assert len(data) == 2 and data.names == ("scene0001_00", "scene0000_01")
    xyz, _, _, normal = room()
    sample = pickle.loads(pickle.dumps(data))[1]
    assert sample.name == "scene0000_01" and sample.pose is None
    assert sample.cloud.color is not None and sample.cloud.normal is not None
    np.testing.assert_array_equal(sample.cloud.xyz, xyz.astype(np.float32))
    np.testing.assert_array_equal(sample.cloud.color, np.array(colors(len(xyz)))[:, :3])
    np.testing.assert_allclose(sample.cloud.normal, normal, atol=1e-5)
    assert sample.label.tolist() == [1] * 144 + [0] * 144 + [data.scheme.class_names.index("sink")] * 6 + [IGNORE]
    assert data.path(0).name == "scene0001_00_vh_clean_2.ply" and data.problems() == []


def test_segments_and_the_label_map_say_the_same_as_the_labelled_mesh(tmp_path: Path) -> None:
    one = dataset(tmp_path / "a", "val", "scene0000_00")[0]
    other = dataset(tmp_path / "b", "val", "scene0000_00", labels="segments")
    np.testing.assert_array_equal(one.label, other[0].label)
    assert other.problems() == []


def test_the_test_split_has_no_labels(tmp_path: Path) -> None:
    for folder in ("scans_test", "scans"):
        root = tmp_path / folder
        data = dataset(root, "test", "scene0707_00", labels="none", folder=folder)
        assert (data[0].label == IGNORE).all() and data.problems() == []


def test_normals_of_the_file_are_taken(tmp_path: Path) -> None:
    data = dataset(tmp_path, "train", "scene0000_00")
    xyz, faces, _, _ = room()
    normal: Properties = [("float", name) for name in ("nx", "ny", "nz")]
    rows = [[*point, 0.0, 0.6, 0.8] for point in xyz.tolist()]
    elements = [("vertex", AXES + normal, rows), ("face", FACE, [[f] for f in faces])]
    write_ply(data.path(0), elements, "binary_little_endian")
    found = data[0].cloud.normal
    assert found is not None
    np.testing.assert_allclose(found, np.tile([0, 0.6, 0.8], (len(xyz), 1)), atol=1e-6)


def test_faces_count_by_their_area() -> None:
    # A ridge along y: the left slope is twice as wide as the right one, so it counts twice.
    xyz = np.float32([[0, 0, 1], [0, 1, 1], [-2, 0, 0], [1, 0, 0], [9, 9, 9]])
    faces = np.array([[0, 1, 2], [0, 3, 1]])
    left, right = np.array([-1, 0, 2.0]) / np.sqrt(5), np.array([1, 0, 1.0]) / np.sqrt(2)
    expected = np.sqrt(5) / 2 * left + np.sqrt(2) / 2 * right
    expected /= np.linalg.norm(expected)
    found = vertex_normals(xyz, faces)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(found[1], expected, atol=1e-6)
    np.testing.assert_allclose(found[2], left, atol=1e-6)
    assert not found[4].any() and found.dtype == np.float32
    np.testing.assert_allclose(vertex_normals(xyz, faces[:, ::-1]), -found)
    flat = vertex_normals(xyz, np.array([[0, 0, 1], [0, 1, 1]]))
    assert not flat.any() and np.isfinite(flat).all()


def test_what_is_missing_is_listed(tmp_path: Path) -> None:
    data = dataset(tmp_path, "train", "scene0000_00", "scene0001_00", "scene0002_00")
    data.path(1).unlink()
    labels = data.path(2).with_name("scene0002_00_vh_clean_2.labels.ply")
    labels.unlink()
    first, second = data.problems()
    assert first == f"{data.path(1)}: missing" and second.startswith(f"{labels}: missing, and so is")
    assert len(data[0].label) == 295
    with pytest.raises(CloudError, match=r"scene0001_00_vh_clean_2\.ply: cannot be read"):
        data[1]
    with pytest.raises(CloudError, match=r"scene0002_00_vh_clean_2\.labels\.ply: cannot be read"):
        data[2]


def test_a_wrong_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'trian', expected train \| val \| test"):
        ScanNet(tmp_path, "trian")
    with pytest.raises(CloudError, match=r"scannetv2_train\.txt: cannot be read \(No such file.*Tasks/Benchmark"):
        ScanNet(tmp_path)
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\nscene0000_01\n")
    with pytest.raises(CloudError, match=r"scans: none of the 2 scans .* give the folder that holds scans/"):
        ScanNet(tmp_path)
    for text in ("", "../etc\n", "scene0000_00/x\n"):
        (tmp_path / "scannetv2_train.txt").write_text(text)
        with pytest.raises(CloudError, match="expected names like scene0000_00"):
            ScanNet(tmp_path)


@pytest.mark.parametrize(
    ("ending", "text", "reason"),
    [
        ("_vh_clean_2.0.010000.segs.json", "{}", "expected JSON with segIndices"),
        ("_vh_clean_2.0.010000.segs.json", '{"segIndices": [1, 2]}', r"\(2,\) of int64, expected 295 integers"),
        ("_vh_clean_2.0.010000.segs.json", '{"segIndices": [[1], 2]}', "expected segIndices, one number a vertex"),
        ("_vh_clean_2.0.010000.segs.json", '{"segIndices": 5}', "expected a list segIndices"),
        (".aggregation.json", '{"segGroups"', "expected JSON with segGroups"),
        (".aggregation.json", '{"segGroups": [{"label": "door"}]}', "category 'door' is not in scannetv2-labels"),
        (".aggregation.json", '{"segGroups": [{"label": "carpet"}]}', "expected segGroups with a label and segments"),
        (".aggregation.json", '{"segGroups": [7]}', "expected segGroups with a label and segments"),
        (".aggregation.json", None, r"aggregation\.json: cannot be read"),
    ],
)
def test_damaged_segments_are_named(tmp_path: Path, ending: str, text: str | None, reason: str) -> None:
    data = dataset(tmp_path, "train", "scene0000_00", labels="segments")
    path = data.path(0).with_name(f"scene0000_00{ending}")
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(CloudError, match=reason) as caught:
        data[0]
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_damaged_labels_and_tables_are_named(tmp_path: Path) -> None:
    data = dataset(tmp_path, "train", "scene0000_00")
    path = data.path(0).with_name("scene0000_00_vh_clean_2.labels.ply")
    label: Properties = [*AXES, ("ushort", "label")]
    write_ply(path, [("vertex", label, [[0.0, 0.0, 0.0, 1]])], "binary_little_endian")
    with pytest.raises(CloudError, match=r"labels\.ply: \(1,\) of uint16, expected 295 integers"):
        data[0]
    write_ply(path, [("vertex", label, [[0.0, 0.0, 0.0, 999]] * 295)], "binary_little_endian")
    with pytest.raises(CloudError, match=r"labels\.ply: labels: raw ids 999 are not in scheme scannet"):
        data[0]
    write_ply(path, [("vertex", AXES, [[0.0, 0.0, 0.0]] * 295)], "binary_little_endian")
    with pytest.raises(CloudError, match=r"labels\.ply: no property label"):
        data[0]
    for text, reason in (("id\tname\n1\twall\n", "expected a table with raw_category"), (None, "label map is needed")):
        root = tmp_path / reason
        other = dataset(root, "train", "scene0000_00", labels="segments")
        table = root / "scannetv2-labels.combined.tsv"
        table.unlink()
        if text is not None:
            table.write_text(text)
        with pytest.raises(CloudError, match=reason):
            other[0]


def test_scans_become_batches_with_colours_and_normals(tmp_path: Path) -> None:
    data = dataset(tmp_path, "train", "scene0000_00", "scene0001_00", side=30)
    spec = build_network("student-nano", 20, 6).plan_spec
    augment = Augment(
        center=True, dropout_p=0.2, lean_p=0.5, elastic_p=0.95, contrast_p=0.2, tint_p=0.95, speckle_p=0.95,
        max_voxels=1000,
    )  # fmt: skip
    batch = TrainingBatches(data, SPEC, spec, augment, batch_size=2, seed=0, mix_p=1.0)[0]
    assert batch.features.shape[1] == 6 and batch.features.abs().max() <= 1.001
    assert len(batch) == 1 and 1000 < len(batch.label) <= 2020
    whole = EvaluationBatches(data, SPEC, spec, [0])[0]
    assert whole.raw_label is not None and len(whole.raw_label) == 2 * 900 + 7
