# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: what goes in comes out, and whatever is wrong with a file is one line, never a half-written file."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from small_networks import SCHEME, SPEC, header_of, small_cdsegnet, small_ptv3

from srkd import checkpoint as module
from srkd.architectures import ARCHITECTURES, Network, build_network, config_from_dict
from srkd.checkpoint import file_sha256, load_checkpoint, read_header, save_checkpoint
from srkd.diffusion import DiffusionConfig
from srkd.errors import CheckpointError
from srkd.header import Header
from srkd.labels import get_scheme

Json = dict[str, Any]


@pytest.fixture(scope="module")
def network() -> Network:
    return small_ptv3()


@pytest.fixture
def saved(tmp_path: Path, network: Network) -> Path:
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, network, header_of(network))
    return path


def refusal(path: Path, match: str, **arguments: Any) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        load_checkpoint(path, **arguments)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def edit(path: Path, change: Callable[[Json], Any]) -> None:
    """Rewrites a checkpoint's header: `change` edits it in place or returns another."""
    with safetensors.safe_open(str(path), framework="pt") as file:
        header = json.loads(file.metadata()["srkd"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    changed = change(header)
    text = changed if isinstance(changed, str) else json.dumps(header if changed is None else changed)
    safetensors.torch.save_file(state, str(path), metadata={"srkd": text})


@pytest.mark.parametrize("build", [small_ptv3, small_cdsegnet])
def test_round_trip_is_bitwise(build: Callable[[], Network], tmp_path: Path) -> None:
    network = build()
    header = replace(header_of(network), training={"seed": 7, "nested": {"a": [1, None]}}, metrics={"miou": 0.5})
    written = save_checkpoint(tmp_path / "net.safetensors", network, header)
    loaded, found = load_checkpoint(tmp_path / "net.safetensors")
    assert not loaded.training and type(loaded) is type(network) and loaded.config == network.config
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    assert loaded.state_dict().keys() == state.keys()
    buffers = dict(network.named_buffers())
    assert all(torch.equal(value, buffers[name]) for name, value in loaded.named_buffers())
    assert (found.architecture, found.input, found.scheme) == ("test", SPEC, SCHEME)
    assert found.training == header.training and found.metrics == header.metrics
    assert len(found.weights_sha256) == 64 and found.weights_sha256 == written.weights_sha256
    assert read_header(tmp_path / "net.safetensors") == found


def test_the_noise_schedule_comes_from_the_configuration(tmp_path: Path) -> None:
    network = small_cdsegnet()
    network.config = replace(network.config, diffusion=DiffusionConfig(steps=10, schedule="cosine"))
    save_checkpoint(tmp_path / "net.safetensors", network, header_of(network))
    loaded, _ = load_checkpoint(tmp_path / "net.safetensors")
    assert torch.equal(loaded.signal_level, DiffusionConfig(steps=10, schedule="cosine").signal_level())


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path: Path, network: Network, saved: Path) -> None:
    half = tmp_path / "half.safetensors"
    save_checkpoint(half, network, header_of(network), dtype=torch.float16)
    loaded, _ = load_checkpoint(half)
    assert half.stat().st_size < 0.7 * saved.stat().st_size
    for name, value in loaded.state_dict().items():
        original = network.state_dict()[name]
        assert value.dtype == original.dtype
        assert torch.equal(value, original.half().float() if original.is_floating_point() else original)


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path: Path) -> None:
    network = small_ptv3()
    with torch.no_grad():
        network.head.bias[0] = 1e5
    with pytest.raises(CheckpointError, match=r"head.bias reaches 100000, too large for torch.float16"):
        save_checkpoint(tmp_path / "net.safetensors", network, header_of(network), dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_equal_networks_give_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        save_checkpoint(tmp_path / name, small_ptv3(), header_of(small_ptv3()))
    assert file_sha256(tmp_path / "a") == file_sha256(tmp_path / "b")


def test_a_pinned_digest_is_checked(saved: Path) -> None:
    digest = file_sha256(saved)
    load_checkpoint(saved, expected_sha256=digest.upper())
    refusal(saved, "expected 0000", expected_sha256="0" * 64)


def test_a_failing_write_leaves_the_old_file_and_nothing_else(
    saved: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def fail(state: object, path: str, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr(module.safetensors.torch, "save_file", fail)
    with pytest.raises(CheckpointError, match=r"net\.safetensors cannot be written .*No space left"):
        save_checkpoint(saved, network, header_of(network))
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def test_a_folder_that_is_not_there_and_a_folder_as_file_are_refused(tmp_path: Path, network: Network) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be written \(No such file"):
        save_checkpoint(tmp_path / "absent" / "net.safetensors", network, header_of(network))
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(tmp_path, network, header_of(network))
    assert list(tmp_path.iterdir()) == []


def test_files_are_readable_by_others_as_the_mask_says(saved: Path) -> None:
    mask = os.umask(0)
    os.umask(mask)
    assert saved.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("facts", [{"miou": float("nan")}, {"path": Path("x")}, {"text": "x" * (1 << 20)}], ids=str)
def test_facts_that_cannot_be_read_back_are_not_written(facts: Json, tmp_path: Path, network: Network) -> None:
    with pytest.raises(CheckpointError, match=r"^net\.safetensors: .*header"):
        save_checkpoint(tmp_path / "net.safetensors", network, replace(header_of(network), training=facts))
    assert list(tmp_path.iterdir()) == []


def test_a_changed_byte_in_the_weights_is_found(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-20] ^= 1
    saved.write_bytes(data)
    refusal(saved, "weights that differ from the digest")


@pytest.mark.parametrize("kept", [0, 4, 8, 100, 3000, -1])
def test_a_file_cut_short_is_refused(saved: Path, kept: int) -> None:
    saved.write_bytes(saved.read_bytes()[:kept])
    refusal(saved, f"{saved.name} is not a whole safetensors file")


@pytest.mark.parametrize("content", [b"hello, world: not a checkpoint", b"\x80\x02}q\x00.", bytes(64), b"\xff" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    refusal(path, r"other\.pth is not a whole safetensors file")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / "absent", "absent is not a file")
    refusal(tmp_path, "is not a file")
    with pytest.raises(CheckpointError, match="cannot be read"):
        file_sha256(tmp_path / "absent")


def test_a_foreign_safetensors_file_is_pointed_to_convert(tmp_path: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(3)}, str(tmp_path / "foreign.safetensors"))
    refusal(tmp_path / "foreign.safetensors", "without our header.*srkd convert")


def test_a_network_that_contradicts_scheme_or_input_has_no_header(network: Network) -> None:
    with pytest.raises(CheckpointError, match="network has 12 classes, scheme 'nuscenes' has 16"):
        Header.of(network, "test", SPEC, get_scheme("nuscenes"))
    with pytest.raises(CheckpointError, match="takes 4 features, the input spec gives 3"):
        Header.of(network, "test", replace(SPEC, features=("x", "y", "z")), SCHEME)


def set_at(*keys: Any) -> Callable[[Json], None]:
    """A change that sets the entry under a path of keys to the last argument."""
    *path, last, value = keys

    def change(header: Json) -> None:
        for key in path:
            header = header[key]
        header[last] = value

    return change


UNET = ("architecture", "config", "unet")
BOMBS = {
    "another format": (set_at("format", 2), "format 2, this version reads 1"),
    "a list": (lambda header: [1, 2], "format"),
    "no JSON": (lambda header: "{", "not understood"),
    "deep nesting": (lambda header: "[" * 200_000, "not understood"),
    "a megabyte": (set_at("training", "note", "x" * (1 << 20)), "header of .* bytes, at most"),
    "no input": (lambda header: header.pop("input") and None, "not understood"),
    "voxels of an absurd size": (set_at("input", "voxel_size_m", 10**400), "not understood"),
    "an unknown feature": (set_at("input", "features", ["x", "y", "z", "smell"]), "smell"),
    "another class count": (set_at(*UNET[:2], "num_classes", 13), "network has 13 classes, scheme 'street' has 12"),
    "classes as a float": (set_at(*UNET[:2], "num_classes", 12.0), "num_classes is 12.0"),
    "classes as a list": (set_at(*UNET[:2], "num_classes", [12]), "num_classes is"),
    "an unknown key": (set_at(*UNET, "width", 3), "width"),
    "an unknown part": (set_at(*UNET[:2], "third_unet", {}), "third_unet"),
    "no unet": (set_at(*UNET[:2], {"num_classes": 12}), "unet"),
    "a unet of text": (set_at(*UNET, "large"), "not understood"),
    "a config of text": (set_at(*UNET[:2], "large"), "not understood"),
    "an absurd depth": (set_at(*UNET, "enc_depths", [10**9, 1, 3]), "depths are"),
    "a negative width": (set_at(*UNET, "enc_channels", [12, -16, 24]), "channels are"),
    "an absurd width": (set_at(*UNET, "enc_channels", [12, 16, 10**12]), "channels are"),
    "a width of text": (set_at(*UNET, "enc_channels", [12, "16", 24]), "channels are"),
    "heads that do not divide": (set_at(*UNET, "enc_heads", [5, 4, 3]), "do not divide"),
    "no head": (set_at(*UNET, "enc_heads", [0, 4, 3]), "heads are"),
    "an absurd patch": (set_at(*UNET, "patch_size", 10**9), "patch_size"),
    "a stage twice": (set_at(*UNET, "stages", [0, 1, 1]), "rising from 0"),
    "an absurd stage": (set_at(*UNET, "stages", [0, 1, 10**9]), "stages are"),
    "a stage too many": (set_at(*UNET, "stages", [0, 1, 2, 3]), "want 4 encoder and 3 decoder entries"),
    "no stage": (set_at(*UNET, "stages", []), "not understood"),
    "a number for widths": (set_at(*UNET, "enc_channels", 3), "not understood"),
    "drop path of text": (set_at(*UNET, "drop_path", "much"), "not understood"),
    "other widths than the weights": (
        set_at(*UNET, "mlp_ratio", 3),
        r"does not fit its own configuration at \d+ tensors",
    ),
    "another network than the weights": (set_at(*UNET, "enc_depths", [2, 1, 4]), "does not fit its own configuration"),
    "a wrong digest": (set_at("weights_sha256", "0" * 64), "differ from the digest"),
}


@pytest.mark.parametrize(("change", "message"), BOMBS.values(), ids=BOMBS)
def test_a_header_that_cannot_be_true_is_one_line_with_the_path(
    saved: Path, change: Callable[[Json], Any], message: str
) -> None:
    edit(saved, change)
    refusal(saved, message)
    with pytest.raises(CheckpointError, match=r"net\.safetensors"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    "wrong", [{"steps": 10**12}, {"schedule": "sine"}, {"beta_start": -1.0}, {"beta_end": "x"}, {"speed": 1}], ids=str
)
def test_an_impossible_noise_process_is_refused(tmp_path: Path, wrong: Json) -> None:
    network, path = small_cdsegnet(), tmp_path / "net.safetensors"
    save_checkpoint(path, network, header_of(network))
    edit(path, lambda header: header["architecture"]["config"]["diffusion"].update(wrong))
    refusal(path, "not understood")


def test_every_named_architecture_survives_json() -> None:
    for name in ARCHITECTURES:
        with torch.device("meta"):
            config = build_network(name, 12, 4).config
        assert config_from_dict(json.loads(json.dumps(header_of_config(config)))) == config


def header_of_config(config: Any) -> Json:
    from srkd.architectures import config_to_dict

    return config_to_dict(config)
