# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small Waymo files in both published formats, and a scene whose range images are known in closed form.

The scene: the world is a wall, the plane x = WALL_M, that every ray forward hits. The vehicle drives and turns while
its sensor, mounted at an angle, scans. Nothing here shares code with the reader.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BEAMS, WIDTH = 4, 16
WALL_M = 5030.0
SEGMENT = "1000_0_20_0"
INCLINATIONS = (-0.3, -0.1, 0.02, 0.1)
SENSOR = (1.4, 0.2, 2.1)
SENSOR_YAW = 2.5
_OTHER_LASERS = (2, 5, 3, 4)

Floats = npt.NDArray[np.float64]


def turn(roll: float, pitch: float, yaw: float) -> Floats:
    """Rotation matrix as the product of its three turns."""
    cos, sin = np.cos, np.sin
    about_x = np.array([[1, 0, 0], [0, cos(roll), -sin(roll)], [0, sin(roll), cos(roll)]])
    about_y = np.array([[cos(pitch), 0, sin(pitch)], [0, 1, 0], [-sin(pitch), 0, cos(pitch)]])
    about_z = np.array([[cos(yaw), -sin(yaw), 0], [sin(yaw), cos(yaw), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def transform(rotation: Floats, translation: Sequence[float]) -> Floats:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, translation
    return matrix


@dataclass
class Scan:
    """A frame as the sensor saw it. Labels of a pixel: instance 10 row + return, class column + 1."""

    stamp_us: int = 1_600_000_000_000_000
    labelled: bool = True
    moves: bool = True
    listed: bool = True
    """Inclinations one by one, not as equal steps between -0.3 and 0.1."""
    returns: list[npt.NDArray[np.float32]] = field(default_factory=list)
    labels: list[npt.NDArray[np.int32]] = field(default_factory=list)
    pixel_pose: npt.NDArray[np.float32] | None = None
    hits: list[Floats] = field(default_factory=list)
    """World coordinates of the points, in order."""

    def __post_init__(self) -> None:
        self.vehicle_pose = transform(turn(0.01, -0.02, 0.3), (5000.0, -3000.0, 20.0))
        self.extrinsic = transform(turn(0, 0, SENSOR_YAW), SENSOR)
        inclinations = np.array(INCLINATIONS) if self.listed else np.array([-0.25, -0.15, -0.05, 0.05])
        poses = np.zeros((BEAMS, WIDTH, 6))
        for number in range(2):
            image = np.full((BEAMS, WIDTH, 4), -1, np.float32)
            hits = []
            for row, column in np.ndindex(BEAMS, WIDTH):
                later = column / WIDTH if self.moves else 0.5
                angles = (0.01, -0.02, 0.25 + 0.1 * later) if self.moves else (0.01, -0.02, 0.3)
                place = (4999.5 + later, -3000.2 + 0.4 * later, 20.0) if self.moves else (5000.0, -3000.0, 20.0)
                poses[row, column] = (*angles, *place)
                # Straight from the definition: the first column looks behind, to the left of the rear, and the
                # columns go round clockwise seen from above; the uppermost beam is the first row.
                azimuth = np.pi - (column + 0.5) * 2 * np.pi / WIDTH
                pitch = inclinations[BEAMS - 1 - row]
                ray = np.array([np.cos(pitch) * np.cos(azimuth), np.cos(pitch) * np.sin(azimuth), np.sin(pitch)])
                world_ray = turn(*angles) @ ray
                start = turn(*angles) @ np.array(SENSOR) + place
                range_m = (WALL_M - number - start[0]) / world_ray[0]  # second returns lie 1 m before the wall
                if 0 < range_m < 200 and (number == 0 or column % 2):
                    image[row, column] = (range_m, 1000 * row + column, 0.1, -1)
                    hits.append(start + range_m * world_ray)
            self.returns.append(image)
            self.hits.append(np.array(hits))
            rows, columns = np.mgrid[:BEAMS, :WIDTH]
            self.labels.append(np.stack([10 * rows + number, columns + 1], axis=-1).astype(np.int32))
        self.pixel_pose = poses.astype(np.float32)


def varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def chunk(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def doubles(number: int, values: Iterable[float]) -> bytes:
    """Unpacked, as proto2 writes a repeated double."""
    return b"".join(varint(number << 3 | 1) + struct.pack("<d", value) for value in values)


def matrix(array: npt.NDArray[Any]) -> bytes:
    """A compressed MatrixFloat or MatrixInt32."""
    packed = array.astype("<f4").tobytes() if array.dtype.kind == "f" else b"".join(map(varint, array.ravel().tolist()))
    shape = b"".join(integer(1, size) for size in array.shape)
    return zlib.compress(chunk(1, packed) + chunk(2, shape))


def frame_message(scan: Scan, segment: str = SEGMENT) -> bytes:
    """A Frame with camera images, other lasers and boxes about it, as in the published files."""
    top_calibration = integer(1, 1) + doubles(3, [-0.3]) + doubles(4, [0.1])
    if scan.listed:
        top_calibration += doubles(2, INCLINATIONS)
    top_calibration += chunk(5, doubles(1, scan.extrinsic.ravel()))
    other = doubles(3, [-1.5]) + doubles(4, [0.5]) + chunk(5, doubles(1, np.eye(4).ravel()))
    context = chunk(1, segment.encode()) + b"".join(chunk(3, integer(1, name) + other) for name in _OTHER_LASERS)
    context += chunk(3, top_calibration) + chunk(4, chunk(2, b"Day"))
    images = []
    for number in range(2):
        image = chunk(2, matrix(scan.returns[number])) + chunk(3, b"\x00" * 50)
        if number == 0 and scan.pixel_pose is not None:
            image += chunk(4, matrix(scan.pixel_pose))
        if scan.labelled:
            image += chunk(6, matrix(scan.labels[number]))
        images.append(image)
    lasers = chunk(5, integer(1, 2) + chunk(2, chunk(2, b"not zlib")))
    lasers += chunk(5, integer(1, 1) + chunk(2, images[0]) + chunk(3, images[1]))
    return (
        chunk(1, context)
        + integer(2, scan.stamp_us)
        + chunk(3, doubles(1, scan.vehicle_pose.ravel()))
        + chunk(4, integer(1, 1) + chunk(2, b"\xff" * 5000))
        + lasers
        + chunk(6, chunk(3, b"a box"))
    )


def slow_crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    checksum = slow_crc32c(data)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) % 2**32)


def tfrecord(payloads: Iterable[bytes]) -> bytes:
    out = b""
    for payload in payloads:
        length = struct.pack("<Q", len(payload))
        out += length + masked(length) + payload + masked(payload)
    return out


def write_v1(folder: Path, scans: Sequence[Scan], segment: str = SEGMENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"segment-{segment}_with_camera_labels.tfrecord"
    path.write_bytes(tfrecord(frame_message(scan, segment) for scan in scans))
    return path


def write_v2(folder: Path, scans: Sequence[Scan], segment: str = SEGMENT, *, row_group_size: int = 4) -> None:
    """The five components, other lasers' rows between those of the TOP one, several rows a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(component: str, rows: list[dict[str, Any]], types: dict[str, Any]) -> None:
        (folder / component).mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows, schema=pa.schema(types))
        pq.write_table(table, folder / component / f"{segment}.parquet", row_group_size=row_group_size)

    shape, floats, ints = pa.list_(pa.int32(), 3), pa.list_(pa.float32()), pa.list_(pa.int32())
    keys = {"key.segment_context_name": pa.string(), "key.frame_timestamp_micros": pa.int64()}
    laser = {"key.laser_name": pa.int8()}

    def image(prefix: str, array: npt.NDArray[Any]) -> dict[str, Any]:
        return {f"{prefix}.values": array.ravel().tolist(), f"{prefix}.shape": list(array.shape)}

    def types(prefix: str, values: Any, returns: int) -> dict[str, Any]:
        names = [f"{prefix}.range_image_return{number + 1}" for number in range(returns)]
        return (
            keys | laser | {f"{n}.{part}": kind for n in names for part, kind in (("values", values), ("shape", shape))}
        )

    ranges: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    poses: list[dict[str, Any]] = []
    vehicle: list[dict[str, Any]] = []
    small = np.zeros((1, 2, 4), np.float32)
    for scan in scans:
        key = {"key.segment_context_name": segment, "key.frame_timestamp_micros": scan.stamp_us}
        top = key | {"key.laser_name": 1}
        for name in _OTHER_LASERS:
            ranges.append(key | {"key.laser_name": name} | image("[LiDARComponent].range_image_return1", small))
        row, label = dict(top), dict(top)
        for number in range(2):
            row |= image(f"[LiDARComponent].range_image_return{number + 1}", scan.returns[number])
            name = f"[LiDARSegmentationLabelComponent].range_image_return{number + 1}"
            label |= image(name, scan.labels[number])
        ranges.append(row)
        labels += [label] if scan.labelled else []
        if scan.pixel_pose is not None:
            poses.append(top | image("[LiDARPoseComponent].range_image_return1", scan.pixel_pose))
        pose = scan.vehicle_pose.astype(np.float32).ravel().tolist()
        vehicle.append(key | {"[VehiclePoseComponent].world_from_vehicle.transform": pose})
    write("lidar", ranges, types("[LiDARComponent]", floats, 2))
    write("lidar_segmentation", labels, types("[LiDARSegmentationLabelComponent]", ints, 2))
    write("lidar_pose", poses, types("[LiDARPoseComponent]", floats, 1))
    write(
        "vehicle_pose",
        vehicle,
        keys | {"[VehiclePoseComponent].world_from_vehicle.transform": pa.list_(pa.float32(), 16)},
    )
    name = "[LiDARCalibrationComponent]"
    calibrations = [
        {
            "key.segment_context_name": segment,
            "key.laser_name": number,
            f"{name}.extrinsic.transform": (scans[0].extrinsic if number == 1 else np.eye(4)).ravel().tolist(),
            f"{name}.beam_inclination.min": -0.3,
            f"{name}.beam_inclination.max": 0.1,
            f"{name}.beam_inclination.values": list(INCLINATIONS) if number == 1 and scans[0].listed else None,
        }
        for number in (*_OTHER_LASERS, 1)
    ]
    kinds = {
        "key.segment_context_name": pa.string(),
        **laser,
        f"{name}.extrinsic.transform": pa.list_(pa.float64(), 16),
        f"{name}.beam_inclination.min": pa.float64(),
        f"{name}.beam_inclination.max": pa.float64(),
        f"{name}.beam_inclination.values": pa.list_(pa.float64()),
    }
    write("lidar_calibration", calibrations, kinds)
