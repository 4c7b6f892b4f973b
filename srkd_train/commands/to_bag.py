# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd to_bag`: data sets, files and synthetic streets as a rosbag2 that any ROS 2 can play."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from srkd.errors import ConfigError
from srkd.io.bags import STORAGES, VERSIONS, BagWriter
from srkd.progress import Progress
from srkd_train.bag_sources import Source, files_source, nuscenes_source, semantickitti_source, street_source
from srkd_train.cli import EXIT_OK, Parser, make_parser
from srkd_train.cloud_messages import points_message, truth_message, write_sample, write_scheme

TOPIC = "/points"


def main(argv: Sequence[str] | None = None) -> int:
    """`srkd to_bag street|semantickitti|nuscenes|files ... OUT`."""
    if argv is None:  # as an executable of its own, with the errors and exit codes of `srkd`
        from srkd_train.__main__ import main as srkd

        return srkd(["to_bag", *sys.argv[1:]])
    if not argv or argv[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return EXIT_OK
    if argv[0] not in SOURCES:
        raise ConfigError(f"source {argv[0]!r}: expected {' | '.join(SOURCES)}")
    describe, prepare = SOURCES[argv[0]]
    parser = make_parser(f"to_bag {argv[0]}", str(prepare.__doc__))
    describe(parser)
    parser.add_argument("out", metavar="OUT", help="folder of the bag; it must not exist")
    parser.add_argument("--storage", default="mcap", choices=STORAGES)
    parser.add_argument("--metadata-version", type=int, default=9, choices=VERSIONS, help="8 for readers before Jazzy")
    parser.add_argument("--frame-id", default="lidar", help="coordinate frame in the headers")
    args = parser.parse_args(list(argv[1:]))
    bag = BagWriter(args.out, storage=args.storage, version=args.metadata_version)
    write_bag(bag, prepare(args), args.frame_id)
    return EXIT_OK


def write_bag(bag: BagWriter, source: Source, frame_id: str) -> None:
    """Writes clouds on `TOPIC`, their truth on `TOPIC`/labels and the name of its scheme on `TOPIC`/label_scheme.

    Raises:
        SrkdError: a frame cannot be read, or the bag cannot be written; then there is no bag.
    """
    progress = Progress(source.count, "frames")
    points = 0
    with bag as writer:
        for index, frame in enumerate(source.frames):
            if index == 0 and source.scheme is not None:
                write_scheme(writer, TOPIC, source.scheme, frame.stamp_ns)
            message = points_message(frame.cloud, frame.stamp_ns, frame_id, time_s=frame.time_s)
            truth = None if frame.label is None else truth_message(frame.cloud, frame.label, frame.stamp_ns, frame_id)
            write_sample(writer, TOPIC, message, truth, frame.stamp_ns)
            points += len(frame.cloud)
            progress.step(f"{len(frame.cloud)} points")
    progress.close()
    truth_note = "" if source.scheme is None else f", ground truth of {source.scheme} on {TOPIC}/labels"
    sys.stdout.write(f"{source.count} clouds, {points} points on {TOPIC}{truth_note}: {bag.path}\n")


def _street(args: Any) -> Source:
    """A drive through a synthetic street, 10 clouds a second, with ground truth, as a bag."""
    return street_source(args.seed, args.sensor, round(args.seconds * 10) if args.frames is None else args.frames)


def _street_arguments(parser: Parser) -> None:
    parser.add_argument("--seed", type=int, default=10000, help="street; those the bundled network never saw: 10000 on")
    parser.add_argument("--sensor", default="beams32", help="beams16, beams32 or beams64")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the drive")
    parser.add_argument("--frames", type=int, default=None, help="clouds, instead of seconds")


def _semantickitti(args: Any) -> Source:
    """A sequence of SemanticKITTI as a bag, with ground truth where it has labels."""
    return semantickitti_source(args.root, args.sequence, args.frames)


def _semantickitti_arguments(parser: Parser) -> None:
    parser.add_argument("root", metavar="ROOT", help="the folder that holds sequences/")
    parser.add_argument("--sequence", default="08", type=str, help="number of the sequence")
    parser.add_argument("--frames", type=int, default=None, help="the first so many")


def _nuscenes(args: Any) -> Source:
    """The LiDAR key frames of nuScenes as a bag, with ground truth where they have lidarseg files."""
    return nuscenes_source(args.root, args.frames)


def _nuscenes_arguments(parser: Parser) -> None:
    parser.add_argument("root", metavar="ROOT", help="the folder that holds samples/")
    parser.add_argument("--frames", type=int, default=None, help="the first so many")


def _files(args: Any) -> Source:
    """Cloud files, or folders of them (.bin .npy .pcd .ply), as a bag."""
    return files_source(args.files, args.rate_hz)


def _files_arguments(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="clouds, or folders of clouds")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="clouds a second")


SOURCES: dict[str, tuple[Callable[[Parser], None], Callable[[Any], Source]]] = {
    "street": (_street_arguments, _street),
    "semantickitti": (_semantickitti_arguments, _semantickitti),
    "nuscenes": (_nuscenes_arguments, _nuscenes),
    "files": (_files_arguments, _files),
}


def _help() -> str:
    lines = [f"  {name:<14} {prepare.__doc__}" for name, (_, prepare) in SOURCES.items()]
    return (
        "usage: srkd to_bag SOURCE ... OUT\n\nWrites clouds into a rosbag2, on /points, with their ground truth on"
        " /points/labels.\n\n" + "\n".join(lines) + "\n\n`srkd to_bag SOURCE --help` lists a source's arguments.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
