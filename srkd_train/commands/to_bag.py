# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd to_bag`: data sets, files and synthetic streets as a rosbag2 that any ROS 2 can play."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from srkd.errors import ConfigError
from srkd.io.bags import STORAGES, VERSIONS, BagWriter
from srkd_train.bag_sources import (
    Scenes,
    files_source,
    nuscenes_sources,
    semantickitti_sources,
    street_source,
    waymo_sources,
)
from srkd_train.bag_writing import write_source
from srkd_train.cli import EXIT_OK, Parser, make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """`srkd to_bag street|semantickitti|nuscenes|waymo|files ... OUT`."""
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
    parser.add_argument("out", metavar="OUT", help="folder of the bag, or of a bag a scene where several are named")
    parser.add_argument("--storage", default="mcap", choices=STORAGES)
    parser.add_argument("--metadata-version", type=int, default=9, choices=VERSIONS, help="8 for readers before Jazzy")
    parser.add_argument("--frame-id", default=None, help="coordinate frame of the clouds, instead of the usual one")
    args = parser.parse_args(list(argv[1:]))
    scenes = prepare(args)
    paths = [Path(args.out)] if len(scenes) == 1 else [Path(args.out, name) for name in scenes]
    bags = [BagWriter(path, storage=args.storage, version=args.metadata_version) for path in paths]
    for bag, make in zip(bags, scenes.values(), strict=True):
        sys.stdout.write(write_source(bag, make(), args.frame_id) + "\n")
        sys.stdout.flush()
    return EXIT_OK


def _street(args: Any) -> Scenes:
    """A drive through a synthetic street, 10 clouds a second, with ground truth and poses, as a bag."""
    frames = round(args.seconds * 10) if args.frames is None else args.frames
    return {"street": lambda: street_source(args.seed, args.sensor, frames, world=args.world)}


def _street_arguments(parser: Parser) -> None:
    parser.add_argument("--seed", type=int, default=10000, help="street; those the bundled network never saw: 10000 on")
    parser.add_argument("--sensor", default="beams32", help="beams16, beams32, beams64 or beams40")
    parser.add_argument("--world", default="street", help="street or old_town; bundled networks do not know old_town")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the drive")
    parser.add_argument("--frames", type=int, default=None, help="clouds, instead of seconds")


def _semantickitti(args: Any) -> Scenes:
    """Sequences of SemanticKITTI as bags, with ground truth and poses where they have them."""
    return semantickitti_sources(args.root, _names(args.scene), args.frames)


def _semantickitti_arguments(parser: Parser) -> None:
    parser.add_argument("root", metavar="ROOT", help="the folder that holds sequences/")
    parser.add_argument("--scene", "--sequence", default="08", type=str, help="number of the sequence; " + _SEVERAL)
    parser.add_argument("--frames", type=int, default=None, help="the first so many")


def _nuscenes(args: Any) -> Scenes:
    """Scenes of nuScenes as bags, 20 clouds a second, with poses and the ground truth of lidarseg on key frames."""
    return nuscenes_sources(args.root, _names(args.scene), args.frames, key_frames=args.key_frames)


def _nuscenes_arguments(parser: Parser) -> None:
    parser.add_argument("root", metavar="ROOT", help="the folder that holds samples/, sweeps/ and v1.0-*/")
    parser.add_argument("--scene", default="", type=str, help="name such as scene-0061; " + _SEVERAL)
    parser.add_argument("--key-frames", action="store_true", help="leave out the sweeps between key frames")
    parser.add_argument("--frames", type=int, default=None, help="the first so many")


def _waymo(args: Any) -> Scenes:
    """Segments of Waymo (v1.4.x TFRecord or v2 Parquet) as bags: the TOP LiDAR with ground truth and poses."""
    return waymo_sources(args.root, _names(args.scene), args.frames, returns=args.returns)


def _waymo_arguments(parser: Parser) -> None:
    parser.add_argument("root", metavar="ROOT", help="the folder that holds training/ ..., or one of these")
    parser.add_argument("--scene", default="", type=str, help="name of the segment; " + _SEVERAL)
    parser.add_argument("--returns", type=int, default=2, choices=(1, 2), help="1 for the first returns only, 2 both")
    parser.add_argument("--frames", type=int, default=None, help="the first so many")


def _files(args: Any) -> Scenes:
    """Cloud files, or folders of them (.bin .npy .pcd .ply), as a bag."""
    return {"files": lambda: files_source(args.files, args.rate_hz)}


def _files_arguments(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="clouds, or folders of clouds")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="clouds a second")


_SEVERAL = "several joined by commas, or all: a bag each, below OUT"
SOURCES: dict[str, tuple[Callable[[Parser], None], Callable[[Any], Scenes]]] = {
    "street": (_street_arguments, _street),
    "semantickitti": (_semantickitti_arguments, _semantickitti),
    "nuscenes": (_nuscenes_arguments, _nuscenes),
    "waymo": (_waymo_arguments, _waymo),
    "files": (_files_arguments, _files),
}


def _names(given: str) -> list[str]:
    return [name for name in given.split(",") if name]


def _help() -> str:
    lines = [f"  {name:<14} {prepare.__doc__}" for name, (_, prepare) in SOURCES.items()]
    return (
        "usage: srkd to_bag SOURCE ... OUT\n\nWrites clouds into a rosbag2, on /points, with their ground truth on"
        " /points/labels\nand their poses on /odom and /tf.\n\n"
        + "\n".join(lines)
        + "\n\n`srkd to_bag SOURCE --help` lists a source's arguments.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
