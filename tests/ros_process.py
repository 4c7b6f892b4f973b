# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node in a process of its own, and this process as its driver, subscriber and client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threads import one_torch_thread

from srkd_ros.transport import use_large_cloud_profile

rclpy = pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
pytest.importorskip("srkd_ros.msg", reason="needs the compiled messages (make setup)")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402

from srkd_ros.msg import ModelInfo, SegmentationReport  # noqa: E402
from srkd_ros.srv import LoadModel  # noqa: E402

PATIENCE_S = 60.0


@contextmanager
def private_network(log_folder: Path) -> Iterator[None]:
    """This process and those it starts: own domain, this machine only, one thread, logs out of the home folder."""
    domain = 1 + os.getpid() % 100  # one a test process, so that two never hear each other
    with one_torch_thread(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(log_folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
            patch.setenv(name, "")
        use_large_cloud_profile()
        yield


@pytest.fixture(scope="module", autouse=True)
def own_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`private_network` for all tests of the module that imports this."""
    with private_network(tmp_path_factory.mktemp("ros_log")):
        yield


class Process:
    """`python -m MODULE` with its output in a file."""

    def __init__(self, log: Path, module: str, *arguments: str, **environment: str) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )

    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, *, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.said().count(text) < times:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{text!r} not in:\n{self.said()}"
            time.sleep(0.02)

    def stop(self, number: signal.Signals) -> tuple[int, float]:
        """Exit status, and seconds until it ended."""
        start = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_S), time.monotonic() - start

    def shared_memory(self) -> set[str]:
        """Names of the middleware's own segments that the process has mapped."""
        lines = Path(f"/proc/{self.process.pid}/maps").read_text().splitlines()
        names = {Path(line.split()[-1]).name for line in lines if "/dev/shm/fastdds_" in line}
        return {name for name in names if not name.startswith("fastdds_port")}

    def end(self) -> None:
        """For the end of a test: a process that is killed leaves its shared memory behind."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def ros_arguments(parameters: Mapping[str, object], remaps: Mapping[str, str]) -> list[str]:
    """Arguments of a node; the names of its private topics without `~/`."""
    words = ["--ros-args"]
    for inside, outside in remaps.items():
        words += ["-r", f"~/{inside}:={outside}"]
    for name, value in parameters.items():
        words += ["-p", f"{name}:={value}"]
    return words


@contextmanager
def running(log: Path, module: str, parameters: Mapping[str, object], remaps: Mapping[str, str]) -> Iterator[Process]:
    """A node, which is to end without a traceback."""
    process = Process(log, module, *ros_arguments(parameters, remaps))
    try:
        yield process
    finally:
        process.end()
    assert "Traceback" not in process.said()


class Peer:
    """This process as all that the node `/segment`, which listens on /points, talks to."""

    def __init__(self, node_name: str = "segment") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.name = node_name
        self.publisher: Any = self.node.create_publisher(
            PointCloud2, "/points", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        )
        self.statuses: list[DiagnosticStatus] = []
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda message: self.statuses.extend(message.status), 10
        )
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.infos: list[ModelInfo] = []
        self.node.create_subscription(ModelInfo, f"/{node_name}/model_info", self.infos.append, latched)
        self.labels: list[Any] = []
        self.reports: list[Any] = []
        self._ears: list[Any] = []

    def listen(self, kind: Any, topic: str, heard: list[Any]) -> None:
        """Messages of the node's private topic, as they come, until `want_no_labels`."""
        self._ears.append(self.node.create_subscription(kind, f"/{self.name}/{topic}", heard.append, 10))

    def want_labels(self) -> None:
        """Subscribes to labels and reports."""
        if not self._ears:
            self.listen(PointCloud2, "output/points", self.labels)
            self.listen(SegmentationReport, "report", self.reports)

    def want_no_labels(self) -> None:
        """Ends that, and all listening."""
        while self._ears:
            self.node.destroy_subscription(self._ears.pop())

    def spin_until(self, done: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + patience_s
        while not done():
            assert time.monotonic() < deadline, f"waited for: {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def wait_for_node(self, process: Process) -> None:
        """Sends empty clouds until labels come back: discovery is done in both directions."""
        self.want_labels()
        self.labels.clear()
        deadline = time.monotonic() + PATIENCE_S
        while not (self.labels and self.reports):
            assert process.process.poll() is None, process.said()
            assert time.monotonic() < deadline, "the node was not discovered"
            self.publisher.publish(made_cloud(0))
            self.executor.spin_once(timeout_sec=0.1)
        self.spin(0.1)
        self.labels.clear()
        self.reports.clear()

    def ask(self, message: Any, stamp: tuple[int, int]) -> Any:
        """Publishes a message, or its serialised bytes, once and returns the labels with its stamp."""
        self.publisher.publish(message)
        self.spin_until(lambda: self.labels and stamp_of(self.labels[-1]) == stamp, f"labels of {stamp}")
        return self.labels[-1]

    def status(self, done: Callable[[DiagnosticStatus], bool], what: str) -> DiagnosticStatus:
        """The next status for which `done` holds."""
        self.statuses.clear()
        found: list[DiagnosticStatus] = []

        def look() -> bool:
            found.extend(status for status in self.statuses if done(status))
            return bool(found)

        self.spin_until(look, f"{what}, the last status is {self.statuses[-1:]}")
        return found[0]

    def call(self, kind: Any, service: str, request: Any) -> Any:
        client = self.node.create_client(kind, f"/{self.name}/{service}")
        try:
            self.spin_until(client.service_is_ready, f"service {service}")
            future = client.call_async(request)
            self.spin_until(future.done, f"answer of {service}")
            return future.result()
        finally:
            self.node.destroy_client(client)

    def change_state(self, name: str) -> bool:
        """Asks for a transition: configure, activate, deactivate, cleanup."""
        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f"TRANSITION_{name.upper()}")
        return bool(self.call(ChangeState, "change_state", request).success)

    def state(self) -> str:
        return str(self.call(GetState, "get_state", GetState.Request()).current_state.label)

    def set(self, **values: Any) -> str:
        """Sets parameters; the reason of the first that was refused, or nothing."""
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        results = self.call(SetParameters, "set_parameters", SetParameters.Request(parameters=parameters)).results
        return next((result.reason for result in results if not result.successful), "")

    def load_model(self, path: str, sha256: str = "") -> Any:
        return self.call(LoadModel, "load_model", LoadModel.Request(path=path, sha256=sha256))

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def stamp_of(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def made_cloud(count: int, *, stamp_s: int = 0, names: Sequence[str] = ("x", "y", "z", "intensity")) -> PointCloud2:
    """A message of float32 fields, within 20 m, at most 1 in intensity."""
    points = np.random.default_rng(0).uniform(-20, 20, (count, len(names))).astype("<f4")
    points[:, 3:] = np.abs(points[:, 3:]) / 20
    step = 4 * len(names)
    message = PointCloud2(height=1, width=count, point_step=step, row_step=step * count, is_dense=True)
    for index, name in enumerate(names):
        message.fields.append(PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1))
    message.header.frame_id = "lidar"
    message.header.stamp.sec = stamp_s
    message.data.frombytes(points.tobytes())
    return message
