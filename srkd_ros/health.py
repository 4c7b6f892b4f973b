# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node's statuses on /diagnostics, and the events of the middleware that they tell of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from srkd_ros.declare import Parameters
from srkd_ros.diagnostics import Status

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError


class HealthTopic:
    """Publishes the statuses again and again, whatever state the node is in."""

    def __init__(self, node: Node, parameters: Parameters, look: Callable[[], Mapping[str, Status]]) -> None:
        """
        Args:
            node: whose health it is.
            parameters: `diagnostics_period_s`.
            look: the statuses now, by what each is of.
        """
        self._node = node
        self._parameters = parameters
        self._look = look
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Not the node's clock: with use_sim_time that stands still when the bag does.
        self._clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._start_timer()

    def publish(self) -> None:
        """Publishes the statuses now."""
        message = DiagnosticArray(status=[self._message(*named) for named in self._look().items()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _start_timer(self) -> None:
        self._period_s = self._parameters["diagnostics_period_s"]
        self._timer = self._node.create_timer(self._period_s, self._tick, clock=self._clock)

    def _tick(self) -> None:
        if self._parameters["diagnostics_period_s"] != self._period_s:
            self._node.destroy_timer(self._timer)
            self._start_timer()
        self.publish()

    def _message(self, what: str, status: Status) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([status.level]),
            name=f"{self._node.get_fully_qualified_name().lstrip('/')}: {what}",
            message=status.message,
            hardware_id=status.values["device"] or "srkd_ros",
            values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
        )


def subscribe(
    node: Node,
    kind: Any,
    topic: str,
    callback: Callable[[Any], None],
    qos: QoSProfile,
    *,
    on_mismatch: Callable[[], None],
    on_lost: Callable[[int], None],
    **options: Any,
) -> Subscription:
    """A subscription that tells when a publisher does not match and, where the middleware can, what it loses."""

    def make(**events: Any) -> Subscription:
        callbacks = SubscriptionEventCallbacks(incompatible_qos=lambda event: on_mismatch(), **events)
        return node.create_subscription(kind, topic, callback, qos, event_callbacks=callbacks, **options)

    try:
        return make(message_lost=lambda event: on_lost(event.total_count_change))
    except UnsupportedEventTypeError:
        return make()


def input_mismatches(node: Node, subscription: Subscription, parameter: str = "input_reliability") -> tuple[str, ...]:
    """Publishers of a subscription's topic that it cannot hear, and what to change, a line each."""
    topic, found = subscription.topic_name, []
    for peer in node.get_publishers_info_by_topic(topic):
        who = f"publisher {_name(peer)} of {topic}"
        if peer.topic_type != _type_name(subscription.msg_type):
            found.append(f"{who} sends {peer.topic_type}, not {_type_name(subscription.msg_type)}: remap the topic")
        elif reason := _conflict(peer.qos_profile, subscription.qos_profile):
            policy, key = reason
            change = f"set {parameter} to best_effort" if key == "reliability" else f"remove the override of {key}"
            found.append(f"{who} does not match, {policy}: {change}")
    return tuple(found)


def output_mismatches(node: Node, publishers: tuple[Any, ...]) -> tuple[str, ...]:
    """Subscribers of publishers' topics that cannot hear them, and what to change, a line each."""
    found = []
    for publisher in publishers:
        for peer in node.get_subscriptions_info_by_topic(publisher.topic_name):
            if reason := _conflict(publisher.qos_profile, peer.qos_profile):
                policy, key = reason
                found.append(
                    f"subscriber {_name(peer)} does not match {publisher.topic_name}, {policy}: set"
                    f" qos_overrides.{publisher.topic_name}.publisher.{key}, or change the subscriber"
                )
    return tuple(found)


def _conflict(offered: QoSProfile, asked: QoSProfile) -> tuple[str, str] | None:
    """The first policy that keeps two ends apart, in words and by its key; None where they match."""
    if offered.reliability == ReliabilityPolicy.BEST_EFFORT and asked.reliability == ReliabilityPolicy.RELIABLE:
        return "it is best_effort and reliable is asked for", "reliability"
    if offered.durability == DurabilityPolicy.VOLATILE and asked.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        return "it is volatile and transient_local is asked for", "durability"
    return None


def _name(peer: Any) -> str:
    if "UNKNOWN" in peer.node_name:  # topics are discovered before the nodes that they belong to
        return "of an unnamed node"
    return f"{peer.node_namespace.rstrip('/')}/{peer.node_name}"


def _type_name(kind: Any) -> str:
    package, *_ = kind.__module__.partition(".")
    return f"{package}/msg/{kind.__name__}"
