# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch ... bag:=... score:=true` for real: node, replay and score as processes, on a small street bag."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("embreex", reason="needs embreex")
ros_process = pytest.importorskip("ros_process", reason="needs rclpy and the compiled messages")

from ros_process import own_network  # noqa: E402, F401
from test_launch import launch_and_wait, processes  # noqa: E402, F401

from srkd.io.bags import BagReader, BagWriter  # noqa: E402
from srkd.io.pointcloud2 import read_fields  # noqa: E402
from srkd_ros.model import BUNDLED  # noqa: E402
from srkd_train.demo_offline import SENSOR  # noqa: E402
from srkd_train.live.drive_bag import write_drive  # noqa: E402

FRAMES = 6
PROGRAM = "#!{python}\nimport sys\nfrom srkd_ros.{name} import main\nsys.exit(main())\n"


@pytest.fixture
def real(processes: Path) -> None:  # noqa: F811
    """The same prefix, with the real programs in it."""
    folder = processes.parent / "prefix" / "lib" / "srkd_ros"
    for name in ("segment", "replay", "score"):
        (folder / name).write_text(PROGRAM.format(python=sys.executable, name=name))


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drive") / "street"
    write_drive(path, 10000, SENSOR, FRAMES)
    return path


def arguments(drive: Path) -> dict[str, str]:
    return {"bag": str(drive), "score": "true", "checkpoint": str(BUNDLED / "student-nano.safetensors")}


def offline(drive: Path) -> dict[int, Any]:
    """Confusion of each frame with the labels of the same network, by stamp in ns."""
    from srkd.io.bags import stamp_ns
    from srkd.score import count
    from srkd.segmenter import Segmenter
    from srkd_ros.frame import FrameOptions, label_frame

    network = Segmenter.load(BUNDLED / "student-nano.safetensors", device="cpu")
    with BagReader(drive) as reader:
        found = {}
        for message in reader.messages(["/points"]):
            cloud = reader.deserialize(message)
            found[stamp_ns(cloud)] = label_frame(cloud, network, FrameOptions()).labels.class_id
        for message in reader.messages(["/points/labels"]):
            truth = reader.deserialize(message)
            stamp = stamp_ns(truth)
            found[stamp] = count(read_fields(truth, ["class_id"])["class_id"], found[stamp])
    return found


def test_it_ends_with_the_bag_and_the_final_score(real: None, drive: Path, tmp_path: Path) -> None:
    output = tmp_path / "score.json"
    assert launch_and_wait(120, **arguments(drive), score_output=str(output)) == 0
    written = json.loads(output.read_text())
    assert written["clouds"] + written["truth_without_labels"] == FRAMES and written["labels_without_truth"] == 0
    assert written["clouds"] >= 1 and written["malformed"] == written["different_sizes"] == 0
    if written["clouds"] == FRAMES:  # on a busy machine clouds are passed over
        whole = sum(offline(drive).values())
        np.testing.assert_array_equal(written["confusion"], whole[:12, :12])


def test_a_bag_of_another_scheme_is_an_error(real: None, drive: Path, tmp_path: Path) -> None:
    from srkd_train.cloud_messages import write_scheme

    other = tmp_path / "other"
    with BagReader(drive) as reader, BagWriter(other) as writer:
        write_scheme(writer, "/points", "nuscenes", reader.start_ns)
        for message in reader.messages(["/points", "/points/labels"]):
            writer.add_topic(message.topic, message.type, definition=reader.definition(message.type))
            writer.write(message.topic, message.type, message.time_ns, message.raw)
    assert launch_and_wait(120, **arguments(other), score_output=str(tmp_path / "score.json")) == 1
    assert not (tmp_path / "score.json").exists()
