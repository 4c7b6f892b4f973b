# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label schemes that differ, and tables that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srkd.errors import CloudError, ConfigError
from srkd_ros.class_map import ClassMap, Scheme, class_table, read_class_table

FINE = Scheme("fine", ("road", "path", "car", "van", "sky"))
COARSE = Scheme("coarse", ("vehicle", "ground", "water"))


def ids(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)


def test_many_become_one_and_the_rest_is_left_out() -> None:
    table = {"road": "ground", "path": "ground", "car": "vehicle", "van": "vehicle", "sky": None}
    made = ClassMap.make(FINE, COARSE, table)
    assert not made.identical
    assert made.student(ids(0, 1, 2, 3, 4, 255)).tolist() == [1, 1, 0, 0, 255, 255]
    assert made.teacher(ids(0, 1, 2, 255)).tolist() == [0, 1, 255, 255], "nobody means water"
    with pytest.raises(CloudError, match="classes of 5 and above"):
        made.student(ids(0, 5))


def test_one_scheme_needs_no_table() -> None:
    made = ClassMap.make(FINE, Scheme("another name", FINE.class_names), None)
    assert made.identical
    assert made.student(ids(0, 4, 255)).tolist() == made.teacher(ids(0, 4, 255)).tolist() == [0, 4, 255]
    partly = ClassMap.make(FINE, FINE, {"road": "road"})
    assert not partly.identical and partly.teacher(ids(0, 1)).tolist() == [0, 255]


def test_a_table_may_put_one_scheme_in_another_order() -> None:
    turned = Scheme("turned", FINE.class_names[::-1])
    made = ClassMap.make(FINE, turned, {name: name for name in FINE.class_names})
    assert not made.identical and made.student(ids(0, 1, 2, 3, 4)).tolist() == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (None, r"classes, fine \(road, .*\), are not the teacher's, coarse \(vehicle, .*\): .* class_map"),
        ({"raod": "ground"}, r"class_map: raod: no class of the student's scheme fine \(road"),
        ({"road": "gruond"}, r"class_map: gruond: no class of the teacher's scheme coarse \(vehicle"),
        ({"road": None}, "nothing can be compared"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(table: dict[str, str | None] | None, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as raised:
        ClassMap.make(FINE, COARSE, table)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["- road", "", "road: 3", "1: ground", "road: [ground]", "{", "yes: no"])
def test_files_that_are_no_tables_are_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)) as raised:
        read_class_table(str(path))
    assert "\n" not in str(raised.value)


def test_a_file_is_read_and_no_name_means_none(tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("road: ground\nsky:\n")
    assert class_table(str(path), COARSE) == {"road": "ground", "sky": None}
    assert class_table("", COARSE) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        class_table(str(tmp_path / "none.yaml"), COARSE)
