# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading rosbag2 without ROS, through the package `rosbags`, which is imported when a bag is opened."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from srkd.errors import BagError
from srkd.io.bag_types import IDL_HEAD, TypeDefinition, installed_store, rosbags_missing, store_from_bag

CLOUD_TYPE = "sensor_msgs/msg/PointCloud2"
LABELS_SUFFIX, PREDICTED_SUFFIX, TEACHER_SUFFIX = "/labels", "/predicted", "/teacher"
"""Beside the clouds of a topic, a bag of ours holds their labels on the topic with one of these appended; a teacher's
have a name of their own, so that nothing takes them for the truth."""
SCHEME_SUFFIX = "/label_scheme"
"""Beside its labels a topic has their scheme's name, latched, on the topic with this appended."""
STORAGE_SUFFIXES = (".mcap", ".db3")
_ADVICE = {
    "Rosbag2 version": "expected 1 to 9; it was written by a newer ROS 2, update the package rosbags",
    "Serialization format": "expected 'cdr'; set it in metadata.yaml if the messages are CDR",
    "end magic": "the file is cut off or was never finished; copy it again, or repair it with `mcap recover`",
    "Profile is not ros2": "it was not written by ROS 2",
    "files are missing": "copy the whole folder",
}


@dataclass(frozen=True)
class TopicQos:
    """What the publisher of a topic offered, in the words of ROS 2: e.g. "reliable", "transient_local", "keep_last"."""

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "keep_last"
    depth: int = 10


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag; `qos` is None where none was recorded."""

    name: str
    type: str
    count: int
    qos: TopicQos | None = None


@dataclass(frozen=True)
class BagMessage:
    """A message as it was recorded: `raw` is CDR, `time_ns` the time of recording since the epoch."""

    topic: str
    type: str
    time_ns: int
    raw: bytes


class BagReader:
    """A rosbag2, opened: sqlite3 or mcap, plain or zstd, metadata versions 1 to 9. A context manager.

    Args:
        path: its folder, or a single `.mcap` or `.db3` file.

    Attributes:
        path: as given.
        topics: in the order of the bag.
        start_ns: time of the first message since the epoch, 0 in an empty bag.
        duration_ns: from the first message to the last.
        notes: words about the whole bag by key, from its metadata.

    Raises:
        BagError: absent, not a rosbag2, unfinished, damaged, of an unknown version or serialization format, or
            rosbags is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        _refuse_what_is_no_bag(self.path)
        try:
            from rosbags.rosbag2 import Reader
        except ImportError as error:
            raise rosbags_missing(error) from None
        try:
            self._reader = Reader(self.path)
            self._reader.open()
        except Exception as error:  # rosbags lets through whatever a damaged file makes it raise
            raise self._unreadable(error) from None
        self._connections = list(self._reader.connections)
        notes = getattr(self._reader.storage.metadata, "custom", None)  # of versions 6 and newer
        self.notes = {str(key): str(value) for key, value in notes.items()} if isinstance(notes, dict) else {}
        self._stores: dict[str, Any] = {}
        try:
            _refuse_other_encodings(self.path, self._connections)
        except BagError:
            self.close()
            raise
        self.topics = _topics(self._connections)
        empty = self._reader.message_count == 0
        self.start_ns = 0 if empty else int(self._reader.start_time)
        self.duration_ns = 0 if empty else max(0, int(self._reader.end_time) - 1 - self.start_ns)

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files; once is enough."""
        if self._reader.is_open:
            self._reader.close()

    def cloud_topics(self) -> tuple[str, ...]:
        """The topics of clouds: PointCloud2, but for those that hold the labels of another (`LABELS_SUFFIX` ...)."""
        clouds = [topic.name for topic in self.topics if topic.type == CLOUD_TYPE]
        labels = {name + suffix for name in clouds for suffix in (LABELS_SUFFIX, PREDICTED_SUFFIX, TEACHER_SUFFIX)}
        return tuple(name for name in clouds if name not in labels)

    def check_topics(self, names: Collection[str]) -> None:
        """Raises BagError unless the bag has all of these topics."""
        present = {topic.name for topic in self.topics}
        if missing := [name for name in names if name not in present]:
            raise BagError(f"{self.path}: no topic {missing[0]}; it has {' '.join(sorted(present)) or 'none'}")

    def messages(
        self, topics: Collection[str] | None = None, *, start_ns: int = 0, stop_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """The messages of some topics, or of all, in the order of their times, those before `start_ns` and those from
        `stop_ns` on left out.

        Raises:
            BagError: a topic is not in the bag, or the bag is damaged.
        """
        if topics is not None:
            self.check_topics(topics)
        wanted = [each for each in self._connections if topics is None or each.topic in topics]
        whole = start_ns <= self.start_ns and stop_ns is None
        missing = {each.topic: each.msgcount for each in wanted if each.msgcount and whole}
        if not wanted:
            return
        found = self._reader.messages(wanted, start=start_ns or None, stop=stop_ns)
        while True:
            try:
                connection, time_ns, raw = next(found)
            except StopIteration:
                break
            except Exception as error:  # as above
                raise self._unreadable(error) from None
            missing.pop(connection.topic, None)
            yield BagMessage(connection.topic, connection.msgtype, int(time_ns), bytes(raw))
        if missing:
            topic, count = next(iter(missing.items()))
            raise BagError(f"{self.path}: metadata.yaml counts {count} messages of {topic}, but its files hold none")

    def deserialize(self, message: BagMessage) -> Any:
        """The message as an object with the attributes of its ROS type, arrays as numpy has them.

        The definition of the type is the bag's own, or where it has none the installed one.

        Raises:
            BagError: the type is unknown, or the bytes are not a message of it.
        """
        if message.type not in self._stores:
            definition = self.definition(message.type)
            self._stores[message.type] = (
                installed_store(message.type) if definition is None else store_from_bag(definition)
            )
        try:
            return self._stores[message.type].deserialize_cdr(message.raw, message.type)
        except Exception as error:  # rosbags has generated code here; what it raises depends on the bytes
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BagError(f"{message.topic}: the message of {message.time_ns} ns is damaged ({reason})") from None

    def definition(self, type_name: str) -> TypeDefinition | None:
        """What the bag says of a message type; None where it says nothing (bags older than Iron with sqlite3)."""
        for each in self._connections:
            if each.msgtype == type_name and each.msgdef.data:
                text, is_idl = str(each.msgdef.data), each.msgdef.format.name == "IDL"
                if is_idl and not text.startswith(IDL_HEAD):
                    text = f"{IDL_HEAD}{type_name}\n{text}"
                return TypeDefinition(type_name, text, each.digest)
        return None

    def _unreadable(self, error: Exception) -> BagError:
        reason = " ".join(str(error).split()).replace("; please report issue", "").rstrip(".")[:300]
        advice = next((text for key, text in _ADVICE.items() if key in reason), "it is damaged or no rosbag2")
        return BagError(f"{self.path}: cannot be read ({reason or type(error).__name__}): {advice}")


def is_bag(path: str | os.PathLike[str]) -> bool:
    """Whether a path looks like a rosbag2: a folder with metadata.yaml, or a file `*.mcap` or `*.db3`."""
    given = Path(path)
    return (given / "metadata.yaml").is_file() if given.is_dir() else given.suffix in STORAGE_SUFFIXES


def _refuse_what_is_no_bag(path: Path) -> None:
    expected = "expected a rosbag2: a folder with metadata.yaml, or a .mcap or .db3 file"
    if not path.exists():
        raise BagError(f"{path}: no such file or folder; {expected}")
    if path.is_dir():
        if (path / "metadata.yaml").is_file():
            return
        storage = sorted(each.name for each in path.iterdir() if each.suffix in STORAGE_SUFFIXES)
        if storage:
            raise BagError(f"{path}: no metadata.yaml, was it recorded to the end? {storage[0]} may be read by itself")
        raise BagError(f"{path}: no metadata.yaml in this folder; {expected}")
    if path.suffix == ".bag":
        raise BagError(f"{path}: a bag of ROS 1; convert it with `rosbags-convert --src {path.name} --dst FOLDER`")
    if path.suffix not in STORAGE_SUFFIXES:
        raise BagError(f"{path}: unknown suffix {path.suffix!r}; {expected}")


def _refuse_other_encodings(path: Path, connections: Collection[Any]) -> None:
    for each in connections:
        if each.ext.serialization_format != "cdr":
            raise BagError(
                f"{path}: topic {each.topic} has serialization format {each.ext.serialization_format!r}, expected"
                " 'cdr'; it was not recorded by ROS 2"
            )


def _topics(connections: Collection[Any]) -> tuple[BagTopic, ...]:
    """Topics in order; the connections of several publishers of one topic are taken together."""
    found: dict[tuple[str, str], BagTopic] = {}
    for each in connections:
        offered = [_qos(profile) for profile in each.ext.offered_qos_profiles]
        before = found.get((each.topic, each.msgtype))
        count = each.msgcount + (before.count if before else 0)
        qos = before.qos if before and before.qos else next(iter(offered), None)
        found[each.topic, each.msgtype] = BagTopic(each.topic, each.msgtype, count, qos)
    return tuple(found.values())


def _qos(profile: Any) -> TopicQos:
    reliability, durability, history = (
        policy.name.lower() for policy in (profile.reliability, profile.durability, profile.history)
    )
    return TopicQos(reliability, durability, history, int(profile.depth))
