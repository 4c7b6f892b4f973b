# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the latched topics say of a network: identity, classes, input, and how it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from builtin_interfaces.msg import Time
from std_msgs.msg import ColorRGBA

from srkd.labels import IGNORE
from srkd_ros.model import Model
from srkd_ros.msg import ModelInfo


def model_info_message(model: Model, role: str, stamp: Time) -> ModelInfo:
    """The `ModelInfo` of a network.

    Args:
        model: the network.
        role: "student" or "teacher".
        stamp: when it was loaded.
    """
    header, segmenter = model.segmenter.header, model.segmenter
    scheme, spec = header.scheme, header.input
    message = ModelInfo(
        name=model.path.name,
        architecture=header.architecture,
        role=role,
        weights_sha256=header.weights_sha256,
        num_parameters=sum(parameter.numel() for parameter in segmenter.network.parameters()),
        scheme=scheme.name,
        class_ids=list(range(scheme.num_classes)),
        class_names=list(scheme.class_names),
        colors=[ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=1.0) for red, green, blue in scheme.colors],
        voxel_size_m=float(spec.voxel_size_m),
        max_range_m=math.inf if spec.max_range_m is None else float(spec.max_range_m),
        range_m=[] if spec.range_m is None else [float(bound) for bound in spec.range_m],
        input_features=list(spec.features),
        intensity_transform=spec.intensity,
        device=str(segmenter.device),
        precision=segmenter.precision,
        reference_miou=_reference_miou(header.metrics),
        note=model.note,
    )
    message.header.stamp = stamp
    return message


def label_info_message(model: Model, stamp: Time) -> Any | None:
    """The same class names as `vision_msgs/LabelInfo`, or None where vision_msgs is not installed."""
    try:
        from vision_msgs.msg import LabelInfo, VisionClass
    except ImportError:
        return None
    message = LabelInfo(threshold=0.0)
    message.header.stamp = stamp
    message.class_map = [
        VisionClass(class_id=index, class_name=name) for index, name in enumerate(model.class_names)
    ] + [VisionClass(class_id=IGNORE, class_name="unlabelled")]
    return message


def _reference_miou(metrics: Mapping[str, Any]) -> float:
    """The best mean IoU that a checkpoint states, by itself or for a data set; NaN where it states none."""
    stated = [metrics, *(value for value in metrics.values() if isinstance(value, Mapping))]
    scores = [values.get("miou") for values in stated]
    return max(
        (float(score) for score in scores if isinstance(score, int | float) and 0 <= score <= 1), default=math.nan
    )
