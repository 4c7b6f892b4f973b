# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd demo`: a short one over real DDS, what it leaves, how it ends; latency is written down, not asserted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_live import assert_self_contained

from srkd.io.bags import BagReader, stamp_ns
from srkd.io.pointcloud2 import read_fields
from srkd_train.__main__ import main
from srkd_train.live.environment import NoRosError, require_ros

PATIENCE_S = 300.0
STAGES = {
    "end_to_end", "wait", "decode", "voxelize", "plan", "network", "labels", "encode", "publish", "total", "transport",
}  # fmt: skip


@pytest.fixture
def needs_ros() -> None:
    pytest.importorskip("embreex", reason="needs embreex")
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    try:
        require_ros()
    except NoRosError as error:
        pytest.skip(str(error))


def start(output: Path, frames: int, scratch: Path, **environment: str) -> subprocess.Popen[str]:
    scratch.mkdir()
    command = [sys.executable, "-m", "srkd_train", "demo", "--frames", str(frames), "--output", str(output)]
    variables = {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_drive_over_dds_comes_back_with_the_labels_of_the_offline_run(needs_ros: None, tmp_path: Path) -> None:
    output, frames = tmp_path / "demo_out", 15
    output.mkdir()
    (output / "mine.txt").write_text("stays")
    # Settings that would keep the processes apart, or make them talk to others, if they were passed on.
    others = {"ROS_DOMAIN_ID": "99999", "RMW_IMPLEMENTATION": "rmw_nobody_has", "ROS_LOG_DIR": "/proc/none"}
    out, error = (run := start(output, frames, tmp_path / "tmp", **others)).communicate(timeout=PATIENCE_S)
    assert run.returncode in (0, 1), error
    metrics: dict[str, Any] = json.loads((output / "metrics.json").read_text())
    counts = metrics["frames"]
    assert counts["in"] == frames == counts["out"] + counts["dropped"] + counts["unaccounted"]
    assert counts["out"] >= 1 and counts["foreign"] == 0
    assert metrics["offline_agreement"] == 1.0 and metrics["offline"]["identical_frames"] == counts["out"]
    fine = counts["dropped"] == counts["unaccounted"] == 0
    assert (run.returncode, metrics["passed"], metrics["faults"] == []) == (0 if fine else 1, fine, fine)
    assert 0.3 < metrics["miou"] <= 1
    assert set(metrics["latency_ms"]) == STAGES
    assert all(set(row) == {"p50", "p95", "p99"} and row["p50"] <= row["p99"] for row in metrics["latency_ms"].values())
    assert {"processor", "cores", "torch"} <= set(metrics["machine"])
    assert metrics["checkpoint"]["name"] == "student-nano.safetensors" and len(metrics["score"]["iou"]) == 12

    page = assert_self_contained((output / "report.html").read_text())
    assert page.tags.count("img") == min(3, counts["out"]) and ("Passed" in page.text) == fine
    with BagReader(output / "labelled") as reader:
        topics = {topic.name: topic.count for topic in reader.topics}
        times = [message.time_ns for message in reader.messages()]
        confusion = counted(reader)
    assert metrics["score"]["confusion"] == confusion.tolist(), "what `score` said live is what can be counted after"
    assert topics["/points"] == topics["/points/labels"] == frames
    assert topics["/segment/output/points"] == topics["/segment/report"] == counts["out"]
    assert topics["/segment/model_info"] == 1 and times == sorted(times)
    assert f"{counts['out']} labelled, {counts['dropped']} dropped" in out and "| bicycle |" in out
    assert sorted(path.name for path in output.iterdir()) == ["labelled", "metrics.json", "mine.txt", "report.html"]
    assert list((tmp_path / "tmp").iterdir()) == []


def counted(reader: BagReader) -> Any:
    """(12, 12) points of the labelled frames, row = truth, column = label."""
    columns: dict[str, dict[int, Any]] = {"/points/labels": {}, "/segment/output/points": {}}
    for message in reader.messages(columns):
        cloud = reader.deserialize(message)
        columns[message.topic][stamp_ns(cloud)] = read_fields(cloud, ["class_id"])["class_id"]
    truth, labels = columns.values()
    counts = np.zeros((12, 12), np.int64)
    for stamp, found in labels.items():
        both = (truth[stamp] < 255) & (found < 255)
        np.add.at(counts, (truth[stamp][both], found[both]), 1)
    return counts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_in_the_live_part_leaves_no_process_and_no_file(
    number: signal.Signals, needs_ros: None, tmp_path: Path
) -> None:
    mark = f"srkd-demo-test-{os.getpid()}-{number}"
    output = tmp_path / "demo_out"
    run = start(output, 40, tmp_path / "tmp", SRKD_TEST_MARK=mark)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while len(marked(mark)) < 5:  # the command, node, recorder, score and replayer
            assert run.poll() is None and time.monotonic() < deadline, "the live part did not begin"
            time.sleep(0.1)
        run.send_signal(number)
        _, error = run.communicate(timeout=30)
        if number == signal.SIGKILL:  # files it cannot take away, and its children end after it
            while marked(mark):
                assert time.monotonic() < deadline, "a child lives on"
                time.sleep(0.1)
            return
        assert run.returncode == 130 and error.rstrip().endswith("interrupted")
        assert marked(mark) == []
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
    assert list(output.iterdir()) == list((tmp_path / "tmp").iterdir()) == []


def marked(mark: str) -> list[int]:
    """Processes that have inherited a variable with this value."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if mark.encode() in (folder / "environ").read_bytes() and (folder / "exe").exists():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def test_a_process_that_fails_is_one_line_and_nothing_is_left(needs_ros: None, tmp_path: Path) -> None:
    output = tmp_path / "demo_out"
    (tmp_path / "site").mkdir()
    # Found before the real module where python -m looks for srkd_ros.record: it ends at once.
    fake = "import sys\nif 'srkd_ros.record' in sys.orig_argv: sys.exit('the disk is full')\n"
    (tmp_path / "site" / "sitecustomize.py").write_text(fake)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    run = start(output, 2, tmp_path / "tmp", PYTHONPATH=path)
    _, error = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 2
    assert error.splitlines()[-1].startswith("srkd demo: error: record ended with status 1: ")
    assert "the disk is full" in error and "Traceback" not in error
    assert list(output.iterdir()) == list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_is_the_verdict(passed: bool, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srkd_train.commands.demo.require_ros", lambda: None)
    monkeypatch.setattr("srkd_train.commands.demo.live_demo", lambda options, domain_id: passed)
    assert main(["demo"]) == code


def test_without_ros_one_line_says_what_still_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["demo"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "rclpy is not installed" in lines[0] and "srkd demo --offline" in lines[0]


@pytest.mark.parametrize("wrong", [["--frames", "0"], ["--domain", "233"], ["--checkpoint", "none"]])
def test_a_wrong_argument_is_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", *wrong]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
