# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the launch file's arguments mean together; `tests/test_launch.py` runs the file itself, where `launch` is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from bag_metadata import make_bag

from srkd_ros.launch_arguments import (
    bag_topics,
    cloud_topic,
    motion_subscriptions,
    past_frames,
    teacher_place,
    truth_subscriptions,
)

ROOT = Path(__file__).resolve().parent.parent
NOTHING = {
    **dict.fromkeys(("bag", "teacher_checkpoint", "teacher_params_file", "score_output", "num_past_frames"), ""),
    **dict.fromkeys(("teacher", "one_process", "score"), "false"),
    "odometry": "/odom",
    "params_file": str(ROOT / "config" / "segment.yaml"),
}


def parameters(path: Path, **by_rule: dict[str, object]) -> str:
    """A parameter file; rules by name, /** as `all`."""
    rules = {"/**" if key == "all" else key: {"ros__parameters": values} for key, values in by_rule.items()}
    path.write_text(yaml.safe_dump(rules))
    return str(path)


def test_a_bags_topics_have_the_types_of_its_metadata(tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "it's a bag", "/front", "/front/label_scheme")
    assert bag_topics(str(bag)) == {
        "/front": "sensor_msgs/msg/PointCloud2",
        "/front/label_scheme": "std_msgs/msg/String",
        "/tf": "tf2_msgs/msg/TFMessage",
    }


@pytest.mark.parametrize("text", ["", "[1", "rosbag2_bagfile_information: 3", "- a", "\x00"])
def test_metadata_that_says_nothing_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text(text)
    with pytest.raises(RuntimeError, match=r"has no metadata\.yaml that tells its topics: give input:=TOPIC") as raised:
        bag_topics(str(tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("topics", "says"), [(None, "no metadata.yaml"), ((), "0 cloud topics"), (("/a", "/b"), "/a, /b")]
)
def test_a_bag_without_one_cloud_topic_asks_for_input(
    topics: tuple[str, ...] | None, says: str, tmp_path: Path
) -> None:
    bag = tmp_path / "bag" if topics is None else make_bag(tmp_path / "bag", *topics)
    with pytest.raises(RuntimeError, match="give input:=TOPIC") as raised:
        cloud_topic(str(bag))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_made_of_clouds_is_no_input(tmp_path: Path) -> None:
    made = ("/velodyne/labels", "/velodyne/predicted", "/velodyne/teacher")
    assert cloud_topic(str(make_bag(tmp_path / "bag", "/velodyne", *made))) == "/velodyne"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, (False, False)),
        ({"teacher": "true", "teacher_checkpoint": "big", "teacher_params_file": "/a.yaml"}, (True, False)),
        ({"teacher": "true", "one_process": "true", "teacher_checkpoint": "big"}, (False, True)),
    ],
)
def test_where_a_teacher_runs(given: dict[str, str], place: tuple[bool, bool]) -> None:
    assert teacher_place(NOTHING | given) == place


@pytest.mark.parametrize(
    "given",
    [
        {"teacher_checkpoint": "big"},
        {"teacher_params_file": "/a.yaml"},
        {"one_process": "true"},
        {"teacher": "true", "one_process": "true", "teacher_params_file": "/a.yaml"},
    ],
)
def test_arguments_of_a_teacher_that_contradict_are_refused(given: dict[str, str]) -> None:
    name = next(name for name in ("teacher_params_file", "teacher_checkpoint", "one_process") if name in given)
    with pytest.raises(RuntimeError, match=f"^{name}: ") as raised:
        teacher_place(NOTHING | given)
    assert "\n" not in str(raised.value)


def test_the_score_hears_the_truth_and_where_there_is_one_its_scheme(tmp_path: Path) -> None:
    wanted = NOTHING | {"score": "true"}
    plain = str(make_bag(tmp_path / "plain", "/front", "/front/labels"))
    with_scheme = str(make_bag(tmp_path / "named", "/front", "/front/labels", "/front/label_scheme"))
    assert truth_subscriptions(NOTHING | {"bag": with_scheme}, "/front") == 0
    assert truth_subscriptions(wanted, "/front") == 1
    assert truth_subscriptions(wanted | {"bag": plain}, "/front") == 1
    assert truth_subscriptions(wanted | {"bag": with_scheme}, "/front") == 2


def test_without_truth_nothing_is_scored(tmp_path: Path) -> None:
    bag = str(make_bag(tmp_path / "bag", "/front", "/rear/labels"))
    with pytest.raises(RuntimeError, match=r"^score: .* has no truth /front/labels: give a bag made by to_bag"):
        truth_subscriptions(NOTHING | {"score": "true", "bag": bag}, "/front")
    with pytest.raises(RuntimeError, match=r"^score_output: x is given, but nothing is scored: add score:=true"):
        truth_subscriptions(NOTHING | {"score_output": "x"}, "/front")


def test_past_frames_are_a_whole_number_or_left_to_the_file() -> None:
    assert past_frames(NOTHING) == {}
    assert past_frames(NOTHING | {"num_past_frames": "04"}) == {"num_past_frames": 4}
    for text in ("many", "-1", "1.5", "²"):
        with pytest.raises(RuntimeError, match=f"^num_past_frames: '{text}', expected a whole number"):
            past_frames(NOTHING | {"num_past_frames": text})


@pytest.mark.parametrize(("number", "topics"), [("", 0), ("0", 0), ("00", 0), ("3", 1)])
def test_the_node_listens_to_odometry_where_it_takes_past_frames(number: str, topics: int, tmp_path: Path) -> None:
    given = NOTHING | {"num_past_frames": number, "bag": str(make_bag(tmp_path / "bag", "/front", "/odom"))}
    assert motion_subscriptions(given) == topics
    assert motion_subscriptions(given | {"odometry": "/elsewhere"}) == 0


def test_of_a_bag_without_metadata_no_odometry_is_waited_for(tmp_path: Path) -> None:
    given = NOTHING | {"bag": str(tmp_path / "drive.mcap"), "num_past_frames": "3"}
    assert motion_subscriptions(given) == 0


def test_a_parameter_file_counts_where_an_argument_does_not(tmp_path: Path) -> None:
    bag = make_bag(tmp_path / "bag", "/front", "/odom")
    given = NOTHING | {"bag": str(bag)}
    own = parameters(tmp_path / "own.yaml", segment={"num_past_frames": 2}, all={"num_past_frames": 0})
    assert motion_subscriptions(given | {"params_file": own}) == 1
    assert motion_subscriptions(given | {"params_file": own, "num_past_frames": "0"}) == 0


def test_with_tf_nobody_waits_for_odometry(tmp_path: Path) -> None:
    by_tf = parameters(tmp_path / "tf.yaml", all={"motion_source": "tf", "num_past_frames": 4})
    bag = make_bag(tmp_path / "bag", "/front", "/odom")
    given = NOTHING | {"bag": str(bag), "params_file": by_tf}
    assert motion_subscriptions(given) == 1
    metadata = bag / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("name: /tf", "name: /other"))
    assert motion_subscriptions(given) == 0


@pytest.mark.parametrize("text", ["{", "3", "/**: {ros__parameters: 7}", "1: {2: 3}"])
def test_a_parameter_file_at_fault_is_left_to_the_node(text: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(text)
    assert motion_subscriptions(NOTHING | {"params_file": str(tmp_path / "own.yaml")}) == 0
