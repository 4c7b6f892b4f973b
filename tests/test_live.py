# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a live run that need no ROS: accounting, processes, surroundings, outputs, page and bars."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from srkd.errors import BagError, ConfigError
from srkd.labels import SCHEMES
from srkd.score import Score
from srkd_train.demo_offline import DemoOptions
from srkd_train.live.bench import BAR, CASES, lost, markdown, summarize
from srkd_train.live.compare import Agreement, LabelColumns, LiveScore, agreement, read_score
from srkd_train.live.environment import child_environment, free_domain
from srkd_train.live.outcome import NODE_STAGES, Outcome, join, latency, percentiles, read_log
from srkd_train.live.outputs import BAG, GENERATOR, METRICS, PAGE, staged
from srkd_train.live.page import Picture, render_page
from srkd_train.live.pictures import spread
from srkd_train.live.processes import _TIE, Child, Family, ProcessError, ended_like_ctrl_c
from srkd_train.live.results import Results, make_metrics, summary
from srkd_train.live.session import LineCount

MS = 1_000_000


def report(received: int, labelled: int, dropped: int = 0, **stages: float) -> Any:
    """What is read of a SegmentationReport; every stage takes 1 ms unless said."""
    times = {f"{name}_ms": stages.get(name, 1.0) for name in NODE_STAGES}
    return SimpleNamespace(received=received, labelled=labelled, dropped=dropped, rejected=0, skipped=0, **times)


def outcome_of(back: list[int], *, received: int, dropped: int, sent: int = 4) -> Outcome:
    """Clouds with stamps 0, 1, ... are sent every 100 ms; those in `back` come back after 10 ms more each time."""
    reports = {stamp: report(received, len(back), dropped, total=8.0) for stamp in back}
    published = [(stamp, 1000 * MS + 100 * MS * stamp) for stamp in range(sent)]
    arrived = [(stamp, 1000 * MS + 100 * MS * stamp + 10 * MS * (index + 1)) for index, stamp in enumerate(back)]
    return join(published, arrived, reports)


def test_frames_that_all_come_back_are_no_fault() -> None:
    outcome = outcome_of([0, 1, 2, 3], received=4, dropped=0)
    assert outcome.frames.faults() == []
    assert outcome.frames.to_dict() | {"node": None} == {
        "in": 4, "out": 4, "dropped": 0, "unaccounted": 0, "foreign": 0, "node": None,
    }  # fmt: skip
    assert outcome.stage_ms["end_to_end"] == (10.0, 20.0, 30.0, 40.0)
    assert outcome.stage_ms["transport"] == (2.0, 12.0, 22.0, 32.0)
    assert outcome.time_s == pytest.approx((0.0, 0.1, 0.2, 0.3))
    assert outcome.latency_ns == {0: 10 * MS, 1: 20 * MS, 2: 30 * MS, 3: 40 * MS}


def test_a_drop_that_the_node_counts_is_accounted_for() -> None:
    frames = outcome_of([0, 2, 3], received=4, dropped=1).frames
    assert (frames.dropped, frames.unaccounted) == (1, 0)
    assert frames.faults() == ["1 frame dropped by the node"]


@pytest.mark.parametrize(("received", "way"), [(3, "1 lost on the way to the node, 0"), (4, "0 lost on the way to")])
def test_a_frame_that_nobody_counts_is_unaccounted_for(received: int, way: str) -> None:
    frames = outcome_of([0, 1, 3], received=received, dropped=0).frames
    assert (frames.dropped, frames.unaccounted) == (0, 1)
    assert len(frames.faults()) == 1 and f"1 frame unaccounted for ({way}" in frames.faults()[0]


def test_labels_that_come_twice_or_from_nowhere_are_a_fault() -> None:
    reports = {0: report(1, 1)}
    assert "2 frames labelled that nobody sent" in join([(0, 0)], [(0, 5), (0, 9), (7, 6)], reports).frames.faults()[0]
    assert join([(0, 0)], [(0, 5 * MS), (0, 9 * MS)], reports).stage_ms["end_to_end"] == (5.0,)


def test_nothing_back_and_no_report_are_counted_not_a_crash() -> None:
    empty = join([(0, 0), (1, 1)], [], {})
    assert (empty.frames.unaccounted, latency(empty)["end_to_end"]["p50"]) == (2, None)
    assert join([(0, 0)], [(0, 5)], {}).without_report == 1


def test_percentiles_by_hand() -> None:
    assert percentiles(range(101)) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert percentiles([3.0, float("nan"), 1.0]) == {"p50": 2.0, "p95": 2.9, "p99": 2.98}


def test_logs_are_read_by_topic_and_their_faults_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [{"topic": "/a", "stamp_ns": 1, "publish_ns": 2}, {"topic": "/b", "stamp_ns": None, "publish_ns": 3}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_log(log, "/a", "publish_ns") == [(1, 2)]
    for text, where in (("{}", "line 1"), ("nonsense", "line 1")):
        log.write_text(text)
        with pytest.raises(BagError, match=where):
            read_log(log, "/a", "publish_ns")
    with pytest.raises(BagError, match="missing"):
        read_log(tmp_path / "missing", "/a", "publish_ns")


def test_a_growing_log_is_counted_by_whole_lines(tmp_path: Path) -> None:
    count = LineCount(tmp_path / "log", "/a")
    assert count.update() == 0
    with (tmp_path / "log").open("w") as stream:
        for text, expected in (('{"topic": "/a"}\n{"topic": "/ab"}\n{"to', 1), ('pic": "/a"}\n', 2), ("", 2)):
            stream.write(text)
            stream.flush()
            assert count.update() == expected


def columns(class_id: list[int], probability: float = 0.5) -> LabelColumns:
    count = len(class_id)
    entropy = np.full(count, np.nan, np.float32)
    return LabelColumns(np.array(class_id, np.uint8), np.full(count, probability, np.float32), entropy)


def test_agreement_counts_points_and_bytes() -> None:
    ours = {1: columns([1, 2, 255]), 2: columns([1, 1, 1])}
    same = agreement(ours, {1: columns([1, 2, 255]), 2: columns([1, 1, 1]), 3: columns([0])})
    assert (same.share, same.identical_frames, same.points) == (1.0, 2, 6)
    other = agreement(ours, {1: columns([1, 2, 255], 0.25), 2: columns([1, 0, 1])})
    assert (other.share, other.identical_frames) == (pytest.approx(5 / 6), 0)
    assert agreement(ours, {1: columns([1, 2])}).share == 0
    assert agreement({}, {}).share == 0, "nothing is no agreement"


@pytest.mark.parametrize(
    ("agreed", "fault"),
    [
        (Agreement(100, 100, 4, 4), None),
        (Agreement(100, 99, 4, 3), "1 of 100 points have another class"),
        (Agreement(100, 100, 4, 3), "1 frames have other probabilities"),
        (Agreement(0, 0, 0, 0), "no frame came back"),
    ],
)
def test_a_run_passes_only_with_the_labels_of_the_offline_run(agreed: Agreement, fault: str | None) -> None:
    score = Score(("a",), ((100,),))
    header = SimpleNamespace(architecture="nano", weights_sha256="0")
    options = DemoOptions(Path("out"), Path("nano.safetensors"), 4, 10000)
    for outcome, dropped in (
        (outcome_of([0, 1, 2, 3], received=4, dropped=0), 0),
        (outcome_of([0], received=4, dropped=3), 3),
    ):
        results = Results(outcome, agreed, LiveScore(score, agreed.frames))
        metrics = make_metrics(options, header, 400, 10.0, results, {"cores": 2})  # type: ignore[arg-type]
        assert metrics["passed"] is (fault is None and not dropped)
        assert len(metrics["faults"]) == (fault is not None) + bool(dropped)
        assert fault is None or fault in metrics["faults"][-1]
        metrics["took_s"] = {"live": 10.0}
        said = summary(Path("out"), json.loads(json.dumps(metrics, allow_nan=False)), score)
        assert ("NOT PASSED" in said) is not metrics["passed"]


def test_a_labelled_frame_that_was_not_scored_is_a_fault(tmp_path: Path) -> None:
    outcome, agreed = outcome_of([0, 1, 2, 3], received=4, dropped=0), Agreement(100, 100, 4, 4)
    score = Score(("road", "car"), ((90, 5), (1, 4)), 7, 2)
    (tmp_path / "score.json").write_text(json.dumps({**score.to_dict(), "clouds": 3}))
    read = read_score(tmp_path / "score.json")
    assert read == LiveScore(score, 3)
    assert Results(outcome, agreed, read).faults() == ["3 of 4 labelled frames were scored"]
    for text in ("", "[]", '{"iou": {}}'):
        (tmp_path / "score.json").write_text(text)
        with pytest.raises(ConfigError, match=r"score\.json: no file of `score`"):
            read_score(tmp_path / "score.json")


def test_a_run_sees_nothing_of_the_users_ros_settings(tmp_path: Path) -> None:
    given = {
        "PATH": "/bin", "ROS_DOMAIN_ID": "7", "ROS_DISTRO": "kilted", "RMW_IMPLEMENTATION": "rmw_other",
        "ROS_STATIC_PEERS": "robot", "FASTDDS_DEFAULT_PROFILES_FILE": "x.xml", "OMP_WAIT_POLICY": "active",
        "PYTHONPATH": "/tree", "AMENT_PREFIX_PATH": "/opt",
    }  # fmt: skip
    made = child_environment(42, tmp_path, given)
    assert made["ROS_DOMAIN_ID"] == "42" and made["ROS_LOG_DIR"] == str(tmp_path)
    assert made["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert made["PYTHONPATH"] == "/tree" and made["AMENT_PREFIX_PATH"] == "/opt" and made["ROS_DISTRO"] == "kilted"
    assert not {"RMW_IMPLEMENTATION", "ROS_STATIC_PEERS", "FASTDDS_DEFAULT_PROFILES_FILE", "OMP_WAIT_POLICY"} & set(
        made
    )
    assert child_environment(1, tmp_path, {"ROS_DISTRO": "humble"})["ROS_LOCALHOST_ONLY"] == "1"
    with pytest.raises(ConfigError, match="0 to 232"):
        child_environment(233, tmp_path, {})


def test_a_domain_whose_ports_are_taken_is_passed_over() -> None:
    free = free_domain()
    assert 1 <= free <= 101
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 7400 + 250 * free))
        with pytest.raises(ConfigError, match="--domain"):
            free_domain([free])
    assert free_domain([free]) == free


def script(tmp_path: Path, text: str, **environment: str) -> Child:
    return Child("script", [sys.executable, "-c", text], {**os.environ, **environment}, tmp_path / "said")


def test_a_process_that_fails_or_hangs_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="script ended with status 3: last words"):
        script(tmp_path, "print('last words'); exit(3)").wait_for("ready", 20)
    sleeper = script(tmp_path, "print('going', flush=True); import time; time.sleep(60)")
    sleeper.wait_for("going", 20)
    with pytest.raises(ProcessError, match="did not say 'ready' within 0 s: going"):
        sleeper.wait_for("ready", 0.2)
    with pytest.raises(ProcessError, match="has not ended"):
        sleeper.finish(0.1)
    assert sleeper.stop() == -signal.SIGINT


def test_leaving_a_family_by_an_error_ends_the_deaf_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srkd_train.live.processes._PATIENCE_S", (0.2, 0.2))
    (tmp_path / "deaf.py").write_text(
        "import signal, time\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(RuntimeError), Family(tmp_path, {**os.environ, "PYTHONPATH": str(tmp_path)}) as family:
        child = family.start("deaf", "deaf", [])
        child.wait_for("deaf", 20)
        raise RuntimeError
    assert not child.running
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_parent_that_is_ended_takes_its_children_along(number: signal.Signals, tmp_path: Path) -> None:
    program = (
        "import os, sys, time\nfrom pathlib import Path\n"
        "from srkd_train.live.processes import Family, ended_like_ctrl_c\n"
        f"with ended_like_ctrl_c(), Family(Path({str(tmp_path)!r}), os.environ) as family:\n"
        "    busy = ['-n1', '-r1', 'print(1, flush=True); import time; time.sleep(60)']\n"
        "    child = family.start('sleeper', 'timeit', busy)\n"
        "    child.wait_for('1', 20)\n"
        "    print(child.pid, flush=True)\n    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert runs(pid)
    parent.send_signal(number)
    assert parent.wait(timeout=20) != 0
    deadline = time.monotonic() + (20 if number == signal.SIGKILL else 0)
    while runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_process_is_made_leaves_no_process(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[subprocess.Popen[bytes]] = []

    def interrupted(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen(*args, **more))
        signal.raise_signal(number)
        return made[-1]

    monkeypatch.setattr(
        "srkd_train.live.processes.subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": interrupted})
    )
    busy = ["-n1", "-r1", "import time; time.sleep(60)"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a library may have taken it in this process
    try:
        with pytest.raises(KeyboardInterrupt), ended_like_ctrl_c(), Family(tmp_path, os.environ) as family:
            family.start("sleeper", "timeit", busy)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(made) == 1 and made[0].returncode is not None


def runs(pid: int) -> bool:
    """Whether there is such a process and it has not ended: nobody may be there to take note of an orphan's end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_whose_parent_has_ended_already_does_not_begin() -> None:
    words = [sys.executable, "-ISc", _TIE, str(os.getpid() + 1), "echo", "ran"]
    assert subprocess.run(words, capture_output=True, text=True, timeout=20).stdout == ""
    words[3] = str(os.getpid())
    assert subprocess.run(words, capture_output=True, text=True, timeout=20).stdout == "ran\n"


def old_results(folder: Path) -> dict[str, str]:
    """Results of an earlier run, and a file of the user's."""
    (folder / BAG).mkdir(parents=True)
    texts = {
        f"{BAG}/metadata.yaml": "old", f"{BAG}/labelled.mcap": "old", PAGE: f"<html>{GENERATOR}",
        METRICS: json.dumps({"miou": 1, "latency_ms": {}, "machine": {}}), "mine.txt": "the user's",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)
    return texts


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_results_replace_older_results_and_nothing_else(tmp_path: Path) -> None:
    old_results(tmp_path)
    with staged(tmp_path) as stage:
        (stage / BAG).mkdir()
        (stage / BAG / "labelled.mcap").write_text("new")
        (stage / PAGE).write_text("new")
        (stage / METRICS).write_text("new")
        assert contents(tmp_path)[PAGE].startswith("<html>"), "the old ones stay until the new ones are whole"
    assert contents(tmp_path) == {f"{BAG}/labelled.mcap": "new", PAGE: "new", METRICS: "new", "mine.txt": "the user's"}


def test_a_failed_run_changes_nothing(tmp_path: Path) -> None:
    before = old_results(tmp_path)
    with pytest.raises(KeyboardInterrupt), staged(tmp_path) as stage:
        (stage / PAGE).write_text("half")
        raise KeyboardInterrupt
    assert contents(tmp_path) == before
    with pytest.raises(KeyboardInterrupt), staged(tmp_path / "new" / "folder"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "text"),
    [(PAGE, "<html>my own"), (METRICS, "{}"), (METRICS, "no json"), (BAG, "a file"), (f"{BAG}/photo.jpg", "mine")],
)
def test_a_users_files_are_never_replaced(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(ConfigError, match="was not made by this command"), staged(tmp_path):
        raise AssertionError("not reached")
    assert contents(tmp_path) == {name: text}


class Strict(HTMLParser):
    """Fails on tags that do not match, and collects what is referred to."""

    VOID = ("meta", "img", "line", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_self_contained(page: str) -> Strict:
    parser = Strict()
    parser.feed(page)
    assert not parser.open
    assert not {"script", "link", "iframe", "object", "base"} & set(parser.tags)
    assert all(reference.startswith("data:image/png;base64,") for reference in parser.references)
    assert not re.search(r"https?://|@import|url\(", page)
    return parser


def made_metrics(outcome: Outcome, faults: list[str]) -> dict[str, Any]:
    names = SCHEMES["street"].class_names
    score = Score(names, tuple(tuple(int(i == j) * 10 for j in range(12)) for i in range(12))).to_dict()
    return {
        "faults": faults, "frames": outcome.frames.to_dict(), "latency_ms": latency(outcome), "score": score,
        "rate_hz": 10.0, "miou": 1.0, "offline_agreement": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("faults", [[], ["1 frame dropped by the node & <b>more</b>"]])
def test_the_page_is_whole_and_loads_nothing(faults: list[str]) -> None:
    outcome = outcome_of([0, 2, 3], received=4, dropped=1)
    scheme = SCHEMES["street"]
    colors = dict(zip(scheme.class_names, scheme.colors, strict=True))
    facts = {"Machine": "<Xeon> & co"}
    page = render_page(made_metrics(outcome, faults), outcome, [Picture(b"\x89PNG", "0.1 s")], colors, facts)
    parser = assert_self_contained(page)
    assert parser.tags.count("img") == 1 and parser.tags.count("g") == 3
    assert "<Xeon> & co" in parser.text
    assert ("Did not pass" in parser.text) == bool(faults)
    assert all(fault in parser.text for fault in faults)
    assert "1 came back" not in parser.text and "3 came back" in parser.text


def test_bars_of_the_chart_are_as_high_as_the_latency() -> None:
    outcome = outcome_of([0, 1, 2, 3], received=4, dropped=0)
    page = render_page(
        made_metrics(outcome, []), outcome, [], dict.fromkeys(SCHEMES["street"].class_names, (0, 0, 0)), {}
    )
    heights = []
    for group in re.findall(r"<g>.*?</g>", page):
        heights.append(sum(float(height) for height in re.findall(r'height="([\d.]+)"', group)))
    np.testing.assert_allclose(np.array(heights) / heights[0], (1, 2, 3, 4), rtol=0.03)


def test_an_empty_run_has_a_page_too() -> None:
    outcome = join([(0, 0)], [], {})
    metrics = made_metrics(outcome, ["no frame came back"]) | {"miou": None}
    page = render_page(metrics, outcome, [], dict.fromkeys(SCHEMES["street"].class_names, (0, 0, 0)), {})
    assert_self_contained(page)


def test_pictures_are_spread_over_the_drive() -> None:
    assert spread(list(range(30)), 3) == {5, 15, 25}
    assert spread([4, 9], 3) == {4, 9}


def run_of(p95_ms: float | None, out: int, share: float = 0.99) -> dict[str, Any]:
    frames = {"in": 300, "out": out}
    row = {"p50": p95_ms, "p95": p95_ms, "p99": p95_ms}
    return {"latency_ms": {"end_to_end": row, "network": row}, "frames": frames, "labelled_share": share}


@pytest.mark.parametrize(
    ("run", "met"),
    [
        (run_of(100.0, 300), True),
        (run_of(100.1, 300), False),
        (run_of(50.0, 299), False),
        (run_of(50.0, 300, 0.94), False),
        (run_of(None, 0), False),
    ],
)
def test_the_bar_is_p95_drops_and_labelled_share(run: dict[str, Any], met: bool) -> None:
    assert BAR.verdict(run)["met"] is met


def test_the_best_run_has_the_fewest_losses_then_the_lowest_p95() -> None:
    runs = [run_of(60.0, 299), run_of(90.0, 300), run_of(80.0, 300), run_of(None, 0)]
    best = summarize(runs)["best"]
    assert best is runs[2] and lost(best) == 0
    cases = [{"rate_hz": case.rate_hz, "cores": case.cores, **summarize(runs)} for case in CASES]
    figures = {
        "checkpoint": {"name": "nano"}, "drive": {"frames": 300, "points_per_frame": 30000}, "cases": cases,
        "bar": BAR.verdict(best), "machine": {"processor": "some"},
    }  # fmt: skip
    table = markdown(figures)
    assert table.count("(best)") == len(CASES)
    assert "| 10 Hz on 2 cores | 3 (best) | 80.0 | 80.0 | 80.0 | 300 | 300 | 0 | 99.0 % |" in table
    assert "): met." in table


def test_cases_take_the_first_cpus_that_there_are() -> None:
    assert CASES[0].cpus([3, 5, 8]) == {3, 5} and CASES[2].cpus([3, 5, 8]) == {3} and CASES[0].cpus([3]) == {3}
