# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd verify` and `srkd prepare`: what is missing by name, the histogram, the cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from nuscenes_makers import make_nuscenes
from waymo_makers import Scan, write_v1

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError
from srkd.labels import SCHEMES
from srkd_train.__main__ import main
from srkd_train.commands import prepare, verify
from srkd_train.data.missing import SEQUENCE_SCANS, semantickitti_problems
from srkd_train.data.part import Part
from srkd_train.data.sample import Sample
from srkd_train.data.street import StreetDataset
from srkd_train.data.tally import frequency_path, tally

Capture = pytest.CaptureFixture[str]


def make_sequence(root: Path, name: str, scans: int) -> Path:
    """Scans of 4 points: car, road, road, ignored."""
    folder = root / "sequences" / name
    (folder / "velodyne").mkdir(parents=True)
    (folder / "labels").mkdir()
    for number in range(scans):
        np.ones((4, 4), "<f4").tofile(folder / "velodyne" / f"{number:06d}.bin")
        np.array([10, 40, 40, 0], "<u4").tofile(folder / "labels" / f"{number:06d}.label")
    return folder


class Clouds:
    """Clouds of the street scheme; number n has n + 1 points of class n, number 2 cannot be read."""

    scheme = SCHEMES["street"]

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        if index == 2:
            raise CloudError("two.bin: it is\ncut off")
        cloud = Cloud(np.zeros((index + 1, 3), np.float32))
        return Sample(cloud, np.full(index + 1, index if index else 255, np.uint8), str(index))


def test_a_tally_counts_what_can_be_read() -> None:
    for workers, group in ((0, 1), (0, 3), (1, 2)):
        found = tally(Part(Clouds(), "some", group=group), range(4), num_workers=workers)
        assert found.cloud_points == [1, 2, 4] and found.unreadable == ["two.bin: it is cut off"]
        assert found.class_points[:4].tolist() == [0, 2, 0, 4] and found.counts[255] == 1
        np.testing.assert_allclose(found.frequency[:4], [0, 1 / 3, 0, 2 / 3])
        assert found.to_dict()["points"] == 7


def test_sequences_have_the_known_lengths() -> None:
    assert sum(SEQUENCE_SCANS[f"{n:02d}"] for n in range(11)) == 23201
    assert sum(SEQUENCE_SCANS[f"{n:02d}"] for n in range(11, 22)) == 20351
    assert (SEQUENCE_SCANS["08"], SEQUENCE_SCANS["21"], len(SEQUENCE_SCANS)) == (4071, 2721, 22)


def test_what_semantickitti_lacks_is_named(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path, "04", 271)
    assert semantickitti_problems(str(tmp_path), ["04"]) == []
    (folder / "velodyne" / "000005.bin").unlink()
    (folder / "labels" / "000007.label").unlink()
    (folder / "labels" / "000009.label").write_bytes(bytes(14))
    (folder / "velodyne" / "000011.bin").write_bytes(bytes(17))
    found = semantickitti_problems(str(tmp_path), ["04", "30", "08"])
    assert found == [
        "sequences/04/velodyne: 270 of 271 scans",
        "sequences/04/velodyne/000011.bin: 17 bytes are no points of 16",
        "sequences/04/labels/000007.label: missing",
        "sequences/04/labels/000009.label: 14 bytes, its scan of 4 points needs 16",
        "sequences/04/labels/000011.label: 16 bytes, its scan of 1 points needs 4",
        "sequences/04/velodyne/000005.bin: missing, it has labels",
        "sequences/30/velodyne: no scans",
        "sequences/08/velodyne: no scans",
    ]
    make_sequence(tmp_path, "31", 2)
    assert semantickitti_problems(str(tmp_path), ["31"]) == []


def test_verify_says_what_is_there_and_exits_1_where_something_is_missing(tmp_path: Path, capsys: Capture) -> None:
    folder = make_sequence(tmp_path, "04", 271)
    words = ["semantickitti", "--data.root", str(tmp_path), "--workers", "0", "--sequences", "04"]
    assert verify.main([*words, "--limit", "7"]) == 0
    page = capsys.readouterr().out
    assert "Nothing is missing." in page and "66.667" in page and "33.333" in page
    assert page.splitlines()[4].split() == ["04", "271", "7", "4", "to", "4", "75.0"]
    assert len(page.splitlines()) < 40
    (folder / "labels" / "000007.label").unlink()
    (folder / "labels" / "000003.label").write_bytes(np.array([10, 40, 40, 77], "<u4").tobytes())
    assert verify.main([*words, "--all"]) == 1
    page = capsys.readouterr().out
    assert "000007.label: missing" in page and "000003.label: labels: raw ids 77" in page
    assert verify.main(["semantickitti", "--data.root", str(tmp_path), "--workers", "0", "--limit", "1"]) == 1
    page = capsys.readouterr().out
    assert "sequences/08/velodyne: no scans" in page and "road" in page
    assert main(["verify", "semantickitti"]) == 2


def test_long_lists_are_cut() -> None:
    text = verify.listed([f"file {number}" for number in range(1234)])
    assert text.startswith("1,234 problems:\n  file 0\n") and text.endswith("  and 1,214 more\n")
    assert len(text.splitlines()) == 22 and verify.listed(["x"]) == "1 problem:\n  x\n"


@pytest.mark.parametrize("name", ["nuscenes", "waymo", "scannet"])
def test_an_empty_folder_is_a_problem_of_every_data_set(name: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["verify", name, "--data.root", str(tmp_path), "--workers", "0"]) == 1
    shown = capsys.readouterr()
    assert "problem" in shown.out and str(tmp_path) in shown.out and "Traceback" not in shown.err


def _frequency(path: Path) -> list[float]:
    return list(json.loads(path.read_text())["class_frequency"].values())


def test_verify_and_prepare_read_nuscenes_and_waymo(tmp_path: Path, capsys: Capture) -> None:
    make_nuscenes(tmp_path / "nuscenes", scenes=("scene-0003", "scene-0001", "scene-0002"))
    words = ["nuscenes", "--data.root", str(tmp_path / "nuscenes"), "--workers", "0"]
    assert verify.main(words) == 0
    page = capsys.readouterr().out
    assert [line.split()[:2] for line in page.splitlines()[4:6]] == [["train", "4"], ["val", "2"]]
    assert prepare.main([*words, "--cache-dir", str(tmp_path / "cache")]) == 0
    found = _frequency(frequency_path("nuscenes", tmp_path / "cache"))
    assert np.flatnonzero(found).tolist() == [3, 10, 15]
    next((tmp_path / "nuscenes" / "lidarseg").rglob("*.bin")).unlink()
    assert verify.main(words) == 1 and "lidarseg.bin: missing" in capsys.readouterr().out
    for folder in ("training", "validation"):
        write_v1(tmp_path / "waymo" / folder, [Scan()])
    assert verify.main(["waymo", "--data.root", str(tmp_path / "waymo"), "--workers", "0"]) == 1
    page = capsys.readouterr().out
    assert "1 of the 798 segments of train" in page and "bicyclist" in page


def test_prepare_makes_every_street_of_a_run_and_counts_classes(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("data: {name: street, seeds: [0, 9], val_seeds: [9900, 9901]}\nmodel: {name: student-nano}\n")
    cache = tmp_path / "cache"
    words = ["street", "--seeds", "5", "6", "--frames", "2", "--sensors", "beams16", "--cache-dir", str(cache)]
    # Twenty held-out streets take too long here.
    monkeypatch.setattr(prepare, "final_part", prepare.validation_part)
    assert prepare.main([*words, "--config", str(config), "--workers", "0"]) == 0
    shown = capsys.readouterr()
    assert "prepared 4/4" in shown.err and "Nothing is missing" in shown.out
    for seed, frames in ((5, 2), (9900, 1)):
        data = StreetDataset([seed], ("beams16",), frames, cache_dir=cache)
        assert all(data._path(seed, data.sensors[0], 8 * frame).exists() for frame in range(frames))
    data = StreetDataset([5], ("beams16",), 2, cache_dir=cache)
    labels = np.concatenate([data[0].label, data[1].label])
    expected = np.bincount(labels[labels != 255], minlength=12) / (labels != 255).sum()
    path = frequency_path("street", cache)
    found = _frequency(path)
    assert path.name == "srkd_street.json"
    np.testing.assert_allclose(found, expected)
    facts = json.loads(path.read_text())
    assert facts["clouds_read"] == 2 and facts["points"] == len(labels) and "beams16" in facts["clouds"]
    assert list(facts["class_frequency"]) == list(data.scheme.class_names)


def test_prepare_checks_the_other_data_sets(tmp_path: Path, capsys: Capture) -> None:
    root, cache = tmp_path / "kitti", tmp_path / "cache"
    make_sequence(root, "04", 271)
    make_sequence(root, "30", 2)
    config = tmp_path / "run.yaml"
    config.write_text("data: {name: semantickitti, root: elsewhere, sequences: ['04'], val_sequences: ['30']}\n")
    words = ["semantickitti", "--config", str(config), "--data.root", str(root), "--cache-dir", str(cache)]
    assert prepare.main([*words, "--workers", "0", "--limit", "5"]) == 0
    assert "5 of 271 clouds: SemanticKITTI sequences 04" in capsys.readouterr().out
    found = _frequency(frequency_path("semantickitti", cache))
    assert found[0] == pytest.approx(1 / 3) and found[8] == pytest.approx(2 / 3)
    (root / "sequences" / "30" / "labels" / "000001.label").unlink()
    assert prepare.main([*words, "--workers", "0", "--limit", "5"]) == 1
    assert "sequences/30/labels/000001.label: missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nuscenes"], "data.root is not set, nuscenes"),
        (["street", "--limit", "3"], "no limit"),
        (["street", "--workers", "-1"], "0 workers"),
        (["semantickitti", "--data.root", "x", "--seeds", "0", "3"], "are for street"),
        (["street", "--seeds", "0", "10001"], "data.seeds"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        prepare.main(words)
    assert "\n" not in str(caught.value)


def test_every_damaged_tfrecord_is_named_and_the_others_are_counted(tmp_path: Path, capsys: Capture) -> None:
    paths = [write_v1(tmp_path / "validation", [Scan()], name) for name in ("a", "b", "c")]
    for path in (paths[0], paths[2]):
        path.write_bytes(path.read_bytes()[:-100])
    words = ["verify", "waymo", "--data.root", str(tmp_path), "--split", "val", "--cache-dir", str(tmp_path / "kept")]
    assert main(words) == 1
    told = capsys.readouterr().out
    assert [str(path) in told for path in paths] == [True, False, True]
    assert "3 of the 202 segments" in told and "vegetation" in told
    paths[1].write_bytes(b"")
    assert main(words) == 1
    told = capsys.readouterr().out
    assert all(str(path) in told for path in paths) and "no frame has" not in told
