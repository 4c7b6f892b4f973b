# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing rosbag2: against what `rosbags` itself reads and writes, on real bags and on damaged ones."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import ROOT, real_data

from srkd.errors import BagError
from srkd.io.bags import (
    CLOUD_TYPE,
    BagReader,
    BagWriter,
    TopicQos,
    cloud_message,
    is_bag,
    make_header,
    stamp_ns,
)
from srkd.io.message_layout import Field
from srkd.io.pointcloud2 import decode

rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (the `bags` extra)")
highlevel = pytest.importorskip("rosbags.highlevel")
typesys = pytest.importorskip("rosbags.typesys")

REAL = {
    "velodyne_vlp16_xyzirt22": ("/velodyne_points", [14885, 14845, 14868, 14816]),
    "ouster_os1_128_organized48": ("/ouster/points", [131072] * 3),
    "autoware_xyzircaedt32_vlp16_1msg": ("/sensing/lidar/top/pointcloud_raw_ex", [14831]),
    "realsense_d435_xyz16_5msgs": ("/point_cloud", [41098, 41117, 41117, 41117, 41117]),
}
STRING = "std_msgs/msg/String"
START_NS = 1_600_000_000_123_456_789


def cloud(count: int, time_ns: int) -> Any:
    points = np.random.default_rng(count).normal(size=(count, 4)).astype("<f4")
    fields = [Field(name, 4 * index, 7) for index, name in enumerate(("x", "y", "z", "intensity"))]
    return cloud_message(make_header(time_ns, "lidar"), 1, count, fields, 16, points.tobytes())


def write_bag(path: Path, *, storage: str = "mcap", version: int = 9, clouds: int = 3) -> Path:
    """Clouds of 1000 points every 0.1 s, and one latched text before them."""
    with BagWriter(path, storage=storage, version=version) as writer:
        writer.add_topic("/note", STRING, qos=TopicQos("reliable", "transient_local", "keep_last", 1))
        writer.write_message("/note", STRING, START_NS, SimpleNamespace(data="grüße"))
        for index in range(clouds):
            time_ns = START_NS + index * 100_000_000
            writer.write_message("/points", CLOUD_TYPE, time_ns, cloud(1000, time_ns))
    return path


def refused(path: Path, *named: str) -> str:
    """What reading a bag to its end says; one line that names the path."""
    with pytest.raises(BagError) as caught, BagReader(path) as reader:
        for message in reader.messages():
            reader.deserialize(message)
    said = str(caught.value)
    assert "\n" not in said, said
    for text in named:
        assert text in said, said
    return said


# --- reading ---


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("bare", [False, True], ids=["folder", "file"])
def test_real_bags_are_read_whole(name: str, bare: bool) -> None:
    path = real_data("bags", name)
    if bare:
        path = next(each for each in path.iterdir() if each.suffix in (".mcap", ".db3"))
    topic, counts = REAL[name]
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    with highlevel.AnyReader([real_data("bags", name)], default_typestore=store) as oracle, BagReader(path) as reader:
        expected = [(link.topic, link.msgtype, time_ns, raw) for link, time_ns, raw in oracle.messages()]
        found = list(reader.messages())
        assert [(each.topic, each.type, each.time_ns, each.raw) for each in found] == expected
        assert [(each.name, each.type, each.count) for each in reader.topics] == [(topic, CLOUD_TYPE, len(counts))]
        assert reader.cloud_topics() == (topic,)
        assert reader.start_ns == expected[0][2]
        assert reader.duration_ns == expected[-1][2] - expected[0][2]
        messages = [reader.deserialize(each) for each in found]
        assert [len(decode(message).cloud) for message in messages] == counts
        assert all(stamp_ns(message) > 10**11 for message in messages)


def custom_bag(path: Path, *, compression: tuple[str, str] | None = None, storage: str = "MCAP") -> Any:
    """A bag by rosbags of our own SegmentationReport, as defined in this repository; the message in it."""
    store = typesys.get_typestore(typesys.Stores.ROS2_KILTED)
    name = "srkd_ros/msg/SegmentationReport"
    store.register(typesys.get_types_from_msg((ROOT / "msg" / "SegmentationReport.msg").read_text(), name))
    zeros = {
        field: np.arange(3, dtype=np.uint32) if field == "class_counts" else 0
        for field, _ in store.fielddefs[name][1]
        if field != "header"
    }
    header_type, time_type = store.types["std_msgs/msg/Header"], store.types["builtin_interfaces/msg/Time"]
    message = store.types[name](header=header_type(time_type(5, 7), "lidar"), **{**zeros, "num_points": 12345})
    writer = rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin[storage])
    if compression is not None:
        writer.set_compression(rosbag2.CompressionMode[compression[0]], rosbag2.CompressionFormat[compression[1]])
    with writer:
        link = writer.add_connection("/report", name, typestore=store)
        for time_ns in (1, 2, 3):
            writer.write(link, time_ns, store.serialize_cdr(message, name))
    return message


@pytest.mark.parametrize("storage", ["MCAP", "SQLITE3"])
@pytest.mark.parametrize("compression", [None, ("FILE", "ZSTD"), ("MESSAGE", "ZSTD"), ("STORAGE", "ZSTD")])
def test_types_come_from_the_bag_and_zstd_is_undone(
    storage: str, compression: tuple[str, str] | None, tmp_path: Path
) -> None:
    if (storage, compression) == ("SQLITE3", ("STORAGE", "ZSTD")):
        pytest.skip("sqlite3 has no compression of its own")
    written = custom_bag(tmp_path / "bag", compression=compression, storage=storage)
    with BagReader(tmp_path / "bag") as reader:
        found = list(reader.messages())
        assert [each.time_ns for each in found] == [1, 2, 3]
        for each in found:
            message = reader.deserialize(each)
            assert (message.num_points, stamp_ns(message)) == (written.num_points, 5_000_000_007)
            np.testing.assert_array_equal(message.class_counts, [0, 1, 2])


def test_a_copy_keeps_definitions_and_qos(tmp_path: Path) -> None:
    custom_bag(tmp_path / "bag")
    qos = TopicQos("best_effort", "volatile", "keep_last", 3)
    with BagReader(tmp_path / "bag") as reader, BagWriter(tmp_path / "copy", storage="sqlite3") as writer:
        for topic in reader.topics:
            writer.add_topic(topic.name, topic.type, qos=qos, definition=reader.definition(topic.type))
        for message in reader.messages():
            writer.write(message.topic, message.type, message.time_ns, message.raw)
    with highlevel.AnyReader([tmp_path / "copy"]) as oracle:
        assert [oracle.deserialize(raw, link.msgtype).num_points for link, _, raw in oracle.messages()] == [12345] * 3
    with BagReader(tmp_path / "copy") as reader:
        assert reader.topics[0].qos == qos


def test_topics_and_start_choose_messages(tmp_path: Path) -> None:
    with BagReader(write_bag(tmp_path / "bag", clouds=5)) as reader:
        assert [each.topic for each in reader.messages()] == ["/note"] + ["/points"] * 5
        assert len(list(reader.messages(["/points"]))) == 5
        late = list(reader.messages(start_ns=START_NS + 250_000_000))
        assert [each.time_ns - START_NS for each in late] == [300_000_000, 400_000_000]
        assert list(reader.messages([])) == []
        with pytest.raises(BagError, match="no topic /lidar; it has /note /points"):
            list(reader.messages(["/lidar"]))


def test_label_topics_are_no_clouds_to_label(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for topic in ("/points", "/points/labels", "/points/predicted", "/other/labels"):
            writer.write_message(topic, CLOUD_TYPE, 1, cloud(1, 1))
    with BagReader(tmp_path / "bag") as reader:
        assert reader.cloud_topics() == ("/points", "/other/labels")


def test_an_empty_bag_is_read(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag"):
        pass
    with BagReader(tmp_path / "bag") as reader:
        assert (reader.topics, reader.start_ns, reader.duration_ns, list(reader.messages())) == ((), 0, 0, [])


# --- what cannot be read ---


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.mkdir(), "no metadata.yaml in this folder"),
        (lambda path: path.write_bytes(b"x"), "unknown suffix"),
    ],
)
def test_no_bag_at_all(make: Any, named: str, tmp_path: Path) -> None:
    make(tmp_path / "bag")
    refused(tmp_path / "bag", named)
    assert not is_bag(tmp_path / "bag")


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.bag", b"#ROSBAG V2.0\n", "ROS 1"),
        ("a.mcap", b"", "empty"),
        ("a.mcap", b"PK\x03\x04" * 100, "magic"),
        ("a.db3", b"", "cannot be read"),
        ("a.db3", b"not a data base" * 100, "cannot be read"),
    ],
)
def test_files_of_other_kinds(name: str, content: bytes, named: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, named)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("version: 9", "version: 10", "newer ROS 2"),
        ("storage_identifier: mcap", "storage_identifier: hdf5", "hdf5"),
        ("serialization_format: cdr", "serialization_format: ''", "expected 'cdr'"),
        ("bag.mcap", "gone.mcap", "files are missing"),
        ("message_count", "count", "message_count"),
        ("rosbag2_bagfile_information:", "rosbag2_bagfile_information: [", "YAML"),
        ("rosbag2_bagfile_information:", "rosbag2:", "rosbag2_bagfile_information"),
        ("name: /points", "name: /lidar", "its files hold none"),
        ("RIHS01_9198", "RIHS01_0000", "does not fit its hash"),
    ],
)
def test_damaged_metadata_is_one_line(old: str, new: str, named: str, tmp_path: Path) -> None:
    metadata = write_bag(tmp_path / "bag") / "metadata.yaml"
    text = metadata.read_text()
    assert old in text
    metadata.write_text(text.replace(old, new))
    refused(tmp_path / "bag", named)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_without_metadata_the_storage_file_is_named_and_read(storage: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", storage=storage)
    (bag / "metadata.yaml").unlink()
    file = next(bag.iterdir())
    refused(bag, "recorded to the end", file.name)
    with BagReader(file) as reader:
        assert len(list(reader.messages())) == 4


def test_an_encoding_that_is_not_cdr_in_a_bare_file(tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    with rosbag2.Writer(bag, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        link = writer.add_connection("/a", STRING, typestore=store, serialization_format="")
        writer.write(link, 1, b"")
    refused(bag, "expected 'cdr'")
    refused(bag / "bag.mcap", "serialization format ''", "expected 'cdr'")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_files_cut_off_anywhere_are_one_line(storage: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", storage=storage)
    file = next(each for each in bag.iterdir() if each.name != "metadata.yaml")
    whole = file.read_bytes()
    for part in (0, 1, 7, 100, 4096, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
        file.write_bytes(whole[:part])
        for path in (bag, file):
            if storage == "mcap" or part < len(whole) - 1:  # sqlite3 may not miss the padding of its last page
                refused(path)


@pytest.fixture(scope="module")
def whole_bags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bags, to be copied and damaged."""
    folder = tmp_path_factory.mktemp("whole")
    for storage in ("mcap", "sqlite3"):
        write_bag(folder / storage, storage=storage, clouds=1)
    return folder


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_bytes_raise_bag_errors_only(data: st.DataObject, whole_bags: Path) -> None:
    bag = whole_bags.parent / "damaged"
    shutil.rmtree(bag, ignore_errors=True)
    shutil.copytree(whole_bags / data.draw(st.sampled_from(["mcap", "sqlite3"])), bag)
    file = data.draw(st.sampled_from(sorted(bag.iterdir())))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = (
            data.draw(st.integers(0, len(content) - 1)) if data.draw(st.booleans()) else -data.draw(st.integers(1, 900))
        )
        content[max(at, -len(content))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    try:
        with BagReader(bag) as reader:
            for message in reader.messages():
                reader.deserialize(message)
    except BagError as error:
        assert "\n" not in str(error)


def test_messages_that_are_damaged_or_unknown(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/points", CLOUD_TYPE, 5, b"\0\1\0\0" + bytes(7))
    with BagReader(tmp_path / "bag") as reader:
        (message,) = reader.messages()
        with pytest.raises(BagError, match=r"/points: the message of 5 ns is damaged"):
            reader.deserialize(message)


def test_without_rosbags_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = write_bag(tmp_path / "bag")
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    for make in (lambda: BagReader(bag), lambda: BagWriter(tmp_path / "other")):
        with pytest.raises(BagError, match=r"pip install '.\[bags\]'"):
            make()


# --- writing ---


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("version", [8, 9])
def test_others_read_what_was_written(storage: str, version: int, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "deep" / "bag", storage=storage, version=version)
    with highlevel.AnyReader([bag]) as oracle:
        found = [
            (link.topic, time_ns, oracle.deserialize(raw, link.msgtype)) for link, time_ns, raw in oracle.messages()
        ]
    assert found[0][2].data == "grüße"
    assert [(topic, time_ns) for topic, time_ns, _ in found[1:]] == [
        ("/points", START_NS + index * 100_000_000) for index in range(3)
    ]
    for _, time_ns, message in found[1:]:
        expected = cloud(1000, time_ns)
        assert (stamp_ns(message), message.header.frame_id, message.row_step) == (time_ns, "lidar", 16000)
        assert message.data.tobytes() == expected.data
    with BagReader(bag) as reader:
        offered = {topic.name: topic.qos for topic in reader.topics}
    assert offered == {"/note": TopicQos("reliable", "transient_local", "keep_last", 1), "/points": TopicQos()}
    assert f"version: {version}" in (bag / "metadata.yaml").read_text()


def test_messages_of_rclpy_are_written_as_rclpy_reads_them(tmp_path: Path) -> None:
    sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="needs ROS messages")
    serialization = pytest.importorskip("rclpy.serialization")
    message = sensor_msgs.PointCloud2(height=1, width=5, point_step=12, row_step=60, data=array("B", range(60)))
    message.fields = [
        sensor_msgs.PointField(name=axis, offset=4 * i, datatype=7, count=1) for i, axis in enumerate("xyz")
    ]
    message.header.stamp.sec = -3
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_message("/points", CLOUD_TYPE, 1, message)
    with BagReader(tmp_path / "bag") as reader:
        (found,) = reader.messages()
    assert serialization.deserialize_message(found.raw, sensor_msgs.PointCloud2) == message


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag")
    before = {path.name: path.read_bytes() for path in bag.iterdir()}
    with pytest.raises(BagError, match="exists already"):
        BagWriter(bag)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(BagError, match="exists already"):
        BagWriter(tmp_path / "link")
    with pytest.raises(RuntimeError, match="mine"), BagWriter(tmp_path / "new") as writer:
        writer.write_message("/a", STRING, 1, SimpleNamespace(data="a"))
        raise RuntimeError("mine")
    with pytest.raises(BagError, match="exists already"), BagWriter(tmp_path / "late") as writer:
        (tmp_path / "late").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "late", "link"]
    assert {path.name: path.read_bytes() for path in bag.iterdir()} == before


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_what_a_killed_writer_leaves_is_no_bag(storage: str, tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom types import SimpleNamespace\nfrom srkd.io.bags import BagWriter\n"
        "with BagWriter(sys.argv[1], storage=sys.argv[2]) as writer:\n"
        "    for time_ns in range(20):\n"
        "        writer.write_message('/a', 'std_msgs/msg/String', time_ns, SimpleNamespace(data='a' * 200_000))\n"
        "    print('written', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "bag"), storage]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "bag").exists()
    assert list(tmp_path.rglob("metadata.yaml")) == []
    assert not any(is_bag(path) for path in tmp_path.iterdir())
    write_bag(tmp_path / "bag", storage=storage)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bag", {"storage": "hdf5"}, "expected mcap or sqlite3"),
        ("bag", {"version": 7}, "expected 9"),
        ("bag.mcap", {}, "without .mcap"),
    ],
)
def test_arguments_of_the_writer(name: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BagError, match=message):
        BagWriter(tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_types_without_a_definition_and_objects_that_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(BagError, match="type nowhere_msgs/msg/Thing: no definition found"),
        BagWriter(tmp_path / "a") as writer,
    ):
        writer.write("/a", "nowhere_msgs/msg/Thing", 1, b"\0\1\0\0")
    with pytest.raises(BagError, match="data"), BagWriter(tmp_path / "b") as writer:
        writer.write_message("/a", STRING, 1, SimpleNamespace(text="a"))
    # Installed definitions are found, those that they use too.
    folder = tmp_path / "share" / "nearby_msgs" / "msg"
    folder.mkdir(parents=True)
    (folder / "Outer.msg").write_text("std_msgs/Header header\nInner[] parts  # mine\nuint8 KIND=3\n")
    (folder / "Inner.msg").write_text("float32[3] size\nstring name\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    inner = SimpleNamespace(size=[1, 2, 3], name="box")
    with BagWriter(tmp_path / "c") as writer:
        outer = SimpleNamespace(header=make_header(9, "map"), parts=[inner, inner])
        writer.write_message("/a", "nearby_msgs/msg/Outer", 1, outer)
    with highlevel.AnyReader([tmp_path / "c"]) as oracle:
        ((link, _, raw),) = oracle.messages()
        message = oracle.deserialize(raw, link.msgtype)
    assert [part.name for part in message.parts] == ["box", "box"] and message.parts[1].size.tolist() == [1, 2, 3]
    assert message.KIND == 3


def test_importing_bags_needs_neither_torch_nor_rosbags() -> None:
    code = "import sys, srkd.io.bags; print('torch' in sys.modules, 'rosbags' in sys.modules)"
    start = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "False False\n", ran.stderr
    assert time.monotonic() - start < 30
