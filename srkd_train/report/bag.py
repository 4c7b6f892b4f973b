# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading a bag once, from its first message to its last, into what a page says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from srkd.errors import CloudError
from srkd.io.bags import LABELS_SUFFIX, BagMessage, BagReader, stamp_ns
from srkd.io.pointcloud2 import read_fields
from srkd.labels import IGNORE, LabelScheme
from srkd.progress import Progress
from srkd.score import Score
from srkd_train.report.charts import Axis
from srkd_train.report.classes import model_infos, numbered_scheme, said_schemes, scheme_of
from srkd_train.report.tallies import ComparisonTrack, ReportTrack
from srkd_train.report.taught import Taught
from srkd_train.report.topics import Topics, find_topics, nearest
from srkd_train.report.tracks import LabelTrack


@dataclass
class Clouds:
    """The clouds of one topic."""

    stamps_ns: list[int] = field(default_factory=list)
    points: int = 0

    @property
    def period_ms(self) -> float | None:
        """Median time between two stamps; None where there are no two."""
        steps = np.diff(np.unique(self.stamps_ns))
        return float(np.median(steps)) / 1e6 if len(steps) else None


@dataclass
class Bag:
    """What was found in a bag."""

    path: Path
    start_ns: int
    duration_s: float
    topics: Topics
    schemes: dict[str, LabelScheme] = field(default_factory=dict)
    """Classes by topic of labels, of truth, of a teacher's labels and of comparisons."""
    infos: dict[str, Any] = field(default_factory=dict)
    """ModelInfo by its topic."""
    clouds: dict[str, Clouds] = field(default_factory=dict)
    labels: dict[str, LabelTrack] = field(default_factory=dict)
    taught: dict[str, Taught] = field(default_factory=dict)
    """By topic of labels, where a teacher's lie beside them."""
    truth_points: dict[str, dict[str, int]] = field(default_factory=dict)
    """Points by class, by topic of truth."""
    reports: dict[str, ReportTrack] = field(default_factory=dict)
    comparisons: dict[str, ComparisonTrack] = field(default_factory=dict)
    malformed: int = 0
    """Clouds whose bytes contradict themselves; they are left out."""
    told: dict[str, str] = field(default_factory=dict)
    """What the bag says of itself."""
    notes: list[str] = field(default_factory=list)
    """What is missing or cannot be used, a line each."""

    def seconds(self, time_ns: int) -> float:
        """From the beginning of the bag."""
        return (time_ns - self.start_ns) / 1e9

    def time_axis(self, times_s: Sequence[float]) -> Axis:
        """Seconds from the beginning to the end."""
        return Axis.time(max(self.duration_s, max(times_s, default=0.0), 0.1), " s")

    def score(self, topic: str) -> Score | None:
        """Of the labels of a topic; None where there was no truth for them."""
        track = self.labels[topic]
        return Score.from_counts(self.schemes[topic].class_names, track.counts) if track.scored else None

    def agreement(self, topic: str) -> Score | None:
        """Of the labels of a topic, the teacher's taken as truth; None where there are none."""
        taught = self.taught.get(topic)
        if taught is None or not taught.track.scored:
            return None
        return Score.from_counts(self.schemes[taught.teacher].class_names, taught.track.counts)

    def colors(self, topic: str) -> dict[str, tuple[int, int, int]]:
        """Of the classes of a topic."""
        scheme = self.schemes[topic]
        return dict(zip(scheme.class_names, scheme.colors, strict=True))


def read_bag(path: Path, scheme: LabelScheme | None = None) -> Bag:
    """Reads a bag, with progress.

    Args:
        path: of the bag.
        scheme: classes of all its labels; None: those that the bag tells.

    Raises:
        BagError: it cannot be read, or holds nothing to show.
    """
    with BagReader(path) as reader:
        topics = find_topics(reader)
        bag = Bag(path, reader.start_ns, reader.duration_ns / 1e9, topics)
        bag.infos, bag.told = model_infos(reader), reader.notes
        _find_schemes(bag, reader, scheme)
        bag.notes += [f"{name} holds a teacher's labels, no truth to be scored by." for name in topics.teachers]
        bag.clouds = {name: Clouds() for name in topics.clouds}
        bag.labels = {name: LabelTrack(name) for name in topics.labels}
        bag.taught = {name: Taught.of(name, teacher, bag.schemes) for name, teacher in topics.teacher_of.items()}
        bag.reports = {name: ReportTrack(name) for name in topics.reports}
        bag.comparisons = {name: ComparisonTrack(name) for name in topics.comparisons}
        truth_counts = {name: np.zeros(256, np.int64) for name in topics.truth}
        progress = Progress(
            sum(topic.count for topic in reader.topics if topic.name in topics.all), f"{path.name}: read"
        )
        for message in reader.messages(topics.all):
            _take(bag, message, reader.deserialize(message), truth_counts)
            progress.step()
        progress.close()
    for name, counts in truth_counts.items():
        names = bag.schemes[name].class_names
        bag.truth_points[name] = {each: int(points) for each, points in zip(names, counts, strict=False)}
    _fit_schemes(bag)
    _join(bag)
    return bag


def _take(bag: Bag, message: BagMessage, content: Any, truth_counts: dict[str, Any]) -> None:
    topic, stamp = message.topic, stamp_ns(content)
    if topic in bag.clouds:
        bag.clouds[topic].stamps_ns.append(stamp)
        bag.clouds[topic].points += content.height * content.width
    elif topic in bag.reports:
        bag.reports[topic].add(stamp, message.time_ns, content)
    elif topic in bag.comparisons:
        bag.comparisons[topic].add(stamp, message.time_ns, content)
    else:
        try:
            _take_classes(bag, message, content, stamp, truth_counts)
        except CloudError:
            bag.malformed += 1


def _take_classes(bag: Bag, message: BagMessage, content: Any, stamp: int, truth_counts: dict[str, Any]) -> None:
    topic, time_ns = message.topic, message.time_ns
    if topic in bag.labels:
        stated = ["probability"] if any(field.name == "probability" for field in content.fields) else []
        columns = read_fields(content, ["class_id", *stated])
        class_id = _class_ids(columns["class_id"])
        probability = columns.get("probability", np.full(len(class_id), np.nan)).astype(np.float32)
        bag.labels[topic].add_labels(stamp, time_ns, class_id, probability)
        if topic in bag.taught:
            taught = bag.taught[topic]
            taught.track.add_labels(stamp, time_ns, taught.shared.student[class_id], probability)
        return
    class_id = _class_ids(read_fields(content, ["class_id"])["class_id"])
    if topic in truth_counts:
        truth_counts[topic] += np.bincount(class_id, minlength=256)
    for labels, truth in bag.topics.truth_of.items():
        if truth == topic:
            bag.labels[labels].add_truth(stamp, time_ns, class_id)
    for taught in bag.taught.values():
        if taught.teacher == topic:
            taught.track.add_truth(stamp, time_ns, taught.shared.teacher[class_id])


def _class_ids(values: Any) -> Any:
    if values.dtype != np.uint8:
        raise CloudError(f"class_id of type {values.dtype}, expected uint8")
    return values


def _find_schemes(bag: Bag, reader: BagReader, given: LabelScheme | None) -> None:
    """Decides which classes each topic has, and drops truth of other classes than the labels'."""
    topics, said = bag.topics, said_schemes(reader)
    only = next(iter(said.values())) if len(set(said.values())) == 1 else None
    known = {name: said.get(name.removesuffix(LABELS_SUFFIX), only) for name in topics.truth}
    for name in (*topics.labels, *topics.comparisons, *topics.teachers):
        info = None if name in said or name in topics.teachers else nearest(name, bag.infos)
        told = said.get(name) if info is None else scheme_of(bag.infos[info])
        if told is None and name not in said:
            told = known.get(topics.truth_of.get(name, ""), only)
        bag.schemes[name] = given or told or numbered_scheme()
    for name in topics.truth:
        beside = next((bag.schemes[labels] for labels, its in topics.truth_of.items() if its == name), None)
        bag.schemes[name] = given or known[name] or beside or numbered_scheme()
    for labels, its in list(topics.truth_of.items()):
        if bag.schemes[labels].class_names != bag.schemes[its].class_names:
            bag.notes.append(f"{labels} has other classes than the ground truth {its}, so it has no scores.")
            del topics.truth_of[labels]
    named = (*topics.labels, *topics.truth, *topics.teachers)
    if given is None and any(bag.schemes[name].name == "numbered" for name in named):
        bag.notes.append("The bag does not say what its classes are called: give --scheme for names and colours.")


def _fit_schemes(bag: Bag) -> None:
    """Numbers instead of names where labels have classes that the scheme lacks."""
    for name, track in bag.labels.items():
        seen = track.class_points + track.counts.sum(axis=1)
        largest = int(np.flatnonzero(seen[:255]).max(initial=-1)) + 1
        scheme = bag.schemes[name]
        if largest > scheme.num_classes:
            bag.notes.append(
                f"{name} has class {largest - 1}, but {scheme.name} has {scheme.num_classes} classes: numbers instead."
            )
            bag.schemes[name] = numbered_scheme(largest)
        elif scheme.name == "numbered":
            bag.schemes[name] = numbered_scheme(max(largest, 1))
    for taught in bag.taught.values():
        seen = taught.track.counts[:IGNORE, :IGNORE]
        largest = int(np.flatnonzero(seen.sum(axis=0) + seen.sum(axis=1)).max(initial=-1)) + 1
        if bag.schemes[taught.teacher].name == "numbered" or largest > bag.schemes[taught.teacher].num_classes:
            bag.schemes[taught.teacher] = numbered_scheme(max(largest, 1))


def _join(bag: Bag) -> None:
    """Adds latency and agreement to the frames that they are of."""
    for topic, report in bag.reports.items():
        _set(bag, topic, "latency_ms", report.stamps_ns, report.stage_ms["total"])
    for topic, comparison in bag.comparisons.items():
        _set(bag, topic, "agreement", comparison.stamps_ns, comparison.series["agreement"])

    for topic, taught in bag.taught.items():
        for stamp, compared in taught.track.frames.items():
            frame = bag.labels[topic].frames[stamp]
            if not math.isnan(compared.right):
                frame.agreement = compared.right
            frame.first_ns = min(frame.first_ns, compared.first_ns)
            frame.last_ns = max(frame.last_ns, compared.last_ns)


def _set(bag: Bag, topic: str, name: str, stamps_ns: Sequence[int], values: Sequence[float]) -> None:
    labels = nearest(topic, bag.labels)
    frames = {} if labels is None else bag.labels[labels].frames
    for stamp, value in zip(stamps_ns, values, strict=True):
        if stamp in frames:
            setattr(frames[stamp], name, value)
