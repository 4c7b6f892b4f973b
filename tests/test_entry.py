# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Starting and ending of the node's process: signals at any moment, missing parts, wrong arguments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from srkd_ros.entry import missing_part, prepare_environment

SIGNALS = [signal.SIGINT, signal.SIGTERM]
LIMIT_S = 2.0


def test_the_environment_is_set_and_the_users_own_stays() -> None:
    environment: dict[str, str] = {}
    prepare_environment(environment)
    assert environment.pop("OMP_WAIT_POLICY") == "passive"
    assert 0 < int(environment.pop("GOMP_SPINCOUNT")) < 100_000
    assert list(environment) == ["FASTDDS_DEFAULT_PROFILES_FILE"]
    environment = {"OMP_WAIT_POLICY": "active", "FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"}
    prepare_environment(environment)
    assert environment == {"OMP_WAIT_POLICY": "active", "FASTDDS_DEFAULT_PROFILES_FILE": "mine.xml"}


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["torch", "rclpy"])
def test_a_signal_during_imports_ends_the_process_at_once(number: signal.Signals, module: str, tmp_path: Path) -> None:
    """A stand-in for a slow module waits for ever."""
    marker = tmp_path / "importing"
    (tmp_path / f"{module}.py").write_text(
        f"import threading, pathlib\npathlib.Path({str(marker)!r}).touch()\n"
        "lock = threading.Lock(); lock.acquire(); lock.acquire()\n"
    )
    process = start(tmp_path)
    deadline = time.monotonic() + 60
    while not marker.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert time.monotonic() - began < LIMIT_S


def start(stubs: Path, *arguments: str) -> subprocess.Popen[str]:
    """The node's process, with modules of a folder before all others."""
    path = os.pathsep.join(filter(None, [str(stubs), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "srkd_ros.segment", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("module", "advice"),
    [("rclpy", "make setup"), ("torch", "make setup"), ("sensor_msgs", "source a ROS distribution")],
)
def test_a_missing_part_is_one_line(module: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{module}'\", name='{module}')"
    )
    process = start(tmp_path)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.count("\n") == 1
    assert said.startswith("segment: ")
    assert advice in said
    assert module in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'srkd_ros.msg'", name="srkd_ros.msg"), "not compiled here"),
        (ImportError("libsrkd_ros_s__rosidl_typesupport_c.so: cannot open", name=None), "not compiled here"),
        (ImportError("librcl.so: cannot open shared object file: No such file"), "ROS 2 is not complete"),
        (ModuleNotFoundError("No module named 'sensor_msgs'", name="sensor_msgs.msg"), "ROS 2 is not complete"),
    ],
)
def test_what_is_missing_is_told_apart(error: ImportError, words: str) -> None:
    said = missing_part(error)
    assert said is not None
    assert words in said
    assert "colcon build" in said or "source a ROS" in said


def test_a_bug_in_an_import_is_not_taken_for_a_missing_part() -> None:
    assert missing_part(ImportError("cannot import name 'x' from 'srkd.plan'", name="srkd.plan")) is None


class TestWithRos:
    """The whole node; needs rclpy and the compiled messages."""

    @pytest.fixture(autouse=True)
    def network(self, tmp_path: Path) -> Iterator[None]:
        ros_process = pytest.importorskip("ros_process")
        with ros_process.private_network(tmp_path):
            yield

    @pytest.mark.parametrize("number", SIGNALS)
    def test_a_signal_in_the_middle_of_a_cloud_ends_it_in_time(self, number: signal.Signals, tmp_path: Path) -> None:
        from ros_process import Peer, Process, made_cloud, ros_arguments

        peer = Peer()
        others = set(os.listdir("/dev/shm"))
        words = ros_arguments({"device": "cpu"}, {"input/points": "/points"})
        node = Process(tmp_path / "node.log", "srkd_ros.segment", *words)
        try:
            peer.wait_for_node(node)
            peer.publisher.publish(made_cloud(600_000, stamp_s=9))  # seconds of work on one thread
            peer.spin(0.4)
            assert not peer.labels
            segments = node.shared_memory() - others
            assert segments
            status, seconds = node.stop(number)
            assert (status, seconds < LIMIT_S) == (0, True), f"{seconds} s: {node.said()}"
            assert [name for name in segments if Path("/dev/shm", name).exists()] == []
            assert "Traceback" not in node.said()
        finally:
            node.end()
            peer.close()

    def test_a_corrupt_checkpoint_is_one_line_and_the_node_lives_on(self, tmp_path: Path) -> None:
        from ros_process import Process, ros_arguments

        broken = tmp_path / "broken.safetensors"
        broken.write_bytes(b"\x08" + bytes(100))
        words = ros_arguments({"checkpoint": broken, "chekpoint": "misspelt"}, {})
        node = Process(tmp_path / "node.log", "srkd_ros.segment", *words)
        try:
            node.wait_for("parameter 'chekpoint' means nothing to segment")
            node.wait_for("configure failed: ")
            line = next(line for line in node.said().splitlines() if "configure failed" in line)
            assert str(broken) in line
            assert "fetch it again" in line
            time.sleep(0.3)
            status, seconds = node.stop(signal.SIGTERM)
            assert (status, seconds < LIMIT_S) == (0, True), node.said()
            assert "Traceback" not in node.said()
        finally:
            node.end()

    @pytest.mark.parametrize(
        ("argument", "named"),
        [
            ("checkpoint", "-p checkpoint"),
            ("checkpoint:=5", "checkpoint"),
            ("max_points:=0", "max_points"),
        ],
    )
    def test_an_unusable_argument_is_one_line_and_status_1(self, argument: str, named: str, tmp_path: Path) -> None:
        process = start(tmp_path, "--ros-args", "-p", argument)
        _, said = process.communicate(timeout=60)
        lines = [line for line in said.splitlines() if not line.startswith("[ERROR]")]  # rcl logs on its own
        assert process.returncode == 1
        assert len(lines) == 1, said
        assert lines[0].startswith("segment: ")
        assert named in lines[0]
