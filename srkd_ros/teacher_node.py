# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `teacher`: labels the same clouds as the student and tells how far both agree.

It watches the student from outside: both nodes get the clouds, and the student knows nothing of the teacher.
"""

from __future__ import annotations

import math
from dataclasses import fields

from sensor_msgs.msg import PointCloud2

from srkd_ros.comparing import Comparing
from srkd_ros.counts import Counts
from srkd_ros.diagnostics import Limits
from srkd_ros.model_node import ModelNode, need_model
from srkd_ros.msg import ModelInfo, SegmentationReport
from srkd_ros.parameters import TEACHER
from srkd_ros.teacher_messages import TeacherOutputs

INPUT, LABELS, REPORT, STUDENT = "~/input/points", "~/input/labels", "~/input/report", "~/input/model_info"


class TeacherNode(ModelNode):
    """In: `~/input/points`, the student's `~/input/labels`, `~/input/report` and `~/input/model_info`; out:
    `~/comparison`, `~/output/disagreement`, `~/model_info`, `/diagnostics`."""

    def __init__(self) -> None:
        self._outputs: TeacherOutputs | None = None
        self._comparing: Comparing | None = None
        super().__init__("teacher", TEACHER, "teacher", LABELS)

    def configure(self) -> None:
        """Loads the network, warms it up and opens the topics."""
        model = self.load()
        self._outputs = TeacherOutputs(self.topics)
        self.introduce(model)

    def activate(self) -> None:
        """Starts the worker, then listens."""
        assert self._outputs is not None
        self._comparing = Comparing(
            need_model(self.model), self._outputs, self.parameters, self.vitals, self.faults, self.now_ns, self.fail
        )
        self._comparing.start()
        self.vitals.reset()
        self.listen(ModelInfo, STUDENT, self._comparing.receive_model_info, depth=1, latched=True)
        self.listen(SegmentationReport, REPORT, self._comparing.receive_report, depth=5)
        self.listen(PointCloud2, LABELS, self._comparing.receive_labels, depth=2)
        self.listen(PointCloud2, INPUT, self._comparing.receive_cloud, depth=2)

    def deactivate(self, timeout_s: float) -> bool:
        """Stops to listen, then the worker."""
        self.stop_listening()
        return self._comparing is None or self._comparing.stop(timeout_s)

    def release(self) -> None:
        """Frees the network and closes the topics."""
        self._outputs = self._comparing = None
        super().release()

    def counts(self) -> Counts:
        """Where the matched pairs went since activation."""
        return Counts() if self._comparing is None else self._comparing.counter.read()

    def clock_jumped(self) -> None:
        """What waits is of another time."""
        if self._comparing is not None:
            self._comparing.forget()

    def limits(self) -> Limits:
        """A teacher may take its time."""
        values = {field.name: math.inf for field in fields(Limits)}
        return Limits(**{**values, "input_timeout_s": self.parameters["input_timeout_s"]})
