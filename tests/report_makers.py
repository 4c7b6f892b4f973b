# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag and a run folder with contents that a test knows, and a parser of pages."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from srkd.io.bag_types import serialize, store_from_bag
from srkd.io.bags import CLOUD_TYPE, BagWriter, TypeDefinition, cloud_message, make_header
from srkd.io.message_layout import Field
from srkd.io.pointcloud2 import LABELLED_FIELDS, LABELLED_POINT_STEP, encode_labelled

NAMES, FRAMES, POINTS = ("flat_road", "car", "tree", "wall"), 8, 400
START_NS, PERIOD_NS = 1_600_000_000_000_000_000, 200_000_000
_MSG = Path(__file__).parents[1] / "msg"
_RULE = "\n" + "=" * 80 + "\nMSG: "
_USED = (
    f"{_RULE}std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id"
    f"{_RULE}builtin_interfaces/Time\nint32 sec\nuint32 nanosec"
    f"{_RULE}std_msgs/ColorRGBA\nfloat32 r\nfloat32 g\nfloat32 b\nfloat32 a\n"
)
OLD_COMPARISON = (
    "std_msgs/Header header\nuint32 num_points\nfloat32 agreement\nuint64[] window_confusion\nuint64 compared"
)
"""A definition with few of the fields."""


def definition(name: str, text: str | None = None) -> TypeDefinition:
    """Of one of our messages, as in the source tree unless given."""
    own = (_MSG / f"{name}.msg").read_text() if text is None else text
    used = _USED if "ColorRGBA" in own else _USED.rpartition(_RULE)[0] + "\n"
    return TypeDefinition(f"srkd_ros/msg/{name}", own + used, "")


def write_own(writer: BagWriter, topic: str, about: TypeDefinition, time_ns: int, **values: Any) -> None:
    """Writes a message of ours; fields that are not given are NaN, 0 or empty."""
    from rosbags.interfaces import Nodetype

    store = store_from_bag(about)
    for name, (node, detail) in store.fielddefs[about.name][1]:
        if name in values:
            continue
        if node == Nodetype.BASE:
            values[name] = "" if detail[0] == "string" else math.nan if detail[0].startswith("float") else 0
        else:
            values[name] = []
    message = SimpleNamespace(**values)
    writer.add_topic(topic, about.name, definition=about)
    writer.write(topic, about.name, time_ns, serialize(store, about.name, message))


class Drive:
    """Frames of a sensor in a field of blocks, their truth, and labels that get worse with every frame."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        angle, distance = random.uniform(-np.pi, np.pi, (FRAMES, POINTS)), random.uniform(2, 18, (FRAMES, POINTS))
        height = random.uniform(-1.5, 2, (FRAMES, POINTS))
        self.xyz = np.stack([distance * np.cos(angle), distance * np.sin(angle), height], axis=2).astype(np.float32)
        self.truth = random.integers(0, 4, (FRAMES, POINTS)).astype(np.uint8)
        self.truth[:, :9] = 255
        wrong = random.random((FRAMES, POINTS)) < np.linspace(0.1, 0.5, FRAMES)[:, None]
        self.labels = np.where(wrong, (self.truth + 1) % 4, self.truth % 4).astype(np.uint8)
        self.labels[:, 5:20] = 255
        self.probability = random.uniform(0.3, 1, (FRAMES, POINTS)).astype(np.float32)
        self.probability[self.labels == 255] = 0
        self.stage_ms = random.uniform(1, 9, (FRAMES, 7)).astype(np.float32)
        self.agreement = np.linspace(0.9, 0.6, FRAMES).astype(np.float32)
        self.confusion = random.integers(1, 50, (FRAMES, 4, 4))
        self.stamps_ns = START_NS + PERIOD_NS * np.arange(FRAMES)

    def counted(self) -> list[tuple[int, int, float]]:
        """(truth, label, probability) of every point that has both, point by point."""
        every = zip(self.truth.flat, self.labels.flat, self.probability.flat, strict=True)
        return [(int(t), int(p), float(q)) for t, p, q in every if t != 255 and p != 255]


def write_drive(path: Path, drive: Drive, *, comparison: TypeDefinition | None = None) -> Path:
    """A bag as `ros2 run srkd_ros record` makes it. The node drops the third cloud and starts again at the fifth."""
    report, info = definition("SegmentationReport"), definition("ModelInfo")
    comparison = comparison or definition("ComparisonReport")
    truth_fields = (*(Field(axis, 4 * place, 7) for place, axis in enumerate("xyz")), Field("class_id", 12, 2))
    with BagWriter(path) as writer:
        colors = [SimpleNamespace(r=place / 4, g=0.5, b=1 - place / 4, a=1.0) for place in range(4)]
        header = make_header(START_NS, "")
        write_own(
            writer, "/segment/model_info", info, START_NS, header=header, scheme="blocks", class_names=list(NAMES),
            class_ids=np.arange(4, dtype=np.uint8), colors=colors, name="tiny.safetensors", note="a <test>",
        )  # fmt: skip
        for index in range(FRAMES):
            stamp = int(drive.stamps_ns[index])
            header, late = make_header(stamp, "lidar"), stamp + 30_000_000
            rows = np.zeros(POINTS, [("xyz", "<f4", 3), ("class_id", "u1"), ("pad", "V3")])
            rows["xyz"], rows["class_id"] = drive.xyz[index], drive.truth[index]
            xyz = drive.xyz[index].tobytes()
            writer.write_message(
                "/points", CLOUD_TYPE, stamp, cloud_message(header, 1, POINTS, truth_fields[:3], 12, xyz)
            )
            truth = cloud_message(header, 1, POINTS, truth_fields, 16, rows.tobytes())
            writer.write_message("/points/labels", CLOUD_TYPE, stamp, truth)
            if index == 2:
                continue
            found = SimpleNamespace(
                class_id=drive.labels[index], probability=drive.probability[index], entropy=drive.probability[index]
            )
            data = encode_labelled(drive.xyz[index], found)
            labelled = cloud_message(header, 1, POINTS, LABELLED_FIELDS, LABELLED_POINT_STEP, data)
            writer.write_message("/segment/output/points", CLOUD_TYPE, late, labelled)
            stages = ("wait", "decode", "voxelize", "plan", "network", "labels", "encode")
            times = {f"{name}_ms": float(ms) for name, ms in zip(stages, drive.stage_ms[index], strict=True)}
            since = index - 4 if index >= 4 else index
            dropped = int(2 <= index < 4)
            write_own(
                writer, "/segment/report", report, late, header=header, **times, publish_ms=1.0, age_ms=math.nan,
                total_ms=float(drive.stage_ms[index].sum() + 1), received=since + 1, labelled=since + 1 - dropped,
                dropped=dropped, num_points=POINTS, class_counts=np.zeros(4, np.uint32),
            )  # fmt: skip
            fields = store_from_bag(comparison).fielddefs[comparison.name][1]
            given = {
                "num_points": int(drive.confusion[index].sum()), "agreement": float(drive.agreement[index]),
                "window_agreement": float(drive.agreement[index]), "confusion": drive.confusion[index].reshape(-1),
                "window_confusion": drive.confusion[index].reshape(-1), "compared": since + 1,
                "teacher_ms": 70.0 + index, "student_ms": 30.0 + index, "unmatched": 0, "skipped": 0,
                "calibration_count": np.full(15, 10),
                "calibration_agreeing": np.full(15, 5), "calibration_probability": np.full(15, 0.75),
            }  # fmt: skip
            known = {name: value for name, value in given.items() if name in {field for field, _ in fields}}
            write_own(writer, "/teacher/comparison", comparison, late + 1, header=header, **known)
    return path


def write_run(path: Path, *, steps: int = 30, minutes: float = 12.0) -> Path:
    """A run of `srkd distill` that is over: loss = 100 / step, kl = 2 / step, a validation every 10 steps."""
    path.mkdir()
    lines = ["step,minutes,loss,cross_entropy,kl,noise_mse,lr,step_s,data_s,voxels,val_miou,val_macc,val_all_acc"]
    for step in range(1, steps + 1):
        time = minutes * step / steps
        lines.append(f"{step},{time},{100 / step:.7g},0.5,{2 / step:.7g},,{1e-3 * step / steps},0.5,0.1,900,,,")
        if step % 10 == 0:
            lines.append(f"{step},{time},,,,,,,,,{0.2 + step / 100},0.6,0.8")
    (path / "metrics.csv").write_text("\n".join(lines) + "\n")
    config = (
        f"# srkd distill --out {path}\nteacher: /somewhere/else/teacher.safetensors\nmodel:\n  name: student-nano\n"
        f"trainer:\n  max_steps: {steps}\n  seed: 7\nobjective:\n  preset: balanced\n  weights:\n    kl: 2.5\n"
    )
    (path / "config.yaml").write_text(config)
    iou = {name: 0.25 + 0.125 * place for place, name in enumerate(NAMES)}
    facts = {
        "clouds": "5 <clouds>", "miou": 0.4375, "macc": 0.5, "all_acc": 0.625, "iou": iou, "accuracy": iou,
        "points": dict.fromkeys(NAMES, 1000), "counted_points": 4000, "confusion": np.diag([1000] * 4).tolist(),
    }  # fmt: skip
    (path / "evaluation.json").write_text(json.dumps(facts))
    return path


class Page(HTMLParser):
    """Fails on tags that do not match; collects tags, references, text, table rows and tiles."""

    VOID = ("meta", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.words: list[str] = []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.ids += [str(value) for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        self.words += data.replace(",", " ").split()
        if "th" in self.open or "td" in self.open:
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        """The cells after the first one, of the first row that begins so."""
        return next(row[1:] for row in self.rows if row and row[0] == first)
