# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluate command on tiny streets, and the protocol against counts by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nuscenes_makers import make_nuscenes

from srkd.architectures import build_network
from srkd.checkpoint import save_checkpoint
from srkd.cloud import Cloud
from srkd.errors import CheckpointError, ConfigError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd.segmenter import Labels, Segmenter
from srkd_train import tta
from srkd_train.commands import evaluate as command
from srkd_train.data.part import Part
from srkd_train.data.sample import Sample
from srkd_train.evaluation import evaluate


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("streets"))


def checkpoint(folder: Path, scheme_name: str, *, max_range_m: float | None = None) -> Path:
    torch.manual_seed(0)
    scheme = get_scheme(scheme_name)
    network = build_network("student-nano", scheme.num_classes, 4)
    path = folder / f"{scheme_name}.safetensors"
    save_checkpoint(path, network, Header.of(network, "student-nano", InputSpec(0.5, max_range_m=max_range_m), scheme))
    return path


class Clouds:
    """Two clouds in the street scheme."""

    scheme = get_scheme("street")

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.samples = [
            Sample(Cloud(rng.normal(size=(n, 3)).astype(np.float32)), rng.integers(0, 3, n).astype(np.uint8), f"{n}")
            for n in (50, 70)
        ]
        self.samples[0].label[:5] = 255

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def test_the_protocol_counts_every_raw_point_once() -> None:
    clouds = Clouds()

    def segment(cloud: Cloud) -> Labels:
        class_id = np.where(cloud.xyz[:, 0] > 0, 0, 1).astype(np.uint8)
        class_id[-3:] = 255
        return Labels(class_id, np.ones(len(cloud), np.float32), np.zeros(len(cloud), np.float32))

    score = evaluate(segment, clouds, [0, 1])
    assert (score.ignored, score.unpredicted, score.counts.sum()) == (5, 6, 50 + 70 - 5 - 6)
    for c, guess in ((0, True), (1, False)):
        hits = sum(
            int(((s.cloud.xyz[:-3, 0] > 0) == guess)[np.flatnonzero(s.label[:-3] == c)].sum()) for s in clouds.samples
        )
        assert score.counts[c, c] == hits
    assert "bus" in score.absent
    assert evaluate(segment, clouds, [1]).ignored == 0


def test_table_and_json(tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = checkpoint(tmp_path, "street", max_range_m=20.0), tmp_path / "out" / "score.json"
    words = [str(path), "--data", "street", "--limit", "2", "--cache-dir", cache, "--workers", "0", "--device", "cpu"]
    assert command.main([*words, "--output", str(output)]) == 0
    printed = capsys.readouterr()
    facts = json.loads(output.read_text())
    assert "| pedestrian |" in printed.out and "seeds 10000-10019" in printed.out and "evaluated" in printed.err
    assert facts["unpredicted_points"] > 0 and "out of the input range" in printed.out
    assert facts["counted_points"] == sum(facts["points"].values()) == sum(map(sum, facts["confusion"]))
    assert facts["protocol"] == "single" and facts["weights_sha256"]
    assert 0 <= facts["miou"] <= 1


def test_the_same_as_the_segmenter_point_by_point(tmp_path: Path, cache: str) -> None:
    from srkd_train.data.street import StreetDataset

    path = checkpoint(tmp_path, "street")
    output = tmp_path / "score.json"
    words = ["--data", "street", "--split", "val", "--limit", "1", "--cache-dir", cache, "--workers", "0"]
    command.main([str(path), *words, "--device", "cpu", "--output", str(output)])
    sample = StreetDataset(range(9900, 9904), ("beams16", "beams32", "beams64"))[0]
    predicted = Segmenter.load(path, device="cpu")(sample.cloud).class_id
    counted = sample.label != 255
    right = int((predicted == sample.label)[counted].sum())
    assert json.loads(output.read_text())["all_acc"] == pytest.approx(right / counted.sum())


def scores(path: Path, cache: str, *words: str) -> dict[str, Any]:
    """What `srkd evaluate` writes of two clouds of the val split."""
    output = path.with_name("score.json")
    fixed = ["--data", "street", "--split", "val", "--sensors", "beams16", "--limit", "2", "--cache-dir", cache]
    command.main([str(path), *fixed, "--workers", "0", "--device", "cpu", *words, "--output", str(output)])
    facts: dict[str, Any] = json.loads(output.read_text())
    return facts


def test_protocols_sensors_and_noise_are_told_and_change_the_score(
    tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, "street", max_range_m=8.0)
    monkeypatch.setattr(tta, "STREET", tta.Recipe((tta.View(), tta.View(scale=1.1, mirror=True)), 0.5))
    single = scores(path, cache)
    assert (single["protocol"], single["feature_noise"]) == ("single", None) and "beams16, 1 scans" in single["clouds"]
    assert "Protocol `single`: one pass a cloud" in capsys.readouterr().out
    several = scores(path, cache, "--protocol", "tta")
    assert several["protocol"] == "tta" and "(2 views, one point a cell of 0.5 voxels)" in several["protocol_described"]
    assert several["protocol_described"] in capsys.readouterr().out
    assert several["counted_points"] == single["counted_points"] and several["confusion"] != single["confusion"]
    noisy = scores(path, cache, "--feature-noise", "5", "--noise-seed", "3")
    assert (noisy["feature_noise"], noisy["noise_seed"]) == (5, 3) and noisy["confusion"] != single["confusion"]
    assert "noise of 5 on the input features" in capsys.readouterr().out
    assert scores(path, cache, "--feature-noise", "5", "--noise-seed", "3") == noisy
    assert scores(path, cache, "--feature-noise", "0")["confusion"] == single["confusion"]


def test_absent_classes_are_left_out_or_zero_and_it_is_said(
    tmp_path: Path, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkpoint(tmp_path, "street", max_range_m=8.0)
    words = ["--limit", "1"]
    out = scores(path, cache, *words)
    assert out["absent"] and "are left out of the means" in capsys.readouterr().out
    zero = scores(path, cache, *words, "--absent-as-zero")
    text = capsys.readouterr().out
    assert "count as 0 in the means" in text and "and counted as 0" in text and zero["absent_as_zero"] is True
    present = 12 - len(out["absent"])
    for key in ("miou", "macc"):
        assert zero[key] == pytest.approx(out[key] * present / 12)
    assert zero["all_acc"] == out["all_acc"] and zero["confusion"] == out["confusion"]


class Unlabelled(Clouds):
    """Two clouds of a test split: no labels, but names of scans and tokens."""

    def __init__(self, scheme: str) -> None:
        super().__init__()
        self.scheme = get_scheme(scheme)
        for number, sample in enumerate(self.samples):
            cloud = Cloud(sample.cloud.xyz, np.ones(len(sample.cloud), np.float32))
            self.samples[number] = Sample(cloud, np.full(len(cloud), 255, np.uint8), f"11/{number:06d}")

    def token(self, index: int) -> str:
        return f"token{index}"


@pytest.mark.parametrize(
    ("data", "name"),
    [("nuscenes", "lidarseg/test/token1_lidarseg.bin"), ("semantickitti", "sequences/11/predictions/000001.label")],
)
def test_a_submission_has_the_labels_of_every_point(
    data: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clouds = Unlabelled(data)
    monkeypatch.setattr(command, "split_part", lambda *args, **options: Part(clouds, f"{data} test"))
    path, target = checkpoint(tmp_path, data), tmp_path / "made"
    words = [str(path), "--data", data, "--data.root", "x", "--split", "test", "--workers", "0", "--device", "cpu"]
    with pytest.raises(ConfigError, match="give --submission DIR"):
        command.main(words)
    with pytest.raises(ConfigError, match="wants every cloud"):
        command.main([*words, "--submission", str(target), "--limit", "1"])
    assert command.main([*words, "--submission", str(target)]) == 0
    shown = capsys.readouterr().out
    assert "labels of 2 clouds" in shown and "IoU" not in shown
    predicted = Segmenter.load(path, device="cpu")(clouds[1].cloud).class_id
    if data == "nuscenes":
        assert np.fromfile(target / name, np.uint8).tolist() == (predicted + 1).tolist()
    else:
        assert (clouds.scheme.from_raw(np.fromfile(target / name, "<u4")) == predicted).all()
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        command.main([*words, "--submission", str(target)])


def test_nuscenes_from_its_tables_to_scores_and_a_submission(tmp_path: Path) -> None:
    path, root = checkpoint(tmp_path, "nuscenes"), tmp_path / "nuscenes"
    make_nuscenes(root, scenes=("scene-0003", "scene-0001"))
    make_nuscenes(root, "v1.0-test", scenes=("scene-0077",))
    words = [str(path), "--data", "nuscenes", "--data.root", str(root), "--workers", "0", "--device", "cpu"]
    for protocol in ("single", "tta"):
        output = tmp_path / f"{protocol}.json"
        assert command.main([*words, "--protocol", protocol, "--output", str(output)]) == 0
        facts = json.loads(output.read_text())
        assert facts["clouds"] == "2 of 2 clouds: nuScenes val" and facts["protocol"] == protocol
        # Four points a frame, of which two carry no label, then one; the first frame lies at (0, 0, 0).
        assert facts["counted_points"] + facts["unpredicted_points"] + facts["ignored_points"] == 8
        assert facts["unpredicted_points"] == 2 and facts["ignored_points"] == 3
    target = tmp_path / "made"
    assert command.main([*words, "--split", "test", "--submission", str(target)]) == 0
    made = sorted(str(file.relative_to(target)) for file in target.rglob("*.*"))
    assert made == ["lidarseg/test/d00_lidarseg.bin", "lidarseg/test/d02_lidarseg.bin", "test/submission.json"]
    assert all(1 <= value <= 16 for file in (target / "lidarseg" / "test").iterdir() for value in file.read_bytes())


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--data", "street", "--split", "nowhere"], ConfigError, "held_out"),
        (["--data", "semantickitti"], ConfigError, "data.root"),
        (["--data", "semantickitti", "--data.root", "x", "--split", "nowhere"], ConfigError, "val"),
        (["--data", "street", "--limit", "0"], ConfigError, "at least 1"),
        (["--data", "street", "--feature-noise", "-1"], ConfigError, "feature noise -1"),
        (["--data", "street", "--submission", "x", "--cache-dir", "y"], ConfigError, "street has no known form"),
        (["--data", "waymo"], ConfigError, "data.root"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        command.main([str(checkpoint(tmp_path, "street")), *words])
    assert "\n" not in str(caught.value)


def test_another_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="classes of nuscenes"):
        command.main([str(checkpoint(tmp_path, "nuscenes")), "--data", "street"])
    with pytest.raises(CheckpointError, match="nowhere"):
        command.main(["nowhere", "--data", "street"])
