# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node that labels every point of the clouds it receives.

Started as `python -m srkd_ros.segment_node --ros-args -p checkpoint:=model.safetensors -r '~/input/points:=/points'`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

import srkd
from srkd.errors import SrkdError
from srkd.intensity import match_intensity
from srkd.io.pointcloud2 import decode
from srkd.segmenter import Segmenter
from srkd_ros.messages import labelled_message
from srkd_ros.transport import use_large_cloud_profile

BUNDLED_CHECKPOINT = Path(srkd.__file__).with_name("weights") / "student-nano.safetensors"


class SegmentNode(Node):
    """Subscribes to `~/input/points` and publishes the labelled cloud on `~/output/points`.

    Parameters, read at start: `checkpoint`, a path (default: the bundled network); `device`: auto, cpu, cuda, ...

    Raises:
        SrkdError: the checkpoint cannot be used.
    """

    def __init__(self) -> None:
        super().__init__("segment")
        self._segmenter = Segmenter.load(
            self._read_only("checkpoint", str(BUNDLED_CHECKPOINT), "model file; default: the bundled network"),
            device=self._read_only("device", "auto", "torch device that runs the model, or auto"),
        )
        header = self._segmenter.header
        scheme = header.scheme
        self.get_logger().info(f"{header.architecture} labels {scheme.num_classes} classes of {scheme.name}")
        if scheme.name == "street":
            self.get_logger().warning("this model has seen synthetic streets only: do not rely on its labels elsewhere")
        self._notes: set[str] = set()
        self._publisher = self.create_publisher(PointCloud2, "~/output/points", QoSProfile(depth=1))
        newest_only = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(PointCloud2, "~/input/points", self._label, newest_only)

    def _read_only(self, name: str, default: str, description: str) -> str:
        descriptor = ParameterDescriptor(description=description, read_only=True)
        value: str = self.declare_parameter(name, default, descriptor).value
        return value

    def _label(self, message: PointCloud2) -> None:
        try:
            decoded = decode(message)
            cloud, note = match_intensity(decoded.cloud, self._segmenter.header.input)
            if note is not None and note not in self._notes:
                self._notes.add(note)
                self.get_logger().warning(note)
            labels = self._segmenter(cloud)
        except SrkdError as error:
            self.get_logger().warning(f"cloud rejected: {error}", throttle_duration_sec=5.0)
            return
        self._publisher.publish(labelled_message(message, decoded, labels))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM. Returns the exit status: 0, or 1 where an argument cannot be used."""
    use_large_cloud_profile()
    try:
        rclpy.init(args=arguments)
    except RuntimeError as error:  # all that rcl raises
        return _refuse(error)
    try:
        executor = SingleThreadedExecutor()
        executor.add_node(SegmentNode())
        while rclpy.ok():  # not rclpy.spin: where a signal comes just before it waits, it waits for ever
            executor.spin_once(timeout_sec=0.5)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (SrkdError, InvalidParameterTypeException) as error:
        return _refuse(error)
    except Exception:
        if rclpy.ok():
            raise
        # A signal has closed the context while the constructor or a callback was using it.
    finally:
        rclpy.try_shutdown()
    return 0


def _refuse(error: Exception) -> int:
    sys.stderr.write(f"segment: {error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
