# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The way of a cloud that the student has labelled through the teacher: scheduled, labelled again, compared."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from sensor_msgs.msg import PointCloud2

from srkd.errors import CloudError
from srkd.labels import IGNORE
from srkd_ros.activity import Activity, Host
from srkd_ros.agreement import AgreementLimits, AgreementReading, Books, judge_agreement
from srkd_ros.class_map import ClassMap, class_table
from srkd_ros.comparison import Comparison, Window
from srkd_ros.diagnostics import Status
from srkd_ros.disagreement_bags import RecordOptions, Subject
from srkd_ros.disagreement_recorder import DisagreementRecorder, RecordCounts
from srkd_ros.divergence import kl_sum
from srkd_ros.frame import LabelledFrame
from srkd_ros.messages import labelled_message
from srkd_ros.model import Model
from srkd_ros.priority import give_way
from srkd_ros.schedule import Schedule
from srkd_ros.student import Student, StudentLabels, refuse_other_cloud
from srkd_ros.teacher_messages import TeacherOutputs, comparison_message, disagreement_message


class Pair(NamedTuple):
    """A cloud and the student's labels of it."""

    cloud: PointCloud2
    labels: PointCloud2 | LabelledFrame
    student: Student | None
    """None where it has not said who it is."""
    student_ms: float
    """Its latency; NaN where that is not known yet."""
    entered_s: float


class Comparing(Activity[Pair, TeacherOutputs]):
    """Compares the newest pair; a subclass makes the pairs. The student is never waited for.

    The counts: `received` pairs were made, `labelled` of them compared, `dropped` replaced by newer ones, `skipped`
    not due by the schedule.
    """

    what = "pair"

    def __init__(self, model: Model, outputs: TeacherOutputs, node: Host) -> None:
        """Takes the teacher's network and outputs.

        Raises:
            ConfigError: the parameter class_map names no usable table.
        """
        super().__init__(model, outputs, node)
        self._scheme = model.scheme
        self._table = class_table(node.parameters["class_map"], self._scheme)
        self._schedule = Schedule()
        self._student: Student | None = None
        self._window = Window(len(model.class_names))
        self._reading = AgreementReading()
        self._recorder: DisagreementRecorder | None = None

    @property
    def num_threads(self) -> int:
        """CPU threads of the network; 0: those of the process."""
        return 0

    def books(self) -> Books:
        """The books now; they always add up."""
        raise NotImplementedError

    def student_ms(self, pair: Pair) -> float:
        """The student's latency for a pair; NaN where it is not known."""
        return pair.student_ms

    def reading(self) -> AgreementReading:
        """How far both agree lately."""
        return self._reading

    def record(self, topic: str) -> None:
        """Begins to record the clouds of a topic on which both differ most, where the parameters ask for that.

        Raises:
            ConfigError: they contradict each other.
        """
        values = self._node.parameters
        options = RecordOptions(**{field.name: values[field.name] for field in fields(RecordOptions)})
        if options.record_dir:
            source = f"disagreement with {self.model.path.name}, weights {self.model.segmenter.header.weights_sha256}"
            subject = Subject(topic, self._scheme.name, source)
            self._recorder = DisagreementRecorder(subject, options, self._node.faults.report)

    def recorded(self) -> RecordCounts:
        """What became of the compared clouds in the recorder."""
        return RecordCounts() if self._recorder is None else self._recorder.counts()

    def stop(self, timeout_s: float) -> bool:
        """As `Activity`; a slow disk is not waited for long, and keeps nobody from going on."""
        ended = super().stop(timeout_s)
        if self._recorder is not None:
            self._recorder.stop(timeout_s)
        return ended

    def prepare(self) -> None:
        """Lowers the worker's priority first, so that all threads of the network get it."""
        give_way(self._node.parameters["teacher_niceness"])
        if self.num_threads:
            torch.get_num_threads()  # a thread's first look takes the process's number, whatever was set before it
            torch.set_num_threads(self.num_threads)
        super().prepare()

    def work_on(self, item: Pair) -> str:
        """Labels the cloud of a pair and compares, if that is due."""
        values = self._node.parameters
        if not self._schedule.due(values["teacher_busy_share"], values["compare_within_s"]):
            return "skipped"
        with self._schedule.at_work():
            self._compare(item)
        return "labelled"

    def _enter(self, item: Pair) -> None:
        if self._schedule.takes(self._node.parameters["compare_every_nth"]):
            super()._enter(item)
        else:
            self._pass_by()

    def _compare(self, pair: Pair) -> None:
        class_map = self._class_map(pair.student)
        cloud, num_points = pair.cloud, pair.cloud.height * pair.cloud.width
        if isinstance(pair.labels, LabelledFrame):
            student = StudentLabels.of_frame(pair.labels)
        else:
            student = StudentLabels.of_message(pair.labels)
        if len(student.class_id) != num_points:
            raise CloudError(
                f"labels: {len(student.class_id)} for {num_points} points; give the student's ~/output/points and the"
                " cloud that it labels"
            )
        said = class_map.student(student.class_id)
        start_s = time.monotonic()
        frame = self.label(cloud) if student.frame is None else self.label(cloud, student.frame)
        teacher_ms = (time.monotonic() - start_s) * 1e3
        if not isinstance(pair.labels, LabelledFrame):
            refuse_other_cloud(pair.labels, frame.decoded)
        taught = class_map.teacher(frame.labels.class_id)
        compared = (taught != IGNORE) & (said != IGNORE)
        kl = (0.0, 0)
        if student.frame is not None and class_map.identical:
            kl = kl_sum(frame.inference, student.frame.inference, compared)
        comparison = Comparison.of(taught, said, student.probability, kl, len(self._scheme.class_names))
        self._add(pair, comparison, teacher_ms)
        if self._recorder is not None:
            labels = pair.labels
            if isinstance(labels, LabelledFrame):
                labels = labelled_message(cloud, labels.decoded, labels.labels)
            scheme = "" if pair.student is None else pair.student.scheme.name
            disagreement = 1 - comparison.agreement
            self._recorder.offer(cloud, labels, frame.labels.class_id, disagreement, student_scheme=scheme)
        if self._outputs.disagreement.get_subscription_count():
            palette = self.model.segmenter.header.scheme.palette()
            differ = compared & (taught != said)
            self._outputs.disagreement.publish(disagreement_message(cloud, frame, student.class_id, differ, palette))
        self._node.vitals.labelled((time.monotonic() - pair.entered_s) * 1e3, self.age_ms(cloud), frame.notes)

    def _add(self, pair: Pair, comparison: Comparison, teacher_ms: float) -> None:
        """Into the window, and out."""
        if pair.student != self._student:
            if self._student is not None:
                self._window = Window(len(self._scheme.class_names))
            self._student = pair.student
        window, latency_ms = self._window, (self.student_ms(pair), teacher_ms)
        window.add(comparison, latency_ms, self._node.parameters["window_frames"])
        self._reading = AgreementReading.of(window, time.monotonic())
        self._outputs.comparison.publish(comparison_message(pair.cloud, comparison, window, latency_ms, self.books()))

    def _class_map(self, student: Student | None) -> ClassMap:
        if student is not None:
            return ClassMap.make(student.scheme, self._scheme, self._table)
        if self._table is not None:
            raise CloudError(
                "labels: class_map needs the names of the student's classes: remap ~/input/model_info to the student's"
                " ~/model_info"
            )
        return ClassMap.make(self._scheme, self._scheme, None)


def agreement_status(state: str, model: Model | None, activity: Activity[Any, Any] | None, node: Host) -> Status:
    """The status of a teacher.

    Args:
        state: label of its node's lifecycle state.
        model: its network; None while unconfigured.
        activity: the last comparing, or None.
        node: its parameters.
    """
    limits = AgreementLimits(**{field.name: node.parameters[field.name] for field in fields(AgreementLimits)})
    reading, books, recorded = AgreementReading(), Books(), RecordCounts()
    if isinstance(activity, Comparing):
        reading, books, recorded = activity.reading(), activity.books(), activity.recorded()
    name, device = ("", "") if model is None else (model.path.name, str(model.segmenter.device))
    return judge_agreement(state, name, device, reading, books, limits, recorded)
