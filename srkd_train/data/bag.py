# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rosbags as a data set: a robot's own drives, without labels unless the bags hold ground truth and it is asked for.

Clouds are read where they lie, through the index of each bag, and are the ones that `srkd predict BAG` labels. A cloud
of an mcap file costs the chunk that it is in; only mcap files without chunks (rosbag2's `fastwrite`) have to be gone
through for each, and are better converted first.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from srkd.cloud import Cloud
from srkd.errors import BagError, CloudError, ConfigError
from srkd.input_spec import InputSpec
from srkd.intensity import match_intensity
from srkd.io.bags import LABELS_SUFFIX, BagReader
from srkd.io.pointcloud2 import decode, read_fields
from srkd.labels import IGNORE, LabelScheme, get_scheme
from srkd_train.cloud_sources import find_bags
from srkd_train.data.bag_index import BagIndex, index_bag
from srkd_train.data.sample import Sample

_OPEN_BAGS = 32
"""Bags that are open at a time, in each process."""


class BagClouds(Dataset[Sample]):
    """Clouds of bags, bag by bag in the order of recording; those without a usable point are left out.

    Args:
        indices: of the bags.
        scheme: what labels mean; clouds without ground truth have label 255 throughout.
        every: take every n-th cloud of a bag.
        labels: give the ground truth that the bags hold, and the clouds that have it only.
        spec: the network's input; intensities on another scale are brought to it, as `srkd predict` does.

    Raises:
        BagError: no cloud is left.
    """

    def __init__(
        self,
        indices: Sequence[BagIndex],
        scheme: LabelScheme,
        *,
        every: int = 1,
        labels: bool = False,
        spec: InputSpec | None = None,
    ) -> None:
        self.indices = tuple(indices)
        self._scheme = scheme
        self.labels = labels
        self.spec = spec
        rows = [np.flatnonzero(_taken(index, every, labels)) for index in indices]
        self._taken = np.array([(bag, row) for bag, own in enumerate(rows) for row in own], np.int64).reshape(-1, 2)
        self._readers: OrderedDict[Path, BagReader] = OrderedDict()
        self._process = os.getpid()
        if not len(self._taken):
            raise BagError(f"{named(self.indices)}: no cloud with a usable point{' and a label' if labels else ''}")

    @property
    def scheme(self) -> LabelScheme:
        return self._scheme

    def __len__(self) -> int:
        return len(self._taken)

    def __getitem__(self, index: int) -> Sample:
        """Raises BagError or CloudError where the bag has changed or the ground truth is not that of its cloud."""
        bag, row = self._taken[index]
        where = self.indices[bag]
        name = self.name(index)
        cloud = decode(self._message(where, where.topic, where.clouds[row])).cloud
        label = np.full(len(cloud), IGNORE, np.uint8)
        if self.labels:
            message = self._message(where, where.topic + LABELS_SUFFIX, where.labels[row])
            label = self._truth(read_fields(message, ["class_id"])["class_id"], cloud, name)
        return Sample(cloud if self.spec is None else match_intensity(cloud, self.spec)[0], label, name)

    def name(self, index: int) -> str:
        """Bag, topic and time of recording in nanoseconds of cloud `index`."""
        bag, row = self._taken[index]
        where = self.indices[bag]
        return f"{where.path.name}{where.topic} {where.clouds[row, 0]}"

    def note(self) -> str | None:
        """What is done to the intensities of the first cloud, in one line; None where they are as they should be."""
        if self.spec is None:
            return None
        bag, row = self._taken[0]
        where = self.indices[bag]
        cloud = decode(self._message(where, where.topic, where.clouds[row])).cloud
        note = match_intensity(cloud, self.spec)[1]
        return None if note is None else f"{where.path.name}: {note}"

    def _truth(self, class_id: npt.NDArray[Any], cloud: Cloud, name: str) -> npt.NDArray[np.uint8]:
        known = class_id[class_id != IGNORE]
        if class_id.dtype != np.uint8 or len(class_id) != len(cloud) or (known >= self.scheme.num_classes).any():
            raise CloudError(
                f"{name}: its ground truth has {len(class_id)} {class_id.dtype} classes up to {known.max(initial=0)},"
                f" expected {len(cloud)} uint8 below {self.scheme.num_classes} ({self.scheme.name}), or 255"
            )
        return class_id

    def _message(self, index: BagIndex, topic: str, place: npt.NDArray[np.int64]) -> Any:
        reader = self._reader(index.path)
        time_ns, number = map(int, place)
        for count, message in enumerate(reader.messages([topic], start_ns=time_ns, stop_ns=time_ns + 1)):
            if count == number:
                return reader.deserialize(message)
        raise BagError(f"{index.path}: no message of {topic} at {time_ns} ns any more: start again, it has changed")

    def _reader(self, path: Path) -> BagReader:
        if self._process != os.getpid():  # a forked worker shares the place in the file with its parent
            self._readers, self._process = OrderedDict(), os.getpid()
        if path not in self._readers:
            if len(self._readers) >= _OPEN_BAGS:
                self._readers.popitem(last=False)[1].close()
            self._readers[path] = BagReader(path)
        self._readers.move_to_end(path)
        return self._readers[path]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_readers": OrderedDict()}


def _taken(index: BagIndex, every: int, labels: bool) -> npt.NDArray[np.bool_]:
    """(M,) which clouds of a bag to take."""
    turn = np.arange(len(index.clouds)) % every == 0
    return np.asarray(turn & index.usable & (index.labelled | (not labels)))


def open_bags(root: str, topic: str | None, cache: Path) -> tuple[BagIndex, ...]:
    """The indices of some bags.

    Args:
        root: a rosbag2, a folder that holds some, or several of both joined by commas.
        topic: of the clouds; None for the only one of each bag.
        cache: folder for what is kept.

    Raises:
        BagError, CloudError, ConfigError: see :func:`index_bag`.
    """
    words = [root] if Path(root).exists() else [word for word in root.split(",") if word]
    paths = dict.fromkeys(path for word in words for path in find_bags(Path(word)) or [Path(word)])
    return tuple(index_bag(path, topic, cache / "bags") for path in paths)


def truth_scheme(indices: Sequence[BagIndex]) -> LabelScheme | None:
    """The scheme of the ground truth of bags; None where they hold none, or do not name its scheme.

    Raises:
        ConfigError: the schemes differ, or are unknown.
    """
    names = {index.scheme for index in indices if index.labelled.any() and index.scheme}
    if len(names) > 1:
        raise ConfigError(f"{named(indices)}: ground truth of {' and '.join(sorted(names))}; give bags of one scheme")
    return get_scheme(names.pop()) if names else None


def digest(indices: Sequence[BagIndex], *, labels: bool) -> str:
    """SHA-256 of what is in bags, wherever they lie and however they store it."""
    parts = [f"{index.digest} {index.labels_digest if labels else ''}" for index in indices]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def named(indices: Sequence[BagIndex]) -> str:
    """Bags and their topics in words."""
    names = [index.path.name for index in indices]
    bags = f"bag {names[0]}" if len(names) == 1 else f"{len(names)} bags, {names[0]} to {names[-1]}"
    return f"{bags}, {' '.join(dict.fromkeys(index.topic for index in indices))}"
