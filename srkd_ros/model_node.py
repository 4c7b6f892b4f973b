# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the nodes that run a network have in common: loading it, saying which it is, and how the node is doing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from typing import Any, TypeVar

import torch
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from srkd.errors import ConfigError
from srkd_ros.activity import Activity
from srkd_ros.counts import Counts, PastCounts
from srkd_ros.diagnostics import Health, Limits, Status, judge
from srkd_ros.fault_log import FaultLog
from srkd_ros.health import HealthTopic, input_mismatches, output_mismatches, subscribe
from srkd_ros.managed_node import ManagedNode
from srkd_ros.model import Model, ModelRequest, load_model
from srkd_ros.msg import ModelInfo
from srkd_ros.parameter import Parameter
from srkd_ros.topics import ModelTopics, Topics, input_overrides, readable_overrides
from srkd_ros.vitals import Vitals

JUMP = JumpThreshold(min_forward=Duration(seconds=10), min_backward=Duration(nanoseconds=-1))
"""Of the clock: backwards at all (a bag starts again), or far ahead."""


Out = TypeVar("Out")
A = TypeVar("A", bound=Activity[Any, Any])


class ModelNode(ManagedNode):
    """A managed node with a network.

    Attributes:
        model: the network; None while unconfigured.
        activity: the last one, at work while active; None while unconfigured, or never active since.
        topics: all publishers that are there while configured.
        vitals, faults: how it goes.
    """

    def __init__(self, name: str, table: Sequence[Parameter], role: str, first_input: str) -> None:
        """
        Args:
            name: of the node.
            table: its parameters.
            role: "student" or "teacher".
            first_input: the topic whose silence is diagnosed.
        """
        self.model: Model | None = None
        self.activity: Activity[Any, Any] | None = None
        super().__init__(name, table)
        self._role = role
        self._first_input = first_input
        self._model_topics: ModelTopics | None = None
        self._inputs: list[Subscription] = []
        self._threads_at_start = torch.get_num_threads()
        self.topics = Topics(self)
        self.vitals = Vitals()
        self.faults = FaultLog(lambda text: self.get_logger().warning(text))
        self._jumps = self.get_clock().create_jump_callback(JUMP, post_callback=self._on_clock_jump)
        self._health = HealthTopic(self, self.parameters, self.statuses)

    def counts(self) -> Counts:
        """Where the clouds, or matched pairs, went since activation."""
        return Counts() if self.activity is None else self.activity.counter.read()

    def past_counts(self) -> PastCounts:
        """How it goes with past clouds, where the node uses them."""
        return PastCounts()

    def request(self) -> ModelRequest:
        """The network that the parameters ask for."""
        return ModelRequest(**{field.name: self.parameters[field.name] for field in fields(ModelRequest)})

    def set_threads(self) -> None:
        """Gives this thread, and those that have not computed yet, the helpers that the parameters ask for."""
        torch.set_num_threads(self.parameters["num_threads"] or self._threads_at_start)

    def load(self, request: ModelRequest | None = None) -> Model:
        """Loads the network that the parameters ask for, or another one, and warms it up.

        Raises:
            SrkdError: why it cannot be used.
        """
        self.set_threads()
        # In a thread that ends. Each thread that has computed in parallel keeps OpenMP helpers of its own; once there
        # are more of them than cores, libgomp lets all wait by sleeping, and every frame takes half as long again.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="load") as passing:
            return passing.submit(load_model, request or self.request()).result()

    def introduce(self, model: Model) -> ModelInfo:
        """Makes a network the one in use and says so, in the log and on `~/model_info`."""
        self.describe(model)
        self.model = model
        if self._model_topics is None:
            self._model_topics = ModelTopics(self.topics, self._role)
        return self._model_topics.introduce(model, self.get_clock().now().to_msg())

    def describe(self, model: Model) -> None:
        """Says in the log which network is loaded."""
        header, segmenter = model.segmenter.header, model.segmenter
        log = self.get_logger()
        log.info(
            f"{header.architecture} from {model.path} labels {header.scheme.num_classes} classes of"
            f" {header.scheme.name} on {segmenter.device} in {segmenter.precision},"
            f" {model.warm_frame_ms:.0f} ms a made frame"
        )
        if model.note:
            log.warning(model.note)

    def begin(self, kind: Callable[[Model, Out, ModelNode], A], outputs: Out) -> A:
        """Starts the activity of this activation, which then needs to be told what comes in.

        Raises:
            ConfigError: the one before has not ended yet: two networks would be at work at once.
        """
        if self.activity is not None and not self.activity.stop(timeout_s=0):
            raise ConfigError(f"the last {self.activity.what} is still in work: activate again in a moment")
        self.activity = activity = kind(need_model(self.model), outputs, self)
        activity.start()
        self.vitals.reset()
        return activity

    def deactivate(self, timeout_s: float) -> bool:
        """Stops to listen, then the worker."""
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        return self.activity is None or self.activity.stop(timeout_s)

    def listen(
        self,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None],
        depth: int,
        *,
        latched: bool = False,
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        """Subscribes until deactivation; `latched` asks for the last message from before, too. `on_lost` is told how
        many the middleware lost; by default they count as clouds.

        Raises:
            ConfigError: an override of the quality of service cannot be used.
        """
        qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy[self.parameters["input_reliability"].upper()])
        if latched:
            qos.reliability, qos.durability = ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL
        with readable_overrides(topic):
            subscription = subscribe(
                self,
                kind,
                topic,
                callback,
                qos,
                on_mismatch=self._on_mismatch,
                on_lost=on_lost or self.vitals.lost,
                qos_overriding_options=input_overrides(),
            )
        self._inputs.append(subscription)

    def release(self) -> None:
        """Frees the network and closes the topics."""
        self.topics.close()
        self._model_topics = self.model = self.activity = None
        gc.collect()
        if torch.cuda.is_initialized():
            with suppress(RuntimeError):  # a GPU that has failed has nothing to give back
                torch.cuda.empty_cache()

    def statuses(self) -> dict[str, Status]:
        """Of /diagnostics, by what each is of."""
        return {"labels": judge(self._look())}

    def limits(self) -> Limits:
        """Above which the node is not well."""
        return Limits(**{field.name: self.parameters[field.name] for field in fields(Limits)})

    def now_ns(self) -> int:
        """The node's clock."""
        return int(self.get_clock().now().nanoseconds)

    def _look(self) -> Health:
        model = self.model
        topic = self.resolve_topic_name(self._first_input)
        return Health(
            state=self.state,
            failure=self.failure,
            model="" if model is None else model.path.name,
            device="" if model is None else str(model.segmenter.device),
            precision="" if model is None else model.segmenter.precision,
            input_name=self._first_input,
            input_topic=topic,
            publishers=self.count_publishers(topic),
            unheard=self._unheard(),
            unserved=output_mismatches(self, self.topics.all()),
            counts=self.counts(),
            reading=self.vitals.read(),
            limits=self.limits(),
            past=self.past_counts(),
        )

    def _unheard(self) -> tuple[str, ...]:
        return tuple(text for subscription in self._inputs for text in input_mismatches(self, subscription))

    def _on_mismatch(self) -> None:
        for text in self._unheard():
            self.faults.report(text)

    def _on_clock_jump(self, jump: TimeJump) -> None:
        self.get_logger().info("the clock has jumped: rates and ages start again")
        self.vitals.reset()
        if self.activity is not None:
            self.activity.forget()


def need_model(model: Model | None) -> Model:
    """The network.

    Raises:
        ConfigError: there is none.
    """
    if model is None:
        raise ConfigError("the node is not configured: set the parameter checkpoint and configure it")
    return model
