# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `segment`: PointCloud2 in, per-point labels out.

Configured it has a network, active it labels; started by `srkd_ros.segment`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import PointCloud2

from srkd.errors import ConfigError, SrkdError
from srkd_ros.activity import Host
from srkd_ros.counts import PastCounts
from srkd_ros.labelling import Labelling
from srkd_ros.load_service import LoadService
from srkd_ros.model import Model, ModelRequest
from srkd_ros.model_node import ModelNode, need_model
from srkd_ros.motion import parse_pose
from srkd_ros.motion_topics import listen_to_motion
from srkd_ros.msg import ModelInfo
from srkd_ros.outputs import Outputs
from srkd_ros.parameter import Parameter, Value
from srkd_ros.parameters import SEGMENT

INPUT = "~/input/points"


class SegmentNode(ModelNode):
    """In: `~/input/points`, with past clouds `~/input/odometry` or TF; out: `~/output/points`, `colored`, `filtered`,
    `~/report`, `~/model_info`, `/diagnostics`; service `~/load_model`."""

    def __init__(self, table: Sequence[Parameter] = SEGMENT) -> None:
        """Takes the parameters, those of `SEGMENT` and others."""
        self._outputs: Outputs | None = None
        super().__init__("segment", table, "student", INPUT)
        self._loads = LoadService(
            self, self._request_aside, lambda: self.parameters["model_dir"], lambda: self.model, self._swap
        )

    def check(self, name: str, value: Value) -> str | None:
        """Names of classes must be the network's, and a pose six numbers."""
        if name == "sensor_pose":
            return why_no_pose(str(value))
        if name == "filter_classes" and self.model is not None and isinstance(value, list | tuple):
            return unknown_classes(self.model, value)
        return None

    def configure(self) -> None:
        """Loads the network, warms it up and opens the topics."""
        model = self.load()
        self.refuse_misfit(model)
        self._outputs = Outputs(self.topics)
        self.introduce(model)

    def activate(self) -> None:
        """Starts the worker, then listens."""
        assert self._outputs is not None
        labelling = self.begin(self.make_labelling, self._outputs)
        if self.parameters["num_past_frames"]:
            labelling.past_frames = listen_to_motion(self)
        # The queue of sensor data, not 1: the newest cloud wins in the worker's inbox, where the others are counted.
        self.listen(PointCloud2, INPUT, labelling.receive, depth=qos_profile_sensor_data.depth)

    def make_labelling(self, model: Model, outputs: Outputs, node: Host) -> Labelling:
        """The activity of an activation."""
        return Labelling(model, outputs, node)

    def past_counts(self) -> PastCounts:
        """How it goes with past clouds."""
        past_frames = self.activity.past_frames if isinstance(self.activity, Labelling) else None
        return PastCounts() if past_frames is None else past_frames.counts()

    def close(self) -> bool:
        """Ends the node's threads without waiting for long; whether all have ended."""
        return super().close() and not self._loads.busy

    def release(self) -> None:
        """Frees the network and closes the topics."""
        self._outputs = None
        super().release()

    def _request_aside(self) -> ModelRequest:
        need_model(self.model)
        return self.request()

    def _swap(self, model: Model) -> ModelInfo:
        need_model(self.model)  # the node may have been cleaned up while this one was loading
        self.refuse_misfit(model)
        if self.activity is None:
            return self.introduce(model)
        with self.activity.between_items:
            self.activity.model = model
            return self.introduce(model)

    def refuse_misfit(self, model: Model) -> None:
        """
        Raises:
            ConfigError: a network does not fit the parameters.
        """
        unknown = unknown_classes(model, self.parameters["filter_classes"])
        if unknown is not None:
            raise ConfigError(f"{model.path.name}: {unknown}; change filter_classes first")


def why_no_pose(text: str) -> str | None:
    """Why a text is no sensor_pose; None where it is one."""
    try:
        parse_pose(text)
    except SrkdError as error:
        return str(error)
    return None


def unknown_classes(model: Model, names: list[str] | tuple[str, ...]) -> str | None:
    """Which names are no classes of a network, and what its classes are, in one line; None where all are."""
    unknown = [name for name in names if name and name not in model.class_names]
    if not unknown:
        return None
    return f"filter_classes: {', '.join(unknown)} unknown, expected out of {', '.join(model.class_names)}"
