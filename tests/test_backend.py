# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The backend switch, and accelerators against plain torch where they can be imported."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch
from small_networks import features_of, plan_of, small_cdsegnet, small_ptv3, voxels

from srkd import backend as module
from srkd.backend import ACCELERATORS, Backend, use_backend
from srkd.errors import ConfigError
from srkd.nn.attention import CrossPatchAttention, PatchAttention
from srkd.nn.pooling import GridPooling
from srkd.nn.sparse_conv import SubmConv3d


@pytest.mark.parametrize("text", ["torch", "auto", "torch+auto"])
def test_plain_torch_is_the_default(text: str) -> None:
    assert Backend.parse(text) == Backend() == Backend("torch", "torch", "torch")


def test_accelerators_take_over_their_own_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    assert Backend.parse("spconv") == Backend(conv="spconv")
    assert Backend.parse("flash-attn+torch-scatter") == Backend(pool="torch-scatter", attention="flash-attn")


def test_packages_are_looked_for_under_their_import_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "find_spec", asked.append)
    for name in ACCELERATORS:
        with pytest.raises(ConfigError, match=f"{name!r} is not installed: install it, or use backend torch"):
            Backend.parse(name)
    assert asked == ["spconv", "torch_scatter", "flash_attn"]


@pytest.mark.parametrize("text", ["cuda", "", "spconv+", "torch spconv", "Torch"])
def test_unknown_names_are_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    with pytest.raises(ConfigError, match="is unknown: use torch, spconv, torch-scatter, flash-attn") as caught:
        Backend.parse(text)
    assert "\n" not in str(caught.value)


def test_the_switch_reaches_every_layer() -> None:
    network, chosen = small_cdsegnet(), Backend(conv="spconv", pool="torch-scatter", attention="flash-attn")
    assert use_backend(network, chosen) is network
    parts = (SubmConv3d, GridPooling, PatchAttention, CrossPatchAttention)
    layers = [layer for layer in network.modules() if isinstance(layer, parts)]
    assert {type(layer) for layer in layers} == set(parts)
    assert all(layer.backend == chosen for layer in layers)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["spconv", "torch-scatter"])
@pytest.mark.usefixtures("one_thread")
def test_an_accelerator_gives_the_logits_of_plain_torch(name: str) -> None:
    package = name.replace("-", "_")
    if find_spec(package) is None:
        pytest.skip(f"needs {name}, which is optional")
    network = small_ptv3()
    clouds, features = [voxels(120, 0), voxels(9, 1)], features_of(129, 0)
    with torch.no_grad():
        plain = network(features, plan_of(clouds, network))
        use_backend(network, Backend.parse(name))
        for _ in range(2):
            torch.testing.assert_close(network(features, plan_of(clouds, network)), plain, rtol=1e-4, atol=1e-4)


def test_flash_attention_gives_the_logits_of_plain_torch() -> None:
    if find_spec("flash_attn") is None or not torch.cuda.is_available():
        pytest.skip("needs flash-attn and a GPU")
    network = small_ptv3(enc_heads=(1, 2, 3), enc_channels=(8, 16, 24), dec_heads=(2, 1), dec_channels=(16, 8)).cuda()
    clouds, features = [voxels(120, 0), voxels(9, 1)], features_of(129, 0).cuda()
    plan = plan_of(clouds, network).to("cuda")
    with torch.no_grad():
        plain = network(features, plan)
        fast = use_backend(network, Backend.parse("flash-attn"))(features, plan)
    assert float((fast - plain).abs().max() / plain.std()) < 0.05


def test_spconv_on_a_cpu_with_several_threads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("spconv.pytorch", reason="needs spconv, which is optional")
    network = use_backend(small_ptv3(), Backend(conv="spconv"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(ConfigError, match="more than one thread"):
        network(features_of(9, 0), plan_of([voxels(9, 0)], small_ptv3()))
