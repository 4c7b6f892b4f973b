# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of the student and its labels by those who watch it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2

from srkd.errors import CloudError
from srkd.io.pointcloud2 import Decoded, read_fields
from srkd_ros.class_map import Scheme
from srkd_ros.frame import LabelledFrame
from srkd_ros.model import Model
from srkd_ros.msg import ModelInfo


@dataclass(frozen=True)
class Student:
    """Which network labels; another one is another student."""

    scheme: Scheme
    weights_sha256: str

    @classmethod
    def of_info(cls, info: ModelInfo) -> Student:
        """As its `~/model_info` says."""
        return cls(Scheme(info.scheme, tuple(info.class_names)), info.weights_sha256)

    @classmethod
    def of_model(cls, model: Model) -> Student:
        """A network of this process."""
        return cls(model.scheme, model.segmenter.header.weights_sha256)


@dataclass(frozen=True, eq=False)
class StudentLabels:
    """Its labels of a cloud of N points."""

    class_id: npt.NDArray[np.uint8]
    """(N,) in its own scheme, 255 for none."""
    probability: npt.NDArray[np.float32] | None
    """(N,) of that class; None where the labels carry none."""
    frame: LabelledFrame | None = None
    """All that it made of the cloud, where that is at hand."""

    @classmethod
    def of_frame(cls, frame: LabelledFrame) -> StudentLabels:
        """Those of a network of this process."""
        return cls(frame.labels.class_id, frame.labels.probability, frame)

    @classmethod
    def of_message(cls, message: PointCloud2) -> StudentLabels:
        """Those of a labelled cloud; probability may be missing.

        Raises:
            CloudError: malformed, or without uint8 class_id.
        """
        stated = ["probability"] if any(field.name == "probability" for field in message.fields) else []
        columns = read_fields(message, ["class_id", *stated])
        class_id, probability = columns["class_id"], columns.get("probability")
        if class_id.dtype != np.uint8:
            raise CloudError(
                f"labels: class_id of {class_id.dtype}, expected uint8; give the student's ~/output/points"
            )
        return cls(class_id, None if probability is None else probability.astype(np.float32, copy=False))


def refuse_other_cloud(labels: PointCloud2, decoded: Decoded) -> None:
    """Stamps may repeat: the coordinates that come with the labels must be the cloud's.

    Args:
        labels: the labelled cloud, as many points as the cloud.
        decoded: the cloud.

    Raises:
        CloudError: they are of another cloud.
    """
    columns = read_fields(labels, list("xyz"))
    for index, axis in enumerate("xyz"):
        if not np.array_equal(columns[axis], decoded.cloud.xyz[:, index], equal_nan=True):
            raise CloudError(
                f"labels: {axis} is not the cloud's: labels of another cloud with the same stamp, or of another topic;"
                " give clouds stamps that differ"
            )
