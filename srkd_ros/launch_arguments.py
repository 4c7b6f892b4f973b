# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the arguments of segment.launch.py mean together, and what a bag's metadata adds; needs no `launch`.

Refusals are RuntimeErrors, which `ros2 launch` prints as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

CLOUD_TYPE, TRUTH_SUFFIX, SCHEME_SUFFIX = "sensor_msgs/msg/PointCloud2", "/labels", "/label_scheme"
_MADE_SUFFIXES = (TRUTH_SUFFIX, "/predicted", "/teacher")
_TF = "/tf"


def teacher_place(given: Mapping[str, str]) -> tuple[bool, bool]:
    """Whether a teacher runs beside the segment node, and whether inside its process.

    Raises:
        RuntimeError: arguments contradict each other.
    """
    wanted, inside = given["teacher"] == "true", given["one_process"] == "true"
    for name in ("teacher_checkpoint", "teacher_params_file"):
        if given[name] and not wanted:
            raise RuntimeError(f"{name}: {given[name]} is given, but there is no teacher: add teacher:=true")
    if inside and not wanted:
        raise RuntimeError("one_process: there is no teacher: add teacher:=true")
    if inside and given["teacher_params_file"]:
        raise RuntimeError("teacher_params_file: with one_process:=true all parameters go into params_file")
    return wanted and not inside, inside


def past_frames(given: Mapping[str, str]) -> dict[str, int]:
    """The parameter `num_past_frames`, where the argument is given.

    Raises:
        RuntimeError: it is not a whole number.
    """
    text = given["num_past_frames"]
    if text and not (text.isascii() and text.isdigit()):
        raise RuntimeError(f"num_past_frames: {text!r}, expected a whole number")
    return {"num_past_frames": int(text)} if text else {}


def truth_subscriptions(given: Mapping[str, str], topic: str) -> int:
    """To how many of a bag's topics `score` listens; 0 where it is not wanted.

    Raises:
        RuntimeError: the bag has no truth, or arguments contradict each other.
    """
    if given["score"] != "true":
        if given["score_output"]:
            raise RuntimeError(
                f"score_output: {given['score_output']} is given, but nothing is scored: add score:=true"
            )
        return 0
    if not given["bag"]:
        return 1
    types = bag_topics(given["bag"])
    if types.get(topic + TRUTH_SUFFIX) != CLOUD_TYPE:
        raise RuntimeError(f"score: {given['bag']} has no truth {topic + TRUTH_SUFFIX}: give a bag made by to_bag")
    return 1 + (topic + SCHEME_SUFFIX in types)


def motion_subscriptions(given: Mapping[str, str]) -> int:
    """To how many of a bag's topics the node listens for its motion; 0 where clouds are labelled one by one, or where
    the bag has no metadata.

    The argument goes before the parameter file here, too.

    Raises:
        RuntimeError: the number of clouds is none.
    """
    file = Path(given["params_file"])
    number = past_frames(given).get("num_past_frames", _of_file(file, "num_past_frames"))
    if not number:
        return 0
    source = _TF if _of_file(file, "motion_source") == "tf" else given["odometry"]
    try:
        return int(source in bag_topics(given["bag"]))
    except RuntimeError:
        return 0


def cloud_topic(bag: str) -> str:
    """The only topic of the bag with clouds; TOPIC/labels and the like do not count.

    Raises:
        RuntimeError: there is none, or more than one, or no metadata.
    """
    clouds = [name for name, kind in bag_topics(bag).items() if kind == CLOUD_TYPE]
    made = {name + suffix for name in clouds for suffix in _MADE_SUFFIXES}
    clouds = [name for name in clouds if name not in made]
    if len(clouds) != 1:
        raise RuntimeError(f"bag: {bag} has {len(clouds)} cloud topics ({', '.join(clouds)}): give input:=TOPIC")
    return clouds[0]


def bag_topics(bag: str) -> dict[str, str]:
    """Type by topic, from the bag's metadata.

    Raises:
        RuntimeError: it has none.
    """
    try:
        document = yaml.safe_load((Path(bag) / "metadata.yaml").read_text())
        topics = [
            entry["topic_metadata"] for entry in document["rosbag2_bagfile_information"]["topics_with_message_count"]
        ]
        return {topic["name"]: topic["type"] for topic in topics}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise RuntimeError(
            f"bag: {bag} has no metadata.yaml that tells its topics: give input:=TOPIC, no score"
        ) from error


def _of_file(file: Path, name: str) -> Any:
    """A parameter of the segment node in a parameter file; None where the node itself will find the file at fault."""
    try:
        found = list(_values(yaml.safe_load(file.read_text()), name))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return found[-1] if found else None


def _values(node: Any, name: str) -> Iterator[Any]:
    """Those of the rule for all nodes first, which count least."""
    if not isinstance(node, dict):
        return
    for key in sorted(node, key=lambda key: key != "/**"):
        if key == "ros__parameters" and isinstance(node[key], dict):
            yield from (value for each, value in node[key].items() if each == name)
        else:
            yield from _values(node[key], name)
