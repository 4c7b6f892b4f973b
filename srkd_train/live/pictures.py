# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bird's-eye pictures of a live run: truth, what came back, and where the two differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srkd.io.bags import BagReader, stamp_ns
from srkd.io.pointcloud2 import decode, read_fields
from srkd.labels import LabelScheme
from srkd_train.live.compare import LabelColumns
from srkd_train.live.session import POINTS, TRUTH
from srkd_train.picture import comparison
from srkd_train.report.page import Picture

_SIZE_PX, _HALF_EXTENT_M, _TEXT_SCALE = 640, 35.0, 1.5


def draw_frames(
    bag: Path, labels: Mapping[int, LabelColumns], scheme: LabelScheme, count: int, scratch: Path
) -> Iterator[Picture]:
    """Draws some of the labelled frames of a drive.

    Args:
        bag: the drive, with its truth.
        labels: what came back, by stamp.
        scheme: names and colours of the classes.
        count: how many to draw, spread over the drive.
        scratch: a folder for a file in between.

    Raises:
        BagError, CloudError: the bag cannot be read.
        SrkdError: matplotlib is not installed.
    """
    chosen = spread(sorted(labels), count)
    path = scratch / "picture.png"
    xyz: dict[int, npt.NDArray[np.float32]] = {}
    with BagReader(bag) as reader:
        for message in reader.messages([POINTS, TRUTH]):
            cloud = reader.deserialize(message)
            stamp = stamp_ns(cloud)
            if stamp not in chosen:
                continue
            if message.topic == POINTS:
                xyz[stamp] = decode(cloud).cloud.xyz
                continue
            truth = read_fields(cloud, ["class_id"])["class_id"]
            seen = labels[stamp].class_id
            comparison(
                xyz.pop(stamp),
                truth,
                seen,
                scheme,
                path,
                size_px=_SIZE_PX,
                half_extent_m=_HALF_EXTENT_M,
                text_scale=_TEXT_SCALE,
            )
            yield Picture(path.read_bytes(), f"{(stamp - reader.start_ns) / 1e9:.1f} s into the drive")


def spread(stamps: list[int], count: int) -> set[int]:
    """`count` of the stamps, or all where they are fewer, each from the middle of its share of the drive."""
    if len(stamps) <= count:
        return set(stamps)
    return {stamps[int((index + 0.5) * len(stamps) / count)] for index in range(count)}
