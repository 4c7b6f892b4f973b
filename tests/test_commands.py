# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd convert, info, logits, predict`: public weights through all of them, exit codes, one line for a mistake."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from small_networks import features_of, plan_of, randomize, voxels

import srkd_train.commands.convert as convert_module
from srkd.architectures import build_network
from srkd.checkpoint import file_sha256, load_checkpoint, read_header, save_checkpoint
from srkd.io.label_files import read_labels
from srkd.io.ply import read_ply
from srkd.labels import get_scheme
from srkd.public_weights import to_public_name
from srkd.segmenter import Segmenter
from srkd_train.__main__ import VERBS, main

Capture = pytest.CaptureFixture[str]
SIZES = {"student-nano": 1_600_000, "teacher-nano": 6_000_000}


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with random public weights of both small networks."""
    folder = tmp_path_factory.mktemp("public")
    for seed, name in enumerate(SIZES):
        network = build_network(name, 12, 4)
        randomize(network, seed)
        state = {f"module.{to_public_name(key)}": value for key, value in network.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": state}, folder / f"{name}.pth")
    return folder


@pytest.fixture(scope="module")
def student(public: Path) -> Path:
    """The small student converted."""
    path = public / "student.safetensors"
    assert (
        main(["convert", str(public / "student-nano.pth"), str(path), "--arch", "student-nano", "--scheme", "street"])
        == 0
    )
    return path


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code


def refused(capsys: Capture, message: str, *arguments: object, code: int = 2) -> None:
    """The command fails with one line on standard error that holds the message."""
    capsys.readouterr()
    assert run(*arguments) == code
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if "error" in line]
    assert len(lines) == 1 and message in lines[0] and lines[0].startswith(f"srkd {arguments[0]}: error: "), shown.err
    assert "Traceback" not in shown.err and shown.out == ""


def test_the_list_of_commands_and_a_mistyped_one(capsys: Capture) -> None:
    assert run() == run("--help") == run("help") == 0
    assert all(capsys.readouterr().out.count(verb) >= 3 for verb in ("convert",)) and run("--version") == 0
    assert capsys.readouterr().out.startswith("srkd ")
    assert run("pedict") == 2
    assert capsys.readouterr().err == "srkd: error: 'pedict' is not a command: did you mean 'predict'\n"
    assert run("xyz") == 2


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_a_module_and_help(verb: str, capsys: Capture) -> None:
    assert run(verb, "--help") == 0
    assert f"usage: srkd {verb}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("verb", ["convert", "info", "logits", "predict"])
def test_an_unknown_option_is_one_line(verb: str, capsys: Capture) -> None:
    required = {"convert": ["a", "b", "--arch", "x", "--scheme", "y"], "logits": ["a", "b", "c"], "predict": ["a"]}
    assert run(verb, *required.get(verb, []), "--colour") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


# --- convert ---


@pytest.mark.parametrize("arch", SIZES)
def test_converted_weights_are_the_public_ones(arch: str, public: Path, tmp_path: Path, capsys: Capture) -> None:
    source, out = public / f"{arch}.pth", tmp_path / "out.safetensors"
    assert run("convert", source, out, "--arch", arch, "--scheme", "street") == 0
    assert file_sha256(out) in capsys.readouterr().out
    network, header = load_checkpoint(out)
    state = torch.load(source, weights_only=True)["state_dict"]
    ours = {f"module.{to_public_name(name)}": value for name, value in network.state_dict().items()}
    assert ours.keys() == state.keys() and all(torch.equal(ours[name], state[name]) for name in state)
    assert header.architecture == arch and header.scheme.name == "street"
    assert header.training == {"source": source.name, "source_sha256": file_sha256(source), "complete": True}


def test_a_training_checkpoint_with_numpy_numbers_is_read(public: Path, tmp_path: Path) -> None:
    state = torch.load(public / "student-nano.pth", weights_only=True)["state_dict"]
    source = tmp_path / "model_best.pth"
    torch.save({"epoch": 3, "state_dict": state, "best_metric_value": np.float64(0.78), "scale": np.float32(2)}, source)
    assert run("convert", source, tmp_path / "out.safetensors", "--arch", "student-nano", "--scheme", "street") == 0


def test_plain_and_nested_state_dicts_are_found(public: Path, tmp_path: Path) -> None:
    state = torch.load(public / "student-nano.pth", weights_only=True)["state_dict"]
    for number, wrapped in enumerate((state, {"model": state}, {"model": {"state_dict": state}})):
        torch.save(wrapped, tmp_path / "in.pth")
        out = tmp_path / f"{number}.safetensors"
        assert run("convert", tmp_path / "in.pth", out, "--arch", "student-nano", "--scheme", "street") == 0


def test_an_existing_output_is_kept_unless_forced(public: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out.safetensors"
    out.write_text("precious")
    arguments = ("convert", public / "student-nano.pth", out, "--arch", "student-nano", "--scheme", "street")
    refused(capsys, "out.safetensors exists: give another name or --force", *arguments)
    assert out.read_text() == "precious"
    assert run(*arguments, "--force") == 0 and read_header(out).architecture == "student-nano"


def test_a_partial_match_is_listed_and_refused_unless_told(public: Path, tmp_path: Path, capsys: Capture) -> None:
    state = torch.load(public / "student-nano.pth", weights_only=True)["state_dict"]
    state["module.backbone.adapter.weight"] = state.pop("module.backbone._n_head.weight")
    state["module.backbone._n_head.bias"] = torch.zeros(13)
    source, out = tmp_path / "in.pth", tmp_path / "out.safetensors"
    torch.save(state, source)
    arguments = ("convert", source, out, "--arch", "student-nano", "--scheme", "street")
    capsys.readouterr()
    assert run(*arguments) == 2
    assert capsys.readouterr().err.splitlines()[:3] == [
        "missing in the file: head.weight",
        "unexpected in the file: module.backbone.adapter.weight",
        "of another shape: module.backbone._n_head.bias: (13,) in the file, (12,) wanted",
    ]
    assert list(tmp_path.iterdir()) == [source]
    assert run(*arguments, "--partial") == 0
    network, header = load_checkpoint(out)
    assert header.training["complete"] is False
    name = "unet.stem.conv.weight"
    assert torch.equal(network.state_dict()[name], state[f"module.{to_public_name(name)}"])


def test_weights_of_which_nothing_fits_are_refused_even_in_part(tmp_path: Path, capsys: Capture) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "in.pth")
    arguments = ("convert", tmp_path / "in.pth", tmp_path / "out", "--arch", "student-nano", "--scheme", "street")
    refused(capsys, "does not match student-nano for street", *arguments, "--partial")


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("nested", [True, False])
def test_a_file_with_code_in_it_is_refused_and_nothing_runs(nested: bool, tmp_path: Path, capsys: Capture) -> None:
    mark, source = tmp_path / "ran", tmp_path / "in.pth"
    payload = Payload(f"touch {mark}")
    if nested:
        torch.save({"state_dict": {"w": torch.zeros(1)}, "x": payload}, source)
    else:
        source.write_bytes(pickle.dumps(payload))
    arguments = ("convert", source, tmp_path / "out", "--arch", "student-nano", "--scheme", "street")
    refused(capsys, "in.pth cannot be read as plain tensors", *arguments)
    assert not mark.exists() and not (tmp_path / "out").exists()


CONTENTS = {
    "empty": b"",
    "text": b"hello, world",
    "zeros": bytes(1000),
    "a cut pickle": pickle.dumps({"a": [1] * 100}, protocol=2)[:50],
    "a cut archive": b"PK\x03\x04" + bytes(100),
    "no tensors": pickle.dumps({"state_dict": {}}, protocol=2),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_what_is_no_pth_file_is_one_line(content: bytes, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "in.pth").write_bytes(content)
    arguments = ("convert", tmp_path / "in.pth", tmp_path / "out", "--arch", "student-nano", "--scheme", "street")
    refused(capsys, "in.pth", *arguments)


def test_a_pth_file_cut_or_damaged_anywhere_is_one_line(public: Path, tmp_path: Path, capsys: Capture) -> None:
    data = (public / "student-nano.pth").read_bytes()
    source = tmp_path / "in.pth"
    arguments = ("convert", source, tmp_path / "out", "--arch", "student-nano", "--scheme", "street")
    for kept in (1, 100, 2000, len(data) // 2, len(data) - 1):
        source.write_bytes(data[:kept])
        refused(capsys, "in.pth", *arguments)
    broken = bytearray(data)
    broken[100:140] = bytes(40)
    source.write_bytes(broken)
    refused(capsys, "in.pth", *arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--arch": "studnet"}, "architecture 'studnet' is unknown: use one of"),
        ({"--scheme": "nuscene"}, "scheme 'nuscene': unknown"),
        ({"--scheme": "nuscenes"}, "does not match student-nano for nuscenes"),
        ({"--arch": "teacher-nano"}, "does not match teacher-nano for street"),
        ({"--scheme": "scannet"}, "does not match student-nano for scannet"),
    ],
    ids=str,
)
def test_a_wrong_name_or_network_is_refused(
    changes: dict[str, str], message: str, public: Path, tmp_path: Path, capsys: Capture
) -> None:
    options = {"--arch": "student-nano", "--scheme": "street"} | changes
    words = [word for option in options.items() for word in option]
    refused(capsys, message, "convert", public / "student-nano.pth", tmp_path / "out", *words)
    assert list(tmp_path.iterdir()) == []


def test_an_absent_file_and_an_absent_folder(public: Path, tmp_path: Path, capsys: Capture) -> None:
    options = ("--arch", "student-nano", "--scheme", "street")
    refused(capsys, "absent.pth is not a file", "convert", tmp_path / "absent.pth", tmp_path / "out", *options)
    absent = tmp_path / "absent" / "out"
    refused(capsys, "cannot be written (No such file", "convert", public / "student-nano.pth", absent, *options)


def test_an_unsafe_torch_is_refused(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "in.pth")
    monkeypatch.setattr(convert_module.torch, "__version__", "2.9.1+cpu")
    options = ("--arch", "student-nano", "--scheme", "street")
    refused(capsys, "install torch >= 2.10", "convert", tmp_path / "in.pth", tmp_path / "out", *options)


SCHEME_FILE = """
name: yard
classes:
  - {name: ground, color: [120, 110, 130], raw: [1]}
  - {name: rest, color: [255, 120, 0], raw: [2]}
"""


def test_a_scheme_of_ones_own(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "yard.yaml").write_text(SCHEME_FILE)
    network = build_network("student-nano", 2, 4)
    torch.save({to_public_name(name): value for name, value in network.state_dict().items()}, tmp_path / "in.pth")
    arguments = (
        "convert",
        tmp_path / "in.pth",
        tmp_path / "out",
        "--arch",
        "student-nano",
        "--scheme",
        tmp_path / "yard.yaml",
    )
    refused(capsys, "'yard' says nothing of the input: add --input-like", *arguments)
    refused(capsys, "--input-like 'nowhere' is unknown", *arguments, "--input-like", "nowhere")
    assert run(*arguments, "--input-like", "semantickitti") == 0
    header = read_header(tmp_path / "out")
    assert header.scheme.class_names == ("ground", "rest") and header.input.voxel_size_m == 0.05


# --- info ---


def test_info_says_what_a_checkpoint_is(student: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert run("info", student) == 0
    text = capsys.readouterr().out
    assert "architecture: student-nano" in text and "voxel_size_m: 0.2" in text and "road" in text
    assert run("info", student, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    network, header = load_checkpoint(student)
    assert facts["parameters"] == sum(parameter.numel() for parameter in network.parameters()) < SIZES["student-nano"]
    assert facts["file_sha256"] == file_sha256(student) and facts["classes"] == list(get_scheme("street").class_names)
    assert facts["input"] == header.input.to_dict() and facts["training"] == dict(header.training)


def test_info_of_something_else_is_one_line(public: Path, tmp_path: Path, capsys: Capture) -> None:
    refused(capsys, "neither a file nor a bundled checkpoint", "info", tmp_path / "absent")
    refused(capsys, "not a whole safetensors file", "info", public / "student-nano.pth")


# --- logits ---


def voxel_file(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "grid_coord": torch.cat([voxels(60, 0), voxels(20, 1)]).numpy(),
        "feat": features_of(80, 0).numpy(),
        "batch": np.repeat([0, 1], [60, 20]).astype(np.int64),
    }
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def read_logits(path: Path) -> npt.NDArray[np.float32]:
    with np.load(path) as file:
        assert file.files == ["logits"] and file["logits"].dtype == np.float32
        return np.asarray(file["logits"])


def test_logits_are_the_networks_in_input_order(student: Path, tmp_path: Path) -> None:
    given = voxel_file(tmp_path / "in.npz")
    assert run("logits", student, given, tmp_path / "out.npz", "--device", "cpu") == 0
    network, _ = load_checkpoint(student)
    with torch.no_grad():
        expected = network(features_of(80, 0), plan_of([voxels(60, 0), voxels(20, 1)], network))
    np.testing.assert_array_equal(read_logits(tmp_path / "out.npz"), expected.numpy())


def test_logits_take_a_depth_and_noise(public: Path, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.safetensors"
    assert run("convert", public / "teacher-nano.pth", teacher, "--arch", "teacher-nano", "--scheme", "street") == 0
    noise = features_of(80, 5)
    given = voxel_file(tmp_path / "in.npz", depth=np.int64(7), noise=noise.numpy())
    assert run("logits", teacher, given, tmp_path / "out.npz", "--device", "cpu") == 0
    network, _ = load_checkpoint(teacher)
    clouds = [voxels(60, 0), voxels(20, 1)]
    with torch.no_grad():
        expected = network(features_of(80, 0), plan_of(clouds, network, depth=7), noise=noise)
        other = network(features_of(80, 0), plan_of(clouds, network, depth=7))
    np.testing.assert_array_equal(read_logits(tmp_path / "out.npz"), expected.numpy())
    assert not torch.equal(expected, other)


WRONG_VOXELS: dict[str, tuple[dict[str, Any], str]] = {
    "no features": ({"feat": None}, "no array 'feat'"),
    "no batch": ({"batch": None}, "no array 'batch'"),
    "float coordinates": ({"grid_coord": np.zeros((80, 3))}, "grid_coord is float64 (80, 3), expected integers"),
    "two axes": (
        {"grid_coord": np.zeros((80, 2), int)},
        "grid_coord is int64 (80, 2), expected integers of shape (80, 3)",
    ),
    "a scalar": ({"grid_coord": np.int64(3)}, "grid_coord is int64 ()"),
    "no voxel": (
        {"grid_coord": np.zeros((0, 3), int), "feat": np.zeros((0, 4), np.float32), "batch": np.zeros(0, int)},
        "at least one",
    ),
    "five features": (
        {"feat": np.zeros((80, 5), np.float32)},
        "feat is float32 (80, 5), expected floats of shape (80, 4)",
    ),
    "a feature short": ({"feat": np.zeros((79, 4), np.float32)}, "feat is float32 (79, 4)"),
    "integer features": ({"feat": np.zeros((80, 4), int)}, "expected floats"),
    "a feature that is no number": (
        {"feat": np.full((80, 4), np.nan, np.float32)},
        "feat holds values that are not finite",
    ),
    "a feature beyond float32": ({"feat": np.full((80, 4), 1e300)}, "feat holds values that are not finite"),
    "noise that is no number": (
        {"noise": np.full((80, 4), np.inf, np.float32)},
        "noise holds values that are not finite",
    ),
    "a batch that falls": ({"batch": np.repeat([1, 0], [60, 20])}, "ascending order"),
    "a negative batch": ({"batch": np.repeat([-1, 0], [60, 20])}, "ascending order"),
    "an absurd batch": ({"batch": np.repeat([0, 10**12], [60, 20])}, "cloud numbers from 0 to"),
    "a float batch": ({"batch": np.zeros(80)}, "batch is float64"),
    "a negative coordinate": ({"grid_coord": -voxels(80, 0).numpy()}, "is negative"),
    "an absurd coordinate": ({"grid_coord": voxels(80, 0).numpy().astype(np.int64) << 40}, "the limit is 16"),
    "a voxel twice": ({"grid_coord": np.zeros((80, 3), int)}, "occurs more than once"),
    "a shallow depth": ({"depth": np.int64(1)}, "the limit is 1"),
    "an absurd depth": ({"depth": np.int64(10**9)}, "expected 0 to 16"),
    "two depths": ({"depth": np.array([4, 5])}, "depth is int64 (2,)"),
    "a float depth": ({"depth": np.float64(4)}, "depth is float64"),
    "objects": ({"feat": np.full((80, 4), None)}, "is not a whole .npz file"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG_VOXELS.values(), ids=WRONG_VOXELS)
def test_wrong_voxels_are_one_line(
    changes: dict[str, Any], message: str, student: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = voxel_file(tmp_path / "in.npz", **changes)
    refused(capsys, message, "logits", student, given, tmp_path / "out.npz", "--device", "cpu")
    assert not (tmp_path / "out.npz").exists()


def test_a_file_that_is_no_npz_is_one_line(student: Path, tmp_path: Path, capsys: Capture) -> None:
    data = voxel_file(tmp_path / "in.npz").read_bytes()
    np.save(tmp_path / "array.npy", np.zeros(3))
    contents = {
        "empty": b"",
        "text": b"hello",
        "an npy": (tmp_path / "array.npy").read_bytes(),
        "cut": data[:-100],
        "cut early": data[:300],
        "damaged": data[:200] + bytes(40) + data[240:],
    }
    for content in contents.values():
        (tmp_path / "bad.npz").write_bytes(content)
        refused(
            capsys, "bad.npz is not a whole .npz file", "logits", student, tmp_path / "bad.npz", tmp_path / "out.npz"
        )
    refused(capsys, "is not a file", "logits", student, tmp_path / "absent.npz", tmp_path / "out.npz")


def test_an_output_that_cannot_be_written_is_one_line(student: Path, tmp_path: Path, capsys: Capture) -> None:
    given = voxel_file(tmp_path / "in.npz")
    (tmp_path / "file").write_text("x")
    refused(capsys, "out.npz cannot be written (", "logits", student, given, tmp_path / "file" / "out.npz")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--device", "gpu"), "device 'gpu' is unknown"),
        (("--precision", "fp8"), "invalid choice: 'fp8'"),
        (("--backend", "cudnn"), "backend 'cudnn' is unknown"),
    ],
    ids=str,
)
def test_runtime_options_are_checked(
    option: tuple[str, str], message: str, student: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = voxel_file(tmp_path / "in.npz")
    refused(capsys, message, "logits", student, given, tmp_path / "out.npz", *option)
    np.save(tmp_path / "a.npy", scan(5))
    refused(capsys, message, "predict", tmp_path / "a.npy", "--checkpoint", student, *option)


# --- predict ---


def scan(count: int = 300, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=(count, 3)) * 4, rng.random((count, 1))], axis=1).astype(np.float32)


def test_predicted_files_hold_the_segmenters_labels(student: Path, tmp_path: Path, capsys: Capture) -> None:
    points = scan()
    points[7, :3] = np.nan
    np.save(tmp_path / "a.npy", points)
    scan(200, 1).tofile(tmp_path / "b.bin")
    out, scheme = tmp_path / "out", get_scheme("street")
    capsys.readouterr()
    assert (
        run("predict", tmp_path / "a.npy", tmp_path / "b.bin", "--checkpoint", student, "--output", out, "--ply") == 0
    )
    shown = capsys.readouterr()
    assert "2 of 2 clouds, 500 points labelled" in shown.out and "synthetic streets" in shown.err
    labels = Segmenter.load(student)(points)
    np.testing.assert_array_equal(read_labels(out / "a.npy", scheme, 300), labels.class_id)
    assert labels.class_id[7] == 255 and len(read_labels(out / "b.npy", scheme)) == 200
    np.testing.assert_array_equal(read_ply(out / "a.ply").color, scheme.palette()[labels.class_id])
    assert sorted(path.name for path in out.iterdir()) == ["a.npy", "a.ply", "b.npy", "b.ply"]


def test_folders_keep_their_shape_and_sequences_their_place(student: Path, tmp_path: Path) -> None:
    for place in ("day/a.npy", "night/a.npy"):
        (tmp_path / "drive" / place).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "drive" / place, scan(20))
    velodyne = tmp_path / "kitti" / "sequences" / "04" / "velodyne"
    velodyne.mkdir(parents=True)
    scan(20).tofile(velodyne / "000001.bin")
    out = tmp_path / "out"
    assert run("predict", tmp_path / "drive", tmp_path / "kitti", "--checkpoint", student, "--output", out) == 0
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert found == ["day/a.npy", "night/a.npy", "sequences/04/predictions/000001.npy"]


def test_one_bad_file_does_not_stop_the_others(student: Path, tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "a.npy", scan(20))
    (tmp_path / "bad.bin").write_bytes(b"x" * 7)
    np.save(tmp_path / "c.npy", scan(20))
    files = (tmp_path / "a.npy", tmp_path / "bad.bin", tmp_path / "c.npy")
    capsys.readouterr()
    assert run("predict", *files, "--checkpoint", student, "--output", tmp_path / "out") == 1
    shown = capsys.readouterr()
    assert [line for line in shown.err.splitlines() if "error" in line and "bad.bin" in line] and "2 of 3" in shown.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.npy", "c.npy"]


def test_two_clouds_with_one_place_for_their_labels_are_refused(student: Path, tmp_path: Path, capsys: Capture) -> None:
    np.save(tmp_path / "a.npy", scan(20))
    scan(20).tofile(tmp_path / "a.bin")
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "a.npy", tmp_path / "other" / "a.npy")
    message = "would both be written to"
    for second in (tmp_path / "a.bin", tmp_path / "other" / "a.npy"):
        files = (tmp_path / "a.npy", second)
        refused(capsys, message, "predict", *files, "--checkpoint", student, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (
        run("predict", tmp_path / "a.npy", tmp_path / "a.npy", "--checkpoint", student, "--output", tmp_path / "out")
        == 0
    )


@pytest.mark.parametrize(("name", "option"), [("a.npy", ()), ("a.ply", ("--ply",))])
def test_labels_never_replace_the_cloud(
    name: str, option: tuple[str, ...], student: Path, tmp_path: Path, capsys: Capture
) -> None:
    cloud = tmp_path / name
    if name.endswith(".npy"):
        np.save(cloud, scan(20))
    else:
        cloud.write_text(
            "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
            "end_header\n1 2 3\n"
        )
    before = cloud.read_bytes()
    message = "would overwrite the cloud"
    refused_arguments = (cloud, "--checkpoint", student, "--output", tmp_path, *option)
    capsys.readouterr()
    assert run("predict", *refused_arguments) == 2 and message in capsys.readouterr().err
    assert cloud.read_bytes() == before


def test_a_scale_that_does_not_fit_is_said_once_and_brought_over(
    student: Path, tmp_path: Path, capsys: Capture
) -> None:
    for number in range(3):
        points = scan(20, number)
        points[:, 3] *= 255
        np.save(tmp_path / f"{number}.npy", points)
    capsys.readouterr()
    files = [tmp_path / f"{number}.npy" for number in range(3)]
    assert run("predict", *files, "--checkpoint", student, "--output", tmp_path / "out") == 0
    assert capsys.readouterr().err.count("divided by 255") == 1
    labels = Segmenter.load(student)(scan(20, 2))
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "2.npy", get_scheme("street")), labels.class_id)


def test_nothing_to_predict_is_one_line(student: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "empty").mkdir()
    for given, message in (("absent", "does not exist"), ("empty", "no cloud in this folder")):
        refused(capsys, message, "predict", tmp_path / given, "--checkpoint", student)
    (tmp_path / "a.txt").write_text("1 2 3")
    refused(capsys, "unknown suffix", "predict", tmp_path / "a.txt", "--checkpoint", student)
    np.save(tmp_path / "a.npy", scan(5))
    refused(capsys, "neither a file nor a bundled", "predict", tmp_path / "a.npy", "--checkpoint", tmp_path / "absent")


def test_labels_come_in_the_format_of_the_scheme(public: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", scan(30))
    for scheme, suffix in (("semantickitti", "a.label"), ("nuscenes", "a_lidarseg.bin"), ("waymo", "a.npy")):
        network = build_network("student-nano", get_scheme(scheme).num_classes, 4)
        torch.save({to_public_name(name): value for name, value in network.state_dict().items()}, tmp_path / "in.pth")
        checkpoint, out = tmp_path / f"{scheme}.safetensors", tmp_path / scheme
        assert run("convert", tmp_path / "in.pth", checkpoint, "--arch", "student-nano", "--scheme", scheme) == 0
        assert run("predict", tmp_path / "a.npy", "--checkpoint", checkpoint, "--output", out) == 0
        assert [path.name for path in out.iterdir()] == [suffix]
        assert read_labels(out / suffix, get_scheme(scheme), 30).max() < get_scheme(scheme).num_classes


def test_saving_a_checkpoint_twice_gives_the_file_that_convert_wrote(student: Path, tmp_path: Path) -> None:
    network, header = load_checkpoint(student)
    save_checkpoint(tmp_path / "again", network, header)
    assert file_sha256(tmp_path / "again") == file_sha256(student)
