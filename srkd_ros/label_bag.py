# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The executable `label_bag`: labels every cloud of a rosbag2, without ROS and without transport.

    ros2 run srkd_ros label_bag IN OUT [--checkpoint model.safetensors] [--topics /lidar_top]

OUT holds the messages of IN and, on TOPIC/labels, the labelled cloud of every cloud of TOPIC, as the node would publish
it, under the same stamp. Where IN has that topic already, as bags with ground truth do, it is TOPIC/predicted. The same
bag and checkpoint give the same bytes on a given device and thread count. With --num-past-frames each cloud is labelled
together with those before it, as the node does it that has all clouds and poses in time.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from srkd.errors import BagError, SrkdError
from srkd.io.bags import (
    CLOUD_TYPE,
    LABELS_SUFFIX,
    PREDICTED_SUFFIX,
    STORAGES,
    VERSIONS,
    BagMessage,
    BagReader,
    BagWriter,
    CloudMessage,
    cloud_message,
)
from srkd.memory import Trimmer
from srkd.progress import Progress
from srkd_ros.command_line import EXIT_FAILED, EXIT_OK, OneLineParser
from srkd_ros.densify_parameters import add_arguments
from srkd_ros.entry import missing_part, prepare_environment

if TYPE_CHECKING:
    from srkd_ros.frame import LabelledFrame

_EXIT_INTERRUPTED = 130


@dataclass
class Outcome:
    """What became of the clouds of a bag."""

    clouds: int = 0
    points: int = 0
    failed: int = 0
    stage_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds of all clouds together, by stage."""

    def add(self, frame: LabelledFrame) -> None:
        """Counts a cloud with its labels."""
        self.clouds += 1
        self.points += len(frame.labels.class_id)
        for stage, milliseconds in frame.stage_ms.items():
            self.stage_ms[stage] = self.stage_ms.get(stage, 0.0) + milliseconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Labels a bag. Returns 0, or 1 where it cannot be read or written or a cloud of it was malformed."""
    args = _parser().parse_args(arguments)
    prepare_environment()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with BagReader(args.bag) as reader:
            names = label_topics(reader, args.topics)
            bag = BagWriter(args.out, storage=args.storage, version=args.metadata_version)
            outcome = _label(args, reader, bag, names)
    except ImportError as error:
        if (missing := missing_part(error)) is None:
            raise
        sys.stderr.write(f"label_bag: {missing}\n")
        return EXIT_FAILED
    except (SrkdError, OSError) as error:
        sys.stderr.write(f"label_bag: {error}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        sys.stderr.write("\nlabel_bag: interrupted, no bag written\n")
        return _EXIT_INTERRUPTED
    mean_ms = {stage: total / max(1, outcome.clouds) for stage, total in outcome.stage_ms.items()}
    sys.stdout.write(
        f"{outcome.clouds} clouds, {outcome.points} points labelled on {' '.join(names.values())}: {args.out}\n"
        f"{sum(mean_ms.values()):.1f} ms a cloud ({', '.join(f'{stage} {ms:.1f}' for stage, ms in mean_ms.items())})\n"
    )
    if outcome.failed:
        sys.stdout.write(f"{outcome.failed} clouds have no labels, see above\n")
    return EXIT_FAILED if outcome.failed else EXIT_OK


def label_topics(reader: BagReader, wanted: Collection[str] | None) -> dict[str, str]:
    """The topic of the labels by the topic of the clouds.

    Args:
        wanted: topics of clouds; None: all (`BagReader.cloud_topics`).

    Raises:
        BagError: one is not in the bag or has no clouds, or the bag has none at all.
    """
    reader.check_topics(wanted or ())
    types = {topic.name: topic.type for topic in reader.topics}
    clouds = reader.cloud_topics() if wanted is None else tuple(dict.fromkeys(wanted))
    if not clouds:
        kinds = " ".join(sorted(set(types.values()))) or "nothing"
        raise BagError(f"{reader.path}: no topic of {CLOUD_TYPE}; it holds {kinds}")
    for name in clouds:
        if types[name] != CLOUD_TYPE:
            raise BagError(f"{reader.path}: {name} has type {types[name]}, expected {CLOUD_TYPE}")
    names = {}
    for name in clouds:
        free = [name + suffix for suffix in (LABELS_SUFFIX, PREDICTED_SUFFIX) if name + suffix not in types]
        if not free:
            raise BagError(f"{reader.path}: has {name}{LABELS_SUFFIX} and {name}{PREDICTED_SUFFIX} already; remove one")
        names[name] = free[0]
    return names


def labelled_cloud(source: Any, frame: LabelledFrame) -> CloudMessage:
    """The labelled cloud of a message, equal to what the node publishes.

    Args:
        source: the message.
        frame: its labels.
    """
    from srkd.io.pointcloud2 import LABELLED_FIELDS, LABELLED_POINT_STEP, encode_labelled

    decoded = frame.decoded
    data = encode_labelled(decoded.cloud.xyz, frame.labels)
    return cloud_message(
        source.header,
        decoded.height,
        decoded.width,
        LABELLED_FIELDS,
        LABELLED_POINT_STEP,
        data,
        is_dense=bool(source.is_dense),
    )


def _label(args: argparse.Namespace, reader: BagReader, bag: BagWriter, names: dict[str, str]) -> Outcome:
    from srkd_ros.bag_past import BagPast, in_turn
    from srkd_ros.frame import FrameOptions, label_frame
    from srkd_ros.model import ModelRequest, load_model

    options = FrameOptions(intensity_field=args.intensity_field, match_intensity=not args.raw_intensity)
    model = load_model(ModelRequest(args.checkpoint, args.sha256, args.device, args.precision, args.backend))
    outcome = Outcome()
    progress = Progress(sum(topic.count for topic in reader.topics if topic.name in names), "labelled")
    noted: set[str] = set()
    trimmer = Trimmer()
    if model.note:
        progress.say(f"note: {model.note}")
    past = BagPast(args, reader, names, options, progress.say) if args.num_past_frames else None
    with bag as writer:
        copied = []
        for topic in reader.topics:
            if topic.name not in names and args.labels_only:
                continue
            try:
                writer.add_topic(topic.name, topic.type, qos=topic.qos, definition=reader.definition(topic.type))
                copied.append(topic.name)
            except BagError as error:  # of a type that is known neither to the bag nor here
                if topic.name in names:
                    raise
                progress.say(f"note: {topic.name} is left out: {error}")
        wanted = copied if past is None else {*copied, past.odometry}

        def messages() -> Iterator[BagMessage]:
            for message in reader.messages(wanted):
                if message.topic in copied:
                    writer.write(message.topic, message.type, message.time_ns, message.raw)
                yield message

        for message, before in in_turn(messages(), names, past):
            try:
                source = reader.deserialize(message)
                frame = label_frame(source, model.segmenter, options, past=None if before is None else before.clouds)
            except SrkdError as error:
                outcome.failed += 1
                progress.say(f"label_bag: {message.topic} at {message.time_ns} ns: {error}")
            else:
                writer.write_message(names[message.topic], CLOUD_TYPE, message.time_ns, labelled_cloud(source, frame))
                outcome.add(frame)
                notes = {*frame.notes, *(() if before is None else before.notes)}
                for note in sorted(notes - noted):
                    noted.add(note)
                    progress.say(f"note: {message.topic}: {note}")
            progress.step(message.topic)
            trimmer.after_item()
    progress.close()
    return outcome


def _parser() -> OneLineParser:
    parser = OneLineParser("label_bag", description="Labels every cloud of a rosbag2, without transport.")
    parser.add_argument("bag", metavar="IN", help="folder of the bag, or its .mcap or .db3 file")
    parser.add_argument("out", metavar="OUT", help="folder to make; it must not exist")
    parser.add_argument("--checkpoint", default="student-nano", help="a .safetensors file, or a bundled network")
    parser.add_argument("--sha256", default="", help="refuse a checkpoint file of another digest")
    parser.add_argument("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda, cuda:1 ...")
    parser.add_argument("--precision", default="fp32", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--backend", default="torch", help="torch, or accelerators joined by +")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="clouds of these topics; default: all clouds")
    parser.add_argument("--labels-only", action="store_true", help="leave out all topics but the clouds and labels")
    parser.add_argument("--intensity-field", default="", help="field to take as intensity")
    parser.add_argument("--raw-intensity", action="store_true", help="leave intensities on their own scale")
    add_arguments(parser)
    parser.add_argument("--storage", choices=STORAGES, default="mcap")
    parser.add_argument("--metadata-version", type=int, choices=VERSIONS, default=9, help="8 for readers before Jazzy")
    return parser


if __name__ == "__main__":
    sys.exit(main())
