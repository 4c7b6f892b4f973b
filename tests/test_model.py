# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Finding, loading and warming up a network for the nodes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from srkd.architectures import build_network
from srkd.checkpoint import save_checkpoint
from srkd.errors import CheckpointError, ConfigError, SrkdError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.io.pointcloud2 import decode
from srkd.labels import get_scheme
from srkd_ros.model import BUNDLED, ModelRequest, checkpoint_path, load_model, made_sweep, path_below, resolve_precision

REQUEST = ModelRequest("student-nano", "", "cpu", "auto", "torch")


def test_the_bundled_network_is_found_by_name_loaded_and_warm() -> None:
    model = load_model(REQUEST)
    assert model.path == BUNDLED / "student-nano.safetensors"
    assert (str(model.segmenter.device), model.segmenter.precision) == ("cpu", "fp32")
    assert model.warm_frame_ms > 0
    assert "synthetic streets only" in model.note
    assert model.class_names == get_scheme("street").class_names


def test_a_network_of_several_frames_asks_for_them(tmp_path: Path) -> None:
    scheme, network = get_scheme("nuscenes"), build_network("student-nano", 16, 4)
    header = Header.of(network, "student-nano", InputSpec(0.4, ("x", "y", "z", "intensity")), scheme)
    notes = []
    for clouds in ("dense", "raw, the teacher's dense"):
        path = tmp_path / f"{len(notes)}.safetensors"
        save_checkpoint(path, network, replace(header, training={"clouds": clouds}))
        notes.append(load_model(ModelRequest(str(path), "", "cpu", "auto", "torch")).note)
    assert notes == ["this network has learned from several frames at once: give it past ones, num_past_frames", ""]


@pytest.mark.parametrize("text", ["", "nothing-here", "/nowhere/x.safetensors", "../weights/student-nano", "."])
def test_a_missing_checkpoint_is_one_line_with_the_names_of_the_bundled_ones(text: str) -> None:
    with pytest.raises(CheckpointError, match=r"student-nano, .*teacher-nano") as caught:
        checkpoint_path(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_that_needs_what_lidars_lack_is_refused(tmp_path: Path) -> None:
    scheme = get_scheme("scannet")
    features = ("x", "y", "z", "r", "g", "b")
    network = build_network("student-nano", scheme.num_classes, len(features))
    path = tmp_path / "indoor.safetensors"
    save_checkpoint(path, network, Header.of(network, "student-nano", InputSpec(0.1, features), scheme))
    with pytest.raises(ConfigError, match="does not fit lidar clouds: color"):
        load_model(ModelRequest(str(path), "", "cpu", "auto", "torch"))


def test_errors_of_the_libraries_become_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("kernel image is not available\nmany\nlines")

    monkeypatch.setattr("srkd_ros.model.label_frame", broken)
    with pytest.raises(CheckpointError, match=r"does not run on cpu \(RuntimeError: kernel image is not available\):"):
        load_model(REQUEST)


def test_auto_precision_is_fp32_on_a_cpu_and_a_given_one_stays() -> None:
    cpu = torch.device("cpu")
    assert [resolve_precision(text, cpu) for text in ("auto", "bf16", "fp32")] == ["fp32", "bf16", "fp32"]


def test_the_made_sweep_is_of_a_real_ones_size_and_extent() -> None:
    cloud = decode(made_sweep(30_000)).cloud
    distance = np.linalg.norm(cloud.xyz, axis=1)
    assert 29_000 < len(cloud) <= 30_000
    assert np.isfinite(cloud.xyz).all()
    assert 2 < distance.min() < distance.max() < 80
    assert len(np.unique(np.floor(cloud.xyz / 0.2), axis=0)) > 8000


class TestPathBelow:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "models" / "sub").mkdir(parents=True)
        for name in ("models/a.safetensors", "models/sub/b.safetensors", "secret.safetensors"):
            (tmp_path / name).touch()
        (tmp_path / "models" / "out.safetensors").symlink_to(tmp_path / "secret.safetensors")
        (tmp_path / "models" / "up").symlink_to(tmp_path)
        (tmp_path / "models" / "loop").symlink_to(tmp_path / "models" / "loop")
        (tmp_path / "models" / "in.safetensors").symlink_to(tmp_path / "models" / "sub" / "b.safetensors")
        return tmp_path / "models"

    @pytest.mark.parametrize(
        ("path", "found"), [("a.safetensors", "a"), ("sub/b.safetensors", "sub/b"), ("in.safetensors", "sub/b")]
    )
    def test_files_below_are_found(self, path: str, found: str, folder: Path) -> None:
        assert path_below(str(folder), path) == folder / f"{found}.safetensors"
        assert path_below(str(folder), str(folder / path)) == folder / f"{found}.safetensors"

    @pytest.mark.parametrize(
        "path",
        [
            "../secret.safetensors",
            "out.safetensors",
            "up/secret.safetensors",
            "sub",
            "",
            "no",
            "loop",
            "a\0b",
            "a" * 9999,
        ],
    )
    def test_all_else_is_refused_in_one_line(self, path: str, folder: Path) -> None:
        with pytest.raises(SrkdError) as caught:
            path_below(str(folder), path)
        assert "\n" not in str(caught.value)

    def test_a_neighbour_with_the_same_beginning_is_not_below(self, folder: Path) -> None:
        other = folder.with_name("models2")
        other.mkdir()
        (other / "x.safetensors").touch()
        with pytest.raises(ConfigError, match="not below"):
            path_below(str(folder), str(other / "x.safetensors"))

    def test_no_folder_means_nothing_may_be_loaded(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="model_dir is empty"):
            path_below("", str(folder / "a.safetensors"))
