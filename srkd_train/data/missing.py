# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a data set on disk lacks, by name: found from names and sizes, without reading a cloud."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srkd.errors import CloudError
from srkd_train.data.catalog import TITLES, split_part
from srkd_train.data.part import Part
from srkd_train.data.semantickitti import SPLITS
from srkd_train.data.subset import Picked
from srkd_train.data.waymo import Waymo

SEQUENCE_SCANS = {
    f"{number:02d}": scans
    for number, scans in enumerate(
        (4541, 1101, 4661, 801, 271, 2761, 1101, 1101, 4071, 1591, 1201)
        + (921, 1061, 3281, 631, 1901, 1731, 491, 1801, 4981, 831, 2721)
    )
}
"""Scans of each sequence of SemanticKITTI (the KITTI odometry benchmark's): 23,201 to train, 20,351 to test on."""


def semantickitti_problems(root: str, sequences: Sequence[str]) -> list[str]:
    """Lines that name scans and labels that are missing or of another size; poses and times are not needed here.

    Test sequences have no labels. Numbers above 21 are somebody's own, of which any count of scans is complete.
    """
    lines = []
    for name in sequences:
        folder = Path(root) / "sequences" / name
        short = f"sequences/{name}"
        scans = _files(folder / "velodyne", ".bin")
        if not scans:
            lines.append(f"{short}/velodyne: no scans")
            continue
        expected = SEQUENCE_SCANS.get(name, len(scans))
        if len(scans) != expected:
            lines.append(f"{short}/velodyne: {len(scans)} of {expected} scans")
        lines += [
            f"{short}/velodyne/{stem}.bin: {size} bytes are no points of 16"
            for stem, size in scans.items()
            if size % 16
        ]
        if name not in SPLITS["test"]:
            lines += _label_problems(short, scans, _files(folder / "labels", ".label"))
    return lines


def _label_problems(short: str, scans: dict[str, int], labels: dict[str, int]) -> list[str]:
    if not labels:
        return [f"{short}/labels: missing"]
    lines = []
    for stem, size in scans.items():
        path = f"{short}/labels/{stem}.label"
        if stem not in labels:
            lines.append(f"{path}: missing")
        elif labels[stem] // 4 != size // 16 or labels[stem] % 4:
            lines.append(f"{path}: {labels[stem]} bytes, its scan of {size // 16} points needs {size // 16 * 4}")
    return lines + [f"{short}/velodyne/{stem}.bin: missing, it has labels" for stem in labels if stem not in scans]


def _files(folder: Path, suffix: str) -> dict[str, int]:
    """Size of the numbered files of a folder by stem, in order."""
    if not folder.is_dir():
        return {}
    return {path.stem: path.stat().st_size for path in sorted(folder.glob(f"*{suffix}")) if path.stem.isdigit()}


def own_problems(clouds: Any) -> list[str]:
    """What a data set says that it lacks; a share of one answers for the whole."""
    whole = clouds.clouds if isinstance(clouds, Picked) else clouds
    return list(whole.problems()) if hasattr(whole, "problems") else []


def look(
    name: str, split: str, *, root: str | None, sequences: Sequence[str] | None, **options: Any
) -> tuple[Part | None, list[str]]:
    """What there is of a split, and lines that name what it lacks.

    Args:
        name, split, root, sequences, options: as for `split_part`.

    Returns:
        The clouds, of SemanticKITTI those of the sequences that have scans; None where there are none at all.

    Raises:
        ConfigError: see `split_part`.
    """
    problems = []
    if name == "semantickitti" and root is not None and (sequences is not None or split in SPLITS):
        wanted = SPLITS[split] if sequences is None else sequences
        problems = semantickitti_problems(root, wanted)
        sequences = [each for each in wanted if _files(Path(root) / "sequences" / each / "velodyne", ".bin")]
        if not sequences:
            return None, problems
    try:
        part = split_part(name, split, root=root, sequences=sequences, **options)
        return part, problems + own_problems(part.clouds)
    except CloudError as error:
        if name == "waymo" and root is not None:
            return _rest_of_waymo(root, split, options.get("cache"))
        return None, [*problems, _line(error)]


def _rest_of_waymo(root: str, split: str, cache: Path | None) -> tuple[Part | None, list[str]]:
    """What can be read of a split with damaged TFRecord files, and all of these by name."""
    damaged: list[str] = []
    try:
        clouds = Waymo(root, split, index_dir=cache, damaged=damaged)
    except CloudError as error:
        return None, damaged or [_line(error)]
    return Part(clouds, f"{TITLES['waymo']} {split}"), damaged + own_problems(clouds)


def _line(error: CloudError) -> str:
    return " ".join(str(error).split())
