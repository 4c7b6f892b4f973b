# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One labelled cloud: what every data-set adapter yields and every training transform takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.errors import CloudError


@dataclass(eq=False)
class Sample:
    """A cloud with its ground truth.

    Args:
        cloud: N points.
        label: (N,) uint8 classes of the data set's `LabelScheme`, 255 to ignore.
        name: where it is from, for messages, e.g. "00/000001".
        pose: (4, 4) float64, sensor frame to a world frame shared by the sequence, or None.
        instance: (N,) uint32 instance ids, 0 for none, or None.

    Raises:
        CloudError: label or instance have another length or dtype.
    """

    cloud: Cloud
    label: npt.NDArray[np.uint8]
    name: str
    pose: npt.NDArray[np.float64] | None = None
    instance: npt.NDArray[np.uint32] | None = None

    def __post_init__(self) -> None:
        count = len(self.cloud)
        if self.label.shape != (count,) or self.label.dtype != np.uint8:
            raise CloudError(
                f"{self.name}: labels of shape {self.label.shape} and dtype {self.label.dtype}, "
                f"expected ({count},) uint8; give one class a point"
            )
        if self.instance is not None and self.instance.shape != (count,):
            raise CloudError(f"{self.name}: instances of shape {self.instance.shape}, expected ({count},)")
        if self.pose is not None and self.pose.shape != (4, 4):
            raise CloudError(f"{self.name}: pose of shape {self.pose.shape}, expected (4, 4)")


def select(sample: Sample, index: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Sample:
    """The points of a mask (N,) or an index (M,), with every column and the label; the pose stays true."""
    instance = None if sample.instance is None else sample.instance[index]
    return replace(sample, cloud=sample.cloud.select(index), label=sample.label[index], instance=instance)
