# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CDSegNet (Qu et al., CVPR 2025): a segmentation U that looks, at its bottleneck, at a small denoising U.

The public code calls the segmentation branch ``n`` (the paper's conditional network) and the noise branch ``c`` (the
paper's noise network). The noise branch has strides of 4; its stages are every second stage of the segmentation branch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from srkd.diffusion import DiffusionConfig, add_noise, ddim_step, inference_times, time_embedding
from srkd.nn.attention import select_patches
from srkd.nn.block import CrossBlock
from srkd.nn.unet import UNet, UNetConfig, drop_rates
from srkd.plan import GeometryPlan, PlanSpec
from srkd.ptv3 import PTv3Features, from_rows, to_rows


@dataclass(frozen=True)
class CDSegNetConfig:
    """Two Us, which end at the same plan stage, and the noise process between them."""

    unet: UNetConfig
    noise_unet: UNetConfig
    num_classes: int
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)

    def __post_init__(self) -> None:
        if self.unet.stages[-1] != self.noise_unet.stages[-1] or not self.noise_unet.time_channels:
            raise ValueError(
                f"the branches end at stages {self.unet.stages[-1]} and {self.noise_unet.stages[-1]}, noise branch"
                f" time width {self.noise_unet.time_channels}: give both the same last stage and the noise branch a"
                " time embedding"
            )

    @property
    def in_channels(self) -> int:
        """Features of a voxel."""
        return self.unet.in_channels


class CDSegNet(nn.Module):
    """Per-voxel logits; the noise branch sees Gaussian noise at inference, and denoises noised features in training."""

    def __init__(self, config: CDSegNetConfig) -> None:
        super().__init__()
        self.config = config
        noise = config.noise_unet
        self.unet = UNet(config.unet)
        self.head = nn.Linear(config.unet.dec_channels[0], config.num_classes)
        self.noise_unet = UNet(noise)
        self.noise_head = nn.Linear(noise.dec_channels[0], noise.in_channels)
        self.time1 = nn.Linear(noise.time_channels, 4 * noise.time_channels)
        self.time2 = nn.Linear(4 * noise.time_channels, noise.time_channels)
        self.transfer = CrossBlock(
            config.unet.enc_channels[-1],
            noise.enc_channels[-1],
            config.unet.enc_heads[-1],
            config.unet.mlp_ratio,
            drop_rates(noise.drop_path, max(3, sum(noise.enc_depths)))[2],
        )
        self.register_buffer("signal_level", config.diffusion.signal_level(), persistent=False)

    signal_level: Tensor
    """(steps,) share of the signal's variance left at each time step."""

    def reset_schedule(self) -> None:
        """Computes the noise schedule again (it is not part of the weights)."""
        self.signal_level = self.config.diffusion.signal_level().to(self.head.weight.device)

    @property
    def plan_spec(self) -> PlanSpec:
        """The plan tables that both branches read when orders are fixed."""
        return self.config.unet.plan_spec().union(self.config.noise_unet.plan_spec())

    @property
    def stages(self) -> tuple[int, ...]:
        """Plan stages of the segmentation branch's encoder outputs; the decoder's are all but the last."""
        return self.config.unet.stages

    @property
    def encoder_channels(self) -> tuple[int, ...]:
        """Widths of the segmentation branch's encoder outputs, fine to coarse."""
        return self.config.unet.enc_channels

    @property
    def decoder_channels(self) -> tuple[int, ...]:
        """Widths of the segmentation branch's decoder outputs, fine to coarse."""
        return self.config.unet.dec_channels

    def forward(
        self,
        features: Tensor,
        plan: GeometryPlan,
        *,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        stream: int = 0,
    ) -> Tensor:
        """Single-step inference: one pass at the last time step over Gaussian noise; the noise decoder is skipped.

        Args:
            features: (N, C) in the order of the voxels given to the plan.
            plan: their geometry.
            noise: (N, C) what the noise branch sees; drawn when absent.
            generator: draws it for the whole batch; by default each cloud's is drawn with seed 0, so that the same
                cloud gives the same output whatever its order and its batch mates.
            stream: the segmentation branch follows this stream of the plan's orders, the noise branch the next one.

        Returns:
            (N, num_classes) logits, in the same order.
        """
        decoded = self.forward_features(features, plan, noise=noise, generator=generator, stream=stream).decoder[0]
        logits: Tensor = self.head(decoded)
        return from_rows(logits, plan)

    def forward_features(
        self,
        features: Tensor,
        plan: GeometryPlan,
        *,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        stream: int = 0,
    ) -> PTv3Features:
        """The segmentation branch's features, in the plan's row order; arguments as in :meth:`forward`."""
        noisy = self._draw(plan, generator) if noise is None else to_rows(noise, plan)
        last = torch.full((plan.num_clouds,), self.config.diffusion.steps - 1, device=features.device)
        encoded, _ = self._encode(to_rows(features, plan), noisy, plan, self._embed(last), stream)
        return PTv3Features(encoded, self.unet.decode(encoded, plan, stream=stream))

    def forward_denoise(
        self, features: Tensor, plan: GeometryPlan, *, noisy: Tensor, time: Tensor, stream: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Both branches in full.

        Args:
            features: (N, C), as in :meth:`forward`.
            plan: their geometry.
            noisy: (N, C) noised features x_t.
            time: (B,) integer time step of each cloud.
            stream: as in :meth:`forward`.

        Returns:
            logits (N, num_classes) and predicted noise (N, C), in input order.
        """
        embedded = self._embed(time)
        encoded, context = self._encode(to_rows(features, plan), to_rows(noisy, plan), plan, embedded, stream)
        denoised = self.noise_unet.decode(context, plan, time=embedded, stream=stream + 1)
        decoded = self.unet.decode(encoded, plan, stream=stream)
        return from_rows(self.head(decoded[0]), plan), from_rows(self.noise_head(denoised[0]), plan)

    def forward_train(
        self, features: Tensor, plan: GeometryPlan, *, t: Tensor, eps: Tensor, stream: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Training pass: x_t = sqrt(alpha-bar_t) features + sqrt(1 - alpha-bar_t) eps, then :meth:`forward_denoise`.

        Args:
            features: (N, C), also the signal that is noised.
            plan: their geometry.
            t: (B,) integer time step of each cloud.
            eps: (N, C) standard normal noise, input order.
            stream: as in :meth:`forward`.

        Returns:
            logits (N, num_classes) and predicted noise (N, C), in input order.
        """
        level = self.signal_level[t[plan.batch(0)]].unsqueeze(1)  # rows and input agree on the order of clouds
        return self.forward_denoise(features, plan, noisy=add_noise(features, eps, level), time=t, stream=stream)

    def multi_step(
        self,
        features: Tensor,
        plan: GeometryPlan,
        *,
        count: int,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        final: bool = False,
    ) -> Tensor:
        """Multi-step inference: denoise step by step, average the logits (or keep the last ones: ``final``).

        Faithful to the public code: each step goes to the level just before its time whatever the next time is, and
        the last evaluation is at time -1 (:func:`srkd.diffusion.inference_times`).

        Args:
            features, plan, noise, generator: as in :meth:`forward`.
            count: number of steps.
            final: logits of the last evaluation instead of their mean.

        Returns:
            (N, num_classes) logits, in input order.
        """
        noisy = from_rows(self._draw(plan, generator), plan) if noise is None else noise
        times = inference_times(self.config.diffusion.steps, count)
        total: Tensor | None = None
        for step in times:
            time = torch.full((plan.num_clouds,), step, device=features.device)
            logits, predicted = self.forward_denoise(features, plan, noisy=noisy, time=time)
            total = logits if total is None or final else total + logits
            if step > 0:
                noisy = ddim_step(noisy, predicted.float(), self.signal_level[step], self.signal_level[step - 1])
        assert total is not None
        return total if final else total / len(times)

    def _draw(self, plan: GeometryPlan, generator: torch.Generator | None) -> Tensor:
        """(N, C) noise in row order, drawn on the CPU so that a seed gives the same on every device."""
        channels = self.config.noise_unet.in_channels
        if generator is not None:
            return torch.randn(plan.num_rows(0), channels, generator=generator).to(plan.device)
        parts = [
            torch.randn(count, channels, generator=torch.Generator().manual_seed(0))
            for count in plan.offsets(0).diff().tolist()
        ]
        return torch.cat(parts).to(plan.device)

    def _embed(self, time: Tensor) -> Tensor:
        embedded = time_embedding(time, self.config.noise_unet.time_channels).to(self.time1.weight.dtype)
        out: Tensor = silu(self.time2(silu(self.time1(embedded))))
        return out

    def _encode(
        self, rows: Tensor, noisy_rows: Tensor, plan: GeometryPlan, embedded: Tensor, stream: int
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Both encoders and the bridge: what the segmentation decoder reads, and what the noise decoder reads."""
        context = self.noise_unet.encode(noisy_rows, plan, time=embedded, stream=stream + 1)
        encoded = self.unet.encode(rows, plan, stream=stream)
        bottleneck, bridged = self._transfer(encoded[-1], context[-1], plan, stream)
        return (*encoded[:-1], bottleneck), (*context[:-1], bridged)

    def _transfer(self, features: Tensor, context: Tensor, plan: GeometryPlan, stream: int) -> tuple[Tensor, Tensor]:
        stage, size = self.config.unet.stages[-1], self.config.unet.patch_size
        patches = select_patches(plan, stage, size, 0, stream)
        context_patches = select_patches(plan, stage, size, 0, stream + 1)
        out: tuple[Tensor, Tensor] = self.transfer(features, context, plan, stage, patches, context_patches)
        return out
