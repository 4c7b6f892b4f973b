# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd predict` on bags: the labels of the same points in a file, a cloud a message."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bag_makers import START_NS, cloud, one_thread, path_without, points, run_module, write_clouds  # noqa: F401
from real_data import real_data

import srkd
from srkd.io.bags import BagReader, BagWriter
from srkd.io.pointcloud2 import decode
from srkd_train.__main__ import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    """The bundled network: one with fresh weights gives every point the same class."""
    return Path(srkd.__file__).with_name("weights") / "student-nano.safetensors"


def predict(checkpoint: Path, out: Path, *arguments: object) -> int:
    return main(["predict", *map(str, arguments), "--checkpoint", str(checkpoint), "--output", str(out)])


def written(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("bare", [False, True], ids=["folder", "file"])
def test_a_bag_gives_the_labels_of_the_same_points_in_files(
    bare: bool, checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    clouds = {
        f"/{name}/points": [points(400 + seed + index, seed + index) for index in range(2)]
        for name, seed in (("a", 0), ("b", 9))
    }
    bag = write_clouds(
        tmp_path / "bag",
        {
            topic: [cloud(made, START_NS + index * 100_000_000) for index, made in enumerate(all_made)]
            for topic, all_made in clouds.items()
        },
    )
    (tmp_path / "files").mkdir()
    expected = {}
    for topic, all_made in clouds.items():
        for index, made in enumerate(all_made):
            name = f"{topic[1]}{index}"
            np.save(tmp_path / "files" / f"{name}.npy", made)
            expected[f"{topic[1:]}/{START_NS + index * 100_000_000}.npy"] = f"{name}.npy"
    assert predict(checkpoint, tmp_path / "of_files", tmp_path / "files") == 0
    assert predict(checkpoint, tmp_path / "of_bag", bag / "bag.mcap" if bare else bag) == 0
    assert "4 of 4 clouds, 1620 points labelled" in capsys.readouterr().out
    of_files, of_bag = written(tmp_path / "of_files"), written(tmp_path / "of_bag")
    assert of_bag == {place: of_files[name] for place, name in expected.items()}
    assert len(set(of_bag.values())) == 4


@pytest.mark.parametrize("name", ["velodyne_vlp16_xyzirt22", "autoware_xyzircaedt32_vlp16_1msg"])
def test_real_bags_give_the_labels_of_their_points_as_files(name: str, checkpoint: Path, tmp_path: Path) -> None:
    path = real_data("bags", name)
    (tmp_path / "files").mkdir()
    with BagReader(path) as reader:
        for index, message in enumerate(reader.messages()):
            found = decode(reader.deserialize(message)).cloud
            assert found.intensity is not None
            np.save(tmp_path / "files" / f"{index}.npy", np.column_stack([found.xyz, found.intensity]))
    assert predict(checkpoint, tmp_path / "of_files", tmp_path / "files") == 0
    assert predict(checkpoint, tmp_path / "of_bag", path) == 0
    assert list(written(tmp_path / "of_bag").values()) == list(written(tmp_path / "of_files").values())


def test_folders_of_bags_and_files_mix(checkpoint: Path, tmp_path: Path) -> None:
    root = tmp_path / "drives"
    write_clouds(root / "day" / "one", {"/points": [cloud(points(10))]})
    write_clouds(root / "day" / "two", {"/points": [cloud(points(10))]})
    write_clouds(tmp_path / "loose", {"/points": [cloud(points(10))]})
    (tmp_path / "loose" / "loose.mcap").rename(root / "three.mcap")
    write_clouds(root / ".two.x.partial" / "two", {"/points": [cloud(points(10))]})
    np.save(root / "scan.npy", points(20))
    assert predict(checkpoint, tmp_path / "out", root) == 0
    assert list(written(tmp_path / "out")) == [
        f"day/one/points/{START_NS}.npy",
        f"day/two/points/{START_NS}.npy",
        "scan.npy",
        f"three/points/{START_NS}.npy",
    ]


def test_equal_stamps_and_ground_truth(checkpoint: Path, tmp_path: Path) -> None:
    unstamped = [cloud(points(10, index), 0) for index in range(3)]
    bag = write_clouds(tmp_path / "bag", {"/points": unstamped, "/points/labels": unstamped})
    assert predict(checkpoint, tmp_path / "out", bag) == 0
    assert list(written(tmp_path / "out")) == [f"points/{name}.npy" for name in ("0", "0_2", "0_3")], (
        "none lost, and labels are not taken for clouds"
    )


def test_malformed_clouds_are_one_line_each(checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    good = cloud(points(100))
    cut = replace(cloud(points(100), START_NS + 1), data=good.data[:-3])
    bag = write_clouds(tmp_path / "bag", {"/points": [good, cut]})
    assert predict(checkpoint, tmp_path / "out", bag) == 1
    said = capsys.readouterr()
    assert "1 of 2 clouds, 100 points labelled" in said.out
    errors = [line for line in said.err.splitlines() if "error" in line]
    assert len(errors) == 1 and f"/points at {START_NS + 1} ns: data: " in errors[0]
    assert list(written(tmp_path / "out")) == [f"points/{START_NS}.npy"]


def test_bags_that_cannot_be_used_are_one_line(checkpoint: Path, tmp_path: Path, capsys: Capture) -> None:
    with BagWriter(tmp_path / "texts") as writer:
        writer.write_message("/note", "std_msgs/msg/String", 1, SimpleNamespace(data="a"))
    (tmp_path / "cut.mcap").write_bytes(b"\x89MCAP0\r\n")
    one = write_clouds(tmp_path / "x" / "bag", {"/points": [cloud(points(1))]})
    other = write_clouds(tmp_path / "y" / "bag", {"/points": [cloud(points(1))]})
    for paths, named in (
        ((tmp_path / "texts",), "no message of sensor_msgs/msg/PointCloud2; it holds std_msgs/msg/String"),
        ((tmp_path / "cut.mcap",), "cannot be read"),
        ((one, other), "would both be written to"),
    ):
        assert predict(checkpoint, tmp_path / "out", *paths) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("srkd predict: error: ") and named in line
    assert predict(checkpoint, tmp_path / "out", tmp_path / "x", tmp_path / "y" / "bag") == 2
    assert predict(checkpoint, tmp_path / "out", one, one) == 0, "named twice is once"
    assert len(written(tmp_path / "out")) == 1


def test_it_needs_no_ros(checkpoint: Path, tmp_path: Path) -> None:
    bag = write_clouds(tmp_path / "in", {"/points": [cloud(points(10))]})
    path = path_without(tmp_path, "rclpy", "sensor_msgs", "std_msgs", "srkd_ros")
    arguments = ("predict", bag, "--checkpoint", checkpoint, "--output", tmp_path / "out")
    ran = run_module("srkd_train", *arguments, PYTHONPATH=path)
    assert ran.returncode == 0, ran.stderr
