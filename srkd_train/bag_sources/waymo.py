# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments of the Waymo Open Dataset as frames for bags: the TOP LiDAR, 10 clouds a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from srkd.errors import CloudError
from srkd_train.bag_sources.source import Frame, Scenes, Source, choose, limit

if TYPE_CHECKING:
    from srkd_train.data.waymo.segments import Segment

FRAME_ID = "base_link"
"""Waymo's clouds are freed of the motion of the turning sensor, in the vehicle's frame at one pose."""


def waymo_sources(root: str, segments: Sequence[str], frames: int | None, *, returns: int = 2) -> Scenes:
    """A source a segment, labelled frames or not, at its own times, with the vehicle's poses; intensities are raw.

    Args:
        root: the folder that holds `training` and `validation`, or one of these, or a TFRecord file.
        segments: their names; ("all",) for all; () where there is only one.
        frames: the first so many of each, or None.
        returns: 2 for both returns of every laser pulse, 1 for the first.

    Raises:
        ConfigError: a segment is not there, none is named and there are several, the number of returns is unknown, or
            pyarrow is needed and not installed.
        CloudError: a file is missing, cut off or damaged.
    """
    from srkd_train.data.waymo.segments import find_segments

    known = find_segments(root)
    return {name: partial(_source, known[name], frames, returns) for name in choose(segments, known, root)}


def _source(segment: Segment, frames: int | None, returns: int) -> Source:
    from srkd_train.data.waymo import Waymo
    from srkd_train.data.waymo.segments import read_samples

    found = segment.frames()
    taken = found[: limit(len(found), frames)]
    if not taken:
        raise CloudError(f"{segment.path}: no frame of segment {segment.name}; copy it again")

    def read() -> Iterator[Frame]:
        for frame, sample in read_samples(taken, returns):
            label = sample.label if frame.has_labels else None
            yield Frame(sample.cloud, frame.stamp_us * 1000, label, pose=sample.pose)

    scheme = Waymo.scheme.name if any(frame.has_labels for frame in taken) else None
    return Source(len(taken), read(), scheme, f"waymo {segment.name}", FRAME_ID)
