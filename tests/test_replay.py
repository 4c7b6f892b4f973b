# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`replay` and `record` in processes of their own, over real DDS: bytes, times, names, ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from real_data import real_data

pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (the `bags` extra)")
rclpy = pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from ros_process import PATIENCE_S, Process, own_network  # noqa: E402, F401
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import PointCloud2  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from srkd.io.bags import (  # noqa: E402
    CLOUD_TYPE,
    BagReader,
    BagWriter,
    TopicQos,
    TypeDefinition,
    cloud_message,
    make_header,
)
from srkd.io.message_layout import Field  # noqa: E402
from srkd_ros.command_line import raw_stamp_ns, split_ros_arguments  # noqa: E402
from srkd_ros.record import Disk  # noqa: E402
from srkd_ros.recorded_qos import replay_profile  # noqa: E402
from srkd_ros.replay_schedule import Pacer, events  # noqa: E402

STRING = "std_msgs/msg/String"
START_NS = 1_600_000_000_000_000_000
PERIOD_NS = 50_000_000


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 clouds of 40,000 points (0.6 MB) at 20 Hz, and one latched text before them."""
    path = tmp_path_factory.mktemp("bags") / "bag"
    fields = [Field(name, 4 * index, 7) for index, name in enumerate(("x", "y", "z", "intensity"))]
    with BagWriter(path) as writer:
        writer.add_topic("/note", STRING, qos=TopicQos("reliable", "transient_local", "keep_last", 1))
        writer.write_message("/note", STRING, START_NS, SimpleNamespace(data="street"))
        for index in range(20):
            time_ns = START_NS + index * PERIOD_NS
            data = np.random.default_rng(index).bytes(640_000)
            message = cloud_message(make_header(time_ns, "lidar"), 1, 40_000, fields, 16, data)
            writer.write_message("/points", CLOUD_TYPE, time_ns, message)
    return path


class Ear:
    """This process as a subscriber of raw messages."""

    def __init__(self, *topics: tuple[Any, str], reliable: bool = True, latched: bool = False) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("ear", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: list[tuple[str, bytes, float]] = []
        qos = QoSProfile(
            depth=100,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        for kind, topic in topics:

            def hear(raw: bytes, topic: str = topic) -> None:
                self.heard.append((topic, raw, time.monotonic()))

            self.node.create_subscription(kind, topic, hear, qos, raw=True)

    def spin_while(self, process: Process) -> int:
        """Listens until a process has ended, and a moment longer; its exit status."""
        deadline = time.monotonic() + PATIENCE_S
        while process.process.poll() is None:
            assert time.monotonic() < deadline, process.said()
            self.executor.spin_once(timeout_sec=0.05)
        for _ in range(20):
            self.executor.spin_once(timeout_sec=0.01)
        return int(process.process.returncode)

    def raw(self, topic: str) -> list[bytes]:
        return [raw for name, raw, _ in self.heard if name == topic]

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def ears() -> Iterator[list[Ear]]:
    made: list[Ear] = []
    yield made
    for ear in made:
        ear.close()


def replay(tmp_path: Path, bag: Path, *arguments: object) -> Process:
    return Process(tmp_path / "replay.log", "srkd_ros.replay", str(bag), *map(str, arguments))


def raw_of(bag: Path, topic: str) -> list[bytes]:
    with BagReader(bag) as reader:
        return [message.raw for message in reader.messages([topic])]


def log_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def unpadded(messages: list[bytes]) -> list[bytes]:
    """Without the up to 3 bytes that the middleware appends to a message to fill a word."""
    return [raw.rstrip(b"\0") for raw in messages]


# --- replay ---


def test_bytes_and_times_are_those_of_the_bag(bag: Path, tmp_path: Path, ears: list[Ear]) -> None:
    ears.append(ear := Ear((PointCloud2, "/points"), (String, "/note")))
    process = replay(tmp_path, bag, "--wait-subscribers", 2, "--log", tmp_path / "log.json")
    assert ear.spin_while(process) == 0, process.said()
    assert unpadded(ear.raw("/points")) == unpadded(raw_of(bag, "/points"))
    assert unpadded(ear.raw("/note")) == unpadded(raw_of(bag, "/note"))
    log = log_of(tmp_path / "log.json")
    assert [(line["topic"], line["stamp_ns"]) for line in log] == [
        ("/note", None),
        *(("/points", START_NS + index * PERIOD_NS) for index in range(20)),
    ]
    sent_s = np.array([line["publish_ns"] for line in log[1:]]) / 1e9
    np.testing.assert_allclose(np.diff(sent_s).sum(), 19 * PERIOD_NS / 1e9, rtol=0.2)
    heard_s = np.array([at for topic, _, at in ear.heard if topic == "/points"])
    assert (heard_s - sent_s > 0).all(), "one clock for all processes, taken before publishing"
    assert "21 messages" in process.said() and "Traceback" not in process.said()


def test_rate_topics_start_and_names(bag: Path, tmp_path: Path, ears: list[Ear]) -> None:
    ears.append(ear := Ear((PointCloud2, "/lidar_top"), (PointCloud2, "/points"), (String, "/note")))
    process = replay(
        tmp_path, bag, "--rate", 0.5, "--start-s", 0.62, "--topics", "/points", "--remap", "/points:=/lidar_top",
        "--reliability", "reliable", "--wait-subscribers", 1, "--log", tmp_path / "log.json",
    )  # fmt: skip
    assert ear.spin_while(process) == 0, process.said()
    assert {topic for topic, _, _ in ear.heard} == {"/lidar_top"}
    assert unpadded(ear.raw("/lidar_top")) == unpadded(raw_of(bag, "/points")[13:])
    log = log_of(tmp_path / "log.json")
    assert {line["topic"] for line in log} == {"/lidar_top"}
    took_s = (log[-1]["publish_ns"] - log[0]["publish_ns"]) / 1e9
    assert took_s == pytest.approx(6 * PERIOD_NS / 1e9 / 0.5, rel=0.25)


def test_loop_repeats_and_stamps_and_the_clock_jump_back(bag: Path, tmp_path: Path, ears: list[Ear]) -> None:
    ears.append(ear := Ear((PointCloud2, "/points"), (Clock, "/clock")))
    process = replay(tmp_path, bag, "--rate", 4, "--loop", "--clock", 100, "--wait-subscribers", 1)
    deadline = time.monotonic() + PATIENCE_S
    while len(ear.raw("/points")) < 45:
        assert time.monotonic() < deadline and process.process.poll() is None, process.said()
        ear.executor.spin_once(timeout_sec=0.05)
    status, seconds = process.stop(signal.SIGTERM)
    assert (status, seconds < 2) == (0, True)
    stamps = [raw_stamp_ns(raw) for raw in ear.raw("/points")]
    assert stamps[:41] == [START_NS + index % 20 * PERIOD_NS for index in range(41)]
    at_s = [at for topic, _, at in ear.heard if topic == "/points"]
    assert at_s[20] - at_s[19] > PERIOD_NS / 1e9 / 4 / 2, "no two clouds at once where it starts again"
    ticks = [raw_stamp_ns(raw) for raw in ear.raw("/clock")]  # a time where others have a header's stamp
    steps = np.diff(np.array(ticks, np.int64))
    assert sorted({int(step) for step in steps if step > 0}) == [40_000_000], "100 Hz at 4 times the speed"
    assert (steps < 0).sum() >= 2 and min(ticks) == START_NS


def test_latched_messages_from_before_the_start_reach_late_subscribers(
    bag: Path, tmp_path: Path, ears: list[Ear]
) -> None:
    process = replay(tmp_path, bag, "--start-s", 0.5, "--loop")
    time.sleep(1.0)
    ears.append(ear := Ear((String, "/note"), latched=True))
    deadline = time.monotonic() + PATIENCE_S
    while not ear.heard:
        assert time.monotonic() < deadline, process.said()
        ear.executor.spin_once(timeout_sec=0.05)
    assert b"street" in ear.heard[0][1]
    assert process.stop(signal.SIGINT)[0] == 0


def test_best_effort_is_offered_on_request(bag: Path, tmp_path: Path, ears: list[Ear]) -> None:
    ears.append(ear := Ear((PointCloud2, "/points")))  # wants reliable
    process = replay(tmp_path, bag, "--rate", 10, "--reliability", "best_effort", "--topics", "/points")
    assert ear.spin_while(process) == 0
    assert ear.heard == []


@pytest.mark.parametrize("name", ["velodyne_vlp16_xyzirt22", "ouster_os1_128_organized48"])
def test_real_bags_arrive_byte_by_byte(name: str, tmp_path: Path, ears: list[Ear]) -> None:
    path = real_data("bags", name)
    with BagReader(path) as reader:
        (topic,) = reader.cloud_topics()
    ears.append(ear := Ear((PointCloud2, topic)))
    process = replay(tmp_path, path, "--wait-subscribers", 1)
    assert ear.spin_while(process) == 0, process.said()
    assert unpadded(ear.raw(topic)) == unpadded(raw_of(path, topic))


def test_types_that_are_not_installed_are_skipped_by_name(bag: Path, tmp_path: Path) -> None:
    thing = TypeDefinition("nowhere_msgs/msg/Thing", "uint8 a\n", "")
    with BagWriter(tmp_path / "mixed") as writer:
        writer.add_topic("/thing", thing.name, definition=thing)
        writer.write("/thing", thing.name, 1, b"\0\1\0\0\7")
        writer.write_message("/note", STRING, 2, SimpleNamespace(data="a"))
    process = replay(tmp_path, tmp_path / "mixed")
    assert process.process.wait(PATIENCE_S) == 0
    assert "/thing skipped: nowhere_msgs/msg/Thing is not installed here" in process.said()
    assert "1 messages" in process.said()
    process = replay(tmp_path, tmp_path / "mixed", "--topics", "/thing")
    assert process.process.wait(PATIENCE_S) == 1
    assert "nothing to play" in process.said()


@pytest.mark.parametrize(
    ("arguments", "status", "named"),
    [
        (["--topics", "/lidar"], 2, "no topic /lidar; it has /note /points"),
        (["--rate", "0"], 2, "--rate"),
        (["--start-s", "60"], 2, "--start-s 60"),
        (["--remap", "/points"], 2, "FROM:=TO"),
        (["--remap", "/points:=9a"], 2, "must not start with a number"),
        (["--clock", "inf"], 2, "--clock"),
        (["--bogus"], 2, "--bogus"),
        (["--wait-subscribers", "1", "--wait-s", "0.2"], 1, "0 of 1 subscriptions"),
        (["--log", "/nowhere/at/all"], 1, "/nowhere/at/all"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], status: int, named: str, bag: Path, tmp_path: Path) -> None:
    process = replay(tmp_path, bag, *arguments)
    assert process.process.wait(PATIENCE_S) == status, process.said()
    (line,) = process.said().splitlines()
    assert line.startswith("replay: ") and named in line


def test_what_cannot_be_read_or_is_empty_is_one_line(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "empty"):
        pass
    for path, named in ((tmp_path / "absent", "no such file"), (tmp_path / "empty", "the bag is empty")):
        process = replay(tmp_path, path)
        assert process.process.wait(PATIENCE_S) == 1
        (line,) = process.said().splitlines()
        assert named in line


def test_a_stall_puts_off_what_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("srkd_ros.replay_schedule.time", SimpleNamespace(monotonic=lambda: now[0]))
    stalls = {3: 0.5, 6: 0.004}
    sent = []

    def wait(seconds: float) -> bool:
        now[0] += seconds
        return False

    pacer = Pacer(2.0, wait)
    for index in range(8):
        now[0] += stalls.get(index, 0.0)
        assert not pacer.wait_for(START_NS + index * 200_000_000)
        sent.append(now[0])
    # 0.2 s of the bag are 0.1 s here; 0.5 s of work before the fourth leave it 0.4 s late, and 4 ms fit in.
    np.testing.assert_allclose(np.diff(sent), [0.1, 0.1, 0.5, 0.1, 0.1, 0.1, 0.1], atol=1e-6)
    assert (pacer.late, round(pacer.worst_s, 6)) == (1, 0.4)


def test_ticks_of_the_clock_come_before_what_they_time(bag: Path) -> None:
    with BagReader(bag) as reader:
        found = list(events(reader, ("/points",), START_NS + 2 * PERIOD_NS, tick_ns=PERIOD_NS // 2))
    assert [(event.bag_ns - START_NS) / PERIOD_NS for event in found[:5]] == [2, 2, 2.5, 3, 3]
    assert [event.message is None for event in found[:5]] == [True, False, True, True, False]


def test_latched_topics_keep_as_many_messages_as_were_offered() -> None:
    assert replay_profile(TopicQos("reliable", "transient_local", "keep_last", 50), "recorded").depth == 50
    assert replay_profile(TopicQos("best_effort", "volatile", "keep_last", 5000), "recorded").depth == 10


def test_arguments_that_launch_adds_go_to_ros() -> None:
    words = ["bag", "--ros-args", "-r", "__node:=a", "--", "--loop", "--ros-args", "-p", "x:=1"]
    own, ros = split_ros_arguments(words)
    assert own == ["bag", "--loop"]
    assert ros == ["--ros-args", "-r", "__node:=a", "--", "--ros-args", "-p", "x:=1"]


# --- record ---


def record(tmp_path: Path, *arguments: object) -> Process:
    return Process(tmp_path / "record.log", "srkd_ros.record", *map(str, arguments))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_recording_holds_what_was_sent(storage: str, bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recorder = record(tmp_path, out, "/points", "/note", "--storage", storage, "--log", tmp_path / "heard.json")
    recorder.wait_for("recording")
    player = replay(tmp_path, bag, "--wait-subscribers", 2, "--log", tmp_path / "sent.json")
    recorder.wait_for("matched /points")
    recorder.wait_for("matched /note")
    assert player.process.wait(PATIENCE_S) == 0, player.said()
    time.sleep(0.3)
    assert recorder.stop(signal.SIGINT)[0] == 0
    assert "21 messages" in recorder.said() and "Traceback" not in recorder.said()
    with BagReader(out) as reader:
        assert {topic.name: topic.qos.durability for topic in reader.topics if topic.qos} == {
            "/points": "volatile",
            "/note": "transient_local",
        }
    for topic in ("/points", "/note"):
        assert unpadded(raw_of(out, topic)) == unpadded(raw_of(bag, topic))
    sent = {(line["topic"], line["stamp_ns"]): line["publish_ns"] for line in log_of(tmp_path / "sent.json")}
    heard = {(line["topic"], line["stamp_ns"]): line["receive_ns"] for line in log_of(tmp_path / "heard.json")}
    assert sent.keys() == heard.keys()
    assert all(0 < heard[key] - sent[key] < 5e9 for key in sent)


def test_a_bag_that_cannot_be_closed_is_an_error_and_no_wait_for_ever() -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            raise OSError("the disk is full")

    disk = Disk(Full())  # type: ignore[arg-type]
    disk._jobs.put(lambda: None)
    said: list[str] = []

    def close() -> None:
        try:
            disk.close()
        except OSError as error:
            said.append(str(error))

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(20)
    assert said == ["the disk is full"]


def test_limits_end_a_recording(bag: Path, tmp_path: Path) -> None:
    recorder = record(tmp_path, tmp_path / "out", "/points", "--count", 5)
    player = replay(tmp_path, bag, "--wait-subscribers", 1, "--loop")
    assert recorder.process.wait(PATIENCE_S) == 0, recorder.said()
    assert player.stop(signal.SIGTERM)[0] == 0
    assert len(raw_of(tmp_path / "out", "/points")) == 5
    recorder = record(tmp_path, tmp_path / "other", "/nobody", "--idle-s", 0.3)
    assert recorder.process.wait(PATIENCE_S) == 1
    assert "nothing was received" in recorder.said()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("out", "arguments", "status", "named"),
    [
        ("here", ["/points"], 1, "exists already"),
        ("new", ["/9a"], 2, "must not start with a number"),
        ("new", [], 2, "TOPIC"),
        ("new", ["/a", "--count", "0"], 2, "--count"),
        ("new.mcap", ["/a"], 1, "without .mcap"),
    ],
)
def test_mistakes_in_recording_are_one_line(
    out: str, arguments: list[str], status: int, named: str, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    recorder = record(tmp_path, tmp_path / out, *arguments)
    assert recorder.process.wait(PATIENCE_S) == status, recorder.said()
    (line,) = recorder.said().splitlines()
    assert line.startswith("record: ") and named in line
    assert not (tmp_path / "new").exists()


def test_players_and_recorders_start_without_torch() -> None:
    code = "import sys, srkd_ros.replay, srkd_ros.record, srkd_ros.recorded_qos; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "False\n", ran.stderr
