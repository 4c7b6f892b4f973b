# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The `srkd` command. Each verb is a module of its own and imports only what it needs."""

from __future__ import annotations

import difflib
import importlib
import os
import sys

import srkd
from srkd.errors import SrkdError

VERBS = {
    "demo": "replay a simulated drive to the ROS 2 node, record, score and draw its labels",
    "predict": "label point cloud files and bags",
    "to_bag": "write streets, data sets or files into a rosbag2",
    "info": "what a checkpoint is",
    "verify": "what a data set holds, and which of its files are missing",
    "prepare": "make the streets of a training run ahead, or check a data set; count its classes",
    "pretrain": "train a network on labelled clouds",
    "distill": "train a student beside a frozen teacher (SRKD)",
    "evaluate": "mIoU of a checkpoint on a data set",
    "report": "bags and training runs as one HTML page",
    "experiment": "a study of distillation: its runs, once and for all, and one table",
    "benchmark": "time a network stage by stage, and hold it against this machine's own limits",
    "bench-live": "time the ROS 2 node, from a cloud's publication to its labels",
    "bench-teacher": "time the ROS 2 node with a teacher beside it, and soak both for three minutes",
    "convert": "bring public weights (.pth) in",
    "export": "write a network as ONNX",
    "pack": "store a network in half precision, with its score",
    "logits": "run a network on ready-made voxels, for comparison with other implementations",
}
"""Verb to one line of help; its module is ``srkd_train.commands.VERB``, with _ for -."""


def main(argv: list[str] | None = None) -> int:
    """Runs `srkd VERB ...`; the exit code: 0 done, 1 failed, 2 a mistake in what was asked, 130 interrupted."""
    arguments = sys.argv[1:] if argv is None else argv
    verb = arguments[0] if arguments else "--help"
    if verb in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    if verb == "--version":
        sys.stdout.write(f"srkd {srkd.__version__}\n")
        return 0
    if verb not in VERBS:
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {close[0]!r}" if close else "see `srkd --help`"
        sys.stderr.write(f"srkd: error: {verb!r} is not a command: {hint}\n")
        return 2
    try:
        code: int = importlib.import_module(f"srkd_train.commands.{verb.replace('-', '_')}").main(arguments[1:])
        return code
    except SrkdError as error:
        sys.stderr.write(f"srkd {verb}: error: {error}\n")
        return 2
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("srkd", "srkd_train"):
            raise
        sys.stderr.write(
            f"srkd {verb}: error: package {error.name!r} is not installed: pip install"
            " '.[train,waymo,viz,bags,export]' in the source folder\n"
        )
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"\nsrkd {verb}: interrupted\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        sys.stderr.write(f"srkd {verb}: error: {error}\n")
        return 1


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb.ljust(width)}  {text}" for verb, text in VERBS.items()]
    return "usage: srkd VERB [arguments]\n\n" + "\n".join(lines) + "\n\n`srkd VERB --help` lists a verb's arguments.\n"


if __name__ == "__main__":
    sys.exit(main())
