# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluate command on tiny streets, and the protocol against counts by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from srkd.architectures import build_network
from srkd.checkpoint import Header, save_checkpoint
from srkd.cloud import Cloud
from srkd.errors import CheckpointError, ConfigError
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd.segmenter import Labels, Segmenter
from srkd_train.commands import evaluate as command
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


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--data", "street", "--split", "nowhere"], ConfigError, "held_out"),
        (["--data", "semantickitti"], ConfigError, "data.root"),
        (["--data", "semantickitti", "--data.root", "x", "--split", "nowhere"], ConfigError, "val"),
        (["--data", "street", "--limit", "0"], ConfigError, "at least 1"),
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
