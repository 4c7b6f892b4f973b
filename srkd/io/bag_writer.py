# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writing rosbag2 without ROS: a bag is there in full or not at all, and never replaces anything."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from srkd.errors import BagError
from srkd.io.bag_reader import STORAGE_SUFFIXES, TopicQos
from srkd.io.bag_types import TypeDefinition, define, installed_store, rosbags_missing, serialize, store_from_bag

STORAGES = ("mcap", "sqlite3")
VERSIONS = (9, 8)
_DEFAULT_QOS = TopicQos()


class BagWriter:
    """A rosbag2 that is being written; a context manager.

    It grows in a hidden folder beside `path` and is renamed when the block ends; where the block is left by an error,
    nothing stays. What a killed process leaves behind is that hidden folder, without metadata.yaml.

    Args:
        path: the folder to make.
        storage: "mcap" or "sqlite3".
        version: of the metadata, 9 for Jazzy and newer, 8 for older readers.

    Raises:
        BagError: something is at `path`, it has the suffix of a file, an argument is unknown, or rosbags is not
            installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, storage: str = "mcap", version: int = 9) -> None:
        self.path = Path(path)
        self.count = 0
        self._storage, self._version = storage, version
        self._writer: Any = None
        self._work: Path | None = None
        self._connections: dict[tuple[str, str], Any] = {}
        if storage not in STORAGES:
            raise BagError(f"storage {storage!r}: expected {' or '.join(STORAGES)}")
        if version not in VERSIONS:
            raise BagError(f"metadata version {version}: expected 9 (Jazzy and newer) or 8 (older readers)")
        if self.path.suffix in STORAGE_SUFFIXES:
            raise BagError(f"{path}: a rosbag2 is a folder; give a name without {self.path.suffix}")
        self._refuse_overwriting()
        try:
            import rosbags.rosbag2  # noqa: F401
        except ImportError as error:
            raise rosbags_missing(error) from None

    def __enter__(self) -> BagWriter:
        """Raises OSError where the folder of the bag cannot be written."""
        from rosbags.rosbag2 import StoragePlugin, Writer

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", suffix=".partial", dir=self.path.parent))
        try:
            plugin = StoragePlugin.MCAP if self._storage == "mcap" else StoragePlugin.SQLITE3
            # The name of the folder is in the name of the file inside.
            self._writer = Writer(self._work / self.path.name, version=self._version, storage_plugin=plugin)
            self._writer.open()
        except BaseException:
            shutil.rmtree(self._work, ignore_errors=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises OSError where the disk is full, BagError where something has appeared at the path."""
        assert self._work is not None
        try:
            if kind is not None:
                self._writer.abort()
                return
            with self._failing_as_files_do():
                self._writer.close()
            self._refuse_overwriting()
            (self._work / self.path.name).rename(self.path)
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    def note(self, key: str, value: str) -> None:
        """Writes a word about the whole bag into its metadata ("custom data"), e.g. the scheme of its labels."""
        self._writer.set_custom_data(key, value)

    def add_topic(
        self, topic: str, type_name: str, *, qos: TopicQos | None = None, definition: TypeDefinition | None = None
    ) -> None:
        """Announces a topic, with what its publisher offers; `write` does this itself with a reliable, volatile one.

        Args:
            definition: of the type, e.g. from another bag; where there is none, the installed one.

        Raises:
            BagError: the type has no definition here.
            OSError: the disk is full.
        """
        if (topic, type_name) in self._connections:
            return
        if definition is None:
            definition = define(installed_store(type_name), type_name)
        elif not definition.digest:
            definition = define(store_from_bag(definition), type_name)
        with self._failing_as_files_do():
            self._connections[topic, type_name] = self._writer.add_connection(
                topic,
                type_name,
                msgdef=definition.text,
                rihs01=definition.digest,
                offered_qos_profiles=[_offered(_DEFAULT_QOS if qos is None else qos)],
            )

    def write(self, topic: str, type_name: str, time_ns: int, raw: bytes | memoryview) -> None:
        """Appends a message.

        Args:
            time_ns: when it was received, since the epoch.
            raw: its CDR bytes.

        Raises:
            BagError: the type has no definition here.
            OSError: the disk is full.
        """
        self.add_topic(topic, type_name)
        with self._failing_as_files_do():
            self._writer.write(self._connections[topic, type_name], time_ns, raw)
        self.count += 1

    def write_message(self, topic: str, type_name: str, time_ns: int, message: Any) -> None:
        """Appends a message given as an object with the attributes of its type (of rclpy, rosbags or any other).

        Raises:
            BagError: the type has no definition here, or the object lacks an attribute of it.
        """
        self.write(topic, type_name, time_ns, serialize(installed_store(type_name), type_name, message))

    @contextmanager
    def _failing_as_files_do(self) -> Iterator[None]:
        """A full disk is an OSError in either storage; sqlite3 has errors of its own."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: cannot be written ({error})") from None

    def _refuse_overwriting(self) -> None:
        if os.path.lexists(self.path):
            raise BagError(f"{self.path}: exists already and is not overwritten; give another name, or remove it")


def _offered(qos: TopicQos) -> Any:
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    def member(kind: Any, name: str) -> Any:
        return kind.__members__.get(name.upper(), kind.UNKNOWN)

    forever = QosTime(9223372036, 854775807)
    return Qos(
        member(QosHistory, qos.history),
        qos.depth,
        member(QosReliability, qos.reliability),
        member(QosDurability, qos.durability),
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        False,
    )
