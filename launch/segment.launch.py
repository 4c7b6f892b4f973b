# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segment node, with a bag to label and RViz to look at it where wanted.

    ros2 launch srkd_ros segment.launch.py input:=/velodyne_points rviz:=true fixed_frame:=velodyne
    ros2 launch srkd_ros segment.launch.py bag:=drive_01 rviz:=true

An argument that is left empty leaves the parameter file's value; one that is given goes before it.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, SetEnvironmentVariable, Shutdown
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import ExecutableInPackage

from srkd_ros.share import share_folder
from srkd_ros.transport import use_large_cloud_profile

SHARE = share_folder()
CLOCK_HZ = 100
ON_OFF = ["true", "false", "True", "False"]
ARGUMENTS = (
    DeclareLaunchArgument("checkpoint", default_value="", description="model file, or name of a bundled network"),
    DeclareLaunchArgument(
        "input", default_value="", description="topic of the clouds; with a bag, empty takes its only cloud topic"
    ),
    DeclareLaunchArgument("bag", default_value="", description="rosbag2 to replay, with its own clock"),
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
        "params_file", default_value=str(SHARE / "config" / "segment.yaml"), description="parameters of the node"
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="of the node",
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
    given |= {name: given[name].lower() for name in ("rviz", "use_sim_time", "autostart")}
    namespace = "/" + given["namespace"].strip("/")
    topic = given["input"] or (cloud_topic(given["bag"]) if given["bag"] else "")
    sim_time = (given["use_sim_time"] or ("true" if given["bag"] else "")) == "true"
    if not Path(given["params_file"]).is_file():
        raise RuntimeError(f"params_file: {given['params_file']} is not a file")

    # launch_ros writes these under the node's full name, and so they go before every rule of the file.
    parameters: dict[str, bool | ParameterValue] = {"autostart": given["autostart"] == "true"}
    parameters |= {
        name: ParameterValue(given[name], value_type=str) for name in ("checkpoint", "device") if given[name]
    }
    if sim_time or given["use_sim_time"]:
        parameters["use_sim_time"] = sim_time
    segment = Node(
        package="srkd_ros",
        executable="segment",
        name="segment",
        namespace=namespace,
        parameters=[given["params_file"], parameters],
        remappings=[("~/input/points", topic)] if topic else [],
        ros_arguments=["--log-level", given["log_level"]],
        output="screen",
        on_exit=Shutdown(reason="the segment node has ended"),
    )
    actions: list[Action] = [*environment(context), segment]
    with_rviz = given["rviz"] == "true"
    if with_rviz:  # first: where RViz is not installed, nothing else is left running
        below = namespace.rstrip("/") + "/segment"
        raw = topic or f"{below}/input/points"
        actions.insert(-1, rviz(given["fixed_frame"], raw, f"{below}/output/colored", sim_time))
    if given["bag"]:
        # All topics, so that RViz gets the bag's frames. No word of the command passes through a shell.
        replay = ExecutableInPackage(package="srkd_ros", executable="replay")
        options = ["--clock", str(CLOCK_HZ), "--wait-subscribers", "2" if with_rviz else "1"]
        actions.append(ExecuteProcess(cmd=[replay, *options, "--", given["bag"]], output="screen"))
    return actions


def environment(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """The Fast DDS profile for large clouds, for all processes, unless the user has one."""
    wanted = dict(context.environment)
    use_large_cloud_profile(wanted)
    return [
        SetEnvironmentVariable(name, value) for name, value in wanted.items() if context.environment.get(name) != value
    ]


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
    """The only topic of the bag with clouds, from its metadata; TOPIC/labels and TOPIC/predicted do not count.

    Raises:
        RuntimeError: there is none, or more than one, or no metadata.
    """
    try:
        document = yaml.safe_load((Path(bag) / "metadata.yaml").read_text())
        topics = [
            entry["topic_metadata"] for entry in document["rosbag2_bagfile_information"]["topics_with_message_count"]
        ]
        clouds = [topic["name"] for topic in topics if topic["type"] == "sensor_msgs/msg/PointCloud2"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise RuntimeError(f"bag: {bag} has no metadata.yaml to find its cloud topic in: give input:=TOPIC") from error
    made = {name + suffix for name in clouds for suffix in ("/labels", "/predicted")}
    clouds = [name for name in clouds if name not in made]
    if len(clouds) != 1:
        raise RuntimeError(f"bag: {bag} has {len(clouds)} cloud topics ({', '.join(clouds)}): give input:=TOPIC")
    return clouds[0]
