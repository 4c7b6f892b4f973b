# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One message to labels, without ROS: what the node, the offline labeller and the demo have in common.

Labels depend on the message, the options and the network alone, never on messages before, unless those are given: a
node that drops frames and a program that reads them all agree on every frame.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError, SrkdError
from srkd.input_spec import InputSpec
from srkd.intensity import POORER, match_intensity
from srkd.io.pointcloud2 import Decoded, PointCloud2Like, decode
from srkd.segmenter import Inference, Labels, Segmenter
from srkd_ros.densify import joined, within

MISSING_INTENSITY = ("zero", "reject")
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")
"""How PyTorch says so where it raises a plain RuntimeError: on a CPU, in the CUDA driver, in a CUDA library."""


class FrameMemoryError(SrkdError):
    """There was not enough memory, of the computer or of the GPU, for this frame; the next one may fit."""


@dataclass(frozen=True)
class FrameOptions:
    """How messages are read.

    Raises:
        ConfigError: an option is out of range.
    """

    intensity_field: str = ""
    """Field that intensity is from; empty: `intensity`, or `reflectivity` where that is absent or zero throughout."""
    match_intensity: bool = True
    """Bring intensities that are plainly on another scale onto the network's, see `srkd.intensity`."""
    missing_intensity: str = "zero"
    """Where a message has no intensity and the network looks at it: "zero" takes 0, "reject" refuses the message."""
    max_points: int = 2_000_000
    """Messages that claim more points are refused."""

    def __post_init__(self) -> None:
        if self.missing_intensity not in MISSING_INTENSITY:
            raise ConfigError(f"missing_intensity: {self.missing_intensity!r}, expected zero or reject")
        if self.max_points < 1:
            raise ConfigError(f"max_points: {self.max_points!r}, expected at least 1")


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A message with its labels, N points in the order of the message."""

    decoded: Decoded
    """The message as it was sent, intensities unchanged."""
    inference: Inference
    """The labels are of the message; the voxels, of the past clouds too. The message's points come first."""
    stage_ms: dict[str, float]
    """Milliseconds by stage: "decode" (with it past clouds), then `srkd.segmenter.STAGES`."""
    num_valid: int
    num_voxels: int
    notes: tuple[str, ...]
    """What was assumed, a line each; the same finding is always the same line."""
    past: tuple[Decoded, ...] = ()
    """The past clouds that it was labelled with, in its coordinates, intensities unchanged."""

    @property
    def labels(self) -> Labels:
        """Of every point."""
        return self.inference.labels


def label_frame(
    message: PointCloud2Like,
    segmenter: Segmenter,
    options: FrameOptions,
    seen: LabelledFrame | None = None,
    *,
    past: Callable[[], Sequence[Decoded]] | None = None,
) -> LabelledFrame:
    """Labels every point of a message; the message is not changed.

    Args:
        message, segmenter, options: what is labelled and how.
        seen: what another network made of the very same message with the same options; as much of that as fits is not
            done again, and its past clouds are these.
        past: makes clouds from before, moved into the message's coordinates, the newest first; they are looked at, too,
            as far as all together are no more than `options.max_points`.

    Raises:
        CloudError: the message is malformed or too large, or lacks a field that is needed.
        FrameMemoryError: not enough memory; what the frame held has been freed.
    """
    try:
        return _label(message, segmenter, options, seen, past)
    except (MemoryError, torch.OutOfMemoryError) as error:
        reason = str(error)
    except RuntimeError as error:
        reason = str(error)
        if not any(text in reason for text in _OUT_OF_MEMORY):
            raise
    # Outside of the handlers: an exception that is being handled keeps alive all that its frames hold.
    gc.collect()
    if segmenter.device.type == "cuda":
        torch.cuda.empty_cache()
    first_line = reason.partition("\n")[0][:200]
    raise FrameMemoryError(
        f"frame of {message.height} x {message.width} points: out of memory on {segmenter.device}"
        f" ({first_line or 'no details'}); lower max_points, or use a smaller network or another device"
    )


def _label(
    message: PointCloud2Like,
    segmenter: Segmenter,
    options: FrameOptions,
    seen: LabelledFrame | None,
    make_past: Callable[[], Sequence[Decoded]] | None,
) -> LabelledFrame:
    start = time.perf_counter()
    if seen is None:
        decoded = decode(message, intensity_field=options.intensity_field, max_points=options.max_points)
    else:
        decoded = seen.decoded
    spec = segmenter.header.input
    cloud, notes = _prepare(decoded, spec, options)
    past: tuple[Decoded, ...] = () if seen is None else seen.past
    if make_past is not None:
        past = within(options.max_points, len(cloud), make_past())
    if past:  # each by itself, as when it was the newest
        lenient = replace(options, missing_intensity="zero")
        cloud = joined(cloud, [_prepare(each, spec, lenient)[0] for each in past])
    decode_ms = (time.perf_counter() - start) * 1e3
    inference = segmenter.infer(cloud, None if seen is None else seen.inference.view)
    frame = segmenter.last_frame
    num_valid = frame.num_valid
    if past:
        inference, num_valid = _head(inference, len(decoded.cloud))
    stage_ms = {"decode": decode_ms, **frame.stage_ms}
    return LabelledFrame(decoded, inference, stage_ms, num_valid, frame.num_voxels, notes, past)


def _head(inference: Inference, count: int) -> tuple[Inference, int]:
    """With the labels of the first points only, and how many of these are in range."""
    labels, view = inference.labels, inference.view
    first = Labels(labels.class_id[:count], labels.probability[:count], labels.entropy[:count])
    num_valid = 0 if view is None else int(np.searchsorted(view.index, count))
    return replace(inference, labels=first), num_valid


def _prepare(decoded: Decoded, spec: InputSpec, options: FrameOptions) -> tuple[Cloud, tuple[str, ...]]:
    """The cloud as the network wants it, and what was assumed."""
    cloud = decoded.cloud
    if "intensity" not in spec.features:
        return cloud, ()
    notes = []
    if cloud.intensity is None and len(cloud) and options.missing_intensity == "reject":
        raise CloudError(
            "intensity: the message has none, but the network looks at it; name the field that holds it with"
            " intensity_field, or set missing_intensity to zero"
        )
    if decoded.intensity_field == "reflectivity" != options.intensity_field:
        notes.append("intensity from the field 'reflectivity': 'intensity' is absent or 0 throughout")
    matched, note = match_intensity(cloud, spec)
    if options.match_intensity or cloud.intensity is None:
        cloud = matched
    elif note is not None:
        note = f"{note}; match_intensity is off, so it is left as it came: {POORER}"
    notes += [] if note is None else [note]
    return cloud, tuple(notes)
