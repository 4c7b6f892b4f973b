# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions of our nodes: failures that are said, autostart, and the way through the error state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ros_process import private_network

rclpy = pytest.importorskip("rclpy")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter as RosParameter  # noqa: E402

from srkd.errors import ConfigError  # noqa: E402
from srkd_ros.managed_node import ManagedNode  # noqa: E402
from srkd_ros.parameter import Parameter, Value  # noqa: E402

TABLE = (
    Parameter("autostart", False, "x.", "start"),
    Parameter("early", 1, "x.", "configure", 0, 9),
    Parameter("late", "a", "x.", "activate", choices=("a", "b")),
    Parameter("always", 1.0, "x.", "at once", 0.0, 9.0),
)


class Worker(ManagedNode):
    """Notes what it is told to do, and fails when told to."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.broken: dict[str, Exception] = {}
        super().__init__("worker", TABLE)

    def check(self, name: str, value: Value) -> str | None:
        return "always: 7 is unlucky" if (name, value) == ("always", 7.0) else None

    def configure(self) -> None:
        self._do("configure")

    def activate(self) -> None:
        self._do("activate")

    def deactivate(self, timeout_s: float) -> bool:
        self._do("deactivate")
        return True

    def release(self) -> None:
        self._do("release")

    def _do(self, what: str) -> None:
        self.done.append(what)
        if what in self.broken:
            raise self.broken.pop(what)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Worker]:
    with private_network(tmp_path):
        rclpy.init()
        made = Worker()
        yield made
        made.destroy_node()
        rclpy.try_shutdown()


def set_parameter(node: Worker, name: str, value: Value) -> str:
    result = node.set_parameters([RosParameter(name, value=value)])[0]
    assert result.successful == (not result.reason)
    return str(result.reason)


def test_the_usual_way_there_and_back(node: Worker) -> None:
    node.start()
    assert (node.state, node.done) == ("unconfigured", []), "autostart is off"
    for trigger, state in (
        (node.trigger_configure, "inactive"),
        (node.trigger_activate, "active"),
        (node.trigger_deactivate, "inactive"),
        (node.trigger_cleanup, "unconfigured"),
        (node.trigger_shutdown, "finalized"),
    ):
        trigger()
        assert node.state == state
    assert node.done == ["configure", "activate", "deactivate", "release", "deactivate", "release"]


@pytest.mark.parametrize("error", [ConfigError("no such\nfile"), MemoryError(), ZeroDivisionError("a bug")])
def test_a_failed_transition_is_undone_and_can_be_tried_again(error: Exception, node: Worker) -> None:
    node.broken["configure"] = error
    node.trigger_configure()
    assert (node.state, node.done) == ("unconfigured", ["configure", "release"])
    assert node.failure == ("no such file" if isinstance(error, ConfigError) else str(error) or "MemoryError")
    node.trigger_configure()
    assert (node.state, node.failure) == ("inactive", "")
    node.broken["activate"] = error
    node.trigger_activate()
    assert (node.state, node.done[-1]) == ("inactive", "deactivate")
    assert node.failure
    node.trigger_activate()
    assert (node.state, node.failure) == ("active", "")


def test_a_fatal_fault_leads_through_the_error_state(node: Worker) -> None:
    node.trigger_configure()
    node.trigger_activate()
    node.done.clear()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    node.fail("the GPU is broken")
    for _ in range(20):
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()
    assert node.state == "unconfigured"
    assert node.failure == "the GPU is broken"
    assert node.done == ["deactivate", "deactivate", "release"]
    assert node.dead, "the process ends, so that a launch file can start another"


def test_parameters_change_when_they_may(node: Worker) -> None:
    structural = "early changes only while unconfigured: deactivate and clean up the node first"
    assert set_parameter(node, "early", 2) == ""
    node.trigger_configure()
    assert set_parameter(node, "early", 3).startswith(structural)
    assert set_parameter(node, "late", "b") == ""
    node.trigger_activate()
    assert set_parameter(node, "early", 3).startswith(structural)
    assert set_parameter(node, "late", "a").startswith("late changes only while not active")
    assert set_parameter(node, "always", 2.0) == ""
    assert set_parameter(node, "always", 7.0) == "always: 7 is unlucky"
    node.trigger_deactivate()
    assert set_parameter(node, "late", "c") == "late: 'c' is unknown, expected a | b"
    assert [node.parameters[name] for name in ("early", "late", "always")] == [2, "b", 2.0]
