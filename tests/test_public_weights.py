# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of the public state dicts, listed in `public_keys`, against the networks'."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from srkd.architectures import build_network
from srkd.public_weights import from_public_name, match_public, to_public_name

KEYS = Path(__file__).parent / "public_keys"
FILES = {
    "student": "student_keys_nuscenes.txt",
    "cdsegnet": "teacher_keys_nuscenes.txt",
    "ptv3": "ptv3_keys.txt",
}
MESSENGERS = {
    "as it is": lambda name: name,
    "many GPUs": lambda name: f"module.{name}",
    "twice wrapped": lambda name: f"module.module.{name}",
    "backbone alone": lambda name: name.removeprefix("backbone."),
    "many GPUs, backbone alone": lambda name: f"module.{name.removeprefix('backbone.')}",
}


def public_state(arch: str) -> dict[str, Tensor]:
    """The state dict on the meta device, of the listed names, shapes and dtypes."""
    state = {}
    for line in (KEYS / FILES[arch]).read_text().splitlines():
        if not line.startswith("#"):
            name, shape, dtype, _ = line.split("\t")
            state[name] = torch.empty(ast.literal_eval(shape), dtype=getattr(torch, dtype), device="meta")
    return state


@pytest.fixture(scope="module", params=FILES)
def pair(request: pytest.FixtureRequest) -> tuple[str, dict[str, Tensor], Mapping[str, Tensor]]:
    with torch.device("meta"):
        network = build_network(request.param, 16, 4)
    return request.param, public_state(request.param), network.state_dict()


@pytest.mark.parametrize("change", MESSENGERS.values(), ids=MESSENGERS)
def test_every_tensor_of_the_public_files_matches(pair, change) -> None:  # type: ignore[no-untyped-def]
    _, public, ours = pair
    matched = match_public({change(name): tensor for name, tensor in public.items()}, ours)
    assert matched.complete and len(matched.state) == len(public) == len(ours)
    assert {name: tensor.dtype for name, tensor in matched.state.items()} == {n: t.dtype for n, t in ours.items()}


def test_names_go_back_to_the_public_ones(pair) -> None:  # type: ignore[no-untyped-def]
    arch, public, ours = pair
    back = [to_public_name(name) for name in ours]
    if arch == "ptv3":
        back = [name.replace("backbone._n_head", "seg_head").replace("._n_", ".") for name in back]
    assert sorted(back) == sorted(public)
    assert all(from_public_name(to_public_name(name)) == name for name in ours)


def test_names_that_are_ours_stay(pair) -> None:  # type: ignore[no-untyped-def]
    _, _, ours = pair
    assert all(from_public_name(name) == name for name in ours)


def test_what_does_not_fit_is_named() -> None:
    with torch.device("meta"):
        ours = build_network("student", 16, 4).state_dict()
    public = public_state("student")
    del public["backbone._n_head.bias"]
    public["backbone._n_head.weight"] = torch.empty(20, 32, device="meta")
    public["backbone.adapter.weight"] = torch.empty(3, device="meta")
    matched = match_public(public, ours)
    assert not matched.complete and len(matched.state) == len(ours) - 2
    assert matched.missing == ("head.bias",) and matched.unexpected == ("backbone.adapter.weight",)
    assert matched.misshapen == ("backbone._n_head.weight: (20, 32) in the file, (16, 32) wanted",)


def test_two_names_of_one_tensor_do_not_overwrite_each_other_silently() -> None:
    with torch.device("meta"):
        ours = build_network("student", 16, 4).state_dict()
    public = public_state("student")
    public["seg_head.bias"] = torch.empty(16, device="meta")
    assert match_public(public, ours).unexpected == ("seg_head.bias",)


def test_the_student_is_not_taken_for_the_full_network() -> None:
    with torch.device("meta"):
        ours = build_network("ptv3", 16, 4).state_dict()
    matched = match_public(public_state("student"), ours)
    assert not matched.complete and matched.missing == () and matched.unexpected == () and len(matched.misshapen) > 400
