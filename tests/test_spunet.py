# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SpUNet from a public state dict against loops over dictionaries; counts, gradients, graphs, commands."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from naive_spunet import naive_spunet, public_shapes
from small_networks import SCHEME, SPEC, features_of, randomize, voxels
from tiny_runs import tiny_words
from torch import Tensor

from srkd.architectures import NANO_SPUNET, SPUNET, build_network, config_from_dict, config_to_dict
from srkd.checkpoint import load_checkpoint, read_header, save_checkpoint
from srkd.errors import CheckpointError
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.labels import get_scheme
from srkd.plan import GeometryPlan
from srkd.plan_build import build_plan
from srkd.public_weights import from_public_name, match_public
from srkd.segmenter import Segmenter
from srkd.spunet import SpUNet, SpUNetConfig
from srkd_train.__main__ import main
from srkd_train.commands import distill, pretrain
from srkd_train.onnx_export import PlanFunction, example_inputs
from srkd_train.workload import count_work

SMALL = SpUNetConfig(
    in_channels=4,
    num_classes=SCHEME.num_classes,
    enc_channels=(12, 10, 16),
    enc_depths=(2, 1),
    dec_channels=(9, 14),
    dec_depths=(1, 2),
)
PUBLIC = {"inputs": 4, "classes": SCHEME.num_classes, "base": 12, "channels": (10, 16, 14, 9), "layers": (2, 1, 2, 1)}
"""The same in the words of the public network."""
KEYS = Path(__file__).parent / "public_keys" / "spunet_keys_nuscenes.txt"


def public_state(seed: int = 0) -> dict[str, Tensor]:
    """A made-up public checkpoint: every weight and statistic random, 1x1x1 kernels in the public layout."""
    shapes = public_shapes(**PUBLIC)  # type: ignore[arg-type]
    state = {
        name: torch.zeros(shape, dtype=torch.int64 if name.endswith("tracked") else torch.float32)
        for name, shape in shapes.items()
    }
    holder = torch.nn.Module()
    for name, value in state.items():
        holder.register_buffer(name.replace(".", "/"), value)
    randomize(holder, seed)
    return state


def small_spunet(seed: int = 0) -> SpUNet:
    network = SpUNet(SMALL)
    matched = match_public(public_state(seed), network.state_dict())
    assert matched.complete
    network.load_state_dict(matched.state)
    return network.eval()


def make(counts: tuple[int, ...]) -> tuple[list[Tensor], Tensor]:
    return [voxels(count, seed, 6 + 3 * seed) for seed, count in enumerate(counts)], features_of(sum(counts), 3)


def plan_of(clouds: list[Tensor], network: SpUNet, *, lists: bool = False) -> GeometryPlan:
    ends = np.cumsum([len(cloud) for cloud in clouds]).tolist()
    return build_plan(torch.cat(clouds), ends, network.plan_spec, lists=lists)


@pytest.mark.parametrize("counts", [(1,), (2,), (9,), (50,), (1, 2, 9, 50)], ids=str)
def test_public_weights_give_what_the_public_network_computes(counts: tuple[int, ...]) -> None:
    network = small_spunet().double()
    clouds, features = make(counts)
    weights = {name: value.double().numpy() for name, value in public_state().items()}
    expected = np.concatenate(
        [
            naive_spunet(weights, cloud.numpy(), part.double().numpy())
            for cloud, part in zip(clouds, features.split(counts), strict=True)
        ]
    )
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            found = network(features.double(), plan_of(clouds, network))
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=1e-11)
    assert expected.std() > 0.1


def test_a_clouds_logits_do_not_depend_on_its_batch() -> None:
    network, counts = small_spunet(), (50, 1, 120, 2, 9)
    clouds, features = make(counts)
    with torch.no_grad():
        together = network(features, plan_of(clouds, network))
        for cloud, part, found in zip(clouds, features.split(counts), together.split(counts), strict=True):
            torch.testing.assert_close(network(part, plan_of([cloud], network)), found, rtol=1e-5, atol=1e-5)


def test_bits_are_the_same_at_every_run_and_for_voxels_in_any_order() -> None:
    network, cloud, features = small_spunet(), voxels(300, 0, 12), features_of(300, 0)
    mixed = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        runs = [network(features, plan_of([cloud], network)) for _ in range(2)]
        other = network(features[mixed], plan_of([cloud[mixed]], network))
        listed = network(features, plan_of([cloud], network, lists=True))
    assert torch.equal(runs[0], runs[1]) and torch.equal(runs[0][mixed], other)
    torch.testing.assert_close(listed, runs[0], rtol=1e-5, atol=1e-5)


def test_gradients_equal_finite_differences_and_reach_every_parameter() -> None:
    network = small_spunet().double()
    clouds, features = make((30, 9))
    plan = plan_of(clouds, network)
    parameters = [features.double().requires_grad_(), *network.parameters()]
    direction = [
        torch.randn(p.shape, generator=torch.Generator().manual_seed(i)).double() for i, p in enumerate(parameters)
    ]
    gradients = torch.autograd.grad(network(parameters[0], plan).square().sum(), parameters)
    assert all(gradient.isfinite().all() and gradient.abs().sum() > 0 for gradient in gradients)
    along = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    values = []
    with torch.no_grad():
        for sign in (1, -2):
            for parameter, step in zip(parameters, direction, strict=True):
                parameter += sign * 1e-6 * step
            values.append(network(parameters[0], plan).square().sum())
    torch.testing.assert_close(along, (values[0] - values[1]) / 2e-6, rtol=1e-5, atol=0)


def test_training_uses_the_batchs_statistics_and_reaches_every_parameter() -> None:
    network, plan = small_spunet().train(), None
    clouds, features = make((60, 50))
    plan = plan_of(clouds, network)
    before = network.stem.norm.running_mean.clone()  # type: ignore[union-attr]
    network(features, plan).square().sum().backward()
    assert not torch.equal(network.stem.norm.running_mean, before)  # type: ignore[arg-type]
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in network.parameters())


def test_bfloat16_autocast_stays_close() -> None:
    network = small_spunet()
    clouds, features = make((100, 30))
    plan = plan_of(clouds, network)
    with torch.no_grad():
        plain = network(features, plan)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(features, plan).float()
    error = float((half - plain).abs().max() / plain.std())
    assert 0 < error < 0.2, error


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use")
def test_a_gpu_gives_the_same_logits_and_gradients() -> None:
    clouds, features = make((200, 1, 90))
    found = []
    for device in ("cpu", "cuda"):
        network = small_spunet().double().to(device)
        logits = network(features.double().to(device), plan_of(clouds, network).to(device))
        logits.square().sum().backward()
        found.append([logits.detach().cpu(), *(parameter.grad.cpu() for parameter in network.parameters())])  # type: ignore[union-attr]
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-9)


def test_features_of_all_stages_come_in_row_order() -> None:
    network = small_spunet()
    clouds, features = make((60,))
    plan = plan_of(clouds, network)
    place = plan.input_rows()
    assert place is not None
    with torch.no_grad():
        found = network.forward_features(features, plan)
        assert torch.equal(network.head(found.decoder[0])[place], network(features, plan))
    assert [tuple(f.shape) for f in found.encoder] == [
        (plan.num_rows(stage), width) for stage, width in zip(network.stages, network.encoder_channels, strict=True)
    ]
    assert [tuple(f.shape) for f in found.decoder] == [
        (plan.num_rows(stage), width) for stage, width in enumerate(network.decoder_channels)
    ]
    assert (network.stages, network.encoder_channels, network.decoder_channels) == ((0, 1, 2), (12, 10, 16), (9, 14))


def test_parameters_by_hand() -> None:
    """Pointcept SpUNet-v1m1 with 16 classes and 4 features, summed from its widths."""

    def conv(edge: int, reads: int, writes: int) -> int:
        return edge**3 * reads * writes + 2 * writes

    def block(reads: int, writes: int) -> int:
        return conv(3, reads, writes) + conv(3, writes, writes) + (conv(1, reads, writes) if reads != writes else 0)

    stem = conv(5, 4, 32)
    downs = conv(2, 32, 32) + conv(2, 32, 64) + conv(2, 64, 128) + conv(2, 128, 256)
    encoder = 2 * block(32, 32) + 3 * block(64, 64) + 4 * block(128, 128) + 6 * block(256, 256)
    ups = conv(2, 256, 256) + conv(2, 256, 128) + conv(2, 128, 96) + conv(2, 96, 96)
    decoder = block(256 + 128, 256) + block(256, 256) + block(128 + 64, 128) + block(128, 128)
    decoder += block(96 + 32, 96) + block(96, 96) + block(96 + 32, 96) + block(96, 96)
    assert stem + downs + encoder + ups + decoder + 96 * 16 + 16 == 39_149_456
    with torch.device("meta"):
        counts = {
            name: sum(parameter.numel() for parameter in build_network(name, 16, 4).parameters())
            for name in ("spunet", "spunet-nano")
        }
    assert counts["spunet"] == 39_149_456 and 0.8e6 < counts["spunet-nano"] < 1.2e6


def test_every_tensor_of_the_public_file_matches() -> None:
    with torch.device("meta"):
        ours = build_network("spunet", 16, 4).state_dict()
    listed = [line.split("\t") for line in KEYS.read_text().splitlines() if not line.startswith("#")]
    public = {
        name: torch.empty(ast.literal_eval(shape), dtype=getattr(torch, dtype), device="meta")
        for name, shape, dtype, _ in listed
    }
    widths = {"base": 32, "channels": (32, 64, 128, 256, 256, 128, 96, 96), "layers": (2, 3, 4, 6, 2, 2, 2, 2)}
    shapes = public_shapes(4, 16, **widths)  # type: ignore[arg-type]
    assert {name: tuple(tensor.shape) for name, tensor in public.items()} == shapes
    for prefix in ("", "module."):
        matched = match_public({prefix + name: tensor for name, tensor in public.items()}, ours)
        assert matched.complete and len(matched.state) == len(public) == len(ours) == 356
    assert match_public({k.removeprefix("backbone."): v for k, v in public.items()}, ours).complete
    assert all(from_public_name(name) == name for name in ours)
    assert not any("block" in name for name in ours), "the optimiser would train it at a tenth of the rate"


def test_what_does_not_fit_is_named() -> None:
    public, ours = public_state(), small_spunet().state_dict()
    public["backbone.dec.0.block0.proj.0.weight"] = torch.zeros(9, 1, 1, 1, 5)
    public["backbone.dec.0.block0.norm_fn.weight"] = public.pop("backbone.up.1.0.weight")
    matched = match_public(public, ours)
    assert matched.missing == ("decoder.1.way.conv.weight",)
    assert matched.unexpected == ("backbone.dec.0.block0.norm_fn.weight",)
    assert matched.misshapen == ("backbone.dec.0.block0.proj.0.weight: (9, 1, 1, 1, 5) in the file, (9, 21) wanted",)


@pytest.mark.parametrize("config", [SMALL, SPUNET, NANO_SPUNET], ids=["small", "published", "nano"])
def test_configurations_survive_json(config: SpUNetConfig) -> None:
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"enc_depths": [2]}, "enc_depths: want one entry"),
        ({"enc_channels": [12]}, "want one entry"),
        ({"dec_depths": [0, 2]}, "dec_depths are"),
        ({"enc_channels": [12, -10, 16]}, "channels are"),
        ({"dec_channels": [10**9, 14]}, "channels are"),
        ({"enc_depths": [2, 10**6]}, "enc_depths are"),
        ({"in_channels": "4"}, "channels are"),
        ({"num_classes": 12.0}, "num_classes is"),
        ({"width": 3}, "unknown width"),
        ({"dec_depths": 3}, "not understood"),
    ],
)
def test_absurd_configurations_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        config_from_dict({**config_to_dict(SMALL), **change})


def test_a_public_checkpoint_converts_and_labels_a_cloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, rng = build_network("spunet-nano", SCHEME.num_classes, 4), np.random.default_rng(0)
    randomize(network, 1)
    shapes = public_shapes(
        4,
        SCHEME.num_classes,
        NANO_SPUNET.enc_channels[0],
        (*NANO_SPUNET.enc_channels[1:], *NANO_SPUNET.dec_channels[::-1]),
        (*NANO_SPUNET.enc_depths, *NANO_SPUNET.dec_depths[::-1]),
    )
    ours = network.state_dict()
    public = {}
    for name, shape in shapes.items():
        value = ours[from_public_name(name)]
        public[f"module.{name}"] = (value.t() if value.ndim == 2 else value).reshape(shape).clone()
    torch.save({"epoch": 3, "state_dict": public}, tmp_path / "in.pth")
    out = tmp_path / "out.safetensors"
    arguments = ["convert", str(tmp_path / "in.pth"), str(out), "--arch", "spunet-nano", "--scheme", "street"]
    assert main(arguments) == 0
    loaded, header = load_checkpoint(out)
    assert header.architecture == "spunet-nano" and header.training["complete"] is True
    assert all(torch.equal(value, ours[name]) for name, value in loaded.state_dict().items())
    labels = Segmenter.load(out, device="cpu")(rng.normal(0, 8, (500, 4)).astype(np.float32))
    assert (labels.class_id < SCHEME.num_classes).all()
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["stride_stages"] == [0, 1, 2, 3, 4] and "patch_size" not in facts
    grid = voxels(40, 0).numpy()
    arrays = {"grid_coord": grid, "feat": features_of(40, 0).numpy(), "batch": np.zeros(40, np.int64)}
    np.savez(tmp_path / "in.npz", **arrays)
    assert main(["logits", str(out), str(tmp_path / "in.npz"), str(tmp_path / "out.npz"), "--device", "cpu"]) == 0
    assert np.load(tmp_path / "out.npz")["logits"].shape == (40, SCHEME.num_classes)


def test_the_work_of_a_pass_counts_occupied_taps() -> None:
    """Two voxels in one parent, by hand."""
    network = SpUNet(SpUNetConfig(4, 3, (2, 5), (0,), (6,), (1,))).eval()
    grid = torch.tensor([[0, 0, 0], [0, 0, 1]], dtype=torch.int32)
    work = count_work(network, torch.randn(2, 4), plan_of([grid], network))
    taps = 4 * (4 * 2) + 2 * (2 * 5) + 2 * (5 * 6) + 4 * (8 * 6) + 4 * (6 * 6) + 2 * (8 * 6) + 2 * (6 * 3)
    assert work.gemm_flop == 2 * taps and work.exps == 0


def test_compile_takes_every_size_with_one_graph() -> None:
    network = small_spunet()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = torch.compile(network, dynamic=True, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        for count in (900, 1500, 701):
            cloud = voxels(count, 0, 40)
            plan, features = plan_of([cloud], network), features_of(count, 1)
            torch.testing.assert_close(compiled(features, plan), network(features, plan), rtol=1e-4, atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_onnx_agrees_with_torch_at_other_sizes(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    pytest.importorskip("onnxscript", reason="needs onnxscript")
    network = small_spunet()
    checkpoint, target = tmp_path / "net.safetensors", tmp_path / "net.onnx"
    save_checkpoint(checkpoint, network, Header.of(network, "spunet", SPEC, SCHEME))
    assert main(["export", str(checkpoint), str(target)]) == 0
    assert all(not node.domain for node in onnx.load(str(target)).graph.node), "operators of other domains"
    session = runtime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    features, tables, _ = example_inputs(network, 60, 7)
    feed = {"features": features, **tables}
    names = {entry.name for entry in session.get_inputs()}
    (logits,) = session.run(["logits"], {name: value.numpy() for name, value in feed.items() if name in names})
    with torch.no_grad():
        np.testing.assert_allclose(logits, PlanFunction(network)(features, tables).numpy(), rtol=1e-4, atol=1e-4)


def test_it_is_trained_taught_and_teaches(tmp_path: Path) -> None:
    cache = tmp_path / "streets"
    assert pretrain.main(tiny_words(tmp_path / "plain", cache, "--model.name", "spunet-nano", steps=1)) == 0
    scheme, spec = get_scheme("street"), InputSpec(0.5)
    paths = {}
    for name in ("spunet-nano", "teacher-nano"):
        torch.manual_seed(0)
        network = build_network(name, scheme.num_classes, 4)
        paths[name] = tmp_path / f"{name}.safetensors"
        save_checkpoint(paths[name], network, Header.of(network, name, spec, scheme))
    for student, teacher in (("spunet-nano", "teacher-nano"), ("student-nano", "spunet-nano")):
        out = tmp_path / student
        words = [*tiny_words(out, cache, "--model.name", student, steps=1), "--teacher", str(paths[teacher])]
        assert distill.main(words) == 0
        header = read_header(out / "last.safetensors")
        assert (header.architecture, header.training["teacher"]) == (student, teacher)
