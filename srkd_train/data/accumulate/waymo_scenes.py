# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments of the Waymo Open Dataset as timelines: all frames, labelled or not, with the boxes of what moves."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from srkd_train.data.accumulate.timeline import Frame, Scene
from srkd_train.data.accumulate.tracks import Tracks
from srkd_train.data.waymo import Waymo
from srkd_train.data.waymo.boxes import read_boxes
from srkd_train.data.waymo.segments import Segment, find_segments, read_samples


def waymo_scenes(
    clouds: Waymo, indices: Sequence[int], *, labelled_only: bool = False, boxes: bool = True
) -> list[Scene]:
    """A scene a segment.

    Args:
        clouds: a split of the data set.
        indices: the clouds in it to make dense.
        labelled_only: leave out frames without labels.
        boxes: read the boxes of moving objects, where there are some.

    Raises:
        CloudError: a file is damaged.
    """
    targets: dict[str, list[str]] = {}
    for index in indices:
        targets.setdefault(clouds.scene(index), []).append(clouds.name(index))
    segments = find_segments(clouds.folder)
    return [
        Scene(
            name,
            tuple(names),
            functools.partial(WaymoTimeline, segments[name], clouds.returns, labelled_only=labelled_only, boxes=boxes),
        )
        for name, names in targets.items()
    ]


class WaymoTimeline:
    """The frames of one segment, 10 a second.

    Args:
        segment: where it is.
        returns: 2 for both returns of every laser pulse, 1 for the first.
        labelled_only: leave out frames without labels.
        boxes: read the boxes of moving objects.

    Raises:
        CloudError: a file is missing or damaged.
    """

    def __init__(self, segment: Segment, returns: int, *, labelled_only: bool, boxes: bool) -> None:
        self._returns = returns
        frames = segment.frames()
        self._frames = [frame for frame in frames if frame.has_labels or not labelled_only]
        self.names = [f"{frame.segment}/{frame.stamp_us}" for frame in self._frames]
        known = read_boxes(frames) if boxes else []
        self._tracks = Tracks(known) if known else None

    def read(self, positions: Sequence[int]) -> Iterator[Frame]:
        """Frames in one pass over the segment's files."""
        for frame, sample in read_samples([self._frames[position] for position in positions], self._returns):
            yield Frame(sample) if self._tracks is None else self._tracks.frame(sample, frame.stamp_us)
