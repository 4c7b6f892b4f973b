# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Student and teacher in one process of their own, over real DDS."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from comparing_bench import add_up
from ros_process import Peer, Process, made_cloud, own_network, running, stamp_of  # noqa: F401
from sensor_msgs.msg import PointCloud2

from srkd_ros.msg import ComparisonReport, ModelInfo

REMAPS = {"input/points": "/points"}
MODULE = "srkd_ros.segment_with_teacher"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    parameters = {"device": "cpu", "diagnostics_period_s": 0.1, "agreement_min_frames": 1, "agreement_error": 1.0}
    with running(tmp_path_factory.mktemp("node") / "node.log", MODULE, parameters, REMAPS) as process:
        yield process


@pytest.fixture(scope="module")
def peer(node: Process) -> Iterator[Peer]:
    node.wait_for("segment is active")
    made = Peer()
    made.wait_for_node(node)
    yield made
    made.close()


def nicenesses(process: Process) -> list[int]:
    """Of all threads."""
    stats = [path.read_text() for path in Path(f"/proc/{process.process.pid}/task").glob("*/stat")]
    return [int(text.rpartition(")")[2].split()[16]) for text in stats]


def test_clouds_are_labelled_and_compared(peer: Peer, node: Process) -> None:
    reports: list[ComparisonReport] = []
    differing: list[PointCloud2] = []
    peer.listen(ComparisonReport, "comparison", reports)
    peer.listen(PointCloud2, "output/disagreement", differing)
    peer.spin(0.3)
    for number in range(1, 5):
        labels = peer.ask(made_cloud(400, stamp_s=number), (number, 0))
        assert len(labels.data) == 24 * 400
        peer.spin_until(lambda: reports and stamp_of(reports[-1])[0] == number, "the comparison")  # noqa: B023
    assert all(add_up(report) and report.num_points == 400 for report in reports)
    assert all(report.mean_kl > 0 and report.student_ms > 0 for report in reports)
    assert not math.isnan(reports[-1].window_mean_kl)
    peer.spin_until(lambda: differing and stamp_of(differing[-1])[0] == 4, "the disagreement")
    assert differing[-1].width == 400 - sum(reports[-1].confusion[:: 12 + 1])
    status = peer.status(lambda status: status.name == "segment: agreement", "its status")
    values = {value.key: value.value for value in status.values}
    assert (status.level, values["compared"]) == (b"\x02", str(reports[-1].compared))
    assert "agreement_error is 100 %" in status.message
    assert peer.status(lambda status: status.name == "segment: labels", "the other").message != status.message
    assert max(nicenesses(node)) >= 5


def test_it_says_who_the_teacher_is_and_starts_again(peer: Peer, node: Process) -> None:
    from rclpy.qos import DurabilityPolicy, QoSProfile

    infos: list[ModelInfo] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_subscription(ModelInfo, "/segment/teacher/model_info", infos.append, latched)
    peer.spin_until(lambda: infos, "the teacher's ModelInfo")
    assert (infos[0].role, infos[0].name) == ("teacher", "teacher-nano.safetensors")
    assert peer.infos[-1].role == "student"
    for step in ("deactivate", "cleanup"):
        assert peer.change_state(step)
    assert peer.set(teacher_checkpoint="no-such") == ""
    assert not peer.change_state("configure")
    node.wait_for("checkpoint 'no-such' is not a file")
    assert peer.set(teacher_checkpoint="teacher-nano", teacher_niceness=0) == ""
    for step in ("configure", "activate"):
        assert peer.change_state(step)
    assert peer.ask(made_cloud(20, stamp_s=30), (30, 0)).width == 20
    assert node.stop(signal.SIGTERM) == (0, pytest.approx(0, abs=2.0))
