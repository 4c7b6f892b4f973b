# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences of SemanticKITTI as frames for bags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from srkd_train.bag_sources.source import ALL, EPOCH_NS, Frame, Scenes, Source, limit

if TYPE_CHECKING:
    from srkd_train.data.semantickitti import SemanticKITTI

FRAME_ID = "velo_link"
_RATE_HZ = 10.0


def semantickitti_sources(root: str, sequences: Sequence[str], frames: int | None) -> Scenes:
    """A source a sequence: ground truth where it has labels, poses where it has a poses.txt, which are the LiDAR's.

    Stamps are the times of times.txt from an epoch of ours, which KITTI's are not known by, or 10 a second.

    Args:
        root: the folder that holds `sequences`.
        sequences: their numbers, such as "08"; "all" for those that are there.
        frames: the first so many of each, or None.

    Raises:
        CloudError: a sequence, its scans or tables are missing or damaged.
    """
    from srkd_train.data.semantickitti import SemanticKITTI

    names = list(dict.fromkeys(sequences))
    if names == [ALL]:
        names = sorted(path.parent.name for path in Path(root, "sequences").glob("*/velodyne"))
    return {name: partial(_source, SemanticKITTI(root, sequences=(name,)), name, frames) for name in names}


def _source(clouds: SemanticKITTI, sequence: str, frames: int | None) -> Source:
    from srkd_train.data.semantickitti import SPLITS

    count = limit(len(clouds), frames)
    known = sequence not in SPLITS["test"]

    def read() -> Iterator[Frame]:
        for index in range(count):
            time_s = clouds.time_s(index)
            sample = clouds[index]
            stamp_ns = EPOCH_NS + round((index / _RATE_HZ if time_s is None else time_s) * 1e9)
            yield Frame(sample.cloud, stamp_ns, sample.label if known else None, pose=sample.pose)

    scheme = clouds.scheme.name if known else None
    return Source(count, read(), scheme, f"semantickitti {sequence}", FRAME_ID)
