# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch file: what it starts for its arguments, and what of them reaches a node. `launch` is no PyPI package."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

pytest.importorskip("launch.actions", reason="needs launch, which comes with a ROS distribution")
pytest.importorskip("launch_ros.actions", reason="needs launch_ros, which comes with a ROS distribution")

from bag_metadata import make_bag
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

ROOT = Path(__file__).resolve().parent.parent
LAUNCH_FILE = ROOT / "launch" / "segment.launch.py"
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")
OFF = dict.fromkeys(("rviz", "score", "teacher", "one_process"), "false")
DEFAULTS = {"autostart": "true", "fixed_frame": "lidar", "log_level": "info", **OFF}
RECORDER = """#!{python}
import json, os, sys, time
from pathlib import Path
words = sys.argv[1:]
files = [words[i + 1] for i, word in enumerate(words) if word == "--params-file"]
record = dict(words=words, files=[Path(f).read_text() for f in files], environment=dict(os.environ))
Path(os.environ["RECORD_IN"], Path(sys.argv[0]).name + ".json").write_text(json.dumps(record))
records = os.environ["RECORD_IN"]
while sys.argv[0].endswith(("segment", "teacher", "score")) and len(os.listdir(records)) < int(os.environ["AWAIT"]):
    time.sleep(0.01)  # its end is the end of all
"""


@pytest.fixture
def launch_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("segment_launch", LAUNCH_FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix whose executables write down how they are called, in the folder that is returned."""
    prefix, records = tmp_path / "prefix", tmp_path / "records"
    records.mkdir()
    own = ("segment", "segment_with_teacher", "teacher", "replay", "score")
    for package, executable in (*(("srkd_ros", name) for name in own), ("rviz2", "rviz2")):
        path = prefix / "lib" / package / executable
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RECORDER.format(python=sys.executable))
        path.chmod(0o755)
        marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / package
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    monkeypatch.setenv("RECORD_IN", str(records))
    monkeypatch.setenv("AWAIT", "1")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    for name in PROFILES:
        monkeypatch.delenv(name, raising=False)
    return records


def launched(records: Path, **arguments: str) -> dict[str, dict[str, Any]]:
    """What each process recorded."""
    beside = "teacher" in arguments and "one_process" not in arguments
    optional = ("bag", "rviz", "score")
    os.environ["AWAIT"] = str(1 + sum(name in arguments for name in optional) + beside)
    launch_and_wait(**arguments)
    return {path.stem: yaml.safe_load(path.read_text()) for path in records.iterdir()}


def launch_and_wait(patience_s: float = 60, **arguments: str) -> int:
    """What `ros2 launch` would return."""
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    include = IncludeLaunchDescription(source, launch_arguments=list(arguments.items()))
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription([include]))
    return asyncio.run(asyncio.wait_for(service.run_async(shutdown_when_idle=True), patience_s))


def parameters_of(record: dict[str, Any], node: str) -> dict[str, Any]:
    """As rcl merges them: rules of the full name go before those of /**, later files before earlier ones."""
    merged: dict[str, Any] = {}
    for key in ("/**", node):
        for text in record["files"]:
            merged |= yaml.safe_load(text).get(key, {}).get("ros__parameters", {})
    return merged


def start(module: ModuleType, **arguments: str) -> list[Any]:
    """The actions that the launch file makes for these arguments."""
    context = LaunchContext(noninteractive=True)
    for argument in module.ARGUMENTS:
        context.launch_configurations[argument.name] = ""
    context.launch_configurations.update(DEFAULTS | {"params_file": str(ROOT / "config" / "segment.yaml")} | arguments)
    actions: list[Any] = module.start(context)
    return actions


def test_arguments_are_those_that_the_readme_promises(launch_module: ModuleType) -> None:
    declared = {argument.name for argument in launch_module.ARGUMENTS}
    assert declared == {
        *("checkpoint", "input", "bag", "rviz", "fixed_frame", "use_sim_time", "autostart"),
        *("namespace", "device", "params_file", "log_level", "num_past_frames", "odometry"),
        *("teacher", "teacher_checkpoint", "teacher_params_file", "one_process", "score", "score_output"),
    }
    assert all(isinstance(argument, DeclareLaunchArgument) for argument in launch_module.ARGUMENTS)
    assert all(argument.description for argument in launch_module.ARGUMENTS)


def test_without_arguments_only_the_node_starts(processes: Path) -> None:
    seen = launched(processes)
    assert list(seen) == ["segment"]
    assert parameters_of(seen["segment"], "/segment")["autostart"] is True
    assert len(seen["segment"]["files"]) == 2
    assert yaml.safe_load(seen["segment"]["files"][1]) == {"/segment": {"ros__parameters": {"autostart": True}}}
    assert not any("input/points" in word for word in seen["segment"]["words"])


@pytest.mark.parametrize("key", ["/**", "/robot/segment"])
def test_given_arguments_go_before_the_parameter_file_and_empty_ones_do_not(
    key: str, processes: Path, tmp_path: Path
) -> None:
    file = tmp_path / "own values.yaml"
    own = {"checkpoint": "of the file", "device": "cuda:7", "max_points": 5, "use_sim_time": True}
    file.write_text(yaml.safe_dump({key: {"ros__parameters": own}}))
    seen = launched(
        processes, namespace="robot", checkpoint="1e3", params_file=str(file), log_level="debug", autostart="False"
    )
    got = parameters_of(seen["segment"], "/robot/segment")
    assert got == own | {"checkpoint": "1e3", "autostart": False}
    words = seen["segment"]["words"]
    assert words[words.index("--log-level") + 1] == "debug"
    assert "__ns:=/robot" in words
    assert "__node:=segment" in words


@pytest.mark.parametrize("name", ["a drive", "it's", 'say "so"', "$(touch pwned) `x`; $HOME", "-dash", "[1, 2]"])
def test_names_of_bags_survive(name: str, processes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_bag(tmp_path / name, "/velodyne_points", "/velodyne_points/labels")
    seen = launched(processes, bag=name)
    words = seen["replay"]["words"]
    assert words[-2:] == ["--", name]
    assert words[words.index("--clock") + 1] == "100"
    assert parameters_of(seen["segment"], "/segment")["use_sim_time"] is True
    assert "~/input/points:=/velodyne_points" in seen["segment"]["words"]
    assert not (tmp_path / "pwned").exists()


def test_input_and_sim_time_go_before_what_the_bag_says(processes: Path, tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", "/front", "/rear")
    seen = launched(processes, bag=str(bag), input="/rear", use_sim_time="false")
    assert "~/input/points:=/rear" in seen["segment"]["words"]
    assert parameters_of(seen["segment"], "/segment")["use_sim_time"] is False


def test_a_bag_without_one_cloud_topic_asks_for_input(launch_module: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="give input:=TOPIC"):
        start(launch_module, bag=str(make_bag(tmp_path / "bag", "/a", "/b")))


def test_a_teacher_gets_the_students_topics_and_its_own_network(processes: Path, tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", "/front")
    seen = launched(
        processes,
        bag=str(bag),
        teacher="True",
        teacher_checkpoint="big",
        checkpoint="small",
        device="cpu",
        namespace="robot",
        log_level="debug",
    )
    assert set(seen) == {"segment", "teacher", "replay"}
    words = seen["teacher"]["words"]
    for inside, outside in (
        ("points", "/front"),
        ("labels", "/robot/segment/output/points"),
        ("report", "/robot/segment/report"),
        ("model_info", "/robot/segment/model_info"),
    ):
        assert f"~/input/{inside}:={outside}" in words
    assert {"__ns:=/robot", "__node:=teacher"} <= set(words) and words[words.index("--log-level") + 1] == "debug"
    got = parameters_of(seen["teacher"], "/robot/teacher")
    wanted = {"checkpoint": "big", "device": "cpu", "autostart": True, "use_sim_time": True}
    assert got == yaml.safe_load((ROOT / "config" / "teacher.yaml").read_text())["/**"]["ros__parameters"] | wanted
    assert parameters_of(seen["segment"], "/robot/segment")["checkpoint"] == "small"
    replay = seen["replay"]["words"]
    assert replay[replay.index("--wait-subscribers") + 1] == "2"


def test_a_teacher_without_an_input_hears_the_students(processes: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"checkpoint": "of the file", "window_frames": 7}}}))
    seen = launched(processes, teacher="true", teacher_params_file=str(file))
    assert "~/input/points:=/segment/input/points" in seen["teacher"]["words"]
    assert parameters_of(seen["teacher"], "/teacher") == {
        "checkpoint": "of the file",
        "window_frames": 7,
        "autostart": True,
    }


def test_both_in_one_process(processes: Path) -> None:
    seen = launched(processes, teacher="true", one_process="true", teacher_checkpoint="big", checkpoint="small")
    assert list(seen) == ["segment_with_teacher"]
    got = parameters_of(seen["segment_with_teacher"], "/segment")
    assert (got["checkpoint"], got["teacher_checkpoint"]) == ("small", "big")
    assert "__node:=segment" in seen["segment_with_teacher"]["words"]


def test_a_teacher_that_ends_is_started_again(launch_module: ModuleType) -> None:
    segment, teacher = (action for action in start(launch_module, teacher="true") if isinstance(action, Node))
    assert (segment._ExecuteLocal__respawn, teacher._ExecuteLocal__respawn) == (False, True)


@pytest.mark.parametrize(
    "arguments", [{"teacher_checkpoint": "big"}, {"teacher": "true", "teacher_params_file": "/no/such"}]
)
def test_arguments_of_a_teacher_that_cannot_be_used_are_refused(
    arguments: dict[str, str], launch_module: ModuleType
) -> None:
    with pytest.raises(RuntimeError, match=f"^{list(arguments)[-1]}: ") as raised:
        start(launch_module, **arguments)
    assert "\n" not in str(raised.value)


def test_the_score_gets_labels_truth_and_names_and_the_replay_waits_for_it(processes: Path, tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", "/front", "/front/labels", "/front/label_scheme")
    output = str(tmp_path / "it's a score.json")
    seen = launched(processes, bag=str(bag), score="True", score_output=output, namespace="robot")
    assert set(seen) == {"segment", "score", "replay"}
    words = seen["score"]["words"]
    given = [words[words.index(name) + 1] for name in ("--labels", "--truth", "--model-info")]
    assert given == ["/robot/segment/output/points", "/front/labels", "/robot/segment/model_info"]
    assert {"--until-over", f"--output={output}", "__ns:=/robot"} <= set(words)
    replay = seen["replay"]["words"]
    assert replay[replay.index("--wait-subscribers") + 1] == "3", "the node, and truth and scheme by the score"


def test_without_a_bag_the_score_goes_on(processes: Path) -> None:
    words = launched(processes, score="true", input="/front")["score"]["words"]
    assert "--until-over" not in words and words[words.index("--truth") + 1] == "/front/labels"


def test_a_bag_without_truth_is_not_scored(launch_module: ModuleType, tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", "/front", "/rear/labels")
    with pytest.raises(RuntimeError, match=r"^score: .* has no truth /front/labels: give a bag made by to_bag"):
        start(launch_module, bag=str(bag), input="/front", score="true")


def test_past_clouds_need_a_number_and_the_odometry(processes: Path, launch_module: ModuleType, tmp_path: Path) -> None:
    seen = launched(processes, num_past_frames="4", odometry="/robot/odom", input="/front")
    assert parameters_of(seen["segment"], "/segment")["num_past_frames"] == 4
    assert {"~/input/odometry:=/robot/odom", "~/input/points:=/front"} <= set(seen["segment"]["words"])
    bag = make_bag(tmp_path / "bag", "/front", "/odom")
    for number, subscriptions in (("0", "1"), ("3", "2")):
        *_, replay = start(launch_module, bag=str(bag), input="/front", num_past_frames=number, odometry="/odom")
        assert str(replay.cmd[4][0].text) == subscriptions
    with pytest.raises(RuntimeError, match=r"^num_past_frames: 'many', expected a whole number"):
        start(launch_module, num_past_frames="many")


@pytest.mark.parametrize("name", ["segment", "replay", "score"])
def test_a_process_that_fails_ends_all_with_status_1(name: str, processes: Path, tmp_path: Path) -> None:
    prefix = Path(os.environ["AMENT_PREFIX_PATH"])
    for each in ("segment", "replay", "score"):
        fails = "exit 3" if each == name else "exec sleep 60"
        (prefix / "lib" / "srkd_ros" / each).write_text(f"#!/bin/sh\n{fails}\n")
    bag = make_bag(tmp_path / "bag", "/front", "/front/labels")
    assert launch_and_wait(30, bag=str(bag), score="true") == 1


def test_an_absent_parameter_file_is_refused(launch_module: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="params_file: /no/such is not a file"):
        start(launch_module, params_file="/no/such")


def test_rviz_looks_at_this_node_and_its_input(processes: Path) -> None:
    words = launched(processes, rviz="true", fixed_frame="base link", namespace="/r1/", input="/front")["rviz2"][
        "words"
    ]
    assert words[words.index("-f") + 1] == "base link"
    assert "/points:=/front" in words
    assert "/segment/output/colored:=/r1/segment/output/colored" in words
    config = yaml.safe_load(Path(words[words.index("-d") + 1]).read_text())
    shown = {display.get("Topic", {}).get("Value") for display in config["Visualization Manager"]["Displays"]}
    assert {"/points", "/segment/output/colored"} <= shown


def test_without_rviz_installed_nothing_is_left_running(processes: Path) -> None:
    prefix = Path(os.environ["AMENT_PREFIX_PATH"])
    (prefix / "share" / "ament_index" / "resource_index" / "packages" / "rviz2").unlink()
    assert launched(processes, rviz="true") == {}


def test_every_process_gets_the_profile_for_large_clouds(processes: Path, tmp_path: Path) -> None:
    seen = launched(processes, bag=str(make_bag(tmp_path / "bag", "/points")), rviz="true")
    assert set(seen) == {"segment", "replay", "rviz2"}
    for record in seen.values():
        assert any(record["environment"].get(name, "").endswith("fastdds_large_clouds.xml") for name in PROFILES[:2])


@pytest.mark.parametrize("name", PROFILES)
def test_the_users_own_profile_stays(name: str, launch_module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "mine")
    assert [action for action in start(launch_module) if isinstance(action, SetEnvironmentVariable)] == []
    assert os.environ[name] == "mine"


def test_no_argument_is_evaluated_or_passes_through_a_shell(launch_module: ModuleType, tmp_path: Path) -> None:
    actions = start(launch_module, bag=str(make_bag(tmp_path / "bag", "/points")), rviz="true")
    started = [action for action in actions if isinstance(action, ExecuteProcess)]
    assert [type(action) for action in started] == [Node, Node, ExecuteProcess]
    assert not any(action.shell for action in started)
    text = LAUNCH_FILE.read_text()
    assert not any(word in text for word in ("PythonExpression", "eval(", "shell=", "os.system"))
