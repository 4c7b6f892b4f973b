# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag hold what: clouds, labels of a network, ground truth, reports. Found by type and by fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from srkd.errors import BagError
from srkd.io.bags import CLOUD_TYPE, LABELS_SUFFIX, PREDICTED_SUFFIX, TEACHER_SUFFIX, BagReader

REPORT_TYPE, COMPARISON_TYPE = "srkd_ros/msg/SegmentationReport", "srkd_ros/msg/ComparisonReport"
_VIEWS = ("/colored", "/filtered")
"""What the node publishes beside its labels; these are no clouds that came in."""


@dataclass(frozen=True)
class Topics:
    """Names of topics that hold something."""

    clouds: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Of a network: clouds with class_id and probability, or by their name."""
    truth: tuple[str, ...] = ()
    """Clouds with class_id alone."""
    teachers: tuple[str, ...] = ()
    """The same, but said by a teacher, as the disagreement recorder writes them: no truth."""
    reports: tuple[str, ...] = ()
    comparisons: tuple[str, ...] = ()
    truth_of: dict[str, str] = field(default_factory=dict)
    """Topic of the truth by topic of labels."""
    teacher_of: dict[str, str] = field(default_factory=dict)
    """Topic of the teacher's labels by topic of labels."""

    @property
    def all(self) -> tuple[str, ...]:
        """Of all kinds."""
        return (*self.clouds, *self.labels, *self.truth, *self.teachers, *self.reports, *self.comparisons)


def find_topics(reader: BagReader) -> Topics:
    """What a bag holds.

    Raises:
        BagError: nothing that could be shown, or its first messages cannot be read.
    """
    kinds = ("clouds", "labels", "truth", "teachers", "reports", "comparisons")
    found: dict[str, list[str]] = {kind: [] for kind in kinds}
    for topic in reader.topics:
        if not topic.count:
            continue
        if topic.type == CLOUD_TYPE:
            kind = _kind(reader, topic.name)
        else:
            kind = {REPORT_TYPE: "reports", COMPARISON_TYPE: "comparisons"}.get(topic.type, "")
        if kind:
            found[kind].append(topic.name)
    drawn = {name.rpartition("/")[0] + view for name in found["labels"] for view in _VIEWS}
    found["clouds"] = [name for name in found["clouds"] if name not in drawn]
    if not any(found.values()):
        held = " ".join(sorted({topic.type for topic in reader.topics if topic.count})) or "nothing"
        raise BagError(f"{reader.path}: no cloud, labels or reports to show; it holds {held}")
    truth_of = _partners(found["labels"], found["truth"], LABELS_SUFFIX)
    teacher_of = _partners(found["labels"], found["teachers"], TEACHER_SUFFIX)
    return Topics(**{kind: tuple(names) for kind, names in found.items()}, truth_of=truth_of, teacher_of=teacher_of)


def nearest(topic: str, others: Iterable[str]) -> str | None:
    """The topic that shares the longest beginning, by its parts; the first of several; None where there is none."""

    def shared(other: str) -> int:
        pairs = list(zip(topic.split("/"), other.split("/"), strict=False))
        return next((index for index, (one, two) in enumerate(pairs) if one != two), len(pairs))

    return max(others, key=shared, default=None)


def _kind(reader: BagReader, topic: str) -> str:
    fields = {each.name for each in reader.deserialize(next(iter(reader.messages([topic])))).fields}
    if "class_id" in fields:
        if "probability" in fields or topic.endswith(PREDICTED_SUFFIX):
            return "labels"
        return "teachers" if topic.endswith(TEACHER_SUFFIX) else "truth"
    return "" if {"student_id", "teacher_id"} <= fields else "clouds"


def _partners(labels: list[str], others: list[str], suffix: str) -> dict[str, str]:
    """What belongs to each topic of labels: by name, or the only one there is."""
    named = {each: each.removesuffix(PREDICTED_SUFFIX) + suffix for each in labels}
    only = others[0] if len(others) == 1 else None
    found = {each: name if name in others else only for each, name in named.items()}
    return {each: name for each, name in found.items() if name is not None}
