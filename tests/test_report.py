# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd report`: the numbers on the page are those of the bag and the run, and the page stands by itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (the `bags` extra)")

from report_makers import FRAMES, NAMES, OLD_COMPARISON, Drive, Page, definition, write_drive, write_run
from test_report_teacher import disputed_bag

from srkd.calibration import BINS, Calibration
from srkd.io.bags import BagReader, BagWriter
from srkd_train.__main__ import main
from srkd_train.cloud_messages import write_scheme
from srkd_train.report.bag import Bag, read_bag
from srkd_train.report.bag_nodes import node_sections
from srkd_train.report.make import GENERATOR
from srkd_train.report.run_section import smooth
from srkd_train.report.tallies import ReportTrack, Totals
from srkd_train.report.topics import Topics
from srkd_train.report.tracks import Frame, apart, worst_first

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
Capture = pytest.CaptureFixture[str]


def report(out: Path, *inputs: object) -> Page:
    assert main(["report", *map(str, inputs), "--out", str(out)]) == 0
    return self_contained(out.read_text(encoding="utf-8"))


def self_contained(text: str) -> Page:
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    inside = [reference[1:] for reference in page.references if reference.startswith("#")]
    assert set(inside) <= set(page.ids)
    outside = [each for each in page.references if not each.startswith("#")]
    assert all(each.startswith("data:image/png;base64,") for each in outside)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r'"data:[^"]*"', "", text))
    assert not {"nan", "None"} & set(page.words)
    return page


@pytest.fixture(scope="module")
def drive() -> Drive:
    return Drive()


@pytest.fixture(scope="module")
def bag(drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drive(tmp_path_factory.mktemp("bags") / "drive", drive)


def scored(drive: Drive) -> Drive:
    """Without the frame that was dropped."""
    kept = [index for index in range(FRAMES) if index != 2]
    for name in ("truth", "labels", "probability", "stage_ms", "agreement", "confusion"):
        setattr(drive, name, getattr(drive, name)[kept])
    return drive


def percent(share: float, decimals: int = 1) -> str:
    return f"{100 * share:.{decimals}f}"


def test_the_numbers_of_a_bag_are_those_counted_point_by_point(bag: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    page, drive = report(tmp_path / "page.html", bag, "--pictures", 1), scored(Drive())
    pairs = drive.counted()
    ious = []
    for index, name in enumerate(NAMES):
        hit = sum(t == p == index for t, p, _ in pairs)
        truth, label = sum(t == index for t, _, _ in pairs), sum(p == index for _, p, _ in pairs)
        ious.append(hit / (truth + label - hit))
        row = page.row(name.replace("_", " "))
        assert row[1:] == [percent(ious[-1]), percent(hit / truth), f"{truth:,}".replace(",", "\u202f")]
    right = sum(t == p for t, p, _ in pairs) / len(pairs)
    assert page.row("mean")[1] == percent(sum(ious) / 4) and f"mean IoU{percent(sum(ious) / 4)}%" in page.text
    assert f"{percent(right)} % of the points have their true class" in page.text
    error = 0.0
    for number in range(BINS):
        of_bin = [(t == p, q) for t, p, q in pairs if min(int(q * BINS), BINS - 1) == number]
        error += abs(sum(hit for hit, _ in of_bin) - sum(q for _, q in of_bin)) / len(pairs)
    assert f"Expected calibration error{percent(error, 2)} %" in page.text
    assert f"Mean confidence{percent(sum(q for *_, q in pairs) / len(pairs), 2)} %" in page.text
    total = drive.stage_ms.sum(axis=1) + 1
    assert page.row("in the node")[1:] == [f"{np.percentile(total, q):.1f}" for q in (50, 95, 99)]
    assert page.row("plan")[1:] == [f"{np.percentile(drive.stage_ms[:, 3], q):.1f}" for q in (50, 95, 99)]
    assert "from the cloud's stamp" not in page.text, "ages are NaN in this bag"
    shown = [row for row in page.rows if row[0].endswith(" s")]
    rights = [
        np.mean([t == p for t, p in zip(*each, strict=True) if t != 255 != p])
        for each in zip(drive.truth, drive.labels, strict=True)
    ]
    assert [row[3] for row in shown] == [percent(value) for value in sorted(rights)], "worst first"
    worst = int(np.argmin(rights))
    assert shown[0][-2:] == [percent(drive.agreement[worst]), f"{total[worst]:.1f}"]
    assert page.tags.count("img") == 2 * 2, "the worst frame and a middling one, from above and as the sensor sees it"


def test_counts_survive_a_restart_and_drops_are_told(bag: Path, tmp_path: Path) -> None:
    page = report(tmp_path / "page.html", bag, "--pictures", 0)
    assert "clouds labelled7of 8" in page.text and "8received by the node" in page.text
    assert "7labelled" in page.text and "1dropped: late or replaced" in page.text
    assert "it was activated 2 times. Given up: 1." in page.text
    assert "img" not in page.tags


def test_the_teacher_is_summed_over_all_clouds(bag: Path, tmp_path: Path) -> None:
    page, drive = report(tmp_path / "page.html", bag, "--pictures", 0), scored(Drive())
    points = drive.confusion.sum(axis=(1, 2))
    share = float((points * drive.agreement.astype(float)).sum() / points.sum())
    assert f"agreement with the teacher{percent(share)}%" in page.text
    counts = drive.confusion.sum(axis=0)
    teacher = [row for row in page.rows if row[0] in ("flat road", "car", "tree", "wall") and len(row) == 3]
    for name, iou, of_teacher in teacher:
        index = NAMES.index(name.replace(" ", "_"))
        union = counts[index].sum() + counts[:, index].sum() - counts[index, index]
        assert (iou, int(of_teacher.replace("\u202f", ""))) == (
            percent(counts[index, index] / union),
            counts[index].sum(),
        )
    assert len(teacher) == 4 and "over all compared clouds" in page.text
    assert page.row("teacher")[1:] == [
        f"{np.percentile([70 + i for i in range(8) if i != 2], q):.1f}" for q in (50, 95, 99)
    ]
    assert "Agreement50.00 %" in page.text and "Expected calibration error25.00 %" in page.text


def test_a_comparison_with_few_fields_is_read_as_far_as_it_goes(drive: Drive, tmp_path: Path) -> None:
    old = definition("ComparisonReport", OLD_COMPARISON)
    page = report(tmp_path / "page.html", write_drive(tmp_path / "old", drive, comparison=old), "--pictures", 0)
    assert "over the last window" in page.text and "The student's confidence" not in page.text
    counts = drive.confusion[-1]
    assert [row[2] for row in page.rows if row[0] == "car" and len(row) == 3] == [str(counts[1].sum())]


def test_the_curves_and_scores_of_a_run(tmp_path: Path) -> None:
    page = report(tmp_path / "page.html", write_run(tmp_path / "run"))
    assert "best validation mIoU50.0% at step 30" in page.text and "mean IoU at the end43.8%" in page.text
    assert "steps30of 30" in page.text and "time12.0min" in page.text
    assert page.row("tree")[1:] == ["50.0", "50.0", "1\u202f000"] and "5 <clouds>" in page.text
    last = float(np.median([2 / step for step in (29, 30)]))
    assert f"klat the end {last:.3g}, weight 2.5" in page.text.replace("\n", "")
    assert "noise mse" not in page.text, "a term without a value is no curve"
    assert "teacher.safetensors" in page.text and "/somewhere" not in page.text
    assert page.text.count("log scale") == 2, "loss and kl span 30 times, cross entropy does not"
    np.testing.assert_allclose(smooth(np.array([9.0, 1, 2, np.nan, 4])), [5, 2, 1.5, 3, 4])


def test_a_run_that_was_stopped_says_what_it_lacks(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "evaluation.json").unlink()
    lines = (run / "metrics.csv").read_text().splitlines()
    (run / "metrics.csv").write_text("\n".join(lines[:8]) + "\n9,3.5,nan,0.5,1,,0.001,0.5,0.1,900,,,\n")
    page = report(tmp_path / "page.html", run)
    for line in (
        "The loss is no number from step 9 on", "at step 9 of 30", "No validation yet", "No final evaluation",
    ):  # fmt: skip
        assert line in page.text
    (run / "metrics.csv").unlink()
    assert "metrics.csv is missing or empty" in report(tmp_path / "page.html", run).text


def test_several_inputs_are_compared_on_top(bag: Path, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, steps=steps) for name, steps in (("a", 30), ("b", 40))]
    page = report(tmp_path / "page.html", bag, *runs, "--pictures", 0)
    assert page.ids == ["input-1", "input-2", "input-3"] and page.references == ["#input-1", "#input-2", "#input-3"]
    assert page.row("a") == ["distill", "student-nano", "30", "12.0", "50.0", "43.8", "62.5"]
    assert page.row("b")[2:5] == ["40", "12.0", "60.0"]
    first = next(row for row in page.rows if row[0] == "tree")
    assert first[2:] == ["50.0", "50.0"], "the classes of all three beside each other"
    assert page.row("drive")[:2] == ["8", "7"] and page.row("drive")[-1] == "1"


def copy_topics(source: Path, target: Path, topics: set[str]) -> Path:
    with BagReader(source) as reader, BagWriter(target) as writer:
        for message in reader.messages(topics):
            writer.add_topic(message.topic, message.type, definition=reader.definition(message.type))
            writer.write(message.topic, message.type, message.time_ns, message.raw)
    return target


@pytest.mark.parametrize(
    ("topics", "says", "pictures"),
    [
        ({"/points"}, ["No labels of a network", "No SegmentationReport", "No ComparisonReport"], 2),
        ({"/points", "/points/labels"}, ["No labels of a network", "--scheme", "Ground truth"], 2),
        ({"/segment/output/points", "/segment/model_info"}, ["no ground truth for it", "flat road"], 4),
        ({"/segment/output/points", "/points/labels"}, ["--scheme", "class 3"], 4),
        ({"/segment/report"}, ["No labels of a network", "in the node"], 0),
    ],
)
def test_what_a_bag_lacks_is_left_out_and_said(
    topics: set[str], says: list[str], pictures: int, bag: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    page = report(tmp_path / "page.html", copy_topics(bag, tmp_path / "some", topics), "--pictures", 1)
    assert all(text in page.text for text in says) and page.tags.count("img") == pictures
    assert ("Calibration" in page.text) == ({"/segment/output/points", "/points/labels"} <= topics)


def test_truth_of_other_classes_is_not_scored(bag: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with BagReader(bag) as reader, BagWriter(other) as writer:
        write_scheme(writer, "/points", "nuscenes", reader.start_ns)
        for message in reader.messages():
            writer.add_topic(message.topic, message.type, definition=reader.definition(message.type))
            writer.write(message.topic, message.type, message.time_ns, message.raw)
    found = read_bag(other)
    assert found.score("/segment/output/points") is None and "has other classes" in found.notes[0]


def test_repeated_stamps_and_odd_sizes_do_not_count_twice(drive: Drive, bag: Path, tmp_path: Path) -> None:
    looped = tmp_path / "looped"
    with BagReader(bag) as reader, BagWriter(looped) as writer:
        for turn in range(2):
            for message in reader.messages(["/points/labels", "/segment/output/points"]):
                writer.add_topic(message.topic, message.type, definition=reader.definition(message.type))
                writer.write(message.topic, message.type, message.time_ns + turn * 10**10, message.raw)
    once, twice = (read_bag(path).labels["/segment/output/points"] for path in (bag, looped))
    assert twice.repeated == FRAMES - 1 and once.repeated == 0
    np.testing.assert_array_equal(once.counts, twice.counts)


def test_a_long_drive_keeps_its_slowest_clouds_in_few_bars(tmp_path: Path) -> None:
    topics = Topics(reports=("/report",))
    bag = Bag(tmp_path, 0, 100.0, topics, reports={"/report": ReportTrack("/report")})
    for index in range(1000):
        times = {"total_ms": 900.0 if index == 777 else 50.0, "network_ms": 20.0}
        bag.reports["/report"].add(index, index * 10**8, SimpleNamespace(**times, received=index + 1))
    latency = next(iter(node_sections(bag)))
    assert latency.count("<g>") == 400 and latency.count("s: 900 ms") == 1 and "77.7 s: 900 ms" in latency
    assert "the slowest of up to 3 clouds" in latency


def test_pictures_are_of_frames_that_are_apart() -> None:
    times = (5, 6, 1, 30, 31, 12)
    frames = [Frame(time, time, time, time, 1, 1.0, rank / 10) for rank, time in enumerate(times)]
    assert [frame.time_ns for frame in apart(worst_first(frames)[1], 3, 10)] == [5, 30]
    assert [frame.time_ns for frame in apart(worst_first(frames)[1], 3, 7)] == [5, 30, 12]
    frames[3].agreement, frames[4].agreement = 0.5, 0.4
    assert worst_first(frames) == ("agreement", [frames[4], frames[3]])


def test_totals_add_up_over_restarts() -> None:
    totals = Totals(("received", "dropped"))
    for received, dropped in ((5, 1), (9, 2), (1, 0), (4, 3)):
        totals.add(SimpleNamespace(received=received, dropped=dropped))
    assert (totals.totals, totals.restarts) == ({"received": 13, "dropped": 5}, 1)


def test_calibration_is_that_of_a_loop_over_points() -> None:
    random = np.random.default_rng(1)
    probability, agrees = random.random(500).astype(np.float32), random.random(500) < 0.6
    probability[:3] = 1.0, np.nan, -0.5
    sums = Calibration.of(probability[:250], agrees[:250]) + Calibration.of(probability[250:], agrees[250:])
    error = 0.0
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS if number < BINS - 1 else 2
        inside = [(float(p), bool(a)) for p, a in zip(probability, agrees, strict=True) if low <= p < high]
        assert sums.count[number] == len(inside)
        error += abs(sum(a for _, a in inside) - sum(p for p, _ in inside))
    assert sums.points == 498 and sums.error() == pytest.approx(error / 498)
    assert np.isnan(Calibration.none().error()) and np.isnan(Calibration.none().overall()).all()


def test_mistakes_are_one_line_and_nothing_is_written(bag: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "mine.html").write_text("<html>my own")
    (tmp_path / "empty").mkdir()
    damaged = write_run(tmp_path / "damaged")
    (damaged / "metrics.csv").write_text("step,loss\n1,many\n")
    strange = write_run(tmp_path / "strange")
    (strange / "evaluation.json").write_text("[]")
    for words, named in (
        ([tmp_path / "absent"], "absent: no such file or folder"),
        ([tmp_path / "empty"], "neither a rosbag2 nor the folder of a training run"),
        ([bag.parent], f"did you mean {bag}?"),
        ([bag, bag], "given twice"),
        ([damaged], "metrics.csv: no table of numbers"),
        ([strange], "evaluation.json: no scores"),
        ([bag, "--pictures", "-1"], "--pictures -1"),
        ([bag, "--scheme", "nobodys"], "nobodys"),
        ([bag, "--out", tmp_path / "mine.html"], "was not made by this command"),
        ([bag, "--out", tmp_path], "is a folder"),
    ):
        out = [] if "--out" in words else ["--out", tmp_path / "page.html"]
        assert main(["report", *map(str, [*words, *out])]) == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("srkd report: error: ") and named in line
    assert not (tmp_path / "page.html").exists() and (tmp_path / "mine.html").read_text() == "<html>my own"


def test_a_bag_of_other_things_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    with BagWriter(tmp_path / "odd") as writer:
        write_scheme(writer, "/points", "street", 1)
    assert main(["report", str(tmp_path / "odd"), "--out", str(tmp_path / "page.html")]) == 2
    assert "no cloud, labels or reports to show; it holds std_msgs/msg/String" in capsys.readouterr().err


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    run, out = write_run(tmp_path / "run"), tmp_path / "new" / "page.html"
    report(out, run)
    report(out, run)
    assert GENERATOR in out.read_text() and [path.name for path in out.parent.iterdir()] == ["page.html"]


PROBE = """<script>addEventListener('load', () => {
const root = document.documentElement, wide = [], out = [];
for (const e of document.querySelectorAll('section,figure,table,.tiles,dl'))
  if (e.getBoundingClientRect().right > innerWidth && !e.closest('.scroll')) wide.push(e.tagName);
for (const t of document.querySelectorAll('svg text')) {
  const a = t.getBoundingClientRect(), b = t.closest('svg').getBoundingClientRect();
  if (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1)
    out.push(t.textContent);
}
const broken = [...document.images].filter(i => !i.naturalWidth).length;
document.body.textContent = JSON.stringify({width: root.scrollWidth, seen: innerWidth, wide, out, broken,
  charts: [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().height > 60).length});
});</script></head>"""


@pytest.fixture(scope="module")
def whole(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    folder = tmp_path_factory.mktemp("whole")
    disputed, _ = disputed_bag(folder / "disputed", "nuscenes", "street")
    report(folder / "page.html", bag, disputed, write_run(folder / "run"), "--pictures", 1)
    return folder / "page.html"


def browse(page: Path, profile: Path, width: int, action: str) -> str:
    """What chromium prints; it must not complain."""
    switches = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr")
    sizes = (f"--user-data-dir={profile}", f"--window-size={width},2000", action, page.as_uri())
    ran = subprocess.run([str(CHROMIUM), *switches, *sizes], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-500:]
    assert "CONSOLE" not in ran.stderr, "the page breaks its own policy, or lacks something"
    return ran.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [1120, 760])
def test_a_browser_shows_it_whole(width: int, whole: Path, tmp_path: Path) -> None:
    """Nothing wider than the window, no text beyond its chart, no picture that cannot be decoded."""
    text = whole.read_text(encoding="utf-8")
    probed = tmp_path / "probed.html"
    probed.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</head>", PROBE))
    said = re.search(r'\{"width".*\}', browse(probed, tmp_path / "profile", width, "--dump-dom"))
    assert said is not None
    found = json.loads(said.group())
    assert found["width"] <= found["seen"] and found["wide"] == [] and found["out"] == [] and found["broken"] == 0
    assert found["charts"] == text.count("<svg")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_finds_nothing_to_complain_of(whole: Path, tmp_path: Path) -> None:
    browse(whole, tmp_path / "profile", 1120, f"--screenshot={tmp_path / 'page.png'}")
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_types_of_clouds_are_told_by_their_fields(bag: Path) -> None:
    topics = read_bag(bag).topics
    assert (topics.clouds, topics.truth, topics.labels) == (
        ("/points",),
        ("/points/labels",),
        ("/segment/output/points",),
    )


def test_a_teachers_labels_are_no_truth(bag: Path, tmp_path: Path) -> None:
    taught = tmp_path / "taught"
    with BagReader(bag) as reader, BagWriter(taught) as writer:
        for message in reader.messages(["/points", "/points/labels", "/segment/output/points"]):
            topic = message.topic.replace("/points/labels", "/points/teacher")
            writer.add_topic(topic, message.type, definition=reader.definition(message.type))
            writer.write(topic, message.type, message.time_ns, message.raw)
    found = read_bag(taught)
    assert found.topics.teachers == ("/points/teacher",) and found.topics.truth == ()
    assert found.score("/segment/output/points") is None and "/points/teacher holds a teacher's" in " ".join(
        found.notes
    )
