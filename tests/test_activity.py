# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What both nodes do with a network: nothing is published once they were stopped, and only one thread works at a
time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ros_process import made_cloud, private_network
from test_labelling import Topic

rclpy = pytest.importorskip("rclpy")

from srkd.errors import ConfigError  # noqa: E402
from srkd_ros import activity as module  # noqa: E402
from srkd_ros.comparing_topics import ComparingTopics  # noqa: E402
from srkd_ros.counts import Counts  # noqa: E402
from srkd_ros.frame import FrameOptions, label_frame  # noqa: E402
from srkd_ros.labelling import Labelling  # noqa: E402
from srkd_ros.messages import labelled_message  # noqa: E402
from srkd_ros.model_node import ModelNode  # noqa: E402
from srkd_ros.segment_node import SegmentNode  # noqa: E402
from srkd_ros.teacher_node import TeacherNode  # noqa: E402

TOPICS = ("points", "colored", "filtered", "report", "comparison", "disagreement")


@pytest.fixture(params=[SegmentNode, TeacherNode])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ModelNode]:
    """An active node; nobody hears it."""
    with private_network(tmp_path):
        rclpy.init(args=["--ros-args", "-p", "device:=cpu", "-p", "num_threads:=1"])
        made = request.param()
        made.configure()
        yield made
        assert made.deactivate(timeout_s=30)
        made.destroy_node()
        rclpy.try_shutdown()


class Gate:
    """Stands for `label_frame`, and says nothing until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, *arguments: Any) -> Any:
        self.entered.set()
        assert self.opened.wait(30)
        return label_frame(*arguments)


def hand_over(node: ModelNode) -> None:
    """Gives an active node one thing to work on."""
    cloud, at_work = made_cloud(30), node.activity
    if isinstance(at_work, Labelling):
        at_work.receive(cloud)
    if isinstance(at_work, ComparingTopics):
        frame = label_frame(cloud, at_work.model.segmenter, FrameOptions())
        at_work.receive_cloud(cloud)
        at_work.receive_labels(labelled_message(cloud, frame.decoded, frame.labels))


def test_the_last_one_is_withheld_and_the_next_activation_waits_for_it(
    node: ModelNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = {name: Topic(subscribers=1) for name in TOPICS}
    node._outputs = SimpleNamespace(**topics, wanted=lambda: True)  # type: ignore[attr-defined]
    node.activate()
    first, gate = node.activity, Gate()
    assert first is not None
    monkeypatch.setattr(module, "label_frame", gate)
    hand_over(node)
    assert gate.entered.wait(30)
    assert not node.deactivate(timeout_s=0)
    with pytest.raises(ConfigError, match=f"the last {first.what} is still in work: activate again"):
        node.activate()
    assert node.activity is first
    gate.opened.set()
    assert node.deactivate(timeout_s=30)
    assert first.counter.read() == Counts(received=1, dropped=1)
    assert [topic.sent for topic in topics.values()] == [[]] * len(topics)

    node.activate()
    assert node.activity is not first and node.counts() == Counts()
    hand_over(node)
    deadline = time.monotonic() + 30
    while node.counts() != Counts(received=1, labelled=1):
        assert time.monotonic() < deadline, node.counts()
        time.sleep(0.01)
    assert any(topic.sent for topic in topics.values())
