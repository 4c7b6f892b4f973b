# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One table of parameters: the YAML file, the README, the declarations and the refusals follow it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from srkd_ros.parameter import Parameter
from srkd_ros.parameters import SEGMENT, TABLES, markdown, yaml_file

ROOT = Path(__file__).resolve().parent.parent
yaml = pytest.importorskip("yaml")


@pytest.mark.parametrize("node", TABLES)
def test_the_yaml_file_is_the_table(node: str) -> None:
    table = TABLES[node]
    text = (ROOT / "config" / f"{node}.yaml").read_text()
    assert text == yaml_file(table), f"run `python -m srkd_ros.parameters {node} --yaml > config/{node}.yaml`"
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert values == {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in table}
    assert {type(values[p.name]) for p in table if isinstance(p.default, float)} == {float}, "ROS minds the type"


def test_the_readme_has_the_table() -> None:
    _, _, rest = (ROOT / "README.md").read_text().partition("<!-- parameters -->\n")
    table, _, _ = rest.partition("<!-- /parameters -->")
    assert table.strip() == markdown(SEGMENT).strip(), "run `python -m srkd_ros.parameters` and paste what it prints"


def test_it_is_printed_without_ros(tmp_path: Path) -> None:
    for name in ("rclpy", "torch", "sensor_msgs"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('hidden by the test')")
    code = (
        f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r});"
        "runpy.run_module('srkd_ros.parameters', run_name='__main__')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, markdown(SEGMENT)), ran.stderr


@pytest.mark.parametrize("node", TABLES)
def test_every_default_is_within_its_own_limits(node: str) -> None:
    table = TABLES[node]
    assert [parameter.refuse(parameter.default) for parameter in table] == [None] * len(table)
    assert len({parameter.name for parameter in table}) == len(table)
    assert all(parameter.description.endswith(".") for parameter in table)


def test_refusals_name_the_parameter_the_value_and_what_is_expected() -> None:
    ranged = Parameter("max_age_ms", 0.0, "x.", "at once", 0.0, 10.0)
    assert ranged.refuse(10.0) is None
    assert ranged.refuse(11.0) == "max_age_ms: 11.0, expected 0 to 10"
    assert ranged.refuse(float("nan")) == "max_age_ms: nan, expected 0 to 10"
    chosen = Parameter("precision", "auto", "x.", choices=("auto", "fp32"))
    assert chosen.refuse("fp64") == "precision: 'fp64' is unknown, expected auto | fp32"


def test_descriptors_carry_ranges_and_read_only() -> None:
    pytest.importorskip("rclpy", reason="needs rclpy")
    from srkd_ros.declare import descriptor_of

    found = {parameter.name: descriptor_of(parameter) for parameter in SEGMENT}
    assert {name for name, descriptor in found.items() if descriptor.read_only} == {"autostart", "model_dir"}
    limits = found["max_points"].integer_range[0]
    assert (limits.from_value, limits.to_value) == (1, 20_000_000)
    assert found["input_timeout_s"].floating_point_range[0].from_value == 0.1
    assert all(descriptor.description for descriptor in found.values())
