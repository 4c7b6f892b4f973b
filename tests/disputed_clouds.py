# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Made clouds with two label sets, a recorder for them, and what `rosbags` finds in its bags. As a program it records
without end: `python disputed_clouds.py FOLDER`."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.io.bags import cloud_message, make_header
from srkd.io.message_layout import Field
from srkd.io.pointcloud2 import LABELLED_FIELDS, LABELLED_POINT_STEP, encode_labelled
from srkd_ros.disagreement_bags import RecordOptions, Subject
from srkd_ros.disagreement_recorder import DisagreementRecorder

SUBJECT = Subject("/lidar_top", "street", "student and teacher")
FIELDS = [Field(name, 4 * index, 7) for index, name in enumerate(("x", "y", "z", "intensity"))]


@dataclass(frozen=True, eq=False)
class Made:
    """What is offered of a cloud of N points."""

    cloud: Any
    student: Any
    teacher: npt.NDArray[np.uint8]


def made(number: int, count: int = 50) -> Made:
    """The cloud of stamp `number` seconds, 2 x count / 2, with random points and labels."""
    random = np.random.default_rng(number)
    points = random.normal(size=(count, 4)).astype("<f4")
    header = make_header(number * 1_000_000_000 + 7, "lidar")
    cloud = cloud_message(header, 2, count // 2, FIELDS, 16, points.tobytes(), is_dense=False)
    class_id, teacher = random.integers(0, 12, (2, count)).astype(np.uint8)
    probability, entropy = random.random((2, count), np.float32)
    labels = SimpleNamespace(class_id=class_id, probability=probability, entropy=entropy)
    data = encode_labelled(points[:, :3].copy(), labels)
    student = cloud_message(header, 2, count // 2, LABELLED_FIELDS, LABELLED_POINT_STEP, data)
    return Made(cloud, student, teacher)


def options(folder: Path, **changes: Any) -> RecordOptions:
    values = {
        "record_dir": str(folder),
        "record_disagreement_min": 0.2,
        "record_worst_of": 1,
        "record_file_mib": 1,
        "record_file_s": 3600.0,
        "record_max_mib": 4,
        "record_min_free_mib": 0,
    }
    return RecordOptions(**{**values, **changes})


class Recorder(DisagreementRecorder):
    """Keeps the faults."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.said: list[str] = []
        super().__init__(SUBJECT, options(folder, **changes), lambda text, detail: self.said.append(text + detail))

    def offer_made(self, number: int, disagreement: float, count: int = 50) -> Made:
        one = made(number, count)
        self.offer(one.cloud, one.student, one.teacher, disagreement, student_scheme="mine")
        return one

    def wait_for(self, **wanted: int) -> None:
        """Until these are the counts."""
        deadline = time.monotonic() + 30
        while {name: getattr(self.counts(), name) for name in wanted} != wanted:
            assert time.monotonic() < deadline, (self.counts(), self.said)
            time.sleep(0.005)


def bags(folder: Path) -> list[Path]:
    """The bags that look like one, by name."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read(bag: Path) -> list[tuple[str, int, Any]]:
    """Topic, time and deserialised message of all that a bag holds, as `rosbags` reads it."""
    from rosbags import highlevel

    with highlevel.AnyReader([bag]) as reader:
        return [
            (link.topic, time_ns, reader.deserialize(raw, link.msgtype)) for link, time_ns, raw in reader.messages()
        ]


def stamps(bag: Path) -> list[int]:
    """Seconds of the clouds of a bag; each must have both label sets."""
    by_topic: dict[str, list[int]] = {}
    for topic, _, message in read(bag):
        if not topic.endswith("/label_scheme"):
            by_topic.setdefault(topic, []).append(message.header.stamp.sec)
    assert by_topic["/lidar_top"] == by_topic["/lidar_top/predicted"] == by_topic["/lidar_top/teacher"]
    return by_topic["/lidar_top"]


def size_bytes(folder: Path) -> int:
    """Of all files in and below a folder, those that are being written too."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(folder: Path) -> None:
    recorder, number = Recorder(folder, record_max_mib=3), 0
    clouds = [made(each, 4000) for each in range(8)]
    while True:
        one = clouds[number % len(clouds)]
        recorder.offer(one.cloud, one.student, one.teacher, 0.5)
        number += 1
        time.sleep(0.002)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
