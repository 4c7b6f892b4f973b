# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Environments to install into, and processes that run in them, for the tests of both builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREFIX = Path(sys.prefix)
SOURCES = ("CMakeLists.txt", "package.xml", "setup.py", "pyproject.toml", "README.md", "LICENSE")
FOLDERS = ("cmake", "msg", "srv", "config", "launch", "rviz", "srkd", "srkd_train", "srkd_ros")
LIMIT_S = 240
LEAKS = (
    "LD_LIBRARY_PATH",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "SRKD_ROS_MESSAGES",
    "SRKD_TEST_INSTALLED",
)


def copy_sources(target: Path) -> Path:
    """What a checkout has of the packages, without what builds and runs have left in it."""
    target.mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(ROOT / name, target)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
    return target


def make_environment(path: Path) -> Path:
    """An environment that finds all that this one has, and whose own packages go first. Returns its interpreter."""
    venv.create(path, symlinks=True, with_pip=False)
    site = next(path.glob("lib/python*/site-packages"))
    (site / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('platlib')!r})\n")
    return path / "bin" / "python3"


def shell_variables(*prefixes: Path, **more: str) -> dict[str, str]:
    """The variables of a process that finds ROS packages in `prefixes` and in this environment."""
    kept = {name: value for name, value in os.environ.items() if name not in LEAKS}
    libraries = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ.get('LD_LIBRARY_PATH', ''))"],
        env=kept,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()
    return kept | {
        "LD_LIBRARY_PATH": os.pathsep.join([*(str(prefix / "lib") for prefix in prefixes), libraries]),
        "AMENT_PREFIX_PATH": os.pathsep.join(map(str, [*prefixes, PREFIX])),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
        **more,
    }


def run(*command: object, cwd: Path, variables: dict[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """The finished process; where it failed although it must not, what it said is in the error."""
    ran = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=variables, capture_output=True, text=True, timeout=LIMIT_S
    )
    if check and ran.returncode:
        raise AssertionError(f"{command} exited with {ran.returncode}:\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}")
    return ran


def pip_install(python: Path, *arguments: object, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Installs into the environment of `python`, from nothing but what is on this machine."""
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install"]
    return run(
        *pip, "--no-deps", "--no-index", "--no-build-isolation", *arguments, cwd=ROOT.parent, variables=variables
    )
