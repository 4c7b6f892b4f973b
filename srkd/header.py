# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says about itself: which network, what it wants as input, what its classes are, how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from srkd.architectures import Network, config_from_dict, config_to_dict
from srkd.errors import CheckpointError
from srkd.input_spec import InputSpec
from srkd.labels import LabelScheme

FORMAT = 1


@dataclass(frozen=True)
class Header:
    """What a checkpoint says about itself."""

    architecture: str
    """Name in ``srkd.architectures``; the configuration below is what counts."""
    config: Mapping[str, Any]
    """The network's configuration as plain data."""
    input: InputSpec
    scheme: LabelScheme
    training: Mapping[str, Any] = field(default_factory=dict)
    """Seed, command, steps, data and the like; plain JSON values."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""
    """Digest of the tensors (names, shapes, bytes); filled in when a file is written."""

    @staticmethod
    def of(network: Network, architecture: str, input_spec: InputSpec, scheme: LabelScheme) -> Header:
        """The header of a network.

        Raises:
            CheckpointError: the network's class or input count contradicts the scheme or the input spec.
        """
        header = Header(architecture, config_to_dict(network.config), input_spec, scheme)
        check_counts(header, "header")
        return header


def header_to_json(header: Header) -> dict[str, Any]:
    """Its document, plain JSON where what it holds is."""
    return {
        "format": FORMAT,
        "architecture": {"name": header.architecture, "config": header.config},
        "input": header.input.to_dict(),
        "scheme": header.scheme.to_dict(),
        "training": dict(header.training),
        "metrics": dict(header.metrics),
        "weights_sha256": header.weights_sha256,
    }


def header_from_json(data: Any) -> Header:
    """The header of a document.

    Raises:
        ValueError: another format.
        SrkdError, KeyError, TypeError, AttributeError, ArithmeticError: it is not as `header_to_json` makes it.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(
            f"format {data.get('format') if isinstance(data, dict) else data!r}, this version reads {FORMAT}"
        )
    return Header(
        str(data["architecture"]["name"]),
        data["architecture"]["config"],
        InputSpec.from_dict(data["input"]),
        LabelScheme.from_dict(data["scheme"]),
        dict(data["training"]),
        dict(data["metrics"]),
        str(data["weights_sha256"]),
    )


def check_counts(header: Header, where: object) -> None:
    """Whether the network's classes and inputs are those of the scheme and the input spec.

    Raises:
        CheckpointError: they are not, or the configuration is no network's; it begins with `where`.
    """
    try:
        config = config_from_dict(header.config)
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {error}") from error
    classes, inputs = header.scheme.num_classes, len(header.input.features)
    if config.num_classes != classes:
        raise CheckpointError(
            f"{where}: the network has {config.num_classes} classes, scheme {header.scheme.name!r} has {classes}:"
            " use the scheme that the weights were trained on"
        )
    if config.in_channels != inputs:
        raise CheckpointError(
            f"{where}: the network takes {config.in_channels} features, the input spec gives {inputs}: use the"
            " spec that the weights were trained on"
        )
