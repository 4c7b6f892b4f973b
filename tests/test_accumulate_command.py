# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd prepare accumulate`: files and index, going on, settings that do not mix, several processes, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_semantickitti import make_sequence

from srkd.errors import ConfigError
from srkd_train.__main__ import main
from srkd_train.commands.accumulate import split_words
from srkd_train.data.accumulate.folder import load
from srkd_train.data.semantickitti import SemanticKITTI

Capture = pytest.CaptureFixture[str]
LAST = 16
"""Scans of the training sequence, less one."""


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    """Two sequences of three points a scan: scan n is at x = n, its points n + 1 in front of the sensor."""
    root = tmp_path / "kitti"
    for name, scans in (("00", LAST + 1), ("08", 3)):
        folder = make_sequence(root, name, scans)
        (folder / "calib.txt").write_text("Tr: 1 0 0 0 0 1 0 0 0 0 1 0\n")
        (folder / "poses.txt").write_text("".join(f"1 0 0 {n} 0 1 0 0 0 0 1 0\n" for n in range(scans)))
        raw = np.array([10, 40, 0], "<u4")
        for number in range(scans):
            raw.tofile(folder / "labels" / f"{number:06d}.label")
            here = np.array([[number + 3, 0, 0, 0.5], [number + 3, 5, 0, 0.25], [number + 3, 9, 0, 1]], "<f4")
            here.tofile(folder / "velodyne" / f"{number:06d}.bin")
    return root


def words(root: Path, out: Path, *more: str) -> list[str]:
    data = ["--data.root", str(root), "--data.sequences", '["00"]', "--data.val_sequences", '["08"]']
    return ["prepare", "accumulate", "semantickitti", *data, "--out", str(out), "--num-workers", "0", *more]


def test_files_index_and_words(kitti: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "dense"
    assert main(words(kitti, out, "--window", "1", "--cell", "0")) == 0
    shown = capsys.readouterr()
    assert "20 clouds made, 0 were there; 3 points became 8 a cloud" in shown.out and "Nothing is missing" in shown.out
    assert "accumulated 20/20" in shown.err
    index = json.loads((out / "accumulation.json").read_text())
    assert index["names"] == sorted([f"00/{n:06d}" for n in range(17)] + [f"08/{n:06d}" for n in range(3)])
    assert index["settings"]["accumulation"]["past"] == 1 and index["settings"]["scheme"] == "semantickitti"
    assert sorted(path.name for path in out.iterdir()) == ["00", "08", "accumulation.json"]
    with np.load(out / "00" / "000005.npz") as arrays:
        assert {name: (arrays[name].dtype, arrays[name].shape) for name in arrays} == {
            "xyz": (np.float32, (9, 3)),
            "intensity": (np.float32, (9,)),
            "label": (np.uint8, (9,)),
            "own": (np.bool_, (9,)),
        }
        assert arrays["xyz"][:, 0].tolist() == [8] * 3 + [6] * 3 + [10] * 3
        assert arrays["xyz"][:, 1].tolist() == [0, 5, 9] * 3
        assert arrays["label"].tolist() == [0, 8, 255] * 3 and arrays["intensity"].tolist() == [0.5, 0.25, 1] * 3
        assert arrays["own"].tolist() == [True] * 3 + [False] * 6
    raw = SemanticKITTI(kitti, sequences=("00",))[5]
    np.testing.assert_array_equal(load(out / "00" / "000005.npz").xyz[:3], raw.cloud.xyz)


def test_a_run_goes_on_and_never_mixes_settings(kitti: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "dense"
    broken = kitti / "sequences" / "00" / "velodyne" / f"{LAST:06d}.bin"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-3])
    command = words(kitti, out, "--window", "1", "--part", "train")
    assert main(command) == 1
    shown = capsys.readouterr().out
    assert f"{LAST:06d}.bin" in shown and "is unfinished: the same command goes on with it" in shown
    assert sorted(path.name for path in out.iterdir()) == ["00", "unfinished.json"]
    assert not list(out.rglob("*.partial"))
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.npz")}
    assert len(kept) == LAST - 1  # the last two need the broken scan
    broken.write_bytes(whole)
    other = words(kitti, out, "--window", "2", "--part", "train")
    assert main(other) == 2
    assert "holds clouds of past=1, this run asks for 2: give a new --out" in capsys.readouterr().err
    assert main(command) == 0
    assert "2 clouds made, 15 were there" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    assert main([*command[:-1], "val"]) == 0 and "3 clouds made" in capsys.readouterr().out
    assert len(json.loads((out / "accumulation.json").read_text())["names"]) == 20
    assert main(words(kitti.parent / "." / "kitti", out, "--window", "1")) == 0
    assert "0 clouds made, 20 were there" in capsys.readouterr().out
    assert main(other) == 2
    moved = tmp_path / "elsewhere"
    kitti.rename(moved)
    assert main(words(moved, out, "--window", "1")) == 2 and "root=" in capsys.readouterr().err


def test_processes_make_the_same_clouds(kitti: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    more = ["--past", "2", "--future", "0", "--every", "2", "--moving", "drop"]
    assert main(words(kitti, one, *more)) == 0
    assert main([*words(kitti, two, *more), "--num-workers", "2"]) == 0
    files = sorted(path.relative_to(one) for path in one.rglob("*.npz"))
    assert len(files) == 20 and files == sorted(path.relative_to(two) for path in two.rglob("*.npz"))
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes()
    assert load(one / "00" / "000006.npz").xyz[:, 0].tolist() == [9] * 3 + [5] * 3 + [1] * 3


def test_streets_are_accumulated_by_their_configuration(tmp_path: Path, capsys: Capture) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("data: {name: street, seeds: [5, 6], val_seeds: [9900, 9901], sensors: [beams16]}\n")
    out = tmp_path / "dense"
    command = ["prepare", "accumulate", "--config", str(config), "--data.frames_per_street", "1", "--part", "train"]
    command += ["--out", str(out), "--data.cache_dir", str(tmp_path / "cache"), "--num-workers", "0"]
    assert main([*command, "--past", "0", "--future", "1", "--classes", "road", "car"]) == 0
    dense = load(out / "street00005" / "beams16" / "0000.npz")
    assert set(dense.label[~dense.own].tolist()) == {0, 6} and len(set(dense.label[dense.own].tolist())) > 6
    assert "seeds 5-5" in capsys.readouterr().out


def test_words_of_a_run_are_told_from_ours() -> None:
    own, run = split_words(
        [
            "street",
            "--data.root",
            "x",
            "--out",
            "y",
            "--config=c",
            "--clip",
            "-1",
            "-1",
            "0",
            "1",
            "1",
            "2",
            "--data.every=3",
        ]
    )
    assert own == ["street", "--out", "y", "--clip", "-1", "-1", "0", "1", "1", "2"]
    assert run == ["--data.root", "x", "--config=c", "--data.every=3"]
    assert split_words(["--config", "c", "street", "--data.root=x", "waymo"]) == (
        ["street", "waymo"],
        ["--config", "c", "--data.root=x"],
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--window", "2", "--past", "1"], "--window 2 with --past"),
        (["--num-workers", "-1"], "--num-workers -1"),
        (["--classes", "boat"], "--classes boat: semantickitti has"),
        (["--data.sequences", '["77"]'], "no 77/velodyne"),
        (["--data.name", "scannet"], "scannet"),
        (["--data.name", "street"], "streets have no root"),
        (["--by-pose", "--moving", "align"], "--by-pose with --moving align"),
    ],
)
def test_mistakes_are_one_line(kitti: Path, tmp_path: Path, more: list[str], message: str, capsys: Capture) -> None:
    given = words(kitti, tmp_path / "out", *more)
    if "--data.name" in more:
        given.remove("semantickitti")
    assert main(given) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(kitti: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    assert main(words(kitti, out)) == 2
    assert "is not empty and holds no accumulation.json" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_a_data_set_without_sequences_is_refused() -> None:
    from srkd_train.commands import accumulate

    with pytest.raises(ConfigError, match="scannet has no sequences with poses"):
        accumulate.main(["--data.name", "scannet", "--data.root", "x", "--out", "y"])
