# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node `segment` with a teacher in its process: labels as ever, and compares in the time that is left.

The student never waits for the teacher, which works in a thread of its own, at a lower priority and while the student
is idle, on what the student has done already: the decoded cloud, and voxels and plan where both have one InputSpec.
"""

from __future__ import annotations

from dataclasses import replace

from srkd.errors import ConfigError
from srkd_ros.activity import Host
from srkd_ros.class_map import ClassMap, class_table
from srkd_ros.comparing import agreement_status
from srkd_ros.comparing_frames import ComparingFrames, ObservedLabelling
from srkd_ros.declare import Parameters
from srkd_ros.diagnostics import Status
from srkd_ros.fault_log import FaultLog
from srkd_ros.labelling import Labelling
from srkd_ros.model import Model
from srkd_ros.outputs import Outputs
from srkd_ros.parameters import SEGMENT_WITH_TEACHER
from srkd_ros.segment_node import INPUT, SegmentNode
from srkd_ros.teacher_messages import TeacherOutputs
from srkd_ros.topics import ModelTopics
from srkd_ros.vitals import Vitals


class SegmentWithTeacherNode(SegmentNode):
    """As `SegmentNode`, and out: `~/comparison`, `~/output/disagreement`, `~/teacher/model_info`."""

    def __init__(self) -> None:
        self._teacher: Model | None = None
        self._comparing: ComparingFrames | None = None
        self._findings: TeacherOutputs | None = None
        super().__init__(SEGMENT_WITH_TEACHER)
        self._side = _Side(self)

    def configure(self) -> None:
        """Loads both networks, warms them up and opens the topics."""
        asked = replace(
            self.request(),
            checkpoint=self.parameters["teacher_checkpoint"],
            checkpoint_sha256=self.parameters["teacher_checkpoint_sha256"],
        )
        self._teacher = teacher = self.load(asked)
        super().configure()
        self._findings = TeacherOutputs(self.topics)
        self.describe(teacher)
        topics = ModelTopics(self.topics, "teacher", "~/teacher/")
        topics.introduce(teacher, self.get_clock().now().to_msg())

    def activate(self) -> None:
        """Starts both workers, then listens."""
        assert self._teacher is not None and self._findings is not None
        if self._comparing is not None and not self._comparing.stop(timeout_s=0):
            raise ConfigError("the last pair is still in work: activate again in a moment")
        self._comparing = ComparingFrames(self._teacher, self._findings, self._side)
        self._comparing.start()
        self._comparing.record(self.resolve_topic_name(INPUT))
        self._side.vitals.reset()
        # The teacher's worker has set its own number, which threads that begin to compute later would take too.
        self.set_threads()
        super().activate()

    def make_labelling(self, model: Model, outputs: Outputs, node: Host) -> Labelling:
        """One that is observed."""
        assert self._comparing is not None
        return ObservedLabelling(model, outputs, node, self._comparing)

    def deactivate(self, timeout_s: float) -> bool:
        """Stops the student, then the teacher."""
        ended = super().deactivate(timeout_s)
        return (self._comparing is None or self._comparing.stop(timeout_s)) and ended

    def release(self) -> None:
        """Frees the networks and closes the topics."""
        self._teacher = self._comparing = self._findings = None
        super().release()

    def statuses(self) -> dict[str, Status]:
        """How far both agree, too."""
        status = agreement_status(self.state, self._teacher, self._comparing, self)
        return {**super().statuses(), "agreement": status}

    def refuse_misfit(self, model: Model) -> None:
        """Also where the classes cannot be compared."""
        super().refuse_misfit(model)
        if self._teacher is not None:
            table = class_table(self.parameters["class_map"], self._teacher.scheme)
            ClassMap.make(model.scheme, self._teacher.scheme, table)


class _Side:
    """Lends the node to the teacher; rates and latencies there are not the student's."""

    def __init__(self, node: SegmentNode) -> None:
        self.parameters: Parameters = node.parameters
        self.faults: FaultLog = node.faults
        self.vitals = Vitals()
        self.now_ns = node.now_ns
        self.fail = node.fail
