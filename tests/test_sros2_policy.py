# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy against what the nodes and tools really have on the graph: nothing more, nothing less."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from bag_makers import START_NS
from ros_process import Process, own_network, rclpy, ros_arguments  # noqa: F401

from srkd.io.bags import CLOUD_TYPE, BagWriter, cloud_message, make_header
from srkd.io.message_layout import Field

POLICY = Path(__file__).resolve().parent.parent / "config" / "sros2" / "policy.xml"
PATIENCE_S = 90.0
ACCESS = {"topics": ("publish", "subscribe"), "services": ("reply", "request")}
TYPES = {
    "/points": CLOUD_TYPE,
    "/points/labels": CLOUD_TYPE,
    "/points/label_scheme": "std_msgs/msg/String",
    "/odom": "nav_msgs/msg/Odometry",
    "/tf": "tf2_msgs/msg/TFMessage",
    "/tf_static": "tf2_msgs/msg/TFMessage",
    "/segment/output/points": CLOUD_TYPE,
    "/segment/report": "srkd_ros/msg/SegmentationReport",
    "/segment/model_info": "srkd_ros/msg/ModelInfo",
    "/teacher/comparison": "srkd_ros/msg/ComparisonReport",
    "/teacher/model_info": "srkd_ros/msg/ModelInfo",
}
"""Topics that tools are given, and their types."""

Graph = dict[str, set[str]]


@dataclass(frozen=True)
class Run:
    """How a process is started, and the node that it is then."""

    module: str
    node: str
    arguments: Sequence[str] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    remaps: Mapping[str, str] = field(default_factory=dict)
    ready: str = ""


SEGMENT = {"input/points": "/points"}
TEACHER = {
    **SEGMENT,
    "input/labels": "/segment/output/points",
    "input/report": "/segment/report",
    "input/model_info": "/segment/model_info",
}
ROS = {"use_sim_time": True, "device": "cpu"}
MOVING = {**ROS, "num_past_frames": 1 if find_spec("nav_msgs") else 0}
ODOMETRY = {**SEGMENT, "input/odometry": "/odom"}
RUNS = {
    "/srkd_ros/segment": Run("segment", "segment", (), MOVING, ODOMETRY, "segment is active"),
    "/srkd_ros/segment_with_teacher": Run(
        "segment_with_teacher",
        "segment",
        (),
        {**MOVING, "teacher_checkpoint": "student-nano"},
        ODOMETRY,
        "segment is active",
    ),
    "/srkd_ros/teacher": Run("teacher", "teacher", (), ROS, TEACHER, "teacher is active"),
    "/srkd_ros/score": Run("score", "score", (), ready="scoring"),
    "/srkd_ros/record": Run("record", "record", ("OUT", *TYPES), ready="matched"),
    "/srkd_ros/replay": Run("replay", "replay", ("--clock", "100", "--loop", "BAG")),
}


def absent(topic: str) -> bool:
    """Whether it is of a package that is not installed here."""
    package = "vision_msgs" if topic.endswith("/label_info") else TYPES.get(topic, "std_msgs").partition("/")[0]
    return find_spec(package) is None


def profiles() -> dict[str, ElementTree.Element]:
    """The only profile of each enclave, by the enclave's path."""
    root = ElementTree.parse(POLICY).getroot()
    assert (root.tag, root.get("version")) == ("policy", "0.2.0")
    found = {}
    for enclave in root.findall("./enclaves/enclave"):
        (found[enclave.attrib["path"]],) = enclave.findall("./profiles/profile")
    return found


def allowed(profile: ElementTree.Element) -> Graph:
    """Full names by access; names are resolved as SROS2 does it."""
    names: Graph = {access: set() for kinds in ACCESS.values() for access in kinds}
    ns, node = profile.attrib["ns"].rstrip("/"), profile.attrib["node"]
    for group in profile:
        (access,) = group.attrib
        assert access in ACCESS[group.tag] and group.attrib[access] == "ALLOW"
        for entry in group:
            text = (entry.text or "").strip()
            assert entry.tag == group.tag.rstrip("s") and "*" not in text
            full = f"{ns}/{node}{text[1:]}" if text.startswith("~") else text if text[0] == "/" else f"{ns}/{text}"
            assert full not in names[access], f"{full} twice"
            names[access].add(full)
    return names


def used(observer: Any, node: str) -> Graph:
    """What a node has on the graph now; nothing where it is not known yet."""
    try:
        found = {
            "publish": observer.get_publisher_names_and_types_by_node(node, "/"),
            "subscribe": observer.get_subscriber_names_and_types_by_node(node, "/"),
            "reply": observer.get_service_names_and_types_by_node(node, "/"),
            "request": observer.get_client_names_and_types_by_node(node, "/"),
        }
    except Exception as error:
        if type(error).__name__ != "NodeNameNonExistentError":
            raise
        return {}
    return {access: {name for name, _ in pairs} for access, pairs in found.items()}


@pytest.fixture
def observer() -> Iterator[Any]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("observer", context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def write_drive(path: Path) -> Path:
    """A bag with the topics of those that `to_bag` writes whose types are known here."""
    from srkd.io.bag_types import installed_store

    cloud = cloud_message(
        make_header(START_NS, "lidar"), 1, 0, [Field(a, 4 * i, 7) for i, a in enumerate("xyz")], 12, b""
    )
    with BagWriter(path) as bag:
        for topic in sorted(allowed(profiles()["/srkd_ros/replay"])["publish"] - {"/clock", "/parameter_events"}):
            if absent(topic):
                continue
            if TYPES[topic] == CLOUD_TYPE:
                for number in range(50):
                    bag.write_message(topic, CLOUD_TYPE, START_NS + number * 100_000_000, cloud)
            else:
                store = installed_store(TYPES[topic])
                raw = store.serialize_cdr(blank(store, TYPES[topic]), TYPES[topic])
                bag.write(topic, TYPES[topic], START_NS, bytes(raw))
    return path


def blank(store: Any, name: str) -> Any:
    """A message in which everything is empty or 0."""
    from rosbags.interfaces import Nodetype

    def value(kind: Any) -> Any:
        node, detail = kind
        if node == Nodetype.NAME:
            return blank(store, detail)
        if node == Nodetype.BASE:
            return "" if detail[0] == "string" else False if detail[0] == "bool" else 0
        (_, of), length = detail
        return np.zeros(length if node == Nodetype.ARRAY else 0, of[0])

    return store.types[name](**{each: value(kind) for each, kind in store.fielddefs[name][1]})


def test_every_process_that_talks_has_a_profile() -> None:
    assert set(profiles()) == set(RUNS)
    assert {path: profile.attrib["node"] for path, profile in profiles().items()} == {
        path: run.node for path, run in RUNS.items()
    }


@pytest.mark.parametrize("path", RUNS)
def test_the_policy_lists_what_is_used_and_no_more(path: str, observer: Any, tmp_path: Path) -> None:
    run, wanted = RUNS[path], allowed(profiles()[path])
    wanted["publish"] = {topic for topic in wanted["publish"] if not absent(topic)}
    wanted["subscribe"] = {topic for topic in wanted["subscribe"] if not absent(topic)}
    places = {"OUT": lambda: tmp_path / "out", "BAG": lambda: write_drive(tmp_path / "bag")}
    words = [str(places[word]()) if word in places else word for word in run.arguments]
    if run.module == "record":
        words = [word for word in words if not absent(word)]
        publishers = [publisher(observer, word) for word in words[1:]]
    words += ros_arguments(run.parameters, run.remaps) if run.parameters else []
    process = Process(tmp_path / "log", f"srkd_ros.{run.module}", *words)
    try:
        if run.ready:
            process.wait_for(run.ready, times=len(publishers) if run.module == "record" else 1)
        deadline, found = time.monotonic() + PATIENCE_S, {}
        while (found := used(observer, run.node)) != wanted and time.monotonic() < deadline:
            assert process.process.poll() is None, process.said()
            time.sleep(0.2)
        unlisted = {access: sorted(found[access] - wanted[access]) for access in wanted}
        unused = {access: sorted(wanted[access] - found[access]) for access in wanted}
        assert (unlisted, unused) == ({access: [] for access in wanted}, {access: [] for access in wanted})
    finally:
        process.end()


def publisher(node: Any, topic: str) -> Any:
    from srkd_ros.command_line import message_class

    return node.create_publisher(message_class(TYPES[topic]), topic, 1)
