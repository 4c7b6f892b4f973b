# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The networks by name: widths and depths of the published ones, and of the small ones that ship with weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from srkd.cdsegnet import CDSegNet, CDSegNetConfig
from srkd.diffusion import DiffusionConfig
from srkd.errors import CheckpointError, ConfigError
from srkd.nn.unet import UNetConfig
from srkd.ptv3 import PTv3, PTv3Config
from srkd.spunet import SpUNet, SpUNetConfig

Network = PTv3 | CDSegNet | SpUNet
NetworkConfig = PTv3Config | CDSegNetConfig | SpUNetConfig

PTV3_UNET = UNetConfig(
    in_channels=4,
    stages=(0, 1, 2, 3, 4),
    enc_channels=(32, 64, 128, 256, 512),
    enc_depths=(2, 2, 2, 6, 2),
    enc_heads=(2, 4, 8, 16, 32),
    dec_channels=(64, 64, 128, 256),
    dec_depths=(2, 2, 2, 2),
    dec_heads=(4, 4, 8, 16),
)
"""Point Transformer V3, 46.2 M parameters."""

STUDENT_UNET = replace(PTV3_UNET, enc_channels=(16, 32, 64, 128, 256), dec_channels=(32, 32, 64, 128))
"""SRKD's student: half the channels, the same heads; 11.6 M parameters."""

CDSEGNET_UNET = replace(PTV3_UNET, enc_depths=(2, 2, 2, 6, 6))

NOISE_UNET = UNetConfig(
    in_channels=4,
    stages=(0, 2, 4),
    enc_channels=(32, 64, 128),
    enc_depths=(2, 2, 2),
    enc_heads=(2, 4, 8),
    dec_channels=(64, 64),
    dec_depths=(2, 2),
    dec_heads=(4, 4),
    time_channels=128,
    merge_skips=True,
    # The public configuration asks for 2 ** -0.5; an argument left at False multiplies it by 0.8 ** -1.
    skip_scale=2**-0.5 * 1.25,
)

NANO_UNET = UNetConfig(
    in_channels=4,
    stages=(0, 1, 2, 3, 4),
    enc_channels=(16, 32, 48, 64, 96),
    enc_depths=(1, 1, 1, 1, 1),
    enc_heads=(1, 2, 3, 4, 6),
    dec_channels=(16, 32, 48, 64),
    dec_depths=(1, 0, 0, 0),
    dec_heads=(1, 2, 3, 4),
    patch_size=64,
    drop_path=0.1,
)
"""Small enough for a live cloud of 30 thousand points, ten times a second, on two CPU cores: its decoder joins
the stages and looks around at the finest one only."""

NANO_TEACHER_UNET = replace(
    NANO_UNET,
    enc_channels=(32, 48, 80, 112, 144),
    enc_depths=(1, 2, 2, 2, 2),
    enc_heads=(2, 3, 5, 7, 9),
    dec_channels=(48, 48, 80, 112),
    dec_depths=(1, 1, 1, 1),
    dec_heads=(3, 3, 5, 7),
)

NANO_NOISE_UNET = replace(
    NOISE_UNET,
    enc_channels=(16, 32, 64),
    enc_depths=(1, 1, 1),
    enc_heads=(1, 2, 4),
    dec_channels=(32, 32),
    dec_depths=(1, 1),
    dec_heads=(2, 2),
    time_channels=32,
    patch_size=64,
    drop_path=0.1,
)

SPUNET = SpUNetConfig(
    in_channels=4,
    num_classes=16,
    enc_channels=(32, 32, 64, 128, 256),
    enc_depths=(2, 3, 4, 6),
    dec_channels=(96, 96, 128, 256),
    dec_depths=(2, 2, 2, 2),
)
"""Pointcept's SpUNet-v1m1, 39.2 M parameters."""

NANO_SPUNET = replace(
    SPUNET,
    enc_channels=(16, 24, 40, 56, 64),
    enc_depths=(1, 1, 1, 1),
    dec_channels=(24, 24, 40, 48),
    dec_depths=(1, 1, 1, 1),
)
"""1.0 M parameters, about as fast as the student-nano."""


def _ptv3(unet: UNetConfig) -> Callable[[int, int], PTv3Config]:
    return lambda num_classes, in_channels: PTv3Config(replace(unet, in_channels=in_channels), num_classes)


def _cdsegnet(unet: UNetConfig, noise: UNetConfig) -> Callable[[int, int], CDSegNetConfig]:
    return lambda num_classes, in_channels: CDSegNetConfig(
        replace(unet, in_channels=in_channels), replace(noise, in_channels=in_channels), num_classes
    )


def _spunet(spunet: SpUNetConfig) -> Callable[[int, int], SpUNetConfig]:
    return lambda num_classes, in_channels: replace(spunet, num_classes=num_classes, in_channels=in_channels)


ARCHITECTURES: dict[str, Callable[[int, int], NetworkConfig]] = {
    "student": _ptv3(STUDENT_UNET),
    "ptv3": _ptv3(PTV3_UNET),
    "cdsegnet": _cdsegnet(CDSEGNET_UNET, NOISE_UNET),
    "spunet": _spunet(SPUNET),
    "student-nano": _ptv3(NANO_UNET),
    "teacher-nano": _cdsegnet(NANO_TEACHER_UNET, NANO_NOISE_UNET),
    "spunet-nano": _spunet(NANO_SPUNET),
}
"""Name to a function (num_classes, in_channels) -> configuration."""


def build_network(architecture: str, num_classes: int, in_channels: int) -> Network:
    """A network with fresh weights.

    Raises:
        ConfigError: an architecture that is not in ``ARCHITECTURES``.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError(f"architecture {architecture!r} is unknown: use one of {', '.join(ARCHITECTURES)}")
    return network_from_config(ARCHITECTURES[architecture](num_classes, in_channels))


def network_from_config(config: NetworkConfig) -> Network:
    """The network that a configuration describes."""
    if isinstance(config, SpUNetConfig):
        return SpUNet(config)
    return CDSegNet(config) if isinstance(config, CDSegNetConfig) else PTv3(config)


def config_to_dict(config: NetworkConfig) -> dict[str, Any]:
    """A configuration as plain data."""
    return asdict(config)


def config_from_dict(data: Mapping[str, Any]) -> NetworkConfig:
    """The configuration from :func:`config_to_dict`.

    Raises:
        CheckpointError: unknown or missing keys, or contradictory values.
    """
    try:
        if type(data["num_classes"]) is not int:
            raise TypeError(f"num_classes is {data['num_classes']!r}, want a whole number")
        if "noise_unet" in data:
            _refuse_unknown(data, CDSegNetConfig)
            return CDSegNetConfig(
                _unet(data["unet"]),
                _unet(data["noise_unet"]),
                data["num_classes"],
                DiffusionConfig(**data["diffusion"]),
            )
        if "enc_channels" in data:
            _refuse_unknown(data, SpUNetConfig)
            return SpUNetConfig(**_tuples(data))
        _refuse_unknown(data, PTv3Config)
        return PTv3Config(_unet(data["unet"]), data["num_classes"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"network configuration is not understood ({error}): convert the weights again"
        ) from error


def _refuse_unknown(data: Mapping[str, Any], kind: type) -> None:
    unknown = set(data) - {field.name for field in fields(kind)}
    if unknown:
        raise KeyError(f"unknown {', '.join(sorted(unknown))}")


def _unet(data: Mapping[str, Any]) -> UNetConfig:
    return UNetConfig(**_tuples(data))


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
