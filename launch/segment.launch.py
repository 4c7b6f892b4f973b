# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segment node, with a teacher beside it, a bag to label and score, and RViz to look at it where wanted.

    ros2 launch srkd_ros segment.launch.py input:=/velodyne_points rviz:=true fixed_frame:=velodyne
    ros2 launch srkd_ros segment.launch.py bag:=drive_01 rviz:=true
    ros2 launch srkd_ros segment.launch.py bag:=street_01 score:=true
    ros2 launch srkd_ros segment.launch.py input:=/velodyne_points teacher:=true teacher_checkpoint:=big.safetensors

An argument that is left empty leaves the parameter file's value; one that is given goes before it. With score:=true all
ends when the bag is over and its labels are scored. The exit status is 1 where a process has failed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage

from srkd_ros.launch_arguments import (
    TRUTH_SUFFIX,
    cloud_topic,
    motion_subscriptions,
    past_frames,
    teacher_place,
    truth_subscriptions,
)
from srkd_ros.share import share_folder
from srkd_ros.transport import use_large_cloud_profile

SHARE = share_folder()
CLOCK_HZ = 100
RESPAWN_S = 5.0
Parameters = dict[str, bool | int | ParameterValue]
ON_OFF = ["true", "false", "True", "False"]
FLAGS = ("rviz", "score", "use_sim_time", "autostart", "teacher", "one_process")
ARGUMENTS = (
    DeclareLaunchArgument("checkpoint", default_value="", description="model file, or name of a bundled network"),
    DeclareLaunchArgument(
        "input", default_value="", description="topic of the clouds; with a bag, empty takes its only cloud topic"
    ),
    DeclareLaunchArgument("bag", default_value="", description="rosbag2 to replay, with its own clock"),
    DeclareLaunchArgument(
        "score", default_value="false", choices=ON_OFF, description="hold the labels against the truth, INPUT/labels"
    ),
    DeclareLaunchArgument("score_output", default_value="", description="file for the final score (JSON)"),
    DeclareLaunchArgument("rviz", default_value="false", choices=ON_OFF, description="show raw and labelled cloud"),
    DeclareLaunchArgument("fixed_frame", default_value="lidar", description="RViz: frame that the clouds are shown in"),
    DeclareLaunchArgument(
        "use_sim_time", default_value="", choices=["", *ON_OFF], description="time from /clock; empty: with a bag"
    ),
    DeclareLaunchArgument(
        "autostart", default_value="true", choices=ON_OFF, description="configure and activate at start"
    ),
    DeclareLaunchArgument("namespace", default_value="", description="of the node and its topics"),
    DeclareLaunchArgument("device", default_value="", description="torch device: auto, cpu, cuda, cuda:1, ..."),
    DeclareLaunchArgument(
        "num_past_frames", default_value="", description="past clouds with which each cloud is labelled; 0: none"
    ),
    DeclareLaunchArgument(
        "odometry", default_value="/odom", description="topic of nav_msgs/Odometry that moves past clouds"
    ),
    DeclareLaunchArgument(
        "params_file", default_value=str(SHARE / "config" / "segment.yaml"), description="parameters of the node"
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="of the nodes",
    ),
    DeclareLaunchArgument(
        "teacher", default_value="false", choices=ON_OFF, description="compare with a second, larger network"
    ),
    DeclareLaunchArgument("teacher_checkpoint", default_value="", description="its model file, or bundled name"),
    DeclareLaunchArgument(
        "teacher_params_file",
        default_value="",
        description="parameters of its node; empty: config/teacher.yaml. With one_process all go into params_file",
    ),
    DeclareLaunchArgument(
        "one_process", default_value="false", choices=ON_OFF, description="run the teacher in the student's process"
    ),
)


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[Action]:
    """The processes that the arguments ask for.

    Raises:
        RuntimeError: an argument cannot be used.
    """
    given = {argument.name: context.launch_configurations[argument.name] for argument in ARGUMENTS}
    given |= {name: given[name].lower() for name in FLAGS}
    namespace = "/" + given["namespace"].strip("/")
    topic = given["input"] or (cloud_topic(given["bag"]) if given["bag"] else "")
    sim_time = (given["use_sim_time"] or ("true" if given["bag"] else "")) == "true"
    if not Path(given["params_file"]).is_file():
        raise RuntimeError(f"params_file: {given['params_file']} is not a file")
    beside, inside = teacher_place(given)
    scored = truth_subscriptions(given, topic)

    # launch_ros writes these under the node's full name, and so they go before every rule of the file.
    common: Parameters = {"autostart": given["autostart"] == "true", **texts(given, device="device")}
    if sim_time or given["use_sim_time"]:
        common["use_sim_time"] = sim_time
    own = texts(given, checkpoint="checkpoint", **({"teacher_checkpoint": "teacher_checkpoint"} if inside else {}))
    segment = Node(
        package="srkd_ros",
        executable="segment_with_teacher" if inside else "segment",
        name="segment",
        namespace=namespace,
        parameters=[given["params_file"], common | own | past_frames(given)],
        remappings=[
            (f"~/input/{name}", each) for name, each in (("points", topic), ("odometry", given["odometry"])) if each
        ],
        ros_arguments=["--log-level", given["log_level"]],
        output="screen",
        on_exit=ended("the segment node", and_all=True),
    )
    actions: list[Action] = [*environment(context), segment]
    with_rviz = given["rviz"] == "true"
    below = namespace.rstrip("/") + "/segment"
    raw = topic or f"{below}/input/points"
    if with_rviz:  # first: where RViz is not installed, nothing else is left running
        actions.insert(-1, rviz(given["fixed_frame"], raw, f"{below}/output/colored", sim_time))
    if beside:
        actions.append(teacher(given, namespace, raw, below, common))
    if scored:
        actions.append(score(given, namespace, raw, below))
    if given["bag"]:
        # All topics, so that RViz gets the bag's frames. No word of the command passes through a shell.
        replay = ExecutableInPackage(package="srkd_ros", executable="replay")
        listening = 1 + motion_subscriptions(given) + with_rviz + beside + scored
        options = ["--clock", str(CLOCK_HZ), "--wait-subscribers", str(listening)]
        command = [replay, *options, "--", given["bag"]]
        actions.append(ExecuteProcess(cmd=command, output="screen", on_exit=ended("the replay")))
    return actions


def ended(what: str, *, and_all: bool = False) -> Callable[[ProcessExited, LaunchContext], Shutdown | None]:
    """For the end of a process: a failure ends all with status 1, a good end nothing, or all in order."""

    def take(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
        if event.returncode:
            raise RuntimeError(f"{what} has ended with status {event.returncode}")
        return Shutdown(reason=f"{what} has ended") if and_all else None

    return take


def score(given: dict[str, str], namespace: str, raw: str, student: str) -> Node:
    """What holds the labels against the truth. Its end, which comes with that of the bag, is the end of all."""
    words = ["--labels", f"{student}/output/points", "--truth", raw + TRUTH_SUFFIX]
    words += ["--model-info", f"{student}/model_info"]
    words += ["--until-over"] if given["bag"] else []
    return Node(
        package="srkd_ros",
        executable="score",
        name="score",
        namespace=namespace,
        arguments=[*words, *([f"--output={given['score_output']}"] if given["score_output"] else [])],
        output="screen",
        on_exit=ended("the score", and_all=True),
    )


def texts(given: dict[str, str], **arguments: str) -> Parameters:
    """Parameters by name, from the arguments of these names, where they are given."""
    return {name: ParameterValue(given[word], value_type=str) for name, word in arguments.items() if given[word]}


def environment(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """The Fast DDS profile for large clouds, for all processes, unless the user has one."""
    wanted = dict(context.environment)
    use_large_cloud_profile(wanted)
    return [
        SetEnvironmentVariable(name, value) for name, value in wanted.items() if context.environment.get(name) != value
    ]


def teacher(given: dict[str, str], namespace: str, raw: str, student: str, common: Parameters) -> Node:
    """The teacher's node. Its end is not the end of all: it is started again.

    Raises:
        RuntimeError: its parameter file is absent.
    """
    file = given["teacher_params_file"] or str(SHARE / "config" / "teacher.yaml")
    if not Path(file).is_file():
        raise RuntimeError(f"teacher_params_file: {file} is not a file")
    topics = {"points": raw, "labels": f"{student}/output/points"}
    topics |= {name: f"{student}/{name}" for name in ("report", "model_info")}
    return Node(
        package="srkd_ros",
        executable="teacher",
        name="teacher",
        namespace=namespace,
        parameters=[file, common | texts(given, checkpoint="teacher_checkpoint")],
        remappings=[(f"~/input/{name}", topic) for name, topic in topics.items()],
        ros_arguments=["--log-level", given["log_level"]],
        output="screen",
        respawn=True,
        respawn_delay=RESPAWN_S,
    )


def rviz(fixed_frame: str, raw: str, colored: str, sim_time: bool) -> Node:
    """RViz with our configuration, which names the topics of a node without namespace."""
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(SHARE / "rviz" / "segment.rviz"), "-f", fixed_frame],
        parameters=[{"use_sim_time": sim_time}],
        remappings=[("/points", raw), ("/segment/output/colored", colored)],
        output="screen",
    )
