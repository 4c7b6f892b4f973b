# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The student's classes as the teacher's, where their label schemes differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srkd.errors import CloudError, ConfigError
from srkd.labels import IGNORE
from srkd.scheme_file import read_yaml

ClassIds = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scheme:
    """A label scheme as a network states it."""

    name: str
    class_names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name or 'unnamed'} ({', '.join(self.class_names)})"


@dataclass(frozen=True, eq=False)
class ClassMap:
    """Takes the labels of both networks to the classes that can be compared, which have the teacher's ids.

    A class of the student without one of the teacher's is left out, and so is a class of the teacher that no class of
    the student means: the student could never name it.
    """

    identical: bool
    """Whether both schemes are the same."""
    _num_student: int
    _student_to_teacher: ClassIds
    """(256,)"""
    _teacher_kept: ClassIds
    """(256,)"""

    @classmethod
    def make(cls, student: Scheme, teacher: Scheme, table: Mapping[str, str | None] | None) -> ClassMap:
        """The map between two schemes.

        Args:
            student, teacher: the schemes.
            table: name of the teacher's class for names of the student's, see `read_class_table`; None: both must have
                the same classes in the same order.

        Raises:
            ConfigError: the schemes differ and there is no table, or it fits neither or leaves nothing.
        """
        if table is None:
            if student.class_names != teacher.class_names:
                raise ConfigError(
                    f"the student's classes, {student}, are not the teacher's, {teacher}: run both on one label"
                    " scheme, or give a table of them as class_map"
                )
            table = {name: name for name in teacher.class_names}
        _refuse_unknown(table, student, "student")
        _refuse_unknown((name for name in table.values() if name is not None), teacher, "teacher")
        if not any(table.values()):
            raise ConfigError(f"class_map: no class of {student} has one of {teacher}: nothing can be compared")
        to_teacher, kept = np.full(256, IGNORE, np.uint8), np.full(256, IGNORE, np.uint8)
        for index, name in enumerate(student.class_names):
            target = table.get(name)
            if target is not None:
                to_teacher[index] = kept[teacher.class_names.index(target)] = teacher.class_names.index(target)
        count = len(student.class_names)
        alike = student.class_names == teacher.class_names
        identical = alike and bool((to_teacher[:count] == np.arange(count)).all())
        return cls(identical, count, to_teacher, kept)

    def student(self, class_id: ClassIds) -> ClassIds:
        """(N,) the student's classes as the teacher's, 255 where they are left out.

        Raises:
            CloudError: a class is not in the student's scheme.
        """
        if len(class_id) and int(class_id[class_id != IGNORE].max(initial=0)) >= self._num_student:
            raise CloudError(
                f"labels: classes of {self._num_student} and above: not of the scheme that the student states"
            )
        return self._student_to_teacher[class_id]

    def teacher(self, class_id: ClassIds) -> ClassIds:
        """(N,) the teacher's classes, 255 where they are left out."""
        return self._teacher_kept[class_id]


def class_table(path: str, teacher: Scheme) -> dict[str, str | None] | None:
    """What the parameter class_map means: the table of a file, or none where it is empty.

    Raises:
        ConfigError: see `read_class_table`, or a class is not the teacher's.
    """
    if not path:
        return None
    table = read_class_table(path)
    _refuse_unknown((name for name in table.values() if name is not None), teacher, "teacher")
    return table


def read_class_table(path: str) -> dict[str, str | None]:
    """A YAML file with a line `student's class: teacher's class` each; without a class, or absent, it is left out.

    Raises:
        ConfigError: the file cannot be read, or is no such table.
    """
    try:
        values = read_yaml(path)
    except ConfigError as error:
        raise ConfigError(f"class_map: {path}: {error}") from None
    if not isinstance(values, dict) or not values:
        raise ConfigError(f"class_map: {path}: expected lines of `student's class: teacher's class`")
    for name, target in values.items():
        if not isinstance(name, str) or not isinstance(target, str | None):
            raise ConfigError(f"class_map: {path}: {name!r}: {target!r}, expected the names of two classes; quote them")
    return values


def _refuse_unknown(names: Iterable[str], scheme: Scheme, whose: str) -> None:
    unknown = sorted(set(names).difference(scheme.class_names))
    if unknown:
        raise ConfigError(f"class_map: {', '.join(unknown)}: no class of the {whose}'s scheme {scheme}")
