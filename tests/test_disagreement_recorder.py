# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The disagreement recorder: what it picks, what is in its bags, and what becomes of them when things go wrong."""

from __future__ import annotations

import errno
import math
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import disputed_clouds
import numpy as np
import pytest
from disputed_clouds import Recorder, bags, made, options, read, size_bytes, stamps
from hypothesis import given, settings
from hypothesis import strategies as st

from srkd.errors import ConfigError
from srkd.io.bags import BagReader, BagWriter
from srkd_ros import bag_ring, disagreement_bags, disagreement_recorder
from srkd_ros.disagreement_bags import RecordOptions
from srkd_ros.disagreement_recorder import BACKLOG, DisagreementRecorder

pytest.importorskip("rosbags", reason="needs rosbags (the extra bags)")
MIB = 1 << 20


def add_up(recorder: DisagreementRecorder) -> bool:
    counts = recorder.counts()
    return counts.offered == counts.passed + counts.dropped + counts.failed + counts.recorded + counts.waiting


def test_a_bag_holds_the_cloud_and_both_label_sets_bit_for_bit(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "bags")
    before_ns = time.time_ns()
    ones = [recorder.offer_made(number, level) for number, level in ((3, 0.25), (4, 0.75))]
    assert recorder.stop(30)
    (bag,) = bags(tmp_path / "bags")
    found: dict[str, list[Any]] = {}
    for topic, time_ns, message in read(bag):
        assert before_ns <= time_ns <= time.time_ns()
        found.setdefault(topic, []).append(message)
    assert {topic: len(messages) for topic, messages in found.items()} == {
        "/lidar_top": 2,
        "/lidar_top/predicted": 2,
        "/lidar_top/teacher": 2,
        "/lidar_top/predicted/label_scheme": 2,
        "/lidar_top/teacher/label_scheme": 2,
    }
    for number, one in enumerate(ones):
        cloud, student, teacher = (found[f"/lidar_top{end}"][number] for end in ("", "/predicted", "/teacher"))
        assert cloud.data.tobytes() == one.cloud.data and student.data.tobytes() == bytes(one.student.data)
        assert [field.name for field in cloud.fields] == ["x", "y", "z", "intensity"] and not cloud.is_dense
        for message in (cloud, student, teacher):
            stamp = message.header.stamp
            assert (stamp.sec, stamp.nanosec, message.header.frame_id) == (3 + number, 7, "lidar")
            assert (message.height, message.width) == (2, 25)
        points = np.frombuffer(teacher.data.tobytes(), np.uint8).reshape(50, 16)
        np.testing.assert_array_equal(points[:, 12], one.teacher)
        assert points[:, :12].tobytes() == np.frombuffer(one.cloud.data, "<f4").reshape(50, 4)[:, :3].tobytes()
        assert not points[:, 13:].any()
        assert [(field.name, field.offset, field.datatype) for field in teacher.fields] == [
            ("x", 0, 7),
            ("y", 4, 7),
            ("z", 8, 7),
            ("class_id", 12, 2),
        ]
    assert {message.data for message in found["/lidar_top/predicted/label_scheme"]} == {"mine"}
    assert {message.data for message in found["/lidar_top/teacher/label_scheme"]} == {"street"}
    with BagReader(bag) as reader:
        assert reader.cloud_topics() == ("/lidar_top",), "labels are no clouds to label"
        assert reader.notes == {"srkd.source": "student and teacher", "srkd.disagreement": "0.250 to 0.750"}
    assert recorder.said == []


class Kept:
    """Stands for the disk."""

    def __init__(self, *rest: Any) -> None:
        self._backlog, self._settle = rest[2], rest[3]

    def write(self) -> None:
        while not self._backlog.ended:
            if (disputed := self._backlog.take(None)) is not None:
                picked.append(disputed.cloud)
                self._settle("recorded", 1)


picked: list[int] = []
levels = st.one_of(st.just(math.nan), st.sampled_from((0.0, 0.1, 0.2, 0.3, 0.7, 1.0)), st.floats(0, 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(levels, max_size=30), st.integers(1, 5), st.sampled_from((0.0, 0.2, 1.0)))
def test_the_worst_of_every_so_many_is_recorded(seen: list[float], worst_of: int, least: float) -> None:
    wanted = []
    for start in range(0, len(seen), worst_of):
        enough = [place for place in range(start, min(start + worst_of, len(seen))) if seen[place] >= least]
        if enough:
            wanted.append(max(enough, key=lambda place: (seen[place], -place)))
    picked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disagreement_recorder, "DisagreementBags", Kept)
        patch.setattr(disagreement_recorder, "BACKLOG", 100)
        recorder = Recorder(Path("unused"), record_worst_of=worst_of, record_disagreement_min=least)
        for place, level in enumerate(seen):
            recorder.offer(place, None, np.zeros(0, np.uint8), level)
            assert add_up(recorder)
        assert recorder.stop(30)
    assert picked == wanted
    counts = recorder.counts()
    assert (counts.offered, counts.recorded, counts.waiting, counts.dropped) == (len(seen), len(wanted), 0, 0)


def test_the_oldest_make_room_and_the_limit_holds_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    class Measured(BagWriter):
        def write(self, *rest: Any) -> None:
            super().write(*rest)
            sizes.append(size_bytes(tmp_path) - MIB)

        def __exit__(self, *rest: Any) -> None:
            super().__exit__(*rest)
            sizes.append(size_bytes(tmp_path) - MIB)

    monkeypatch.setattr(disagreement_bags, "BagWriter", Measured)
    monkeypatch.setattr(disagreement_recorder, "BACKLOG", 100)
    (tmp_path / "disagreement_000009").mkdir()  # as good as a bag
    (tmp_path / "kept_000001").mkdir()
    (tmp_path / "kept_000001" / "mine").write_bytes(b"1" * (MIB - 4))
    (tmp_path / "disagreement_000007.txt").write_text("mine")
    recorder = Recorder(tmp_path, record_max_mib=3)
    for number in range(30):
        recorder.offer_made(number, 0.5, 4000)  # 224 kB with its labels: 4 of them a bag
    assert recorder.stop(60)
    assert (recorder.counts().recorded, recorder.said) == (30, [])
    assert 2 * MIB < max(sizes) <= 3 * MIB
    names = [path.name for path in bags(tmp_path) if path.name.startswith("disagreement_") and path.is_dir()]
    assert names == [name(10 + 5), name(10 + 6), name(10 + 7)], "30 clouds are 8 bags, of which the last holds 2"
    assert [stamps(tmp_path / each) for each in names] == [[20, 21, 22, 23], [24, 25, 26, 27], [28, 29]]
    assert (tmp_path / "kept_000001" / "mine").exists() and (tmp_path / "disagreement_000007.txt").exists()
    again = Recorder(tmp_path, record_max_mib=3)
    again.offer_made(99, 0.5)
    assert again.stop(30)
    assert stamps(tmp_path / name(18)) == [99], "numbers go on"


def test_a_bag_is_closed_when_it_is_old(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, record_file_s=0.1)
    recorder.offer_made(1, 0.5)
    recorder.wait_for(recorded=1)
    assert stamps(bags(tmp_path)[0]) == [1]
    assert recorder.stop(30)


def test_a_bag_is_closed_when_it_is_old_although_more_are_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disagreement_recorder, "BACKLOG", 100)
    recorder = Recorder(tmp_path, record_file_s=0.0)
    for number in range(10):
        recorder.offer_made(number, 0.5)
    assert recorder.stop(30)
    assert [stamps(bag) for bag in bags(tmp_path)] == [[number] for number in range(10)]


def test_a_bag_that_is_half_deleted_does_not_look_like_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disagreement_recorder, "RETRY_S", 0.05)
    monkeypatch.setattr(disagreement_recorder, "BACKLOG", 100)
    remove = shutil.rmtree

    def remove_half(folder: Path, **rest: Any) -> None:
        if (folder / "metadata.yaml").exists():  # a finished bag
            next(folder.glob("*.mcap")).unlink()
            raise OSError("unplugged")
        remove(folder, **rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bag_ring.shutil, "rmtree", remove_half)
        recorder = Recorder(tmp_path, record_max_mib=2)
        for number in range(12):
            recorder.offer_made(number, 0.5, 4000)
        deadline = time.monotonic() + 30
        while not recorder.said:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert "unplugged" in recorder.said[0]
        assert recorder.stop(30)
    assert [stamps(bag) for bag in bags(tmp_path)], "whole ones are left"
    assert Recorder(tmp_path).stop(30)
    assert [path for path in tmp_path.iterdir() if path not in bags(tmp_path)] == []


def test_every_closed_bag_outlives_kill_9(tmp_path: Path) -> None:
    seen = 0
    for life in range(3):
        command = [sys.executable, disputed_clouds.__file__, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(command, env=environment)
        try:
            deadline = time.monotonic() + 60
            while not any(name(seen + 2) <= bag.name for bag in bags(tmp_path)) or not list(tmp_path.glob(".*")):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.003 * (life + 1))
        finally:
            process.kill()
            process.wait()
        whole = bags(tmp_path)
        assert 1 <= len(whole) <= 3
        for bag in whole:
            assert len(stamps(bag)) == 4
        seen = int(whole[-1].name.removeprefix("disagreement_"))
    (tmp_path / f".{name(1)}.old").mkdir()
    recorder = Recorder(tmp_path)
    recorder.offer_made(5, 0.5)
    assert recorder.stop(30)
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == [], "what was half-written goes"
    assert stamps(tmp_path / name(seen + 1)) == [5]


def name(number: int) -> str:
    return f"disagreement_{number:06d}"


def test_a_full_disk_is_one_line_and_recording_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may not grow beyond 100 kB, which fails as a full disk does."""
    monkeypatch.setattr(disagreement_recorder, "RETRY_S", 0.2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    recorder = Recorder(tmp_path, record_file_s=0.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        for number in (1, 2, 3):
            recorder.offer_made(number, 0.5, 4000)
        recorder.wait_for(failed=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert bags(tmp_path) == []
    assert set(recorder.said) == {
        f"recording pauses for 0.2 s: {tmp_path}: File too large: make room on its disk, or give another record_dir"
    }
    deadline = time.monotonic() + 30
    while not recorder.counts().waiting + recorder.counts().recorded:  # what is offered before the next try has failed
        assert time.monotonic() < deadline
        recorder.offer_made(4, 0.5, 4000)
        time.sleep(0.1)
    assert recorder.stop(30)
    assert recorder.counts().recorded >= 1 and recorder.counts().failed >= 3 and add_up(recorder)
    assert set(stamps(bags(tmp_path)[0])) == {4}
    assert sorted(tmp_path.iterdir()) == bags(tmp_path)


def test_no_space_left_while_a_bag_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(BagWriter):
        def write(self, *rest: Any) -> None:
            if self.count > 7:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            super().write(*rest)

    monkeypatch.setattr(disagreement_bags, "BagWriter", Full)
    recorder = Recorder(tmp_path)
    for number in (1, 2):
        recorder.offer_made(number, 0.5)
    recorder.wait_for(failed=2)
    assert recorder.stop(0), "a pause does not keep the node from ending"
    assert "No space left on device" in recorder.said[0] and add_up(recorder)
    assert list(tmp_path.iterdir()) == []


def test_what_must_stay_free_is_left_free(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, record_min_free_mib=1 << 40)
    recorder.offer_made(1, 0.5)
    recorder.wait_for(failed=1)
    assert "MiB free, a bag of 1 MiB would leave less than record_min_free_mib" in recorder.said[0]
    assert recorder.stop(0) and bags(tmp_path) == []


def test_nobody_waits_for_a_stuck_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, free = threading.Event(), threading.Event()

    class Stuck(BagWriter):
        def write(self, *rest: Any) -> None:
            stuck.set()
            assert free.wait(60)
            super().write(*rest)

    monkeypatch.setattr(disagreement_bags, "BagWriter", Stuck)
    recorder = Recorder(tmp_path)
    recorder.offer_made(0, 0.5)
    assert stuck.wait(30)
    one = made(1)
    longest_s = 0.0
    for _ in range(1000):
        start_s = time.perf_counter()
        recorder.offer(one.cloud, one.student, one.teacher, 0.5)
        longest_s = max(longest_s, time.perf_counter() - start_s)
    counts = recorder.counts()
    assert (counts.dropped, counts.waiting) == (1000 - BACKLOG, 1 + BACKLOG)
    assert longest_s < 1.0
    start_s = time.monotonic()
    assert not recorder.stop(0)
    assert time.monotonic() - start_s < 5
    free.set()
    assert recorder.stop(30)
    assert recorder.counts().recorded == 1 + BACKLOG and add_up(recorder)
    recorder.offer(one.cloud, one.student, one.teacher, 0.5)
    assert recorder.counts().dropped == 1000 - BACKLOG + 1


def test_two_nodes_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disagreement_recorder, "RETRY_S", 0.05)
    first = Recorder(tmp_path)
    first.offer_made(1, 0.5)
    deadline = time.monotonic() + 30
    while not list(tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    other = Recorder(tmp_path)
    while not other.said:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert f"{tmp_path}: another node records there; give each a record_dir of its own" in other.said[0]
    assert first.stop(30)
    while not other.counts().waiting:  # what is offered before the next try has failed
        assert time.monotonic() < deadline
        other.offer_made(2, 0.5)
        time.sleep(0.2)
    assert other.stop(30)
    assert [stamps(bag)[0] for bag in bags(tmp_path)] == [1, 2]


@pytest.mark.parametrize("kind", ["file", "forbidden"])
def test_a_folder_that_cannot_be_one_is_said_at_once(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" if kind == "file" else Path("/proc/1/bags")
    recorder = Recorder(folder)
    deadline = time.monotonic() + 30
    while not recorder.said:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert str(folder) in recorder.said[0] and "please report" not in recorder.said[0]
    assert recorder.stop(0)


def test_what_does_not_fit_is_said_and_the_next_is_recorded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.offer_made(1, 0.5, 40_000)
    one = made(2)
    recorder.offer(one.cloud, one.student, one.teacher[:-1], 0.5)
    recorder.offer_made(3, 0.5)
    assert recorder.stop(30)
    assert recorder.said == [
        "not recorded: a cloud with its labels takes 2.1 MiB: raise record_file_mib",
        "not recorded: teacher's labels: (49,), expected (50,)",
    ]
    assert (recorder.counts().failed, recorder.counts().recorded) == (2, 1)
    assert stamps(bags(tmp_path)[0]) == [3]


def test_limits_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="record_file_mib: 3, expected at most half of record_max_mib \\(5\\)"):
        options(tmp_path, record_file_mib=3, record_max_mib=5)
    assert isinstance(options(tmp_path, record_file_mib=3, record_max_mib=6), RecordOptions)
