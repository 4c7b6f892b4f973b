# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node `teacher`: labels the same clouds as the student and tells how far both agree.

It watches the student from outside: both nodes get the clouds, and the student knows nothing of the teacher.
"""

from __future__ import annotations

import math
from dataclasses import fields

from sensor_msgs.msg import PointCloud2

from srkd_ros.class_map import class_table
from srkd_ros.comparing import agreement_status
from srkd_ros.comparing_topics import ComparingTopics
from srkd_ros.diagnostics import Limits, Status
from srkd_ros.model_node import ModelNode
from srkd_ros.msg import ModelInfo, SegmentationReport
from srkd_ros.parameters import TEACHER
from srkd_ros.priority import let_session_give_way
from srkd_ros.teacher_messages import TeacherOutputs

INPUT, LABELS, REPORT, STUDENT = "~/input/points", "~/input/labels", "~/input/report", "~/input/model_info"


class TeacherNode(ModelNode):
    """In: `~/input/points`, the student's `~/input/labels`, `~/input/report` and `~/input/model_info`; out:
    `~/comparison`, `~/output/disagreement`, `~/model_info`, `/diagnostics`."""

    def __init__(self) -> None:
        self._outputs: TeacherOutputs | None = None
        super().__init__("teacher", TEACHER, "teacher", LABELS)

    def configure(self) -> None:
        """Loads the network, warms it up and opens the topics."""
        model = self.load()
        class_table(self.parameters["class_map"], model.scheme)
        self._outputs = TeacherOutputs(self.topics)
        self.introduce(model)

    def activate(self) -> None:
        """Starts the worker, then listens."""
        assert self._outputs is not None
        let_session_give_way(self.parameters["teacher_niceness"])
        comparing = self.begin(ComparingTopics, self._outputs)
        comparing.record(self.resolve_topic_name(INPUT))
        self.listen(ModelInfo, STUDENT, comparing.receive_model_info, depth=1, latched=True)
        self.listen(SegmentationReport, REPORT, comparing.receive_report, depth=5)
        self.listen(PointCloud2, LABELS, comparing.receive_labels, depth=2)
        self.listen(PointCloud2, INPUT, comparing.receive_cloud, depth=2)

    def release(self) -> None:
        """Frees the network and closes the topics."""
        self._outputs = None
        super().release()

    def limits(self) -> Limits:
        """A teacher may take its time."""
        values = {field.name: math.inf for field in fields(Limits)}
        return Limits(**{**values, "input_timeout_s": self.parameters["input_timeout_s"]})

    def statuses(self) -> dict[str, Status]:
        """How far both agree, too."""
        return {**super().statuses(), "agreement": agreement_status(self.state, self.model, self.activity, self)}
