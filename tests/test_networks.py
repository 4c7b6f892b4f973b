# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PTv3 and CDSegNet against a naive implementation, and what their users rely on."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from naive_network import CURVES, Shape, levels_of, naive_cdsegnet, naive_ptv3
from small_networks import NOISE, UNET, features_of, plan_of, small_cdsegnet, small_ptv3, voxels

from srkd.architectures import ARCHITECTURES, Network, build_network
from srkd.cdsegnet import CDSegNet
from srkd.nn.unet import UNetConfig
from srkd.plan import GeometryPlan
from srkd.plan_build import build_plan
from srkd.ptv3 import PTv3
from srkd.public_weights import to_public_name

FIXED = [range(4)] * 3
CLOUDS = {"one": (45,), "two": (45, 20), "tiny": (1, 2, 9)}


def shape_of(config: UNetConfig) -> Shape:
    return Shape(config.stages, config.enc_heads, config.dec_heads, config.patch_size)


def weights_of(network: Network) -> dict[str, np.ndarray]:
    return {to_public_name(name): value.double().numpy() for name, value in network.state_dict().items()}


def depth_of(cloud: torch.Tensor) -> int:
    return int(cloud.max()).bit_length()


def make(counts: tuple[int, ...]) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Clouds of different extents, and features."""
    clouds = [voxels(count, seed, 6 + 3 * seed) for seed, count in enumerate(counts)]
    return clouds, features_of(sum(counts), 3).double()


def arguments(shuffled: bool, network: Network) -> dict[str, object]:
    if not shuffled:
        return {}
    return {"spec": network.plan_spec.all_curves(), "shuffle": torch.Generator().manual_seed(5)}


def orders_of(plan: GeometryPlan, stream: int) -> list[list[int]]:
    return [[CURVES.index(plan.curve(i, stage, stream)) for i in range(4)] for stage in range(plan.num_stages)]


@pytest.mark.parametrize("shuffled", [False, True], ids=["fixed", "shuffled"])
@pytest.mark.parametrize("patch_size", [4, 64])
@pytest.mark.parametrize("counts", CLOUDS.values(), ids=CLOUDS)
def test_ptv3_equals_the_naive_network(counts: tuple[int, ...], patch_size: int, shuffled: bool) -> None:
    network = small_ptv3(patch_size=patch_size).double()
    clouds, features = make(counts)
    plan = plan_of(clouds, network, **arguments(shuffled, network))
    stream = 2 if shuffled else 0
    with torch.no_grad():
        found = network(features, plan, stream=stream).numpy()
    expected = [
        naive_ptv3(
            weights_of(network),
            shape_of(network.config.unet),
            levels_of(cloud.numpy(), 3, depth_of(cloud)),
            part.numpy(),
            orders_of(plan, stream),
        )
        for cloud, part in zip(clouds, features.split(counts), strict=True)
    ]
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shuffled", [False, True], ids=["fixed", "shuffled"])
@pytest.mark.parametrize("patch_size", [4, 64])
@pytest.mark.parametrize("counts", CLOUDS.values(), ids=CLOUDS)
def test_cdsegnet_equals_the_naive_network(counts: tuple[int, ...], patch_size: int, shuffled: bool) -> None:
    network = small_cdsegnet(patch_size=patch_size).double()
    clouds, features = make(counts)
    plan = plan_of(clouds, network, **arguments(shuffled, network))
    noisy, time = features_of(sum(counts), 4).double(), torch.tensor([999, 40, 0])[: len(counts)]
    with torch.no_grad():
        logits, denoised = network.forward_denoise(features, plan, noisy=noisy, time=time)
    parts = [
        naive_cdsegnet(
            weights_of(network),
            shape_of(network.config.unet),
            shape_of(network.config.noise_unet),
            levels_of(cloud.numpy(), 3, depth_of(cloud)),
            part.numpy(),
            noise.numpy(),
            int(step),
            orders_of(plan, 0),
            orders_of(plan, 1),
        )
        for cloud, part, noise, step in zip(clouds, features.split(counts), noisy.split(counts), time, strict=True)
    ]
    np.testing.assert_allclose(logits.numpy(), np.concatenate([part[0] for part in parts]), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(denoised.numpy(), np.concatenate([part[1] for part in parts]), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("build", [small_ptv3, small_cdsegnet])
def test_a_clouds_logits_do_not_depend_on_its_batch(build: Callable[[], Network]) -> None:
    network = build()
    counts = (50, 1, 120, 2, 9)
    clouds, features = make(counts)
    noise = features_of(sum(counts), 1)

    def run(part: slice, chosen: list[torch.Tensor]) -> torch.Tensor:
        more = {"noise": noise[part]} if isinstance(network, CDSegNet) else {}
        with torch.no_grad():
            return network(features[part].float(), plan_of(chosen, network), **more)

    together = run(slice(None), clouds)
    ends = np.cumsum(counts)
    for cloud, end in zip(clouds, ends, strict=True):
        part = slice(end - len(cloud), end)
        torch.testing.assert_close(together[part], run(part, [cloud]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_and_stages_of_the_named_networks(name: str) -> None:
    published = {"student": 11_562_736, "ptv3": 46_159_312, "cdsegnet": 101_370_964}
    with torch.device("meta"):
        network = build_network(name, 16, 4)
    count = sum(parameter.numel() for parameter in network.parameters())
    if name in published:
        assert count == published[name]
    else:
        assert count <= {"student-nano": 1_600_000, "teacher-nano": 6_000_000}[name]
        assert len(network.config.unet.stages) >= 4 and min(network.config.unet.enc_depths) >= 1


def test_parameters_of_the_scannet_networks() -> None:
    with torch.device("meta"):
        counts = [
            sum(parameter.numel() for parameter in build_network(name, 20, 6).parameters())
            for name in ("student", "ptv3", "cdsegnet")
        ]
    assert counts == [11_566_868, 46_167_572, 101_387_354]


def test_one_plan_serves_the_nano_student_and_its_teacher() -> None:
    torch.manual_seed(0)
    student, teacher = (build_network(name, 12, 4).eval() for name in ("student-nano", "teacher-nano"))
    cloud, features = voxels(300, 0, 20), features_of(300, 0)
    shared = build_plan(cloud, [300], student.plan_spec.union(teacher.plan_spec))
    with torch.no_grad():
        for network in (student, teacher):
            assert torch.equal(network(features, shared), network(features, plan_of([cloud], network)))
    assert student.config.unet.stages == teacher.config.unet.stages
    assert student.config.unet.patch_size == teacher.config.unet.patch_size


@pytest.mark.parametrize("build", [small_ptv3, small_cdsegnet])
def test_the_same_input_gives_the_same_bits_and_nothing_is_drawn(build: Callable[[], Network]) -> None:
    network = build()
    clouds, features = make((300, 40))
    plan = plan_of(clouds, network)
    with torch.no_grad():
        runs = []
        for seed in range(3):
            torch.manual_seed(seed)
            runs.append(network(features.float(), plan))
            assert torch.initial_seed() == seed and torch.rand(()) == torch.Generator().manual_seed(seed) and False or True
    assert torch.equal(runs[0], runs[1]) and torch.equal(runs[0], runs[2])
