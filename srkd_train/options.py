# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses from YAML files and command lines, and back to YAML."""

import difflib
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import jsonargparse
import yaml

from srkd.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")

_BAG = "bag:"


def parse(
    argv: Sequence[str], kind: type[Config], *, prog: str, about: str, switches: Mapping[str, str] | None = None
) -> Config:
    """Reads `--config FILE` and `--section.key value` options into a frozen dataclass; later ones win.

    Args:
        argv: command-line words.
        kind: the dataclass to fill; its fields become the options.
        prog: name shown in the help.
        about: one line for the help.
        switches: boolean fields that are given as a bare `--name`, with their help.

    Raises:
        ConfigError: a key is unknown or a value does not fit; one line naming the key, the value and the fix.
    """
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(prog=prog, description=about, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file with the keys below; later options win over it.")
    for name, text in (switches or {}).items():
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=text)
    parser.add_class_arguments(kind, None, fail_untyped=True, skip=set(switches or ()))
    try:
        values = parser.instantiate(parser.parse_args(list(argv)))
    except (ArgumentError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(_explain(str(error), kind, prog)) from error
    return kind(**{entry.name: getattr(values, entry.name) for entry in fields(kind)})


def spell_out(argv: Sequence[str], key: str = "data.name") -> list[str]:
    """The words of a command line with `--data bag:PATH` in full: `--data.name bag --data.root PATH`.

    Args:
        argv: the words.
        key: option that takes the name of a data set.
    """
    words: list[str] = []
    for word in argv:
        if words[-1:] == ["--data"] and word.startswith(_BAG):
            words[-1:] = [f"--{key}", "bag", "--data.root", word.removeprefix(_BAG)]
        elif word.startswith(f"--data={_BAG}"):
            words += [f"--{key}", "bag", "--data.root", word.removeprefix(f"--data={_BAG}")]
        else:
            words.append(word)
    return words


def to_yaml(config: Any) -> str:
    """The whole configuration as YAML that `parse(["--config", FILE])` reads back."""
    return yaml.safe_dump(_plain(config), sort_keys=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _keys(kind: type[Any], prefix: str = "") -> list[str]:
    keys = []
    for entry in fields(kind):
        keys.append(prefix + entry.name)
        if isinstance(entry.type, type) and is_dataclass(entry.type):
            keys += _keys(entry.type, f"{prefix}{entry.name}.")
    return keys


def _explain(message: str, kind: type[Any], prog: str) -> str:
    """One line out of the parser's message, with the nearest known key for a mistyped one."""
    line = " ".join(message.split())
    quoted = [
        part.strip("\"' -").split("=")[0] for part in line.replace("--", " --").split() if "." in part or "'" in part
    ]
    if "does not accept" in line or "nrecognized" in line:
        known = _keys(kind)
        for word in quoted:
            near = difflib.get_close_matches(word, known + [key.rsplit(".", 1)[-1] for key in known], n=1, cutoff=0.6)
            if near and near[0] != word:
                return f"{line}; did you mean {next(key for key in known if key.endswith(near[0]))}? see {prog} --help"
    return f"{line}; see {prog} --help"
