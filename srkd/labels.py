# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label schemes: class names in order, colours, and the raw-id map of a data set.

A class id is a uint8; 255 means "no class" in training, in files and on the wire.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError, ConfigError
from srkd.scheme_file import parse_scheme, read_yaml
from srkd.schemes import TABLES

IGNORE = 255
"""The class id of a point without a class."""
IGNORE_COLOR = (120, 120, 120)


def _is_id(value: object, maximum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= maximum


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 100 and value.isprintable()


def _join(ids: list[int]) -> str:
    return " ".join(map(str, ids[:8])) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")


@dataclass(frozen=True)
class LabelScheme:
    """The classes of a data set and how its own label ids map to them.

    Args:
        name: short name, e.g. "nuscenes".
        class_names: name of class 0, 1, ... (1 to 255 classes).
        colors: red, green, blue of each class, 0 to 255.
        raw_to_class: pairs (raw id, class id or 255), kept grouped by class, ignored ids last. The first raw id of a
            class is the one written back.
        raw_bits: 8, or 32 where a label is a uint32 with the raw id in its low 16 bits (SemanticKITTI).
        unlabelled_raw: the raw id written for class 255.

    Raises:
        ConfigError: the parts contradict each other.
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    raw_to_class: tuple[tuple[int, int], ...]
    raw_bits: int = 8
    unlabelled_raw: int = 0

    def __post_init__(self) -> None:
        count = len(self.class_names)
        if not _is_name(self.name):
            raise ConfigError(f"scheme: name {self.name!r}, expected 1 to 100 printable characters")
        if not 1 <= count <= 255:
            raise ConfigError(f"scheme {self.name}: {count} classes, expected 1 to 255")
        for class_name in self.class_names:
            if not _is_name(class_name) or self.class_names.count(class_name) > 1:
                raise ConfigError(f"scheme {self.name}: class name {class_name!r}, expected printable and used once")
        if len(self.colors) != count or not all(len(c) == 3 and all(_is_id(v, 255) for v in c) for c in self.colors):
            raise ConfigError(f"scheme {self.name}: colours, expected {count} triples of 0 to 255, one a class")
        if self.raw_bits not in (8, 32):
            raise ConfigError(f"scheme {self.name}: raw_bits {self.raw_bits!r}, expected 8 or 32")
        for raw, class_id in self.raw_to_class:
            if not _is_id(raw, self._max_raw) or not (_is_id(class_id, count - 1) or class_id == IGNORE):
                raise ConfigError(
                    f"scheme {self.name}: raw id {raw!r} -> class {class_id!r}, expected raw 0 to {self._max_raw} "
                    f"and class 0 to {count - 1} or 255"
                )
        uses = Counter(raw for raw, _ in self.raw_to_class)
        if doubled := sorted(raw for raw, count in uses.items() if count > 1):
            raise ConfigError(f"scheme {self.name}: raw ids {_join(doubled)} are mapped more than once")
        if missing := set(range(count)) - {class_id for _, class_id in self.raw_to_class}:
            raise ConfigError(f"scheme {self.name}: class {self.class_names[min(missing)]!r} has no raw id")
        if (self.unlabelled_raw, IGNORE) not in self.raw_to_class:
            raise ConfigError(
                f"scheme {self.name}: unlabelled_raw {self.unlabelled_raw!r} is not ignored; list it under ignored_raw"
            )
        grouped = tuple(sorted(self.raw_to_class, key=lambda pair: pair[1]))
        object.__setattr__(self, "raw_to_class", grouped)

    @property
    def num_classes(self) -> int:
        """Number of classes, 255 not counted."""
        return len(self.class_names)

    @property
    def _max_raw(self) -> int:
        return 255 if self.raw_bits == 8 else 65535

    @cached_property
    def _class_of_raw(self) -> npt.NDArray[np.int16]:
        table = np.full(self._max_raw + 1, -1, np.int16)
        for raw, class_id in self.raw_to_class:
            table[raw] = class_id
        return table

    @cached_property
    def _raw_of_class(self) -> npt.NDArray[np.int32]:
        table = np.full(256, -1, np.int32)
        for raw, class_id in reversed(self.raw_to_class):
            table[class_id] = raw
        table[IGNORE] = self.unlabelled_raw
        return table

    def from_raw(self, raw: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Class ids of the data set's own label ids.

        Args:
            raw: integers of any shape; of a 32-bit scheme only the low 16 bits count (the others hold an instance id).

        Returns:
            uint8 of the same shape, 255 where the id is ignored.

        Raises:
            CloudError: an id is not in the scheme.
        """
        array = np.asarray(raw)
        if array.dtype.kind not in "iu":
            raise CloudError(f"labels: dtype {array.dtype}, expected integers, the raw ids of scheme {self.name}")
        if self.raw_bits == 32 and array.dtype.itemsize > 2:
            array = array & array.dtype.type(0xFFFF)
        if array.size and (int(array.min()) < 0 or int(array.max()) > self._max_raw):
            outside = np.unique(array[(array < 0) | (array > self._max_raw)])
        else:
            class_id: npt.NDArray[np.int16] = self._class_of_raw[array]
            if not (class_id < 0).any():
                return class_id.astype(np.uint8)
            outside = np.unique(array[class_id < 0])
        raise CloudError(
            f"labels: raw ids {_join(outside.tolist())} are not in scheme {self.name}; "
            "take the data set's own scheme, or list them under ignored_raw"
        )

    def to_raw(self, class_id: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The data set's own ids of uint8 classes, as uint8 or uint32 by `raw_bits`.

        A folded class becomes its first raw id (a still car, not a moving one); 255 becomes `unlabelled_raw`.

        Raises:
            CloudError: a class id is not in the scheme, or is no uint8.
        """
        array = np.asarray(class_id)
        if array.dtype != np.uint8:
            raise CloudError(f"labels: dtype {array.dtype}, expected uint8 class ids")
        raw: npt.NDArray[np.int32] = self._raw_of_class[array]
        if (raw < 0).any():
            outside = np.unique(array[raw < 0]).tolist()
            raise CloudError(
                f"labels: class ids {_join(outside)} are not in scheme {self.name}; "
                f"expected 0 to {self.num_classes - 1} or 255"
            )
        return raw.astype(np.uint8 if self.raw_bits == 8 else np.uint32)

    def palette(self) -> npt.NDArray[np.uint8]:
        """Colour of every uint8 class id, (256, 3) uint8; grey where there is no class."""
        table = np.full((256, 3), IGNORE_COLOR, np.uint8)
        table[: self.num_classes] = self.colors
        return table

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, the form of a scheme file too; `from_dict` takes them back."""
        raws: dict[int, list[int]] = {}
        for raw, class_id in self.raw_to_class:
            raws.setdefault(class_id, []).append(raw)
        return {
            "name": self.name,
            "raw_bits": self.raw_bits,
            "unlabelled_raw": self.unlabelled_raw,
            "ignored_raw": raws.get(IGNORE, []),
            "classes": [
                {"name": name, "color": list(color), "raw": raws[index]}
                for index, (name, color) in enumerate(zip(self.class_names, self.colors, strict=True))
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelScheme:
        """Reads what `to_dict` wrote: keys name, classes (a list of name, color, raw), and optionally raw_bits (8),
        unlabelled_raw (0) and ignored_raw ([unlabelled_raw]).

        Raises:
            ConfigError: a key is unknown or missing, or a value is of the wrong type or contradicts another.
        """
        return cls(**parse_scheme(values))


SCHEMES = {
    table.name: LabelScheme(
        name=table.name,
        class_names=tuple(name for name, _, _ in table.rows),
        colors=tuple(color for _, color, _ in table.rows),
        raw_to_class=(
            *((raw, index) for index, (_, _, raws) in enumerate(table.rows) for raw in raws),
            *((raw, IGNORE) for raw in table.ignored_raw),
        ),
        raw_bits=table.raw_bits,
        unlabelled_raw=table.unlabelled_raw,
    )
    for table in TABLES
}
"""The built-in schemes: nuscenes (16 classes), semantickitti (19), waymo (22), scannet (20), street (12)."""


def get_scheme(name_or_path: str | os.PathLike[str]) -> LabelScheme:
    """A built-in scheme by name, or the user's own from a `.yaml` file.

    Raises:
        ConfigError: no such name or file.
    """
    text = os.fspath(name_or_path)
    if text in SCHEMES:
        return SCHEMES[text]
    if text.endswith((".yaml", ".yml")):
        return load_scheme(text)
    raise ConfigError(f"scheme {text!r}: unknown, expected {' | '.join(SCHEMES)} or the path of a .yaml file")


def load_scheme(path: str | os.PathLike[str]) -> LabelScheme:
    """Reads a scheme file, YAML of the form of `LabelScheme.to_dict`. Needs pyyaml.

    Raises:
        ConfigError: the file is missing, too large, no YAML, or no valid scheme.
    """
    try:
        return LabelScheme.from_dict(read_yaml(path))
    except ConfigError as error:
        raise ConfigError(f"{os.fspath(path)}: {error}") from None
