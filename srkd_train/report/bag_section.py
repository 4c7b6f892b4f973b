# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a page says of a bag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from srkd_train.live.outcome import percentiles
from srkd_train.report.bag import Bag
from srkd_train.report.bag_nodes import node_sections
from srkd_train.report.bag_teacher import taught_section
from srkd_train.report.charts import Line, legend, line_chart, share_axis
from srkd_train.report.matrices import calibration_pair, confusion_chart
from srkd_train.report.numbers import grouped, missing, number, percent
from srkd_train.report.page import Picture, figure, section, tile
from srkd_train.report.palette import BLUE, GREEN, LIGHT_BLUE, SOFT
from srkd_train.report.tables import class_table, plain_table, share_table
from srkd_train.report.tracks import Frame, LabelTrack, worst_first

_ROWS = 10
"""Worst frames in the table."""
_RANKED = {
    "right": "fewest points with their true class first",
    "agreement": "least agreement with the teacher first",
    "confidence": "lowest confidence first",
    "stamp": "in order",
}


def bag_tiles(bag: Bag) -> str:
    """The figures that stand out."""
    scores = [score for topic in bag.labels if (score := bag.score(topic)) is not None]
    tiles = [tile("mean IoU", percent(score.miou), "%") for score in scores]
    tiles += [tile("agreement with the teacher", percent(each.agreement), "%") for each in bag.comparisons.values()]
    agreed = [score for topic in bag.taught if (score := bag.agreement(topic)) is not None]
    tiles += [tile("agreement with the teacher", percent(score.all_acc), "%") for score in agreed]
    if not (bag.comparisons or agreed):
        tiles += [tile("points with their true class", percent(score.all_acc), "%") for score in scores]
    for report in bag.reports.values():
        tiles.append(tile("in the node, p95", number(percentiles(report.stage_ms["total"])["p95"]), "ms"))
    clouds = sum(len(each.stamps_ns) for each in bag.clouds.values())
    for track in bag.labels.values():
        tiles.append(tile("clouds labelled", grouped(len(track.frames)), f"of {grouped(clouds)}" if clouds else ""))
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def bag_sections(bag: Bag, pictures: Mapping[str, Sequence[Picture]]) -> str:
    """All sections of a bag; `pictures` by topic of what is drawn."""
    several = len(bag.labels) > 1
    parts: list[str] = []
    for topic, track in bag.labels.items():
        parts += _label_sections(bag, track, pictures.get(topic, ()), f" ({topic})" if several else "")
    parts += (_picture_section(topic, drawn) for topic, drawn in pictures.items() if topic not in bag.labels)
    for topic, points in bag.truth_points.items():
        if topic not in bag.topics.truth_of.values():
            text = f"Points by true class on <b>{escape(topic)}</b>."
            parts.append(section("Ground truth", text, share_table(points, bag.colors(topic))))
    parts += node_sections(bag)
    return "".join(parts)


def lacking(bag: Bag) -> list[str]:
    """What is left out and why, a line each."""
    lines = list(bag.notes)
    if not bag.labels:
        lines.append("No labels of a network (ros2 run srkd_ros label_bag makes them): no confidence, no errors.")
    for topic, track in bag.labels.items():
        if not track.frames:
            lines.append(f"{topic}: no labelled cloud can be read.")
        elif topic not in bag.topics.truth_of:
            what = "scored by the teacher's labels alone" if topic in bag.taught else "no IoU, confusion or calibration"
            lines.append(f"{topic}: no ground truth for it in this bag: {what}.")
        elif track.scored < len(track.frames):
            unscored = len(track.frames) - track.scored
            why = f", {track.other_size} of them with another number of points" if track.other_size else ""
            lines.append(f"{topic}: {unscored} of {len(track.frames)} labelled clouds have no truth{why}: not scored.")
        if track.repeated:
            lines.append(f"{topic}: {track.repeated} labelled clouds repeat an earlier stamp and do not count.")
    if not bag.reports:
        lines.append("No SegmentationReport: no latency, and the clouds that the node dropped are not known.")
    if not (bag.comparisons or bag.taught):
        lines.append("No ComparisonReport: no agreement with a teacher.")
    if bag.malformed:
        lines.append(f"{bag.malformed} labelled clouds are malformed and left out.")
    return lines


def _label_sections(bag: Bag, track: LabelTrack, pictures: Sequence[Picture], suffix: str) -> Iterable[str]:
    frames = sorted(track.frames.values(), key=lambda frame: frame.time_ns)
    if not frames:
        return
    yield _worst_section(bag, track, pictures, suffix)
    score, colors = bag.score(track.topic), bag.colors(track.topic)
    taught = track.topic in bag.taught
    yield _quality_section(bag, frames, suffix, taught=taught and score is None)
    if taught:
        yield taught_section(bag, track.topic, suffix)
    if score is None:
        points = {name: int(count) for name, count in zip(colors, track.class_points, strict=False)}
        yield section(f"Classes{suffix}", "Points by the class that they were given.", share_table(points, colors))
        return
    text = (
        f"One confusion matrix over all points of {track.scored} clouds."
        f" {percent(score.all_acc)} % of the points have their true class."
    )
    yield section(f"Classes{suffix}", text, class_table(score.to_dict(), colors))
    text = "Of the points of each true class, the percentage that got each label."
    yield section(f"Confusion{suffix}", text, confusion_chart(score.counts, score.class_names))
    if track.calibration.points:
        text = (
            "Bars: of the points labelled with so much confidence, the percentage with their true class; on the dashed"
            " line confidence is what it says. Below: how many points have so much confidence."
        )
        pair = calibration_pair(track.calibration, "Points with their true class")
        yield section(f"Calibration{suffix}", text, pair)


def _worst_section(bag: Bag, track: LabelTrack, pictures: Sequence[Picture], suffix: str) -> str:
    key, ranked = worst_first(list(track.frames.values()))
    head = ["into the bag", "stamp", "points", "right %", "mIoU %", "confidence %", "agreement %", "latency ms"]
    rows = [_frame_row(bag, frame) for frame in ranked[:_ROWS]]
    kept = [place for place in range(len(head)) if any(row[place] != "-" for row in rows)]
    table = plain_table([head[place] for place in kept], [[row[place] for place in kept] for row in rows])
    text = f"Of {grouped(len(track.frames))} labelled clouds, {_RANKED[key]}."
    if pictures:
        text += " Pictures: from above, driving upwards; and as the sensor sees it, straight ahead in the middle."
    return section(f"Worst frames{suffix}", text, *map(figure, pictures), table)


def _frame_row(bag: Bag, frame: Frame) -> list[str]:
    return [
        f"{bag.seconds(frame.time_ns):.2f} s",
        f"{frame.stamp_ns // 10**9}.{frame.stamp_ns % 10**9:09d}",
        grouped(frame.points),
        *(percent(value) for value in (frame.right, frame.miou, frame.confidence, frame.agreement)),
        number(frame.latency_ms),
    ]


def _picture_section(topic: str, pictures: Sequence[Picture]) -> str:
    text = f"<b>{escape(topic)}</b> from above, and as the sensor sees it, straight ahead in the middle."
    return section("What it holds", text, *map(figure, pictures))


def _quality_section(bag: Bag, frames: Sequence[Frame], suffix: str, *, taught: bool) -> str:
    times = [bag.seconds(frame.time_ns) for frame in frames]
    lines = [Line("mean confidence", times, [frame.confidence for frame in frames], SOFT, 1.6)]
    if any(not missing(frame.right) for frame in frames):
        lines.append(Line("points with their true class", times, [frame.right for frame in frames], BLUE))
        lines.append(Line("mIoU of the frame", times, [frame.miou for frame in frames], GREEN, 1.6))
    if taught:
        lines.append(Line("agreement with the teacher", times, [frame.agreement for frame in frames], BLUE))
    if any(frame.labelled < 1 for frame in frames):
        lines.append(Line("points that got a label", times, [frame.labelled for frame in frames], LIGHT_BLUE, 1.6))
    about = "Shares by frame in percent over seconds"
    chart = line_chart(lines, bag.time_axis(times), share_axis(lines), about)
    text = "Frame by frame, in seconds from the beginning of the bag."
    return section(f"Over time{suffix}", text, chart, legend({line.name: line.color for line in lines}))
