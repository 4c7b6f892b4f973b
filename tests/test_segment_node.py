# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segment node in a process of its own, over real DDS: labels, faults, lifecycle, parameters, model changes."""

from __future__ import annotations

import math
import shutil
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import torch
from real_data import real_data
from ros_process import Peer, Process, made_cloud, own_network, running, stamp_of  # noqa: F401
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2, PointField

from srkd.architectures import build_network
from srkd.checkpoint import file_sha256, save_checkpoint
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.io.pointcloud2 import read_fields
from srkd.labels import get_scheme
from srkd.segmenter import Segmenter
from srkd_ros.frame import FrameOptions, label_frame
from srkd_ros.srv import LoadModel

BAGS = ("velodyne_vlp16_xyzirt22", "ouster_os1_128_organized48", "autoware_xyzircaedt32_vlp16_1msg")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: nano.safetensors (nuscenes), other.safetensors (other weights), kitti.safetensors (other classes)."""
    folder = tmp_path_factory.mktemp("models")
    spec = InputSpec(voxel_size_m=0.2, intensity="divide_255")
    for seed, (name, scheme_name) in enumerate(
        (("nano", "nuscenes"), ("other", "nuscenes"), ("kitti", "semantickitti"))
    ):
        scheme = get_scheme(scheme_name)
        torch.manual_seed(seed)
        network = build_network("student-nano", scheme.num_classes, 4)
        save_checkpoint(
            folder / f"{name}.safetensors",
            network,
            Header.of(network, "student-nano", spec, scheme),
            dtype=torch.float16,
        )
    return folder


@pytest.fixture(scope="module")
def segmenters(models: Path) -> dict[str, Segmenter]:
    return {path.stem: Segmenter.load(path, device="cpu") for path in models.glob("*.safetensors")}


@pytest.fixture(scope="module")
def node(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One node for all tests here; each leaves it active, with nano.safetensors and its defaults."""
    parameters = {
        "checkpoint": models / "nano.safetensors",
        "model_dir": models,
        "device": "cpu",
        "diagnostics_period_s": 0.1,
    }
    log = tmp_path_factory.mktemp("node") / "node.log"
    with running(log, "srkd_ros.segment", parameters, {"input/points": "/points"}) as process:
        yield process


@pytest.fixture(scope="module")
def shared_peer(node: Process) -> Iterator[Peer]:
    made = Peer()
    made.wait_for_node(node)
    yield made
    made.close()


@pytest.fixture
def peer(shared_peer: Peer, node: Process) -> Peer:
    shared_peer.wait_for_node(node)
    return shared_peer


def assert_labels_are_the_offline_ones(reply: Any, source: Any, offline: Segmenter, **options: Any) -> None:
    frame = label_frame(source, offline, FrameOptions(**options))
    assert (stamp_of(reply), reply.header.frame_id) == (stamp_of(source), source.header.frame_id)
    assert (reply.height, reply.width, reply.point_step) == (source.height, source.width, 24)
    assert reply.row_step * reply.height == len(reply.data) == 24 * len(frame.decoded.cloud)
    columns = read_fields(reply, ["x", "y", "z", "class_id", "probability", "entropy"])
    for index, axis in enumerate("xyz"):
        np.testing.assert_array_equal(columns[axis], frame.decoded.cloud.xyz[:, index])
    for name in ("class_id", "probability", "entropy"):
        np.testing.assert_array_equal(columns[name], getattr(frame.labels, name))


def messages_of(bag: str) -> list[tuple[bytes, Any]]:
    """The clouds of a bag: (serialised, deserialised without ROS)."""
    highlevel = pytest.importorskip("rosbags.highlevel", reason="needs rosbags (the `bags` extra)")
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    with highlevel.AnyReader([real_data("bags", bag)], default_typestore=store) as reader:
        return [(bytes(raw), reader.deserialize(raw, link.msgtype)) for link, _, raw in reader.messages()]


@pytest.mark.parametrize("bag", BAGS)
def test_labels_of_a_real_bag_are_the_offline_ones(bag: str, peer: Peer, segmenters: dict[str, Segmenter]) -> None:
    for raw, source in messages_of(bag)[:2]:
        reply = peer.ask(raw, stamp_of(source))
        assert_labels_are_the_offline_ones(reply, source, segmenters["nano"])
        assert len(set(read_fields(reply, ["class_id"])["class_id"].tolist()) - {255}) > 1


def test_colored_filtered_report_and_model_info(peer: Peer, segmenters: dict[str, Segmenter]) -> None:
    scheme = get_scheme("nuscenes")
    source = made_cloud(2000, stamp_s=7)
    source.height, source.width, source.row_step = 2, 1000, 16000
    frame = label_frame(source, segmenters["nano"], FrameOptions())
    common = int(np.bincount(frame.labels.class_id).argmax())
    assert "no_such_class" in peer.set(filter_classes=["no_such_class"])
    assert peer.set(filter_classes=[scheme.class_names[common]]) == ""
    colored: list[Any] = []
    filtered: list[Any] = []
    peer.listen(PointCloud2, "output/colored", colored)
    peer.listen(PointCloud2, "output/filtered", filtered)
    peer.spin(0.5)
    assert_labels_are_the_offline_ones(peer.ask(source, (7, 0)), source, segmenters["nano"])
    peer.spin_until(lambda: colored and filtered and peer.reports, "colored, filtered and report")

    rgb = read_fields(colored[-1], ["rgb"])["rgb"].view("<u4")
    wanted = [scheme.colors[class_id] for class_id in frame.labels.class_id]
    assert [(value >> 16, value >> 8 & 255, value & 255) for value in rgb.tolist()] == wanted
    assert (colored[-1].height, colored[-1].width) == (2, 1000)

    left = np.frombuffer(bytes(source.data), "V16")[frame.labels.class_id != common]
    assert bytes(filtered[-1].data) == left.tobytes()
    assert (filtered[-1].height, filtered[-1].width, filtered[-1].point_step) == (1, len(left), 16)
    assert [field.name for field in filtered[-1].fields] == ["x", "y", "z", "intensity"]

    report = peer.reports[-1]
    assert stamp_of(report) == (7, 0)
    assert (report.num_points, report.num_valid, report.num_voxels) == (2000, frame.num_valid, frame.num_voxels)
    assert list(report.class_counts) == np.bincount(frame.labels.class_id, minlength=16).tolist()
    assert report.mean_confidence == pytest.approx(float(frame.labels.probability.mean()), rel=1e-5)
    assert report.mean_entropy == pytest.approx(float(frame.labels.entropy.mean()), rel=1e-5)
    stages = ("wait", "decode", "voxelize", "plan", "network", "labels", "encode", "publish")
    total = sum(getattr(report, f"{stage}_ms") for stage in stages)
    assert 0 < total <= report.total_ms + 0.1 < total + 50
    assert math.isnan(report.age_ms), "a stamp of 1970 is of another clock"

    info = peer.infos[-1]
    assert (info.name, info.role, info.scheme, info.device) == ("nano.safetensors", "student", "nuscenes", "cpu")
    assert tuple(info.class_names) == scheme.class_names
    assert list(info.class_ids) == list(range(16))
    assert info.colors[3].r == pytest.approx(scheme.colors[3][0] / 255)
    assert info.weights_sha256 == segmenters["nano"].header.weights_sha256
    assert info.num_parameters == sum(weight.numel() for weight in segmenters["nano"].network.parameters())
    assert peer.set(filter_classes=[""]) == ""


def _changed(**values: Any) -> Callable[[], Any]:
    def make() -> Any:
        message = made_cloud(100)
        for name, value in values.items():
            setattr(message, name, value)
        return message

    return make


def _field(index: int, **values: Any) -> Callable[[], Any]:
    def make() -> Any:
        message = made_cloud(100)
        for name, value in values.items():
            setattr(message.fields[index], name, value)
        return message

    return make


FAULTS = {
    "data too short": _changed(data=array("B", bytes(1599))),
    "data too long": _changed(data=array("B", bytes(1601))),
    "four thousand million points": _changed(width=4_000_000_000),
    "nearly 2**64 points": _changed(width=2**32 - 1, height=2**32 - 1, row_step=2**32 - 1),
    "no step": _changed(point_step=0),
    "rows overlap": _changed(row_step=100),
    "no x": _field(0, name="X"),
    "x beyond the step": _field(0, offset=14),
    "x at the end of the world": _field(0, offset=2**32 - 1),
    "unknown type": _field(0, datatype=99),
    "no value": _field(0, count=0),
    "x twice": _field(1, name="x"),
    "no fields": _changed(fields=[]),
}


def test_faults_are_counted_said_once_and_the_next_good_cloud_is_labelled(
    peer: Peer, node: Process, segmenters: dict[str, Segmenter]
) -> None:
    before = peer_report(peer, 1)
    for number, (fault, make) in enumerate(FAULTS.items(), 2):
        for _ in range(2):
            peer.publisher.publish(make())
            time.sleep(0.05)
        good = made_cloud(60 + number, stamp_s=number, names=("x", "y", "z", "intensity", "ring")[: 4 + number % 2])
        assert_labels_are_the_offline_ones(peer.ask(good, (number, 0)), good, segmenters["nano"])
        report = wait_for_report(peer, number)
        faults = report.rejected - before.rejected + report.dropped - before.dropped
        assert faults == 2 * (number - 1), f"{fault}: {node.said()[-2000:]}"
    assert report.rejected > before.rejected
    assert report.received == report.labelled + report.dropped + report.rejected + report.skipped
    status = peer.status(lambda status: "rejected" in status.message, "rejects in the diagnostics")
    assert status.level == b"\x01"
    assert {value.key: value.value for value in status.values}["last reject"] in status.message
    said = [line.partition("]: ")[2] for line in node.said().splitlines() if "cloud rejected: " in line]
    assert len(said) == len(set(said)) >= 5, "each reason once, the second is throttled"


def peer_report(peer: Peer, stamp_s: int) -> Any:
    """The report of a good cloud that is sent now."""
    peer.labels.clear()
    peer.reports.clear()
    peer.ask(made_cloud(10, stamp_s=stamp_s), (stamp_s, 0))
    return wait_for_report(peer, stamp_s)


def wait_for_report(peer: Peer, stamp_s: int) -> Any:
    peer.spin_until(lambda: peer.reports and peer.reports[-1].header.stamp.sec == stamp_s, f"report {stamp_s}")
    return peer.reports[-1]


def test_odd_but_whole_clouds_are_labelled_at_their_own_indices(peer: Peer, segmenters: dict[str, Segmenter]) -> None:
    rotten = made_cloud(50, stamp_s=1)
    points = np.frombuffer(rotten.data, "<f4").reshape(50, 4)
    points[3, 0], points[5, 1], points[7, 2], points[9, 0], points[11, :3] = np.nan, np.inf, -np.inf, 1e30, 0
    dark = made_cloud(50, stamp_s=2, names=("x", "y", "z"))
    backwards = made_cloud(50, stamp_s=3, names=("intensity", "z", "y", "x"))
    swapped = made_cloud(50, stamp_s=4)
    swapped.is_bigendian = True
    swapped.data = array("B", np.frombuffer(swapped.data, "<f4").astype(">f4").tobytes())
    for source in (rotten, dark, backwards, swapped, made_cloud(0, stamp_s=5), made_cloud(1, stamp_s=6)):
        reply = peer.ask(source, stamp_of(source))
        assert_labels_are_the_offline_ones(reply, source, segmenters["nano"])
        if source is rotten:
            unlabelled = np.flatnonzero(read_fields(reply, ["class_id"])["class_id"] == 255)
            assert unlabelled.tolist() == [3, 5, 7, 9, 11]
    status = peer.status(lambda status: True, "a status")
    assert status.level in (b"\x00", b"\x01")


def test_nothing_is_labelled_when_nobody_listens(peer: Peer) -> None:
    before = peer_report(peer, 1)
    peer.want_no_labels()
    peer.spin(0.5)
    for _ in range(3):
        peer.publisher.publish(made_cloud(100))
        peer.spin(0.1)
    status = peer.status(lambda status: int(values_of(status)["skipped"]) == before.skipped + 3, "three skipped clouds")
    assert int(values_of(status)["labelled"]) == before.labelled
    assert values_of(status)["state"] == "active"


def values_of(status: Any) -> dict[str, str]:
    return {value.key: value.value for value in status.values}


def test_the_newest_cloud_wins_and_every_cloud_is_accounted_for(peer: Peer) -> None:
    before = peer_report(peer, 1)
    for number in range(2, 22):
        peer.publisher.publish(made_cloud(20_000, stamp_s=number))
        peer.spin(0.02)
    report = wait_for_report(peer, 21)
    assert report.dropped > before.dropped
    assert report.labelled < before.labelled + 20
    assert report.received == report.labelled + report.dropped + report.rejected + report.skipped


def test_parameters_are_refused_in_one_line_and_tunables_apply_at_once(peer: Peer) -> None:
    refused = {
        "checkpoint": ("x.safetensors", "~/load_model"),
        "num_threads": (2, "~/load_model"),
        "model_dir": ("/", "read-only"),
        "input_reliability": ("reliable", "deactivate the node first"),
        "missing_intensity": ("maybe", "zero | reject"),
        "max_points": (0, "max_points"),
        "latency_warn_ms": (-1.0, "latency_warn_ms"),
        "input_timeout_s": (math.nan, "input_timeout_s"),
        "max_age_ms": (5, "type"),
    }
    for name, (value, named) in refused.items():
        reason = peer.set(**{name: value})
        assert named in reason, name
        assert "\n" not in reason

    assert peer.set(missing_intensity="reject", max_points=99, latency_warn_ms=0.1) == ""
    before = peer_report(peer, 1)
    for number, message in enumerate((made_cloud(50, names=("x", "y", "z")), made_cloud(100))):
        peer.publisher.publish(message)
        peer.spin(0.1)
        assert peer_report(peer, 2 + number).rejected == before.rejected + 1 + number
    status = peer.status(lambda status: "latency_warn_ms is 0.1" in status.message, "a warning of latency")
    assert status.level == b"\x01"
    assert peer.set(latency_error_ms=0.2) == ""
    assert peer.status(lambda status: status.level == b"\x02", "an error of latency")
    assert peer.set(missing_intensity="zero", max_points=2_000_000, latency_warn_ms=100.0, latency_error_ms=1e3) == ""
    assert peer.set(max_age_ms=1.0) == ""
    now = time.time_ns() - 5_000_000_000  # five seconds old: too old; of 1970: of another clock
    old = made_cloud(10)
    old.header.stamp.sec, old.header.stamp.nanosec = divmod(now, 10**9)
    peer.publisher.publish(old)
    peer.spin(0.1)
    assert peer_report(peer, 9).dropped == before.dropped + 1
    assert peer.set(max_age_ms=0.0) == ""


def test_load_model_swaps_between_clouds_and_keeps_the_old_one_on_failure(
    peer: Peer, models: Path, segmenters: dict[str, Segmenter], tmp_path: Path
) -> None:
    outside = tmp_path / "outside.safetensors"
    shutil.copy(models / "other.safetensors", outside)
    (models / "link.safetensors").symlink_to(outside)
    (models / "broken.safetensors").write_bytes((models / "nano.safetensors").read_bytes()[:-1000])
    good = made_cloud(500, stamp_s=1)
    for path, sha256, named in (
        (str(outside), "", "not below model_dir"),
        ("link.safetensors", "", "not below model_dir"),
        ("../outside.safetensors", "", "not below model_dir"),
        ("missing.safetensors", "", "not a file"),
        ("nul\0", "", ""),
        ("broken.safetensors", "", "not a whole safetensors file"),
        ("other.safetensors", "0" * 64, "sha256"),
    ):
        answer = peer.load_model(path, sha256)
        assert not answer.success
        assert named in answer.message
        assert answer.message.endswith("the network in use stays")
        assert_labels_are_the_offline_ones(peer.ask(good, (1, 0)), good, segmenters["nano"])
        peer.labels.clear()

    scheme = get_scheme("nuscenes")
    assert peer.set(filter_classes=[scheme.class_names[0]]) == ""
    if scheme.class_names[0] not in get_scheme("semantickitti").class_names:
        assert "filter_classes" in peer.load_model("kitti.safetensors").message
    assert peer.set(filter_classes=[""]) == ""

    peer.infos.clear()
    client = peer.node.create_client(LoadModel, "/segment/load_model")
    peer.spin_until(client.service_is_ready, "the service")
    request = LoadModel.Request(path="other.safetensors", sha256=file_sha256(models / "other.safetensors"))
    future = client.call_async(request)
    labelled = 0
    while not future.done():  # the old network labels on while the new one is loaded and warmed up
        peer.labels.clear()
        peer.ask(good, (1, 0))
        labelled += not future.done()
    assert labelled >= 2
    answer = future.result()
    peer.node.destroy_client(client)
    assert answer.success, answer.message
    assert answer.model.weights_sha256 == segmenters["other"].header.weights_sha256
    peer.spin_until(lambda: peer.infos, "the new ModelInfo")
    assert peer.infos[-1].name == "other.safetensors"
    peer.labels.clear()
    assert_labels_are_the_offline_ones(peer.ask(good, (1, 0)), good, segmenters["other"])
    assert peer.load_model(str(models / "nano.safetensors")).success


def test_lifecycle_and_quality_of_service(peer: Peer, node: Process, segmenters: dict[str, Segmenter]) -> None:
    assert peer.change_state("deactivate")
    assert peer.state() == "inactive"
    peer.publisher.publish(made_cloud(10))
    assert peer.set(input_reliability="reliable") == ""
    assert peer.change_state("activate"), "a best-effort driver does not match"
    status = peer.status(lambda status: "does not match" in status.message, "the mismatch")
    assert status.level == b"\x01"
    assert "/peer of /points" in status.message
    assert "set input_reliability to best_effort" in status.message
    node.wait_for("set input_reliability to best_effort")
    assert values_of(status)["received"] == "0"

    assert peer.change_state("deactivate")
    assert peer.change_state("cleanup")
    assert peer.state() == "unconfigured"
    assert peer.set(input_reliability="best_effort", checkpoint="nowhere.safetensors") == ""
    assert not peer.change_state("configure")
    assert peer.state() == "unconfigured"
    status = peer.status(lambda status: "nowhere.safetensors" in status.message, "the failed configure")
    assert status.level == b"\x02"
    assert not peer.load_model("other.safetensors").success, "there is nothing to swap"
    assert peer.set(checkpoint=str(node_checkpoint(segmenters, peer)), num_threads=1) == ""
    assert peer.change_state("configure")
    assert peer.change_state("activate")
    assert peer_report(peer, 1).received == 1, "counts since activation"


def node_checkpoint(segmenters: dict[str, Segmenter], peer: Peer) -> str:
    from rcl_interfaces.srv import GetParameters

    request = GetParameters.Request(names=["model_dir"])
    folder = peer.call(GetParameters, "get_parameters", request).values[0].string_value
    return f"{folder}/nano.safetensors"


def test_silence_says_what_to_check(peer: Peer) -> None:
    assert peer.set(input_timeout_s=0.3) == ""
    status = peer.status(lambda status: "no cloud on /points" in status.message, "the silence")
    assert status.level == b"\x01"
    assert "1 publisher is there" in status.message
    peer.node.destroy_publisher(peer.publisher)
    try:
        peer.status(lambda status: "nobody publishes there" in status.message, "the missing publisher")
    finally:
        peer.publisher = peer.node.create_publisher(PointCloud2, "/points", 1)
    assert peer.set(input_timeout_s=2.0) == ""


def test_a_clock_that_jumps_back_resets_ages(peer: Peer, node: Process) -> None:
    clock = peer.node.create_publisher(Clock, "/clock", 10)
    assert peer.set(use_sim_time=True) == ""
    tick = Clock()

    def at(seconds: int) -> float:
        tick.clock.sec = seconds
        clock.publish(tick)
        peer.spin(0.2)
        return float(peer_report(peer, 1000).age_ms)

    peer.spin(0.5)
    assert at(1002) == pytest.approx(2000)
    status = peer.status(lambda status: values_of(status)["cloud age (ms)"] != "nan", "an age")
    assert float(values_of(status)["cloud age (ms)"]) == pytest.approx(2000)
    said = node.said().count("the clock has jumped")
    tick.clock.sec = 995
    clock.publish(tick)
    peer.status(lambda status: values_of(status)["cloud age (ms)"] == "nan", "the age being forgotten")
    assert math.isnan(at(990)), "stamped in the future"
    node.wait_for("the clock has jumped", times=said + 1)
    assert at(1001) == pytest.approx(1000)
    assert peer.set(use_sim_time=False) == ""
    peer.node.destroy_publisher(clock)


def test_a_publisher_of_another_type_is_pointed_out(peer: Peer) -> None:
    context = rclpy.Context()
    rclpy.init(context=context)
    stranger = rclpy.create_node("stranger", context=context)
    stranger.create_publisher(PointField, "/points", 1)
    try:
        wrong = (
            "publisher /stranger of /points sends sensor_msgs/msg/PointField, not sensor_msgs/msg/PointCloud2: remap"
        )
        assert peer.status(lambda status: wrong in status.message, "the wrong type").level == b"\x01"
    finally:
        stranger.destroy_node()
        rclpy.try_shutdown(context=context)
