# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`label_bag`: every cloud of a bag gets the labels of the offline segmenter, without ROS."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bag_makers import (
    START_NS,
    cloud,
    nano_checkpoint,
    one_thread,  # noqa: F401
    path_without,
    points,
    read_clouds,
    run_module,
    write_clouds,
)
from real_data import real_data

from srkd.intensity import match_intensity
from srkd.io.bags import BagReader, BagWriter, TopicQos, stamp_ns
from srkd.io.pointcloud2 import decode, read_fields
from srkd.segmenter import Segmenter

STRING = "std_msgs/msg/String"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano_checkpoint(tmp_path_factory.mktemp("model") / "nano.safetensors")


def label_bag(checkpoint: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_module("srkd_ros.label_bag", *arguments, "--checkpoint", checkpoint, **environment)


def refused(ran: subprocess.CompletedProcess[str], status: int, *named: str) -> None:
    assert ran.returncode == status, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith("label_bag: ")
    for text in named:
        assert text in line


@pytest.mark.parametrize(
    "name",
    [
        "velodyne_vlp16_xyzirt22",
        "ouster_os1_128_organized48",
        "autoware_xyzircaedt32_vlp16_1msg",
        "realsense_d435_xyz16_5msgs",
    ],
)
def test_labels_of_real_bags_are_the_offline_ones_bitwise(name: str, checkpoint: Path, tmp_path: Path) -> None:
    path = real_data("bags", name)
    ran = label_bag(checkpoint, path, tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    offline = Segmenter.load(checkpoint, device="cpu")
    with BagReader(path) as reader:
        (topic,) = reader.cloud_topics()
    sources, labelled = read_clouds(path, topic), read_clouds(tmp_path / "out", f"{topic}/labels")
    assert len(sources) == len(labelled) > 0
    for source, found in zip(sources, labelled, strict=True):
        decoded = decode(source)
        labels = offline(match_intensity(decoded.cloud, offline.header.input)[0])
        assert (stamp_ns(found), found.header.frame_id) == (stamp_ns(source), source.header.frame_id)
        assert (found.height, found.width, found.point_step) == (source.height, source.width, 24)
        assert found.row_step * found.height == len(found.data) == 24 * len(decoded.cloud)
        assert found.is_dense == source.is_dense
        columns = read_fields(found, ["x", "y", "z", "class_id", "probability", "entropy"])
        np.testing.assert_array_equal(np.stack([columns[axis] for axis in "xyz"], axis=1), decoded.cloud.xyz)
        np.testing.assert_array_equal(columns["class_id"], labels.class_id)
        np.testing.assert_array_equal(columns["probability"], labels.probability)
        np.testing.assert_array_equal(columns["entropy"], labels.entropy)
    total = sum(source.height * source.width for source in sources)
    assert f"{len(sources)} clouds, {total} points labelled on {topic}/labels" in ran.stdout
    assert " ms a cloud (decode " in ran.stdout


def test_the_rest_of_the_bag_is_copied_and_runs_are_equal(checkpoint: Path, tmp_path: Path) -> None:
    latched = TopicQos("reliable", "transient_local", "keep_last", 1)
    with BagWriter(tmp_path / "in") as writer:
        writer.add_topic("/note", STRING, qos=latched)
        writer.write_message("/note", STRING, 1, SimpleNamespace(data="a"))
        for index in range(3):
            time_ns = 10 + index
            writer.write_message("/points", "sensor_msgs/msg/PointCloud2", time_ns, cloud(points(500, index), time_ns))
    ran = [label_bag(checkpoint, tmp_path / "in", tmp_path / name, "--storage", "sqlite3") for name in ("a", "b")]
    assert [each.returncode for each in ran] == [0, 0], ran[0].stderr
    with BagReader(tmp_path / "in") as reader, BagReader(tmp_path / "a") as one, BagReader(tmp_path / "b") as other:
        messages = list(one.messages())
        assert messages == list(other.messages())
        assert [each for each in messages if each.topic != "/points/labels"] == list(reader.messages())
        assert [(each.topic, each.time_ns) for each in messages][1:3] == [("/points", 10), ("/points/labels", 10)]
        assert next(topic.qos for topic in one.topics if topic.name == "/note") == latched
    assert label_bag(checkpoint, tmp_path / "in", tmp_path / "c", "--labels-only").returncode == 0
    with BagReader(tmp_path / "c") as reader:
        assert {topic.name for topic in reader.topics} == {"/points", "/points/labels"}


def test_intensities_are_matched_unless_told_otherwise(checkpoint: Path, tmp_path: Path) -> None:
    unit = points(2000)
    unit[:, 3] /= 255
    bag = write_clouds(tmp_path / "in", {"/points": [cloud(unit)]})
    offline = Segmenter.load(checkpoint, device="cpu")
    decoded = decode(cloud(unit)).cloud
    expected = {"matched": match_intensity(decoded, offline.header.input)[0], "raw": decoded}
    for name, options in (("matched", ()), ("raw", ("--raw-intensity",))):
        ran = label_bag(checkpoint, bag, tmp_path / name, *options)
        assert ran.returncode == 0
        assert "times 255" in ran.stderr and ("left as it came" in ran.stderr) == (name == "raw")
        (found,) = read_clouds(tmp_path / name, "/points/labels")
        probability = read_fields(found, ["probability"])["probability"]
        np.testing.assert_array_equal(probability, offline(expected[name]).probability)


def test_malformed_clouds_are_counted_and_the_others_labelled(checkpoint: Path, tmp_path: Path) -> None:
    good = cloud(points(300))
    bad = [
        replace(good, data=good.data[:-1]),
        replace(good, fields=good.fields[1:]),
        replace(good, width=4_000_000_000),
    ]
    write_clouds(tmp_path / "in", {"/points": [good, *bad, cloud(points(0)), good]})
    with BagReader(tmp_path / "in") as reader:
        raw = list(reader.messages())
    with BagWriter(tmp_path / "worse") as writer:  # bytes that are no message at all
        for message in raw:
            writer.write(message.topic, message.type, message.time_ns, message.raw)
        writer.write("/points", raw[0].type, START_NS + 10**10, raw[0].raw[:50])
    ran = label_bag(checkpoint, tmp_path / "worse", tmp_path / "out")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("label_bag: /points at ") == 4
    assert "3 clouds, 600 points labelled" in ran.stdout and "4 clouds have no labels" in ran.stdout
    assert [found.width for found in read_clouds(tmp_path / "out", "/points/labels")] == [300, 0, 300]
    with BagReader(tmp_path / "out") as reader:
        assert len(list(reader.messages(["/points"]))) == 7


def test_topics_are_chosen_and_never_mixed(checkpoint: Path, tmp_path: Path) -> None:
    one = [cloud(points(10))]
    write_clouds(tmp_path / "truth", {"/a": one, "/a/labels": one, "/b": one})
    ran = label_bag(checkpoint, tmp_path / "truth", tmp_path / "out")
    assert ran.returncode == 0 and "2 clouds, 20 points labelled on /a/predicted /b/labels" in ran.stdout
    assert label_bag(checkpoint, tmp_path / "truth", tmp_path / "b", "--topics", "/b").returncode == 0
    with BagReader(tmp_path / "b") as reader:
        assert {topic.name for topic in reader.topics} == {"/a", "/a/labels", "/b", "/b/labels"}
    write_clouds(tmp_path / "full", {"/a": one, "/a/labels": one, "/a/predicted": one})
    refused(label_bag(checkpoint, tmp_path / "full", tmp_path / "x"), 1, "/a/labels and /a/predicted already")
    refused(label_bag(checkpoint, tmp_path / "truth", tmp_path / "x", "--topics", "/c"), 1, "no topic /c")
    with BagWriter(tmp_path / "texts") as writer:
        writer.write_message("/note", STRING, 1, SimpleNamespace(data="a"))
    refused(label_bag(checkpoint, tmp_path / "texts", tmp_path / "x"), 1, "no topic of sensor_msgs/msg/PointCloud2")
    refused(
        label_bag(checkpoint, tmp_path / "texts", tmp_path / "x", "--topics", "/note"), 1, "/note has type std_msgs"
    )
    assert not (tmp_path / "x").exists()


def test_mistakes_are_one_line(checkpoint: Path, tmp_path: Path) -> None:
    bag = write_clouds(tmp_path / "in", {"/points": [cloud(points(10))]})
    refused(label_bag(checkpoint, tmp_path / "absent", tmp_path / "out"), 1, "no such file")
    refused(label_bag(checkpoint, bag, bag), 1, "exists already")
    refused(label_bag(tmp_path / "none.safetensors", bag, tmp_path / "out"), 1, "none.safetensors")
    refused(label_bag(checkpoint, bag, tmp_path / "out", "--device", "cuda:99"), 1, "cuda:99")
    refused(label_bag(checkpoint, bag), 2, "OUT")
    refused(label_bag(checkpoint, bag, tmp_path / "out", "--precision", "fp8"), 2, "fp8")
    assert not (tmp_path / "out").exists()


def test_it_needs_no_ros(checkpoint: Path, tmp_path: Path) -> None:
    bag = write_clouds(tmp_path / "in", {"/points": [cloud(points(10))]})
    path = path_without(tmp_path, "rclpy", "sensor_msgs", "std_msgs", "rosgraph_msgs")
    ran = label_bag(checkpoint, bag, tmp_path / "out", PYTHONPATH=path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(number: signal.Signals, checkpoint: Path, tmp_path: Path) -> None:
    bag = write_clouds(tmp_path / "in", {"/points": [cloud(points(20_000, index)) for index in range(60)]})
    command = [sys.executable, "-m", "srkd_ros.label_bag", bag, tmp_path / "out", "--checkpoint", checkpoint]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("labelled "):
            break
    time.sleep(0.2)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "interrupted" in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
