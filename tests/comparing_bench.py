# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A `Comparing` with all that it needs but ROS: topics that keep what they get, and a teacher whose labels are those
that the cloud states of itself in the field intensity."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from ros_process import made_cloud
from test_labelling import Topic

from srkd.io.pointcloud2 import decode
from srkd.segmenter import Inference, Labels
from srkd_ros.class_map import Scheme
from srkd_ros.comparing import Comparing
from srkd_ros.fault_log import FaultLog
from srkd_ros.frame import LabelledFrame
from srkd_ros.messages import labelled_message
from srkd_ros.parameters import SEGMENT_WITH_TEACHER, TEACHER
from srkd_ros.vitals import Vitals

NAMES = ("ground", "car", "tree")


def scheme(*names: str) -> Scheme:
    return Scheme("made", names or NAMES)


def model(*names: str) -> Any:
    """A network that is never run."""
    made = scheme(*names)
    palette = np.arange(768, dtype=np.uint8).reshape(256, 3)
    header = SimpleNamespace(scheme=SimpleNamespace(palette=lambda: palette), weights_sha256="teacher")
    segmenter = SimpleNamespace(header=header, device=torch.device("cpu"))
    return SimpleNamespace(class_names=made.class_names, scheme=made, segmenter=segmenter)


def cloud(classes: list[int], stamp_s: int = 0, shift_m: float = 0.0) -> Any:
    """A message whose points the teacher gives these classes."""
    message = made_cloud(len(classes), stamp_s=stamp_s)
    points = np.frombuffer(message.data, "<f4").reshape(-1, 4)
    points[:, 3] = classes
    points[:, 0] += np.float32(shift_m)
    return message


def labels_of(message: Any, classes: list[int], probability: list[float] | None = None) -> Any:
    """The student's labelled cloud."""
    count = len(classes)
    stated = np.full(count, 0.5, np.float32) if probability is None else np.array(probability, np.float32)
    labels = Labels(np.array(classes, np.uint8), stated, np.zeros(count, np.float32))
    return labelled_message(message, decode(message), labels)


def teach(message: Any, *rest: Any) -> LabelledFrame:
    """Stands for `label_frame`."""
    decoded = decode(message)
    class_id = np.frombuffer(message.data, "<f4").reshape(-1, 4)[:, 3].astype(np.uint8)
    count = len(class_id)
    labels = Labels(class_id, np.ones(count, np.float32), np.zeros(count, np.float32))
    return LabelledFrame(decoded, Inference(labels, None, None), {}, count, count, ())


class Bench:
    """A `Comparing` at work."""

    def __init__(self, kind: Callable[..., Comparing], network: Any, **parameters: Any) -> None:
        defaults = {parameter.name: parameter.default for parameter in (*SEGMENT_WITH_TEACHER, *TEACHER)}
        self.parameters: dict[str, Any] = {**defaults, **parameters}
        self.comparison, self.disagreement = Topic(), Topic(subscribers=1)
        self.said: list[str] = []
        node: Any = SimpleNamespace(
            parameters=self.parameters,
            vitals=Vitals(),
            faults=FaultLog(self.said.append),
            now_ns=lambda: 0,
            fail=self.said.append,
        )
        outputs: Any = SimpleNamespace(comparison=self.comparison, disagreement=self.disagreement)
        self.comparing: Any = kind(network, outputs, node)

    @property
    def reports(self) -> list[Any]:
        return self.comparison.sent

    def settle(self) -> None:
        """Until nothing is in work."""
        deadline = time.monotonic() + 30
        while self.comparing.counter.read().in_work:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def pair(self, message: Any, labels: Any) -> None:
        """A cloud and its labels, one after the other, worked on."""
        self.comparing.receive_cloud(message)
        self.comparing.receive_labels(labels)
        self.settle()


def add_up(report: Any) -> bool:
    """Whether a report accounts for all that came in."""
    return bool(
        report.clouds + report.labels == 2 * report.matched + report.unmatched + report.waiting
        and report.matched == report.compared + report.skipped + report.rejected + report.in_work
    )
