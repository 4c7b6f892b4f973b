# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""PTv3 and CDSegNet against a naive implementation, and what their users rely on."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from naive_network import CURVES, Shape, levels_of, naive_cdsegnet, naive_ptv3
from small_networks import NOISE, UNET, features_of, plan_of, small_cdsegnet, small_ptv3, voxels

from srkd.architectures import ARCHITECTURES, Network, build_network
from srkd.cdsegnet import CDSegNet, CDSegNetConfig
from srkd.diffusion import DiffusionConfig
from srkd.errors import ConfigError
from srkd.nn.unet import UNetConfig
from srkd.plan import GeometryPlan
from srkd.plan_build import build_plan
from srkd.ptv3 import from_rows
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
    return {"spec": network.plan_spec.all_curves(), "shuffle": torch.Generator().manual_seed(1)}


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
    assert (plan.curve(0, 2, 0) != plan.curve(0, 2, 1)) == shuffled
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
    np.testing.assert_allclose(logits.numpy(), np.concatenate([part[0] for part in parts]), rtol=0, atol=1e-5)
    np.testing.assert_allclose(denoised.numpy(), np.concatenate([part[1] for part in parts]), rtol=0, atol=1e-5)


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
    published = {"student": 11_562_736, "ptv3": 46_159_312, "cdsegnet": 101_370_964, "spunet": 39_149_456}
    with torch.device("meta"):
        network = build_network(name, 16, 4)
    count = sum(parameter.numel() for parameter in network.parameters())
    if name in published:
        assert count == published[name]
    else:
        assert count <= {"student-nano": 1_600_000, "teacher-nano": 6_000_000, "spunet-nano": 1_200_000}[name]
        assert len(network.stages) >= 4 and min(getattr(network.config, "unet", network.config).enc_depths) >= 1


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
    runs = []
    with torch.no_grad():
        for seed in range(3):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            runs.append(network(features.float(), plan_of(clouds, network)))
            assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(runs[0], runs[1]) and torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("name", ["student-nano", "teacher-nano"])
def test_thread_counts_agree(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, 12, 4).eval()
    cloud, features = voxels(700, 0, 16), features_of(700, 0)
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with torch.no_grad():
                runs.append(network(features, plan_of([cloud], network)))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(runs[0], runs[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("build", [small_ptv3, small_cdsegnet])
def test_bfloat16_autocast_stays_close(build: Callable[[], Network]) -> None:
    network = build()
    clouds, features = make((100, 30))
    plan = plan_of(clouds, network)
    with torch.no_grad():
        plain = network(features.float(), plan)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(features.float(), plan).float()
    error = float((half - plain).abs().max() / plain.std())
    assert 0 < error < 0.2, error


@pytest.mark.parametrize("shuffled", [False, True], ids=["fixed", "shuffled"])
def test_training_gives_every_parameter_a_finite_gradient(shuffled: bool) -> None:
    counts = (60, 50)
    clouds, features = make(counts)
    for network in (small_ptv3(), small_cdsegnet()):
        network.train()
        plan = plan_of(clouds, network, **arguments(shuffled, network))
        torch.manual_seed(0)
        if isinstance(network, CDSegNet):
            eps = features_of(sum(counts), 1)
            logits, denoised = network.forward_train(features.float(), plan, t=torch.tensor([3, 700]), eps=eps)
            loss = logits.square().sum() + denoised.square().sum()
        else:
            loss = network(features.float(), plan).square().sum()
        loss.backward()
        silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        broken = [name for name, p in network.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
        assert silent == [] and broken == []


def test_gradients_equal_finite_differences() -> None:
    network = small_ptv3().double()
    clouds, features = make((30,))
    plan, direction = plan_of(clouds, network), features_of(30, 9).double()
    features.requires_grad_()
    (gradient,) = torch.autograd.grad(network(features, plan).square().sum(), features)
    with torch.no_grad():
        step = 1e-6
        ahead, behind = (network(features + sign * step * direction, plan).square().sum() for sign in (1, -1))
    torch.testing.assert_close((gradient * direction).sum(), (ahead - behind) / (2 * step), rtol=1e-5, atol=0)


def test_features_of_all_stages_come_in_row_order() -> None:
    network = small_ptv3()
    clouds, features = make((60,))
    plan = plan_of(clouds, network)
    assert plan.input_order() is not None
    with torch.no_grad():
        found = network.forward_features(features.float(), plan)
        logits = network.head(found.decoder[0])[plan.input_rows()]
        assert torch.equal(logits, network(features.float(), plan))
    assert [tuple(f.shape) for f in found.encoder] == [
        (plan.num_rows(stage), width) for stage, width in zip(UNET.stages, UNET.enc_channels, strict=True)
    ]
    assert [f.shape[1] for f in found.decoder] == list(UNET.dec_channels)


@pytest.fixture(scope="module")
def teacher() -> CDSegNet:
    return small_cdsegnet()


def test_single_step_inference_is_denoising_at_the_last_step_without_the_noise_decoder(teacher: CDSegNet) -> None:
    clouds, features = make((45, 20))
    plan, noise = plan_of(clouds, teacher), features_of(65, 1)
    with torch.no_grad():
        single = teacher(features.float(), plan, noise=noise)
        full, _ = teacher.forward_denoise(features.float(), plan, noisy=noise, time=torch.tensor([999, 999]))
    assert torch.equal(single, full)


def test_noise_is_drawn_with_seed_zero_or_by_the_generator(teacher: CDSegNet) -> None:
    clouds, features = make((45,))
    plan = plan_of(clouds, teacher)

    def drawn(seed: int) -> torch.Tensor:
        return from_rows(torch.randn(45, 4, generator=torch.Generator().manual_seed(seed)), plan)

    with torch.no_grad():
        default = teacher(features.float(), plan)
        assert torch.equal(default, teacher(features.float(), plan, noise=drawn(0)))
        other = teacher(features.float(), plan, generator=torch.Generator().manual_seed(8))
        assert torch.equal(other, teacher(features.float(), plan, noise=drawn(8)))
    assert not torch.equal(default, other)


def test_default_noise_of_a_cloud_depends_on_no_batch_mate(teacher: CDSegNet) -> None:
    clouds, features = make((45, 60))
    with torch.no_grad():
        both = teacher(features.float(), plan_of(clouds, teacher))
        alone = teacher(features.float()[45:], plan_of(clouds[1:], teacher))
    torch.testing.assert_close(both[45:], alone, rtol=0, atol=1e-5)


def test_the_noise_branch_reaches_the_logits_through_the_bridge(teacher: CDSegNet) -> None:
    clouds, features = make((45,))
    plan = plan_of(clouds, teacher)
    with torch.no_grad():
        one, other = (teacher(features.float(), plan, noise=features_of(45, seed)) for seed in (1, 2))
    assert float((one - other).abs().max()) > 1e-4


def test_training_noises_each_cloud_at_its_own_time(teacher: CDSegNet) -> None:
    counts = (45, 20)
    clouds, features = make(counts)
    plan, eps, t = plan_of(clouds, teacher), features_of(65, 1), torch.tensor([10, 900])
    level = torch.linspace(0.001, 0.005, 1000, dtype=torch.float64).neg().add(1).cumprod(0)
    share = level[t].repeat_interleave(torch.tensor(counts)).unsqueeze(1)
    noisy = share.sqrt() * features + (1 - share).sqrt() * eps
    with torch.no_grad():
        found = teacher.forward_train(features.float(), plan, t=t, eps=eps)
        expected = teacher.forward_denoise(features.float(), plan, noisy=noisy.float(), time=t)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize(("count", "times"), [(1, (9, -1)), (3, (9, 5, 2, -1)), (10, (9, 8, 7, 6, 5, 4, 3, 2, 1, 0))])
def test_multi_step_inference_by_hand(count: int, times: tuple[int, ...], final: bool) -> None:
    network = small_cdsegnet(diffusion=DiffusionConfig(10, "linear", 0.1, 0.5))
    clouds, features = make((30,))
    plan, noisy = plan_of(clouds, network), features_of(30, 1)
    level = torch.linspace(0.1, 0.5, 10, dtype=torch.float64).neg().add(1).cumprod(0).float()
    logits = []
    with torch.no_grad():
        found = network.multi_step(features.float(), plan, count=count, noise=noisy, final=final)
        for step in times:
            out, eps = network.forward_denoise(features.float(), plan, noisy=noisy, time=torch.tensor([step]))
            logits.append(out)
            if step > 0:
                clean = (noisy - (1 - level[step]).sqrt() * eps) / level[step].sqrt()
                noisy = level[step - 1].sqrt() * clean + (1 - level[step - 1]).sqrt() * eps
    expected = logits[-1] if final else torch.stack(logits).mean(dim=0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert float((logits[0] - logits[-1]).abs().max()) > 1e-2


def test_voxels_in_any_order_get_the_same_logits_for_their_own_noise(teacher: CDSegNet) -> None:
    cloud, features, noise = voxels(70, 0), features_of(70, 0), features_of(70, 1)
    mixed = torch.randperm(70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = teacher(features, plan_of([cloud], teacher), noise=noise)
        other = teacher(features[mixed], plan_of([cloud[mixed]], teacher), noise=noise[mixed])
    assert torch.equal(plain[mixed], other)


def test_contradictory_configurations_are_refused() -> None:
    with pytest.raises(ValueError, match="same last stage"):
        CDSegNetConfig(UNET, replace(NOISE, stages=(0, 1)), 12)
    with pytest.raises(ValueError, match="time embedding"):
        CDSegNetConfig(UNET, replace(NOISE, time_channels=0), 12)
    with pytest.raises(ConfigError, match="'studnet' is unknown: use one of student, ptv3"):
        build_network("studnet", 12, 4)


def test_drop_path_rises_along_the_encoder_and_towards_the_coarse_end_of_the_decoder() -> None:
    unet = small_ptv3(drop_path=0.2).unet
    encoder = [block.drop_path.probability for stage in unet.encoder for block in stage.blocks]
    decoder = [[block.drop_path.probability for block in stage.blocks] for stage in unet.decoder]
    assert encoder == pytest.approx([0, 0.04, 0.08, 0.12, 0.16, 0.2])
    assert decoder[0] == pytest.approx([0.1, 0]) and decoder[1] == pytest.approx([0.2])
