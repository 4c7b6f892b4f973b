# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the bag tools of this package share: arguments, errors of one line, message types and stamps in raw messages."""

from __future__ import annotations

import argparse
import importlib
import struct
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


class OneLineParser(argparse.ArgumentParser):
    """Reports a mistake in one line and exits with 2."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: error: {' '.join(message.split())} (see `{self.prog} --help`)\n")
        sys.exit(EXIT_USAGE)


def split_ros_arguments(arguments: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The command's own words, and those between `--ros-args` and `--`, which `ros2 launch` adds, for rclpy.init.

    Args:
        arguments: without the program's name; None: the command line's.
    """
    own: list[str] = []
    ros: list[str] = []
    inside = False
    for word in sys.argv[1:] if arguments is None else arguments:
        if word == "--ros-args" or (inside and word == "--"):
            inside = word == "--ros-args"
            ros.append(word)
        else:
            (ros if inside else own).append(word)
    return own, ros


def positive(text: str) -> float:
    """An argument that is a finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}, expected a number above 0")
    return value


def not_negative(text: str) -> float:
    """An argument that is a finite number from 0 on."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}, expected a number from 0 on")
    return value


def count(text: str) -> int:
    """An argument that is a whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text}, expected a whole number above 0")
    return int(text)


def message_class(type_name: str) -> Any:
    """The Python class of a message type, e.g. of "sensor_msgs/msg/PointCloud2"; None where it is not installed."""
    package, _, rest = type_name.partition("/")
    folder, _, name = rest.partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.{folder or 'msg'}"), name)
    except (ImportError, AttributeError, ValueError):
        return None


def begins_with_header(kind: Any) -> bool:
    """Whether the first field of a message class is a std_msgs/Header."""
    return next(iter(kind.get_fields_and_field_types().values()), "") == "std_msgs/Header"


def raw_stamp_ns(raw: bytes) -> int | None:
    """The stamp of serialised bytes that begin with a header, in nanoseconds; None where they are cut off."""
    if len(raw) < 12:
        return None
    seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
