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

import yaml
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage

from srkd_ros.share import share_folder
from srkd_ros.transport import use_large_cloud_profile

SHARE = share_folder()
CLOCK_HZ = 100
RESPAWN_S = 5.0
CLOUD_TYPE, TRUTH_SUFFIX, SCHEME_SUFFIX = "sensor_msgs/msg/PointCloud2", "/labels", "/label_scheme"
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
    past = past_frames(given)

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
        parameters=[given["params_file"], common | own | past],
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
        moving = given["num_past_frames"].strip("0") != "" and given["odometry"] in bag_topics(given["bag"])
        options = ["--clock", str(CLOCK_HZ), "--wait-subscribers", str(1 + moving + with_rviz + beside + scored)]
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


def truth_subscriptions(given: dict[str, str], topic: str) -> int:
    """How many of a bag's topics `score` listens to; 0 where it is not wanted.

    Raises:
        RuntimeError: the bag has no truth, or arguments contradict each other.
    """
    if given["score"] != "true":
        if given["score_output"]:
            raise RuntimeError(
                f"score_output: {given['score_output']} is given, but nothing is scored: add score:=true"
            )
        return 0
    if not given["bag"]:
        return 1
    types = bag_topics(given["bag"])
    if types.get(topic + TRUTH_SUFFIX) != CLOUD_TYPE:
        raise RuntimeError(f"score: {given['bag']} has no truth {topic + TRUTH_SUFFIX}: give a bag made by to_bag")
    return 1 + (topic + SCHEME_SUFFIX in types)


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


def teacher_place(given: dict[str, str]) -> tuple[bool, bool]:
    """Whether a teacher runs beside the segment node, and whether inside its process.

    Raises:
        RuntimeError: arguments contradict each other.
    """
    wanted, inside = given["teacher"] == "true", given["one_process"] == "true"
    for name in ("teacher_checkpoint", "teacher_params_file"):
        if given[name] and not wanted:
            raise RuntimeError(f"{name}: {given[name]} is given, but there is no teacher: add teacher:=true")
    if inside and not wanted:
        raise RuntimeError("one_process: there is no teacher: add teacher:=true")
    if inside and given["teacher_params_file"]:
        raise RuntimeError("teacher_params_file: with one_process:=true all parameters go into params_file")
    return wanted and not inside, inside


def past_frames(given: dict[str, str]) -> Parameters:
    """The parameter of this name, where the argument is given.

    Raises:
        RuntimeError: it is not a whole number.
    """
    text = given["num_past_frames"]
    if text and not (text.isascii() and text.isdigit()):
        raise RuntimeError(f"num_past_frames: {text!r}, expected a whole number")
    return {"num_past_frames": int(text)} if text else {}


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


def cloud_topic(bag: str) -> str:
    """The only topic of the bag with clouds, from its metadata; TOPIC/labels and the like do not count.

    Raises:
        RuntimeError: there is none, or more than one, or no metadata.
    """
    clouds = [name for name, kind in bag_topics(bag).items() if kind == CLOUD_TYPE]
    made = {name + suffix for name in clouds for suffix in (TRUTH_SUFFIX, "/predicted", "/teacher")}
    clouds = [name for name in clouds if name not in made]
    if len(clouds) != 1:
        raise RuntimeError(f"bag: {bag} has {len(clouds)} cloud topics ({', '.join(clouds)}): give input:=TOPIC")
    return clouds[0]


def bag_topics(bag: str) -> dict[str, str]:
    """Type by topic, from the bag's metadata.

    Raises:
        RuntimeError: it has none.
    """
    try:
        document = yaml.safe_load((Path(bag) / "metadata.yaml").read_text())
        topics = [
            entry["topic_metadata"] for entry in document["rosbag2_bagfile_information"]["topics_with_message_count"]
        ]
        return {topic["name"]: topic["type"] for topic in topics}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise RuntimeError(
            f"bag: {bag} has no metadata.yaml that tells its topics: give input:=TOPIC, no score"
        ) from error
