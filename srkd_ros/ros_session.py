# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frame of the tools that talk to ROS: arguments, signals, rclpy up and down, and errors of one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from srkd.errors import SrkdError
from srkd_ros.command_line import EXIT_FAILED, OneLineParser, split_ros_arguments
from srkd_ros.entry import missing_part, prepare_environment
from srkd_ros.signals import StopSignal


class RosSession:
    """What a tool gets besides its arguments.

    Attributes:
        parser: for mistakes that show only later.
        stop: SIGINT and SIGTERM; until it is announced, either ends the process at once.
    """

    def __init__(self, parser: OneLineParser, ros_arguments: Sequence[str]) -> None:
        self.parser = parser
        self.stop = StopSignal()
        self._ros_arguments = list(ros_arguments)

    @contextmanager
    def ros(self) -> Iterator[None]:
        """Inside, rclpy can be used; a topic name that is none is a mistake in the arguments."""
        import rclpy
        from rclpy.exceptions import NameValidationException
        from rclpy.signals import SignalHandlerOptions

        rclpy.init(args=self._ros_arguments, signal_handler_options=SignalHandlerOptions.NO)
        try:
            yield
        except NameValidationException as error:
            self.parser.error(str(error))
        finally:
            rclpy.try_shutdown()


def run_tool(
    parser: OneLineParser, work: Callable[[argparse.Namespace, RosSession], int], arguments: Sequence[str] | None
) -> int:
    """Does a tool's work. Returns its exit status, or 1 where something failed, said in one line.

    Args:
        parser: of the tool's own arguments.
        work: the tool.
        arguments: without the program's name; None: the command line's.
    """
    own, ros = split_ros_arguments(arguments)
    args = parser.parse_args(own)
    prepare_environment()
    try:
        return work(args, RosSession(parser, ros))
    except ImportError as error:
        if (missing := missing_part(error)) is None:
            raise
        sys.stderr.write(f"{parser.prog}: {missing}\n")
    except (SrkdError, OSError, RuntimeError) as error:  # RuntimeError is all that rcl raises
        sys.stderr.write(f"{parser.prog}: {' '.join(str(error).split())}\n")
    return EXIT_FAILED
