# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The packages of the distribution, and the ROS part that CMakeLists.txt builds; the rest stands in pyproject.toml.

On the ROS wheels this runs the same CMakeLists.txt as colcon and repacks what it installs. Where there are no wheels or
no compiler the packages install without messages and executables. `SRKD_ROS_MESSAGES=0` asks for that, and
`SRKD_ROS_MESSAGES=1` makes it an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, find_packages, setup
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build" / "ros"
SHARED = ("config", "launch", "rviz")
SOURCES = ("CMakeLists.txt", "package.xml", "cmake", "msg", "srv", *SHARED)


def missing_for_messages() -> str | None:
    """What keeps this machine from building the messages, or None."""
    if os.environ.get("SRKD_ROS_MESSAGES") == "0":
        return "SRKD_ROS_MESSAGES=0"
    modules = [name for name in ("ament_package", "catkin_pkg", "rosidl_generator_py", "numpy") if not find_spec(name)]
    if modules:
        return (
            f"no Python package {modules[0]}: the ROS tool chain comes with pip's build isolation, or the extra build"
        )
    tools = [name for name in ("cmake", "ninja", os.environ.get("CXX", "c++").split()[0]) if not find_tool(name)]
    if tools:
        return f"no {tools[0]}: apt install g++, pip install cmake ninja"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "no Python.h: apt install python3-dev"
    return None


def find_tool(name: str) -> str | None:
    """Looks on the PATH and beside the interpreter, which need not be on it."""
    return shutil.which(name) or shutil.which(name, path=os.path.dirname(sys.executable))


class RosDistribution(Distribution):
    """Its wheels are of one platform where they hold compiled messages."""

    missing = missing_for_messages()

    def has_ext_modules(self) -> bool:
        return self.missing is None

    def has_data(self) -> bool:
        """Editable installs leave the data files out without it."""
        return True


class BuildRos(Command):
    """Messages, services, executables and shared files. Modules are packed by setuptools itself."""

    user_options: ClassVar[list[tuple[str, str, str]]] = []
    editable_mode = False
    distribution: RosDistribution

    def initialize_options(self) -> None:
        self.build_lib: str | None = None

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}

    def get_source_files(self) -> list[str]:
        return [str(path.relative_to(ROOT)) for name in SOURCES for path in files_below(ROOT / name)]

    def run(self) -> None:
        missing = self.distribution.missing
        if missing is None:
            stage = build_stage()
        elif os.environ.get("SRKD_ROS_MESSAGES") == "1":
            raise SystemExit(f"srkd_ros: cannot build the ROS messages: {missing}")
        else:
            sys.stderr.write(f"srkd_ros: installing without ROS messages and executables: {missing}\n")
            stage = None
        # The list is filled in place: other commands have taken it already.
        self.distribution.data_files[:] = sorted(collect(stage, None if self.editable_mode else self.build_lib).items())


def files_below(path: Path) -> Iterator[Path]:
    """The file, or all files of the folder but caches."""
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return (file for file in found if file.is_file() and "__pycache__" not in file.parts)


def build_stage() -> Path:
    """Builds, and installs into a folder of its own, which is returned."""
    ament_package = find_spec("ament_package")
    assert ament_package is not None and ament_package.origin is not None
    prefix = Path(ament_package.origin).resolve().parents[4]
    # A cache is good for the very tool chain that made it; pip's isolated one is another every time.
    newest = max(path.stat().st_mtime_ns for path in prefix.glob("share/[!s]*/package.xml"))  # ours are new every time
    tool_chain = f"{prefix} {sys.executable} {sys.version} {newest}"
    stamp, stage = BUILD / "tool_chain", BUILD / "stage"
    shutil.rmtree(stage if stamp.exists() and stamp.read_text() == tool_chain else BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True, exist_ok=True)

    # None of a distribution that this shell may have sourced.
    leaks = ("CMAKE_PREFIX_PATH", "ROS_DISTRO", "DESTDIR")
    environment = {name: value for name, value in os.environ.items() if name not in leaks}
    environment["AMENT_PREFIX_PATH"] = str(prefix)
    environment["PATH"] = os.pathsep.join([str(prefix / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]])
    settings = {
        "CMAKE_PREFIX_PATH": prefix,
        "CMAKE_INSTALL_PREFIX": stage,
        "CMAKE_BUILD_TYPE": "Release",
        "BUILD_TESTING": "OFF",
        "Python3_EXECUTABLE": sys.executable,
        "PYTHON_INSTALL_DIR": "lib/site-packages",
        "SRKD_PYTHON": "",  # nothing of the machine that builds
    }
    configure = ["cmake", "-S", ROOT, "-B", BUILD / "cmake", "-GNinja", *(f"-D{k}={v}" for k, v in settings.items())]
    for command in (configure, ["cmake", "--build", BUILD / "cmake"], ["cmake", "--install", BUILD / "cmake"]):
        ran = subprocess.run([str(word) for word in command], env=environment, stdout=subprocess.PIPE, text=True)
        if ran.returncode:
            sys.stderr.write("\n".join(ran.stdout.splitlines()[-30:]) + "\n")
            raise SystemExit("srkd_ros: building the ROS messages failed; SRKD_ROS_MESSAGES=0 installs without them")
    stamp.write_text(tool_chain)
    return stage


def collect(stage: Path | None, build_lib: str | None) -> dict[str, list[str]]:
    """What goes below the prefix, by folder; generated Python goes to `build_lib`, or below the prefix without one."""
    targets: dict[Path, Path] = {}
    if stage is None:
        targets |= {
            path: Path("share/srkd_ros", path.relative_to(ROOT)) for n in SHARED for path in files_below(ROOT / n)
        }
        targets[ROOT / "package.xml"] = Path("share/srkd_ros/package.xml")
    else:
        site = stage / "lib" / "site-packages"
        below_prefix = Path(os.path.relpath(sysconfig.get_path("platlib"), sysconfig.get_path("data")))
        for path in files_below(site / "srkd_ros"):
            target = path.relative_to(site)
            if target.suffix != ".so" and (target.parts[1] not in ("msg", "srv") or target.suffix != ".py"):
                continue  # a module of ours, or C source
            if build_lib is None:
                targets[path] = below_prefix / target
            else:
                Path(build_lib, target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, Path(build_lib, target))
        targets |= {path: path.relative_to(stage) for path in files_below(stage) if wanted(path.relative_to(stage))}
    folders: dict[str, list[str]] = {}
    for path, target in targets.items():
        folders.setdefault(str(target.parent), []).append(str(path.relative_to(ROOT)))
    return folders


def wanted(path: Path) -> bool:
    """Libraries, executables and share, without what serves C++ users or shells to source: they need a workspace."""
    if path.parts[0] == "lib":
        return path.parts[1] != "site-packages"
    for_workspaces = {"cmake", "environment", "hook", "parent_prefix_path"}.intersection(path.parts)
    return path.parts[0] == "share" and not for_workspaces and path.suffix not in (".dsv", ".bash", ".sh", ".zsh")


class Build(build):
    """Packs no module that has gone from the tree since the last build."""

    sub_commands: ClassVar[list] = [*build.sub_commands, ("build_ros", None)]

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    packages=find_packages(include=["srkd", "srkd.*", "srkd_train", "srkd_train.*", "srkd_ros", "srkd_ros.*"]),
    package_dir={
        "": "."
    },  # editable installs put this folder on the path, so that generated modules are found beside it
    data_files=[],
    distclass=RosDistribution,
    cmdclass={"build": Build, "build_ros": BuildRos},
)
