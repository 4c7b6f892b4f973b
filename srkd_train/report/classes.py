# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The names and colours of class ids: as a bag tells them, or numbers where it tells nothing."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

from srkd.errors import ConfigError
from srkd.io.bags import SCHEME_SUFFIX, BagReader
from srkd.labels import IGNORE, SCHEMES, LabelScheme

MODEL_INFO_TYPE, STRING_TYPE = "srkd_ros/msg/ModelInfo", "std_msgs/msg/String"
_MOST = 255
_GOLDEN = 0.618033988749895
"""Steps of this on the colour circle never come near each other."""


def named_scheme(name: str, class_names: Sequence[str], colors: Sequence[tuple[int, int, int]]) -> LabelScheme:
    """A scheme whose raw ids are its class ids.

    Raises:
        ConfigError: names or colours cannot be used.
    """
    ids = tuple((index, index) for index in range(len(class_names)))
    return LabelScheme(name, tuple(class_names), tuple(colors), (*ids, (IGNORE, IGNORE)), unlabelled_raw=IGNORE)


def numbered_scheme(classes: int = _MOST) -> LabelScheme:
    """Classes called by their numbers, for labels whose names nobody tells."""
    colors = []
    for index in range(classes):
        rgb = colorsys.hsv_to_rgb(index * _GOLDEN % 1, 0.65 if index % 2 else 0.45, 0.95)
        red, green, blue = (round(255 * part) for part in rgb)
        colors.append((red, green, blue))
    return named_scheme("numbered", [f"class {index}" for index in range(classes)], colors)


def model_infos(reader: BagReader) -> dict[str, Any]:
    """The last description of each network, by topic."""
    names = [topic.name for topic in reader.topics if topic.type == MODEL_INFO_TYPE]
    return {message.topic: reader.deserialize(message) for message in reader.messages(names)} if names else {}


def said_schemes(reader: BagReader) -> dict[str, LabelScheme | None]:
    """Schemes that the bag names, by the topic that they are said of; None where the name is unknown here."""
    names = [each.name for each in reader.topics if each.type == STRING_TYPE and each.name.endswith(SCHEME_SUFFIX)]
    said = {message.topic: str(reader.deserialize(message).data) for message in reader.messages(names)} if names else {}
    return {topic.removesuffix(SCHEME_SUFFIX): SCHEMES.get(name) for topic, name in said.items()}


def scheme_of(info: Any) -> LabelScheme | None:
    """The classes that a ModelInfo tells; None where it cannot be used."""
    colors = [
        (round(255 * color.r), round(255 * color.g), round(255 * color.b)) for color in getattr(info, "colors", ())
    ]
    try:
        return named_scheme(str(info.scheme), list(info.class_names), colors)
    except (ConfigError, AttributeError):
        return None
