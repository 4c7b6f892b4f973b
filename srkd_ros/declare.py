# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The table of parameters, declared on a node and checked whenever a value changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node

from srkd_ros.parameter import WHEN, Parameter, Value

OPEN_STATES = {"at once": None, "activate": ("unconfigured", "inactive"), "configure": ("unconfigured",)}
"""In which lifecycle states a parameter can change; None: in all."""

HINTS = {
    "activate": "deactivate the node first",
    "configure": "deactivate and clean up the node first, or use ~/load_model to change the network",
}


class Parameters:
    """The values of a node's parameters, as they are now."""

    def __init__(
        self,
        node: Node,
        table: Sequence[Parameter],
        state: Callable[[], str],
        check: Callable[[str, Value], str | None] = lambda name, value: None,
    ) -> None:
        """Declares the table.

        Args:
            node: whose parameters they are.
            table: what is declared.
            state: label of the node's lifecycle state.
            check: why a value cannot be taken beyond what the table says, or None; given a name and a value.

        Raises:
            rclpy.exceptions.ParameterException: an initial value is of the wrong type, or refused.
        """
        self._node = node
        self._table = {parameter.name: parameter for parameter in table}
        self._state = state
        self._check = check
        self._declared = False
        node.add_on_set_parameters_callback(self._judge)
        for parameter in table:
            default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
            node.declare_parameter(parameter.name, default, descriptor_of(parameter))
        self._declared = True

    def __getitem__(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def unknown(self, *, overrides: bool = False) -> tuple[str, ...]:
        """Names that were given at start and mean nothing to this node, e.g. misspelt ones.

        Args:
            overrides: look at the `qos_overrides`, which are declared together with their topics, or at the rest.
        """
        given = getattr(self._node, "_parameter_overrides", {})
        return tuple(
            name
            for name in given
            if name.startswith("qos_overrides.") == overrides and not self._node.has_parameter(name)
        )

    def _judge(self, changes: list[Any]) -> SetParametersResult:
        for change in changes:
            parameter = self._table.get(change.name)
            reason = None if parameter is None else self._refusal(parameter, change.value)
            if reason is not None:
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _refusal(self, parameter: Parameter, value: Any) -> str | None:
        states = OPEN_STATES.get(parameter.when)
        if self._declared and states is not None and self._state() not in states:
            return f"{parameter.name} changes only {WHEN[parameter.when]}: {HINTS[parameter.when]}"
        return parameter.refuse(value) or self._check(parameter.name, value)


def descriptor_of(parameter: Parameter) -> ParameterDescriptor:
    """What `ros2 param describe` shows."""
    descriptor = ParameterDescriptor(
        description=parameter.description,
        additional_constraints=f"changes {WHEN[parameter.when]}",
        read_only=parameter.when == "start",
    )
    if parameter.choices:
        descriptor.additional_constraints = f"{parameter.limits}; {descriptor.additional_constraints}"
    if parameter.minimum is not None and parameter.maximum is not None:
        if isinstance(parameter.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=parameter.minimum, to_value=parameter.maximum)
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(parameter.minimum), to_value=int(parameter.maximum), step=1)
            ]
    return descriptor
