# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which past clouds go with a cloud, and what is done where poses or clouds are not as they should be."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drives import body, odometry, rigid, sweep, turned

from srkd.errors import ConfigError
from srkd.io.bags import make_header
from srkd.io.pointcloud2 import decode
from srkd_ros.frame import FrameOptions
from srkd_ros.motion import parse_pose
from srkd_ros.odometry import OdometryPoses
from srkd_ros.past_frames import NO_POSE, SOME_LACK_A_POSE, Moment, Past, PastFrames, PastOptions

S = 1_000_000_000
T0 = 1_700_000_000 * S
MANY = 10_000


def at(seconds: float) -> int:
    return T0 + round(seconds * S)


class Drive:
    """Poses every 20 ms, which never fall on a cloud's stamp, and clouds every 100 ms."""

    def __init__(self, sensor_pose: str = "0 0 0 0 0 0", **options: Any) -> None:
        self.said: list[str] = []
        self.poses = OdometryPoses(parse_pose(sensor_pose), 30.0, self.said.append)
        self.mount = parse_pose(sensor_pose)
        self.frames = PastFrames(PastOptions(**{"num_past_frames": 3, **options}), self.poses, self.said.append)

    def go(self, start_s: float, stop_s: float) -> None:
        for step in range(round((stop_s - start_s) / 0.02)):
            self.pose(start_s + 0.02 * step + 0.007)

    def pose(self, seconds: float, **changes: Any) -> None:
        self.poses.receive(odometry(at(seconds), seconds, **changes))

    def cloud(self, seconds: float, frame_id: str = "lidar") -> Moment:
        message = sweep(at(seconds), seconds, mount=self.mount)
        return self.frames.enter(replace(message, header=make_header(at(seconds), frame_id)), MANY)

    def recall(self, moment: Moment, wait_s: float = 0.0) -> Past:
        return self.frames.recall(moment, FrameOptions(), time.monotonic() + wait_s)

    def stamps(self, moment: Moment) -> list[float]:
        return [round((kept.stamp_ns - T0) / S, 3) for kept in moment.past]


@pytest.mark.parametrize("sensor_pose", ["0 0 0 0 0 0", "1.5 -0.4 1.9 0.02 -0.05 1.6"])
def test_points_that_stand_still_lie_where_the_newest_cloud_has_them(sensor_pose: str) -> None:
    drive = Drive(sensor_pose)
    drive.go(0.0, 2.0)
    for number in range(15):
        newest = drive.cloud(0.1 * number + 0.05)
    past = drive.recall(newest)
    assert (len(past), past.notes) == (3, ())
    mount = rigid(turned(*map(float, sensor_pose.split()[3:])), list(map(float, sensor_pose.split()[:3])))
    now = decode(sweep(at(1.45), 1.45, mount=mount)).cloud.xyz
    for back, found in enumerate(past.clouds(), 1):
        np.testing.assert_allclose(found.cloud.xyz, now, atol=2e-3)
        raw = decode(sweep(at(1.45 - 0.1 * back), 1.45 - 0.1 * back, mount=mount)).cloud.xyz
        assert np.abs(raw - now).max() > 0.9 * back
    assert np.abs(body(1.45)[:3, 3] - body(0.0)[:3, 3]).max() > 10


def test_steps_ages_and_memory() -> None:
    drive = Drive(past_frame_step=2, max_past_age_s=0.45)
    for number in range(20):
        moment = drive.cloud(0.1 * number)
        assert len(drive.frames._kept) <= 6
    assert drive.stamps(moment) == [1.7, 1.5], "every second one, none of 0.6 s"
    assert drive.stamps(drive.cloud(10.0)) == []
    again = drive.cloud(10.0)
    assert drive.stamps(again) == [] and drive.said == [], "a cloud that is sent twice is none of the past"
    huge = sweep(at(10.1), 10.1, count=MANY + 1)
    drive.frames.enter(huge, MANY)
    assert huge not in [kept.message for kept in drive.frames._kept]
    for wrong in ({"num_past_frames": 0}, {"past_voxel_m": float("nan")}, {"max_past_age_s": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Drive(**wrong)


def test_without_odometry_the_newest_is_labelled_alone_and_waited_for_once() -> None:
    drive = Drive()
    drive.cloud(0.0)
    moment = drive.cloud(0.1)
    begin = time.monotonic()
    past = drive.recall(moment, wait_s=0.2)
    assert 0.15 < time.monotonic() - begin < 2.0
    assert (len(past), past.notes, past.clouds()) == (0, (NO_POSE,), [])
    begin = time.monotonic()
    assert len(drive.recall(drive.cloud(0.2), wait_s=20.0)) == 0
    assert time.monotonic() - begin < 2.0, "nothing has come since"
    counts = drive.frames.counts()
    assert (counts.wanted, counts.used, counts.without_pose) == (3, 0, 3)


def test_a_pose_that_comes_a_little_late_is_waited_for() -> None:
    drive = Drive()
    drive.go(0.0, 0.3)
    drive.cloud(0.2)
    moment = drive.cloud(0.3)
    timer = threading.Timer(0.1, drive.go, (0.3, 0.4))
    timer.start()
    assert len(drive.recall(moment, wait_s=30.0)) == 1
    timer.join()


def test_poses_that_begin_late_or_have_a_hole_leave_out_single_clouds() -> None:
    drive = Drive()
    drive.cloud(0.0)
    drive.go(0.05, 0.3)
    drive.cloud(0.1)
    past = drive.recall(drive.cloud(0.2))
    assert (len(past), past.notes) == (1, (SOME_LACK_A_POSE,))
    drive.cloud(0.6)  # poses pause from 0.3 to 1.0
    drive.go(1.0, 1.3)
    moment = drive.cloud(1.1)
    assert drive.stamps(moment) == [0.6, 0.2, 0.1]
    past = drive.recall(moment)
    assert len(past) == 2 and past.notes == (SOME_LACK_A_POSE,)
    np.testing.assert_allclose(past.clouds()[0].cloud.xyz, decode(sweep(at(1.1), 1.1)).cloud.xyz, atol=2e-3)


@pytest.mark.parametrize("first", ["odometry", "clouds"])
def test_a_bag_that_begins_again_never_mixes_its_rounds(first: str) -> None:
    drive = Drive()
    drive.go(0.0, 2.0)
    for number in range(10):
        before = drive.cloud(0.1 * number + 0.5)
    if first == "odometry":
        drive.go(0.0, 0.1)
        assert len(drive.recall(before)) == 0, "its poses are gone"
        moment = drive.cloud(0.05)
    else:
        moment = drive.cloud(0.05)
        drive.go(0.0, 0.1)
    assert len(drive.recall(moment)) == 0
    assert any("went back" in line for line in drive.said)
    assert drive.frames.counts().forgotten >= 1
    drive.cloud(0.15)
    drive.go(0.1, 0.5)
    last = drive.cloud(0.25)
    assert set(drive.stamps(last)) <= {0.15, 0.05}
    drive.cloud(0.35)
    past = drive.recall(drive.cloud(0.45))
    assert len(past) >= 2
    for found in past.clouds():
        np.testing.assert_allclose(found.cloud.xyz, decode(sweep(at(0.45), 0.45)).cloud.xyz, atol=2e-3)


def test_another_run_with_silent_odometry_gets_no_pose_of_the_run_before() -> None:
    drive = Drive()
    drive.go(0.0, 2.0)
    for number in range(10):
        drive.cloud(0.1 * number + 0.5)
    for number in range(4):
        assert len(drive.recall(drive.cloud(0.1 * number))) == 0


def test_clouds_from_before_the_odometrys_clock_went_back_are_not_looked_up_in_its_new_poses() -> None:
    drive = Drive()
    drive.go(0.0, 1.0)
    for number in range(5, 10):
        drive.cloud(0.1 * number)
    for number in range(60):
        seconds = 0.2 + 0.02 * number
        drive.poses.receive(odometry(at(seconds), seconds - 0.8))
    assert len(drive.recall(drive.cloud(1.0))) == 0
    assert len(drive.recall(drive.cloud(1.1))) == 1


@pytest.mark.parametrize("what", ["clouds", "odometry", "jump", "clock"])
def test_what_breaks_the_past_leaves_the_newest_alone(what: str) -> None:
    drive = Drive()
    drive.go(0.0, 1.0)
    for number in range(5):
        moment = drive.cloud(0.1 * number)
    assert len(drive.recall(moment)) == 3
    if what == "clouds":
        moment = drive.cloud(0.5, frame_id="lidar_2")
    elif what == "odometry":
        drive.pose(1.1, frame="odom")
    elif what == "jump":
        drive.pose(1.1, x=0.0)
    else:
        drive.frames.forget()
    assert len(drive.recall(moment)) == 0
    assert (len(drive.said), drive.frames.counts().forgotten) == (0 if what == "clock" else 1, 1)
    if what == "clouds":
        assert "'lidar_2', and were of 'lidar'" in drive.said[0]


def test_an_unknown_mount_is_said_and_malformed_clouds_are_left_out() -> None:
    drive = Drive()
    drive.poses.receive(odometry(at(0.0), 0.0, child="base_link"))
    drive.poses.receive(odometry(at(0.3), 0.3, child="base_link"))
    broken = replace(sweep(at(0.0), 0.0), data=b"")
    drive.frames.enter(broken, MANY)
    drive.cloud(0.1)
    past = drive.recall(drive.cloud(0.2))
    assert past.notes == (
        "odometry is of 'base_link', clouds are of 'lidar', and sensor_pose is zero: both are taken for the same place",
    )
    assert (len(past), len(past.clouds())) == (2, 1)
    told = Drive("0 0 1.8 0 0 0")
    told.poses.receive(odometry(at(0.0), 0.0, child="base_link"))
    assert told.poses.note("lidar") is None


def test_a_cloud_is_read_once_whatever_it_goes_with(monkeypatch: pytest.MonkeyPatch) -> None:
    from srkd_ros import past_frames as module

    read = []
    monkeypatch.setattr(module, "decode", lambda message, **rest: read.append(1) or decode(message, **rest))
    drive = Drive(past_voxel_m=0.1)
    drive.go(-0.1, 1.1)
    for number in range(10):
        drive.recall(drive.cloud(0.1 * number)).clouds()
    assert len(read) == 9
    assert [kept.message for kept in drive.frames._kept][:-1] == [None] * 2


class Buffer:
    """As tf2_ros.Buffer: transforms of one child, known at their own stamps only."""

    def __init__(self, cache_time: Any) -> None:
        self.known: dict[int, Any] = {}

    def set_transform(self, transform: Any, authority: str) -> None:
        self.known[transform.header.stamp.sec * S + transform.header.stamp.nanosec] = transform

    set_transform_static = set_transform

    def clear(self) -> None:
        self.known.clear()

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        assert (target, source) == ("odom", "lidar")
        if time.nanoseconds not in self.known:
            raise TransformError
        return self.known[time.nanoseconds]


class TransformError(Exception):
    pass


def transforms(seconds: float) -> Any:
    pose = odometry(at(seconds), seconds).pose.pose
    transform = SimpleNamespace(translation=pose.position, rotation=pose.orientation)
    header = make_header(at(seconds), "odom")
    return SimpleNamespace(transforms=[SimpleNamespace(header=header, child_frame_id="base", transform=transform)])


def test_poses_by_tf(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
    from srkd_ros.tf_poses import TfPoses

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tf2_ros", None)
        with pytest.raises(ConfigError, match=r"motion_source: tf needs tf2_ros, .*: set it to odometry"):
            TfPoses("odom", 10.0)
    tf2 = ModuleType("tf2_ros")
    tf2.Buffer, tf2.TransformException = Buffer, TransformError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    with pytest.raises(ConfigError, match="fixed_frame_id is empty"):
        TfPoses("", 10.0)
    said: list[str] = []
    poses = TfPoses("odom", 10.0, said.append)
    frames = PastFrames(PastOptions(2), poses, said.append)
    for number in range(4):
        poses.receive(transforms(0.1 * number))
        moment = frames.enter(sweep(at(0.1 * number), 0.1 * number), MANY)
    past = frames.recall(moment, FrameOptions(), 0.0)
    assert (len(past), past.notes) == (2, ())
    for found in past.clouds():
        np.testing.assert_allclose(found.cloud.xyz, decode(sweep(at(0.3), 0.3)).cloud.xyz, atol=1e-4)
    late = frames.enter(sweep(at(0.4), 0.4), MANY)
    timer = threading.Timer(0.1, poses.receive, (transforms(0.4),))
    timer.start()
    assert len(frames.recall(late, FrameOptions(), time.monotonic() + 30)) == 2
    timer.join()
    poses.receive(transforms(-3.0))
    assert len(frames.recall(late, FrameOptions(), 0.0)) == 0
    assert said == ["tf: transforms are forgotten: their clock went back"]


def test_without_past_frames_nothing_is_looked_at_or_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
    pytest.importorskip("srkd_ros.msg", reason="needs the compiled messages (make setup)")
    from srkd_ros import activity
    from srkd_ros.fault_log import FaultLog
    from srkd_ros.labelling import Arrival, Labelling
    from srkd_ros.parameters import SEGMENT
    from srkd_ros.vitals import Vitals

    called: list[Any] = []
    frame = SimpleNamespace(notes=())
    monkeypatch.setattr(activity, "label_frame", lambda *words, **named: called.append((words, named)) or frame)
    parameters = {parameter.name: parameter.default for parameter in SEGMENT}
    node: Any = SimpleNamespace(parameters=parameters, vitals=Vitals(), faults=FaultLog(called.append), fail=None)
    network: Any = SimpleNamespace(segmenter="the network")
    labelling = Labelling(network, SimpleNamespace(wanted=lambda: True), node)  # type: ignore[arg-type]
    entered: list[Arrival] = []
    monkeypatch.setattr(labelling, "_enter", entered.append)
    monkeypatch.setattr(labelling, "_publish", lambda *rest: None)
    labelling.receive("a message")  # whoever looked at this would raise
    assert (entered[0].message, entered[0].moment, labelling.past_frames) == ("a message", None, None)
    assert labelling.work_on(entered[0]) == "labelled"
    assert called == [(("a message", "the network", FrameOptions()), {})]
