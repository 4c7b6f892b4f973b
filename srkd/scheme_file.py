# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The written form of a label scheme, in YAML files and checkpoint headers. Neither is trusted.

name: yard
raw_bits: 8                  # optional: 8, or 32 for SemanticKITTI-like labels
unlabelled_raw: 0            # optional
ignored_raw: [0, 7]          # optional
classes:
  - {name: ground, color: [120, 110, 130], raw: [1, 2]}
  - {name: forklift, color: [255, 120, 0], raw: [3]}
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srkd.errors import ConfigError

_KEYS = ("name", "raw_bits", "unlabelled_raw", "ignored_raw", "classes")
_CLASS_KEYS = ("name", "color", "raw")
_MAX_BYTES = 1 << 20


def parse_scheme(values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a `LabelScheme` from its written form; their ranges are left to its own checks.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type.
    """
    _check_keys("scheme", values, _KEYS, required=("name", "classes"))
    name, rows, unlabelled = values["name"], values["classes"], values.get("unlabelled_raw", 0)
    ignored = values.get("ignored_raw", [unlabelled])
    if not isinstance(rows, list) or not isinstance(ignored, list):
        raise ConfigError(f"scheme {name!r}: classes and ignored_raw must be lists")
    pairs: list[tuple[int, int]] = []
    for index, row in enumerate(rows):
        _check_keys(f"scheme {name!r} class {index}", row, _CLASS_KEYS, required=_CLASS_KEYS)
        if not isinstance(row["color"], list) or not isinstance(row["raw"], list):
            raise ConfigError(f"scheme {name!r} class {row['name']!r}: color and raw must be lists of numbers")
        pairs += [(raw, index) for raw in row["raw"]]
    return {
        "name": name,
        "class_names": tuple(row["name"] for row in rows),
        "colors": tuple(tuple(row["color"]) for row in rows),
        "raw_to_class": (*pairs, *((raw, 255) for raw in ignored)),
        "raw_bits": values.get("raw_bits", 8),
        "unlabelled_raw": unlabelled,
    }


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """The values of a small YAML file, safely loaded. Needs pyyaml.

    Raises:
        ConfigError: the file is missing, over 1 MiB, or no YAML, or pyyaml is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise ConfigError("reading YAML needs pyyaml; pip install pyyaml") from None
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ConfigError(f"over {_MAX_BYTES} bytes, expected some kilobytes of YAML")
        return yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror}); give the path of a YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"no valid YAML ({' '.join(str(error).split())})") from None


def _check_keys(what: str, values: Any, known: tuple[str, ...], *, required: tuple[str, ...]) -> None:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{what}: {type(values).__name__}, expected a mapping with {' '.join(known)}")
    for key in values:
        if key not in known:
            raise ConfigError(f"{what}: unknown key {key!r}, expected {' '.join(known)}")
    for key in required:
        if key not in values:
            raise ConfigError(f"{what}: key {key!r} is missing")
