# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers with quality of service that can be overridden from a YAML file, and those that say which network runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import InvalidQosOverridesError, QoSOverridingOptions

from srkd.errors import ConfigError
from srkd_ros.model import Model
from srkd_ros.model_info import label_info_message, model_info_message
from srkd_ros.msg import ModelInfo

_PUBLISHER_POLICIES = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
_INPUT_POLICIES = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.DURABILITY)


def input_overrides() -> QoSOverridingOptions:
    """Lets `qos_overrides.<topic>.subscription.<policy>` change an input; its reliability is a parameter instead."""
    return QoSOverridingOptions(_INPUT_POLICIES)


@contextmanager
def readable_overrides(topic: str) -> Iterator[None]:
    """Turns what rclpy raises for overrides into a ConfigError of one line."""
    try:
        yield
    except (InvalidQosOverridesError, RuntimeError) as error:
        raise ConfigError(f"{topic} cannot be opened ({error}): correct its qos_overrides") from error


class Topics:
    """Publishers that are opened and closed together."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._open: list[Publisher] = []

    def all(self) -> tuple[Publisher, ...]:
        """Every publisher there is."""
        return tuple(self._open)

    def open(self, kind: Any, topic: str, depth: int) -> Publisher:
        """A reliable publisher: RViz and recorders ask for that, and it serves best-effort readers too.

        Raises:
            ConfigError: an override cannot be used.
        """
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)
        with readable_overrides(topic):
            options = QoSOverridingOptions(_PUBLISHER_POLICIES)
            return self._keep(self._node.create_publisher(kind, topic, qos, qos_overriding_options=options))

    def open_latched(self, kind: Any, topic: str) -> Publisher:
        """A publisher whose last message late subscribers get too."""
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        return self._keep(self._node.create_publisher(kind, topic, qos))

    def close(self) -> None:
        """Withdraws the topics."""
        while self._open:
            self._node.destroy_publisher(self._open.pop())

    def _keep(self, publisher: Publisher) -> Publisher:
        self._open.append(publisher)
        return publisher


class ModelTopics:
    """`~/model_info` and, where vision_msgs is installed, `~/label_info`."""

    def __init__(self, topics: Topics, role: str, prefix: str = "~/") -> None:
        """
        Args:
            topics: that they are opened with.
            role: "student" or "teacher".
            prefix: of their names.
        """
        self._topics = topics
        self._role = role
        self._prefix = prefix
        self._model_info = topics.open_latched(ModelInfo, f"{prefix}model_info")
        self._label_info: Publisher | None = None

    def introduce(self, model: Model, stamp: Any) -> ModelInfo:
        """Says which network labels from now on."""
        message = model_info_message(model, self._role, stamp)
        self._model_info.publish(message)
        label_info = label_info_message(model, stamp)
        if label_info is not None:
            if self._label_info is None:
                self._label_info = self._topics.open_latched(type(label_info), f"{self._prefix}label_info")
            self._label_info.publish(label_info)
        return message
