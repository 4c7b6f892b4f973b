# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A lifecycle node whose transitions say in one line why they failed, and that can start itself."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from srkd.errors import SrkdError
from srkd_ros.declare import Parameters
from srkd_ros.parameter import Parameter, Value


class ManagedNode(LifecycleNode):
    """What the nodes of this package have in common; a node overrides the methods below `check`.

    Attributes:
        parameters: their values now.
        failure: why the last transition failed; empty where it did not.
        dead: whether this process can do no further work, see `fail`.
    """

    def __init__(self, name: str, table: Sequence[Parameter]) -> None:
        super().__init__(name)
        self.failure = ""
        self.dead = False
        self._fatal = ""
        self._alarm = self.create_guard_condition(self._on_alarm)
        self.parameters = Parameters(self, table, lambda: self.state, self.check)
        self._warn_of_unknown(self.parameters.unknown())

    @property
    def state(self) -> str:
        """Label of the lifecycle state: unconfigured, inactive, active, finalized, or that of a transition."""
        return str(self._state_machine.current_state[1])

    def check(self, name: str, value: Value) -> str | None:
        """Why a parameter cannot take a value beyond what its table says, or None."""
        return None

    def configure(self) -> None:
        """Loads what is needed. A failed one is followed by `release`."""
        raise NotImplementedError

    def activate(self) -> None:
        """Begins to work. A failed one is followed by `deactivate`."""
        raise NotImplementedError

    def deactivate(self, timeout_s: float) -> bool:
        """Stops to work, if it works; whether all threads have ended in time."""
        raise NotImplementedError

    def release(self) -> None:
        """Gives back what `configure` took, if it took something."""
        raise NotImplementedError

    def start(self) -> None:
        """Configures and activates the node where the parameter `autostart` says so."""
        if self.parameters["autostart"] and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self) -> bool:
        """Ends the node's threads without waiting for long; whether all have ended."""
        return self.deactivate(timeout_s=0.2)

    def destroy_node(self) -> None:
        """Of `LifecycleNode`, which forgets its state machine: that keeps the middleware's part of the node alive, and
        with it shared memory that outlives the process."""
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def fail(self, reason: str) -> None:
        """Ends the work for good, by way of the error state, and the process with status 1, so that a launch file can
        start another; may be called from any thread."""
        self._fatal = reason
        self._alarm.trigger()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Of `LifecycleNode`."""
        return self._attempt("configure", self.configure, self.release)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Of `LifecycleNode`."""
        result = self._attempt("activate", self.activate, lambda: self.deactivate(timeout_s=10.0))
        if result == TransitionCallbackReturn.SUCCESS:
            self._warn_of_unknown(self.parameters.unknown(overrides=True))
            self.get_logger().info(f"{self.get_name()} is active")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Of `LifecycleNode`."""
        self.deactivate(timeout_s=10.0)
        if self._fatal:
            self.failure, self._fatal = self._fatal, ""
            return TransitionCallbackReturn.ERROR
        self.failure = ""
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Of `LifecycleNode`."""
        self.release()
        self.failure = ""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Of `LifecycleNode`."""
        self.deactivate(timeout_s=10.0)
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Of `LifecycleNode`: back to unconfigured."""
        self.deactivate(timeout_s=10.0)
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def _attempt(self, what: str, action: Callable[[], None], undo: Callable[[], object]) -> TransitionCallbackReturn:
        try:
            action()
        except Exception as error:
            self.failure = " ".join(str(error).split()) or type(error).__name__
            self.get_logger().error(f"{what} failed: {self.failure}")
            if not isinstance(error, SrkdError | MemoryError):
                self.get_logger().error(f"please report this:\n{traceback.format_exc()}")
            undo()
            return TransitionCallbackReturn.FAILURE
        self.failure = ""
        return TransitionCallbackReturn.SUCCESS

    def _on_alarm(self) -> None:
        self.get_logger().fatal(f"stopped: {self._fatal or self.failure}; start this process again")
        if self.state == "active":
            self.trigger_deactivate()
        self.dead = True

    def _warn_of_unknown(self, names: Sequence[str]) -> None:
        for name in names:
            self.get_logger().warning(f"parameter {name!r} means nothing to {self.get_name()}: check its spelling")
