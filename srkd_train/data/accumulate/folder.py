# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of dense clouds: a file each, of one data set and one set of settings, with an index written last."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

import srkd
from srkd.errors import CloudError, ConfigError
from srkd.io.atomic import write_atomic
from srkd.labels import LabelScheme
from srkd_train.data.accumulate.config import Accumulation
from srkd_train.data.accumulate.dense import Dense
from srkd_train.data.street.dataset import CODE_VERSION

INDEX = "accumulation.json"
_BEGUN = "unfinished.json"
VERSION = 1
"""Raised whenever the same settings give other clouds."""
_COLUMNS = ("xyz", "intensity", "label", "own")


def settings_of(config: Accumulation, data: str, scheme: LabelScheme, root: str | None) -> dict[str, Any]:
    """What all clouds of a folder have in common, as plain JSON values."""
    return {
        "version": VERSION,
        "data": data,
        "scheme": scheme.name,
        "class_names": list(scheme.class_names),
        "root": None if root is None else os.path.abspath(root),
        "street_version": CODE_VERSION if data == "street" else None,
        "accumulation": config.to_dict(),
    }


def open_folder(folder: Path, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Begins a folder or goes on with one.

    Returns:
        The clouds that its index names: they are whole.

    Raises:
        ConfigError: the folder holds something else, or clouds of other settings, or cannot be written.
    """
    for name in (INDEX, _BEGUN):
        if (path := folder / name).is_file():
            kept = _read(path)
            _compare(path, kept.get("settings"), settings)
            return tuple(kept.get("names", ()))
    try:
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"--out {folder} is not empty and holds no {INDEX}, give a new folder")
        write_atomic(folder / _BEGUN, [_text({"settings": settings})])
    except OSError as error:
        raise ConfigError(f"--out {folder} cannot be written ({error.strerror}), give another folder") from error
    return ()


def close_folder(folder: Path, settings: Mapping[str, Any], names: Iterable[str]) -> None:
    """Writes the index with these names and those that it has by now: from then on the folder can be used."""
    known = {*open_folder(folder, settings), *names}
    facts = {"settings": settings, "made_by": f"srkd {srkd.__version__}", "names": sorted(known)}
    write_atomic(folder / INDEX, [_text(facts)])
    (folder / _BEGUN).unlink(missing_ok=True)


def read_index(folder: Path) -> tuple[dict[str, Any], frozenset[str]]:
    """Settings of a finished folder, and the names of its clouds.

    Raises:
        ConfigError: it is no such folder, or was not finished.
    """
    path = folder / INDEX
    if not path.is_file():
        if (folder / _BEGUN).is_file():
            raise ConfigError(
                f"{folder}: its dense clouds are unfinished, run the same `srkd prepare accumulate` again"
            )
        raise ConfigError(f"{path}: missing; make dense clouds first: srkd prepare accumulate --out {folder} ...")
    kept = _read(path)
    if not isinstance(kept.get("settings"), dict) or not isinstance(kept.get("names"), list):
        raise ConfigError(f"{path}: no settings and names; it is damaged, make the folder anew")
    if kept["settings"].get("version") != VERSION:
        raise ConfigError(
            f"{path}: version {kept['settings'].get('version')}, this srkd reads {VERSION}; make the folder anew"
        )
    return kept["settings"], frozenset(kept["names"])


def cloud_path(folder: Path, name: str) -> Path:
    """The file of a cloud."""
    return folder / f"{name}.npz"


def save(path: Path, dense: Dense) -> None:
    """Writes a cloud in full or not at all; raises OSError where it cannot."""
    stream = BytesIO()
    np.savez(stream, **{column: getattr(dense, column) for column in _COLUMNS})
    write_atomic(path, [stream.getbuffer()])


def load(path: Path) -> Dense:
    """Reads a cloud.

    Raises:
        CloudError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            dense = Dense(*(arrays[column] for column in _COLUMNS))
    except FileNotFoundError:
        raise CloudError(f"{path}: missing; run the same `srkd prepare accumulate` again") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:80]
        raise CloudError(f"{path}: no dense cloud ({reason}); delete it and run `srkd prepare accumulate`") from None
    count = len(dense.own)
    own = int(dense.own.sum())
    shapes = (dense.xyz.shape, dense.intensity.shape, dense.label.shape)
    if shapes != ((count, 3), (count,), (count,)) or not dense.own[:own].all():
        raise CloudError(f"{path}: columns of shapes {shapes} for {count} points; delete it and make it anew")
    return dense


def _compare(path: Path, kept: Any, wanted: Mapping[str, Any]) -> None:
    flat = _flat(kept if isinstance(kept, dict) else {})
    for key, value in _flat(wanted).items():
        if flat.get(key) != value:
            raise ConfigError(
                f"{path.parent} holds clouds of {key}={flat.get(key)}, this run asks for {value}: give a new --out"
            )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of the accumulation beside the others, as JSON gives them back."""
    plain = json.loads(json.dumps(dict(settings)))
    inner = plain.pop("accumulation", None)
    return {**plain, **(inner if isinstance(inner, dict) else {})}


def _text(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, indent=1).encode() + b"\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({' '.join(str(error).split())[:80]}); make the folder anew"
        ) from None
    return found if isinstance(found, dict) else {}
