# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The clouds that paths on a command line mean: files, folders of them, and the messages of bags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from srkd.cloud import Cloud
from srkd.errors import BagError, CloudError
from srkd.io.bags import CLOUD_TYPE, STORAGE_SUFFIXES, BagReader, is_bag, stamp_ns
from srkd.io.files import find_clouds, read_cloud
from srkd.io.label_files import cloud_stem
from srkd.io.pointcloud2 import decode


@dataclass(frozen=True)
class CloudFile:
    """A cloud file, and the place of its labels below an output folder, still with the cloud's suffix."""

    path: Path
    place: Path
    count: int = 1


@dataclass(frozen=True)
class CloudBag:
    """A bag with its number of clouds, and the folder of their labels below an output folder."""

    path: Path
    place: Path
    count: int


@dataclass(frozen=True)
class NamedCloud:
    """A cloud to come: `read` returns it or raises SrkdError."""

    name: str
    place: Path
    read: Callable[[], Cloud]


def plan_sources(arguments: Sequence[str], folder: Path) -> list[CloudFile | CloudBag]:
    """What files, bags and folders of both mean, each once, in the order given.

    SemanticKITTI scans go where its tools look for predictions (``sequences/00/predictions``); clouds found in a
    folder keep their path below it. Clouds of a bag go to ``TOPIC/STAMP``, below the bag's own name where there are
    several bags.

    Args:
        folder: the output folder, for messages.

    Raises:
        BagError: a bag cannot be read, or has no clouds.
        CloudError: nothing there, or the labels of two would be written to one place.
    """
    files: dict[Path, CloudFile] = {}
    bags: dict[Path, Path] = {}
    for argument in arguments:
        given = Path(argument)
        inside = find_bags(given)
        for bag in inside:
            bags.setdefault(bag, bag.relative_to(given).with_suffix("") if bag != given else Path(bag.stem))
        if given in inside:
            continue
        try:
            found = find_clouds([argument])
        except CloudError:
            if not inside:
                raise
            found = []
        for path in found:
            file = CloudFile(path, _place(path, given))
            taken = files.setdefault(file.place.parent / cloud_stem(file.place), file)
            if taken.path != path:
                raise _collision(taken.path, path, folder / taken.place.with_suffix(""))
    sources: list[CloudFile | CloudBag] = list(files.values())
    for bag, place in bags.items():
        with BagReader(bag) as reader:
            clouds = Counter({topic.name: topic.count for topic in reader.topics})
            count = sum(clouds[name] for name in reader.cloud_topics())
            if not count:
                kinds = " ".join(sorted({topic.type for topic in reader.topics})) or "nothing"
                raise BagError(f"{bag}: no message of {CLOUD_TYPE}; it holds {kinds}")
        for other, taken_place in bags.items():
            if other != bag and taken_place == place:
                raise _collision(other, bag, folder / place)
        sources.append(CloudBag(bag, place if len(bags) > 1 else Path(), count))
    return sources


def find_bags(path: Path) -> list[Path]:
    """The bag that a path is, or those in a folder and below it, sorted; hidden ones left out."""
    if is_bag(path) and (path.is_file() or _is_of_a_bag(path / "metadata.yaml")):
        return [path]
    if not path.is_dir():
        return []
    folders = {file.parent for file in path.rglob("metadata.yaml") if _is_of_a_bag(file)}
    loose = {
        file
        for suffix in STORAGE_SUFFIXES
        for file in path.rglob(f"*{suffix}")
        if file.is_file() and file.parent not in folders
    }
    visible = (each for each in folders | loose if not any(p.startswith(".") for p in each.relative_to(path).parts))
    return sorted(visible)


def _is_of_a_bag(metadata: Path) -> bool:
    """Other programs have files of this name too."""
    with metadata.open(errors="replace") as stream:
        return "rosbag2_bagfile_information" in stream.read(4096)


def read_sources(sources: Iterable[CloudFile | CloudBag]) -> Iterator[NamedCloud]:
    """The clouds of files and bags one by one; what is wrong with one is raised by its `read`."""
    for source in sources:
        if isinstance(source, CloudFile):
            yield NamedCloud(str(source.path), source.place, partial(read_cloud, source.path))
        else:
            try:
                with BagReader(source.path) as reader:
                    yield from _clouds_of_bag(reader, source.place)
            except BagError as error:
                yield NamedCloud(str(source.path), source.place, _raiser(error))


def _clouds_of_bag(reader: BagReader, place: Path) -> Iterator[NamedCloud]:
    seen: Counter[str] = Counter()
    for message in reader.messages(reader.cloud_topics()):
        topic = message.topic.strip("/")
        read: Callable[[], Cloud]
        try:
            cloud = reader.deserialize(message)
            stamp = stamp_ns(cloud)
            read = _decoder(cloud, f"{reader.path}: {message.topic} at {stamp} ns")
        except BagError as error:
            stamp, read = message.time_ns, _raiser(error)
        name = f"{topic}/{stamp}"
        seen[name] += 1
        if seen[name] > 1:  # drivers without a clock stamp every cloud with 0
            name = f"{name}_{seen[name]}"
        yield NamedCloud(f"{reader.path}: {name}", place / name, read)


def _decoder(message: Any, name: str) -> Callable[[], Cloud]:
    def read() -> Cloud:
        try:
            return decode(message).cloud
        except CloudError as error:
            raise CloudError(f"{name}: {error}") from None

    return read


def _raiser(error: BagError) -> Callable[[], NoReturn]:
    def read() -> NoReturn:
        raise error

    return read


def _place(path: Path, argument: Path) -> Path:
    if path.parent.name == "velodyne":
        return Path("sequences", path.parent.parent.name, "predictions", path.name)
    return path.relative_to(argument) if argument.is_dir() else Path(path.name)


def _collision(one: Path, other: Path, target: Path) -> CloudError:
    return CloudError(
        f"{one} and {other} would both be written to {target}.*: give their common folder, or one at a time"
    )
