# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A student's labels held against a teacher's that lie beside them in a bag, as the disagreement recorder writes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srkd.errors import ConfigError
from srkd.labels import IGNORE, LabelScheme
from srkd_train.report.classes import named_scheme
from srkd_train.report.tracks import LabelTrack

ClassIds = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SharedClasses:
    """The classes that have one name in both schemes; they have the teacher's ids, and all others are left out, as the
    teacher's node does it."""

    student: ClassIds
    """(256,) teacher's id of each class of the student, 255 for those left out."""
    teacher: ClassIds
    """(256,) the same of the teacher's classes."""
    drawn: ClassIds
    """(256,) id in `scheme` of each class of the student."""
    scheme: LabelScheme
    """The teacher's classes, then those that the student alone has: for pictures."""
    left_out: tuple[str, ...] = ()
    """Names that only one of both has."""

    @classmethod
    def of(cls, student: LabelScheme, teacher: LabelScheme) -> SharedClasses:
        """Of two schemes."""
        every = np.arange(256, dtype=np.uint8)
        names = teacher.class_names
        if student.class_names == names:
            return cls(every, every, every, teacher)
        said, taught, drawn = (np.full(256, IGNORE, np.uint8) for _ in range(3))
        alone: list[tuple[str, tuple[int, int, int]]] = []
        for index, name in enumerate(student.class_names):
            if name in names:
                said[index] = drawn[index] = names.index(name)
            else:
                drawn[index] = min(len(names) + len(alone), IGNORE)
                alone.append((name, student.colors[index]))
        taught[said[said != IGNORE]] = said[said != IGNORE]
        left_out = [name for name, _ in alone] + [name for name in names if name not in student.class_names]
        try:
            classes = ([*names, *(name for name, _ in alone)], [*teacher.colors, *(color for _, color in alone)])
            scheme = named_scheme("both", *classes)
        except ConfigError:  # more classes than ids
            drawn, scheme = said, teacher
        return cls(said, taught, drawn, scheme, tuple(left_out))

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool((self.student[:IGNORE] != IGNORE).any())


@dataclass(frozen=True, eq=False)
class Taught:
    """What came of comparing the labels of one topic with a teacher's."""

    teacher: str
    """Topic of the teacher's labels."""
    shared: SharedClasses
    track: LabelTrack
    """The student's labels, with the teacher's in the place of the truth."""

    @classmethod
    def of(cls, topic: str, teacher: str, schemes: dict[str, LabelScheme]) -> Taught:
        """Of nothing yet."""
        return cls(teacher, SharedClasses.of(schemes[topic], schemes[teacher]), LabelTrack(topic))
