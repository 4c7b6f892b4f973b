# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Range images of Waymo's TOP LiDAR as clouds in the vehicle's frame.

A row of a range image is a beam, the uppermost first; a column is a direction, from straight behind to the left, over
forward, to behind again. Every pixel has its own vehicle pose, because the vehicle drives on while the sensor turns: a
point goes through it to the world, and from there to the vehicle at the pose of the frame. Source: waymo-open-dataset,
dataset.proto (RangeImage, LaserCalibration) and utils/range_image_utils.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from srkd.cloud import Cloud
from srkd.errors import CloudError
from srkd.labels import IGNORE, LabelScheme
from srkd_train.data.sample import Sample

TOP = 1
"""LaserName of the one LiDAR that has segmentation labels."""

_Float = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TopFrame:
    """What a frame holds of the TOP LiDAR, H beams and W directions.

    Args:
        returns: one or two images (H, W, 4) float32 of range in metres (not above 0 where there is no point),
            intensity, elongation, and whether it lies in a no-label zone.
        labels: for each return (H, W, 2) int32 of instance and class, or None where the frame is not labelled.
        pixel_pose: (H, W, 6) float32 roll, pitch, yaw in radians and x, y, z in metres, the vehicle's pose in the world
            at each pixel; None where the image is already free of motion.
        vehicle_pose: (4, 4), vehicle to world, of the frame.
        extrinsic: (4, 4), LiDAR to vehicle.
        inclinations: (H,) pitch of the beams in radians, rising.

    Raises:
        CloudError: a shape does not fit the others.
    """

    returns: tuple[npt.NDArray[np.float32], ...]
    labels: tuple[npt.NDArray[np.int32] | None, ...]
    pixel_pose: npt.NDArray[np.float32] | None
    vehicle_pose: _Float
    extrinsic: _Float
    inclinations: _Float

    def __post_init__(self) -> None:
        if not self.returns or self.returns[0].ndim != 3:
            raise CloudError("no range image of the TOP LiDAR; it is not a whole frame")
        size = self.returns[0].shape[:2]
        images: list[tuple[str, int, npt.NDArray[Any]]] = [("range image", 4, image) for image in self.returns]
        images += [("segmentation label", 2, image) for image in self.labels if image is not None]
        if self.pixel_pose is not None:
            images.append(("pixel pose", 6, self.pixel_pose))
        for name, channels, image in images:
            if image.shape != (*size, channels):
                raise CloudError(f"{name} of shape {image.shape}, expected {(*size, channels)}; it is damaged")
        if len(self.inclinations) != size[0]:
            raise CloudError(f"{len(self.inclinations)} beam inclinations, but the range image has {size[0]} rows")


def beam_inclinations(values: _Float, lowest: float, highest: float, beams: int) -> _Float:
    """Pitch of the beams, (beams,) radians rising: the values given, or where there are none, middles of equal steps.

    Raises:
        CloudError: neither values nor limits are given.
    """
    if len(values):
        return values
    if not np.isfinite([lowest, highest]).all():
        raise CloudError("no beam inclinations of the TOP LiDAR; it is damaged")
    return lowest + (np.arange(beams) + 0.5) / beams * (highest - lowest)


def to_sample(frame: TopFrame, scheme: LabelScheme, name: str) -> Sample:
    """The points of all returns, the first return's first, each in the order of rows, then columns.

    Points are in the vehicle's frame at the frame's pose (x forward, y left, z up), which is the sample's. Intensity is
    as in the file, without an upper bound; ring 0 is the uppermost beam. Points without a label have 255.

    Raises:
        CloudError: a label is not in the scheme.
    """
    xyz, intensity, ring, label, instance = [], [], [], [], []
    for image, labels in zip(frame.returns, frame.labels, strict=True):
        row, column = np.nonzero(image[:, :, 0] > 0)
        xyz.append(_points(frame, row, column, image[row, column, 0].astype(np.float64)))
        intensity.append(image[row, column, 1])
        ring.append(row.astype(np.int32))
        if labels is None:
            label.append(np.full(len(row), IGNORE, np.uint8))
            instance.append(np.zeros(len(row), np.uint32))
        else:
            label.append(scheme.from_raw(labels[row, column, 1]))
            instance.append(labels[row, column, 0].astype(np.uint32))
    cloud = Cloud(np.concatenate(xyz), intensity=np.concatenate(intensity), ring=np.concatenate(ring))
    known = any(labels is not None for labels in frame.labels)
    return Sample(cloud, np.concatenate(label), name, frame.vehicle_pose, np.concatenate(instance) if known else None)


def _points(
    frame: TopFrame, row: npt.NDArray[np.int64], column: npt.NDArray[np.int64], range_m: _Float
) -> npt.NDArray[np.float32]:
    """(n, 3) points of pixels in the vehicle's frame."""
    width = frame.returns[0].shape[1]
    inclination = frame.inclinations[::-1][row]
    # Columns count from the vehicle's axes, not from those of the sensor, which is mounted at an angle.
    mounted = np.arctan2(frame.extrinsic[1, 0], frame.extrinsic[0, 0])
    azimuth = (1 - (2 * column + 1) / width) * np.pi - mounted
    flat = np.cos(inclination) * range_m
    in_sensor = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(inclination) * range_m], axis=1)
    points = in_sensor @ frame.extrinsic[:3, :3].T + frame.extrinsic[:3, 3]
    if frame.pixel_pose is not None:
        pose = frame.pixel_pose[row, column].astype(np.float64)
        # Both places are kilometres from the world's origin: their difference is taken first.
        moved = _turned(points, pose[:, :3]) + (pose[:, 3:] - frame.vehicle_pose[:3, 3])
        points = moved @ np.linalg.inv(frame.vehicle_pose[:3, :3]).T
    return points.astype(np.float32)


def _turned(points: _Float, angles: _Float) -> _Float:
    """Each of (n, 3) points turned by its roll about x, then its pitch about y, then its yaw about z, axes fixed."""
    x, y, z = points.T
    (sin_x, sin_y, sin_z), (cos_x, cos_y, cos_z) = np.sin(angles).T, np.cos(angles).T
    y, z = y * cos_x - z * sin_x, y * sin_x + z * cos_x
    x, z = x * cos_y + z * sin_y, z * cos_y - x * sin_y
    x, y = x * cos_z - y * sin_z, x * sin_z + y * cos_z
    return np.stack([x, y, z], axis=1)
