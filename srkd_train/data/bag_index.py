# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the clouds of a bag are: found in one pass over it, which is also the proof that each of them can be read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.errors import BagError, CloudError, ConfigError
from srkd.io.atomic import write_atomic
from srkd.io.bags import CLOUD_TYPE, LABELS_SUFFIX, SCHEME_SUFFIX, BagReader, stamp_ns
from srkd.io.pointcloud2 import decode
from srkd.progress import Progress

_VERSION = 1
"""Part of the name of a kept index: raise it whenever the same bag gives another one."""
_NOWHERE = -1
_LONG = 200
"""Messages from which on the user is shown how far it is."""

Places = npt.NDArray[np.int64]
"""(M, 2): time of recording, and the number of the message among those of its topic with that time."""


@dataclass(frozen=True, eq=False)
class BagIndex:
    """The clouds of one topic of a bag, in the order of recording."""

    path: Path
    topic: str
    clouds: Places
    usable: npt.NDArray[np.bool_]
    """(M,) whether any point of the cloud is a measurement."""
    labels: Places
    """Ground truth of each cloud, by its stamp; -1 where it has none."""
    scheme: str
    """Name of the ground truth's scheme, or ""."""
    digest: str
    """SHA-256 of the clouds' messages."""
    labels_digest: str
    """SHA-256 of the ground truth's messages, or ""."""

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """(M,) which clouds have ground truth."""
        return np.asarray(self.labels[:, 0] != _NOWHERE)


def choose_topic(reader: BagReader, asked: str | None) -> str:
    """The topic of clouds that is meant: the one asked for, or the only one.

    Raises:
        BagError: there is none, or not the one asked for.
        ConfigError: there are several, and none is asked for.
    """
    counts = {topic.name: topic.count for topic in reader.topics if topic.type == CLOUD_TYPE and topic.count}
    found = [name for name in reader.cloud_topics() if name in counts]
    if not found:
        kinds = " ".join(sorted({topic.type for topic in reader.topics if topic.count})) or "nothing"
        raise BagError(f"{reader.path}: no message of {CLOUD_TYPE}; it holds {kinds}")
    listed = ", ".join(f"{name} ({counts[name]})" for name in found)
    if asked is not None:
        if asked not in counts:
            raise BagError(f"{reader.path}: no clouds on {asked}; it has {listed}")
        return asked
    if len(found) > 1:
        raise ConfigError(f"{reader.path}: clouds on {listed}; say which, --data.topic {found[0]}")
    return found[0]


def index_bag(path: Path, topic: str | None, keep: Path) -> BagIndex:
    """The index of a bag, as it was kept as long as its files are the same, else made.

    Args:
        path: a rosbag2.
        topic: of the clouds; None for the only one.
        keep: folder for indices, a few bytes a cloud.

    Raises:
        BagError: the bag is damaged, or has no such clouds.
        CloudError: a message is no cloud.
        ConfigError: it has several topics of clouds, and none is given.
    """
    with BagReader(path) as reader:
        name = choose_topic(reader, topic)
        kept = keep / f"{_key(path, name)}.npz"
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return _load(kept, path, name)
        made = _make(reader, path, name)
    with contextlib.suppress(OSError):  # what cannot be kept is made again
        _save(kept, made)
    return made


def _key(path: Path, topic: str) -> str:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return hashlib.sha256(repr((_VERSION, str(path.resolve()), topic, states)).encode()).hexdigest()[:24]


@dataclass
class _Pass:
    """What one topic has shown so far."""

    places: list[tuple[int, int]] = field(default_factory=list)
    stamps: list[tuple[int, int]] = field(default_factory=list)
    """Stamp, and number among those with that stamp: drivers without a clock stamp every cloud with 0."""
    digest: Any = field(default_factory=hashlib.sha256)
    _times: Counter[int] = field(default_factory=Counter)
    _stamps: Counter[int] = field(default_factory=Counter)

    def add(self, time_ns: int, stamp: int, raw: bytes) -> None:
        self.places.append((time_ns, self._times[time_ns]))
        self.stamps.append((stamp, self._stamps[stamp]))
        self._times[time_ns] += 1
        self._stamps[stamp] += 1
        self.digest.update(len(raw).to_bytes(8, "little"))
        self.digest.update(raw)


def _make(reader: BagReader, path: Path, topic: str) -> BagIndex:
    counts = {each.name: each.count for each in reader.topics}
    names = [name for name in (topic, topic + LABELS_SUFFIX) if counts.get(name)]
    seen = {name: _Pass() for name in names}
    usable: list[bool] = []
    total = sum(counts[name] for name in names)
    progress = Progress(total, f"{path.name}: read") if total >= _LONG else None
    for message in reader.messages(names):
        decoded = reader.deserialize(message)
        seen[message.topic].add(message.time_ns, stamp_ns(decoded), message.raw)
        if message.topic == topic:
            try:
                usable.append(bool(decode(decoded).valid.any()))
            except CloudError as error:
                raise CloudError(f"{path}: {topic} at {message.time_ns} ns: {error}") from None
        if progress is not None:
            progress.step()
    if progress is not None:
        progress.close()
    clouds, truth = seen[topic], seen.get(topic + LABELS_SUFFIX)
    places: Mapping[tuple[int, int], tuple[int, int]] = (
        {} if truth is None else dict(zip(truth.stamps, truth.places, strict=True))
    )
    return BagIndex(
        path,
        topic,
        np.array(clouds.places, np.int64).reshape(-1, 2),
        np.array(usable, np.bool_),
        np.array([places.get(stamp, (_NOWHERE, _NOWHERE)) for stamp in clouds.stamps], np.int64).reshape(-1, 2),
        _scheme(reader, topic),
        clouds.digest.hexdigest(),
        "" if truth is None else truth.digest.hexdigest(),
    )


def _scheme(reader: BagReader, topic: str) -> str:
    name = topic + SCHEME_SUFFIX
    if not any(each.name == name and each.count for each in reader.topics):
        return ""
    return str(reader.deserialize(next(reader.messages([name]))).data)


def _save(path: Path, index: BagIndex) -> None:
    words = json.dumps([index.scheme, index.digest, index.labels_digest])
    buffer = io.BytesIO()
    np.savez(buffer, clouds=index.clouds, usable=index.usable, labels=index.labels, words=np.array(words))
    write_atomic(path, [buffer.getbuffer()])


def _load(kept: Path, path: Path, topic: str) -> BagIndex:
    with np.load(kept, allow_pickle=False) as data:
        scheme, digest, labels_digest = json.loads(str(data["words"]))
        return BagIndex(
            path, topic, data["clouds"], data["usable"], data["labels"], str(scheme), str(digest), str(labels_digest)
        )
