# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From paths to a page."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from srkd.errors import ConfigError
from srkd.io.bags import is_bag
from srkd.labels import LabelScheme
from srkd.progress import Progress
from srkd_train.report.bag import Bag, read_bag
from srkd_train.report.bag_pictures import Wanted, draw_frames
from srkd_train.report.bag_section import bag_sections, bag_tiles, lacking
from srkd_train.report.classes import numbered_scheme
from srkd_train.report.numbers import grouped, missing, percent
from srkd_train.report.overview import comparison
from srkd_train.report.page import Picture, absent, document
from srkd_train.report.run import Run, is_run, read_run
from srkd_train.report.run_section import run_lacking, run_sections, run_tiles
from srkd_train.report.taught import SharedClasses
from srkd_train.report.tracks import Frame, apart, worst_first

GENERATOR = '<meta name="generator" content="srkd report">'
"""Stands in every page of ours; a page without it is somebody's own and not replaced."""
_SOURCE_NOTE = "srkd.source"
"""Key of what `to_bag` and the disagreement recorder note in a bag."""
_LAST_NS = 2**63 - 1


@dataclass(frozen=True)
class Options:
    """How to make a page."""

    pictures: int = 3
    """Worst frames to draw of each bag."""
    scheme: LabelScheme | None = None
    """Classes of the bags' labels, where they do not say."""


def make_page(paths: Sequence[Path], options: Options) -> str:
    """The page of some bags and training runs.

    Raises:
        SrkdError: a path is neither, or cannot be read.
    """
    check_inputs(paths)
    titles = _titles(paths)
    inputs: dict[str, Bag | Run] = {}
    for path, title in zip(paths, titles, strict=True):
        inputs[title] = read_run(path) if is_run(path) else read_bag(path, options.scheme)
    anchors = {title: f"input-{number}" for number, title in enumerate(titles, 1)}
    parts = [_header(inputs), comparison(inputs, anchors)]
    for title, each in inputs.items():
        parts.append(f'<h2 class="input" id="{anchors[title]}">{escape(title)}</h2>')
        parts.append(_bag(each, options) if isinstance(each, Bag) else _run(each))
    return document(", ".join(titles), "\n".join(parts), GENERATOR)


def check_inputs(paths: Sequence[Path]) -> None:
    """
    Raises:
        ConfigError: a path is neither a bag nor a run folder, or is given twice.
    """
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path}: no such file or folder; give a rosbag2 or the folder of a training run")
        if is_run(path) or is_bag(path):
            continue
        inside = sorted(each.name for each in path.iterdir() if is_run(each) or is_bag(each)) if path.is_dir() else []
        hint = f"did you mean {path / inside[0]}?" if inside else "expected metadata.yaml or metrics.csv in it"
        raise ConfigError(f"{path}: neither a rosbag2 nor the folder of a training run; {hint}")
    if len({path.resolve() for path in paths}) < len(paths):
        raise ConfigError("an input is given twice; give each once")


def check_output(path: Path) -> None:
    """
    Raises:
        ConfigError: something that is no page of ours is at the path.
    """
    if path.is_dir():
        raise ConfigError(f"--out {path}: is a folder, give a file, e.g. {path / 'report.html'}")
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as stream:
            if GENERATOR not in stream.read(4096):
                raise ConfigError(f"--out {path}: was not made by this command: move it away, or give another file")


def _titles(paths: Sequence[Path]) -> list[str]:
    """Names of the inputs, as long as they must be to differ."""
    parts = [path.resolve().parts for path in paths]
    for length in range(1, max(map(len, parts))):
        titles = ["/".join(each[-length:]) for each in parts]
        if len(set(titles)) == len(titles):
            return titles
    return [str(path) for path in paths]


def _header(inputs: Mapping[str, Bag | Run]) -> str:
    bags = sum(isinstance(each, Bag) for each in inputs.values())
    counted = [(bags, "bag"), (len(inputs) - bags, "training run")]
    said = " and ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counted if count)
    return f"<header><h1>Report on {said}</h1></header>"


def _run(run: Run) -> str:
    about = f"A training run of <b>srkd {escape(run.command)}</b>." if run.command else "A training run."
    return f"<p>{about}</p>{absent(run_lacking(run))}{run_tiles(run)}{run_sections(run)}"


def _bag(bag: Bag, options: Options) -> str:
    streams = [
        f"{grouped(len(clouds.stamps_ns))} cloud{'' if len(clouds.stamps_ns) == 1 else 's'} on <b>{escape(topic)}</b>"
        + (f" at {1e3 / clouds.period_ms:.3g} Hz" if clouds.period_ms else "")
        + (f", about {grouped(round(clouds.points / len(clouds.stamps_ns)))} points each" if clouds.stamps_ns else "")
        for topic, clouds in bag.clouds.items()
    ]
    about = "; ".join([f"A rosbag2 of {bag.duration_s:.1f} s", *streams])
    if _SOURCE_NOTE in bag.told:
        about += f"; it says of itself: {escape(bag.told[_SOURCE_NOTE])}"
    lines, drawn = lacking(bag), {}
    if options.pictures and importlib.util.find_spec("matplotlib") is None:
        lines.append("No pictures: matplotlib is not installed (pip install '.[viz]' in the source folder).")
    elif options.pictures:
        drawn = _draw(bag, options.pictures)
    return f"<p>{about}.</p>{absent(lines)}{bag_tiles(bag)}{bag_sections(bag, drawn)}"


def _draw(bag: Bag, count: int) -> dict[str, list[Picture]]:
    """Pictures by topic: the worst frames and a middling one of each labels; of a bag without labels, some frames."""
    jobs: list[tuple[str, list[Wanted], dict[str, str], LabelScheme | SharedClasses]] = []
    for topic, track in bag.labels.items():
        _, ranked = worst_first(list(track.frames.values()))
        worst = apart(ranked, count, round(bag.duration_s * 1e9 / (4 * count)))
        wanted = [_wanted(bag, frame, "Elsewhere" if place else "The worst frame") for place, frame in enumerate(worst)]
        middle = ranked[len(ranked) // 2] if ranked else None
        if middle is not None and middle not in worst:
            wanted.append(_wanted(bag, middle, "A middling frame"))
        if topic in bag.topics.truth_of:
            jobs.append((topic, wanted, {"labels": topic, "truth": bag.topics.truth_of[topic]}, bag.schemes[topic]))
        elif topic in bag.taught:
            taught = bag.taught[topic]
            jobs.append((topic, wanted, {"labels": topic, "teacher": taught.teacher}, taught.shared))
        else:
            jobs.append((topic, wanted, {"labels": topic}, bag.schemes[topic]))
    if not bag.labels:
        for topic, clouds in bag.clouds.items():
            stamps = sorted(set(clouds.stamps_ns))
            chosen = sorted(
                {stamps[int((place + 0.5) * len(stamps) / count)] for place in range(count)} if stamps else ()
            )
            wanted = [
                Wanted(stamp, 0, _LAST_NS, f"cloud {stamps.index(stamp) + 1} of {len(stamps)}") for stamp in chosen
            ]
            truth = next((name for name in bag.truth_points if name.startswith(topic)), None)
            roles = {"clouds": topic} | ({"truth": truth} if truth else {})
            jobs.append((topic, wanted, roles, numbered_scheme(1) if truth is None else bag.schemes[truth]))
    progress = Progress(sum(len(wanted) for _, wanted, *_ in jobs), f"{bag.path.name}: drawn")
    drawn: dict[str, list[Picture]] = {}
    for topic, wanted, roles, classes in jobs:
        for picture in draw_frames(bag.path, wanted, roles, classes):
            drawn.setdefault(topic, []).append(picture)
            progress.step()
    progress.close()
    return drawn


def _wanted(bag: Bag, frame: Frame, which: str) -> Wanted:
    known = [
        f"{percent(share)} % {what}"
        for share, what in (
            (frame.right, "of points right"),
            (frame.miou, "mIoU"),
            (frame.agreement, "agreement with the teacher"),
            (frame.confidence, "confidence"),
        )
        if not missing(share)
    ]
    caption = f"{which}, {bag.seconds(frame.time_ns):.1f} s into the bag: {', '.join(known) or 'nothing labelled'}"
    return Wanted(frame.stamp_ns, frame.first_ns, frame.last_ns, caption)
