# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of a live run against the offline run of the same network, and what `score` says of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.cloud import usable_points
from srkd.errors import ConfigError
from srkd.io.bags import BagMessage, BagReader, stamp_ns
from srkd.io.pointcloud2 import decode, read_fields
from srkd.labels import IGNORE
from srkd.score import Score

_COLUMNS = ("class_id", "probability", "entropy")


@dataclass(frozen=True, eq=False)
class LabelColumns:
    """What a labelled cloud says of its N points."""

    class_id: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    entropy: npt.NDArray[np.float32]

    def same_bytes(self, other: LabelColumns) -> bool:
        """Whether all three columns are equal bit by bit, NaN included."""
        return all(getattr(self, name).tobytes() == getattr(other, name).tobytes() for name in _COLUMNS)


@dataclass(frozen=True)
class Agreement:
    """How far two runs of the same network over the same clouds agree."""

    points: int
    same_class: int
    frames: int
    identical_frames: int
    """Frames whose class ids, probabilities and entropies are equal in every byte."""
    sizes_differ: int = 0
    """Frames with another number of points; they count as if no point agreed."""

    @property
    def share(self) -> float:
        """Share of the points with the same class; 1 only where every one has, 0 where there is none."""
        return self.same_class / self.points if self.points else 0.0

    def to_dict(self) -> dict[str, int]:
        """Plain values for metrics.json."""
        return {
            "points": self.points,
            "same_class": self.same_class,
            "frames": self.frames,
            "identical_frames": self.identical_frames,
        }


@dataclass(frozen=True)
class LiveScore:
    """What `score` says of a run."""

    score: Score
    clouds: int
    """That it has scored."""

    @classmethod
    def none(cls, class_names: Sequence[str]) -> LiveScore:
        """Of a run from which nothing came back."""
        return cls(Score.from_counts(class_names, np.zeros((256, 256), np.int64)), 0)


def read_labels(bag: Path, topic: str) -> dict[int, LabelColumns]:
    """Labelled clouds by stamp; where a stamp occurs twice, the first; nothing where the bag lacks the topic.

    Raises:
        BagError, CloudError: the bag or a message cannot be read.
    """
    found: dict[int, LabelColumns] = {}
    with BagReader(bag) as reader:
        for message in _messages(reader, topic):
            cloud = reader.deserialize(message)
            found.setdefault(stamp_ns(cloud), LabelColumns(**read_fields(cloud, _COLUMNS)))
    return found


def read_messages(bag: Path, topic: str) -> dict[int, Any]:
    """Messages with a header, by stamp; nothing where the bag lacks the topic.

    Raises:
        BagError: the bag or a message cannot be read.
    """
    with BagReader(bag) as reader:
        messages = (reader.deserialize(message) for message in _messages(reader, topic))
        return {stamp_ns(message): message for message in messages}


def agreement(live: Mapping[int, LabelColumns], offline: Mapping[int, LabelColumns]) -> Agreement:
    """Holds every live frame against the offline one of the same stamp; one that has none agrees nowhere."""
    points = same = identical = odd = 0
    for stamp, ours in live.items():
        theirs = offline.get(stamp)
        points += len(ours.class_id)
        if theirs is None or theirs.class_id.shape != ours.class_id.shape:
            odd += 1
            continue
        same += int((ours.class_id == theirs.class_id).sum())
        identical += ours.same_bytes(theirs)
    return Agreement(points, same, len(live), identical, odd)


def read_score(path: Path) -> LiveScore:
    """What `score` has written.

    Raises:
        ConfigError: the file is none of its.
    """
    try:
        values = json.loads(path.read_text())
        score = Score(
            tuple(values["iou"]),
            tuple(map(tuple, values["confusion"])),
            values["ignored_points"],
            values["unpredicted_points"],
        )
        return LiveScore(score, values["clouds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: no file of `score` ({error})") from None


def labelled_share(bag: Path, topic: str, labels: Mapping[int, LabelColumns], within_m: float) -> float:
    """Share of a bag's returns within a range that got a class; all returns of frames without labels count as missed.

    Raises:
        BagError, CloudError: the bag or a message cannot be read.
    """
    returns = got = 0
    with BagReader(bag) as reader:
        for message in reader.messages([topic]):
            cloud = reader.deserialize(message)
            xyz = decode(cloud).cloud.xyz
            near = usable_points(xyz)
            near[near] = np.linalg.norm(xyz[near], axis=1) <= within_m
            returns += int(near.sum())
            found = labels.get(stamp_ns(cloud))
            if found is not None:
                got += int((found.class_id[near] != IGNORE).sum())
    return got / returns if returns else 0.0


def _messages(reader: BagReader, topic: str) -> Iterable[BagMessage]:
    return reader.messages([topic]) if any(each.name == topic for each in reader.topics) else ()
