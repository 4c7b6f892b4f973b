# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small bags and a small network for tests of what labels and writes bags."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from threads import one_torch_thread

from srkd.architectures import build_network
from srkd.checkpoint import save_checkpoint
from srkd.header import Header
from srkd.input_spec import InputSpec
from srkd.io.bags import CLOUD_TYPE, BagReader, BagWriter, CloudMessage, cloud_message, make_header
from srkd.io.message_layout import Field
from srkd.labels import get_scheme

pytest.importorskip("rosbags.rosbag2", reason="needs rosbags (the `bags` extra)")

START_NS = 1_600_000_000_000_000_000


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """For all tests of the module that imports this, as in the processes that `run_module` starts."""
    with one_torch_thread():
        yield


def nano_checkpoint(path: Path) -> Path:
    """A nano student with fresh weights, nuScenes classes and intensities of 0 to 255."""
    scheme = get_scheme("nuscenes")
    torch.manual_seed(0)
    network = build_network("student-nano", scheme.num_classes, 4)
    spec = InputSpec(voxel_size_m=0.2, intensity="divide_255")
    save_checkpoint(path, network, Header.of(network, "student-nano", spec, scheme))
    return path


def points(count: int, seed: int = 0) -> np.ndarray:
    """(N, 4) float32 x y z intensity, within 20 m and 0 to 255."""
    made = np.random.default_rng(seed).uniform(-20, 20, (count, 4)).astype("<f4")
    made[:, 3] = np.abs(made[:, 3]) * 12
    return made


def cloud(
    made: np.ndarray, time_ns: int = START_NS, names: Sequence[str] = ("x", "y", "z", "intensity")
) -> CloudMessage:
    fields = [Field(name, 4 * index, 7) for index, name in enumerate(names)]
    return cloud_message(make_header(time_ns, "lidar"), 1, len(made), fields, 16, made.tobytes())


def write_clouds(path: Path, clouds: dict[str, list[Any]], period_ns: int = 100_000_000) -> Path:
    """A bag of messages by topic, one of each topic every period."""
    with BagWriter(path) as writer:
        for index in range(max(map(len, clouds.values()))):
            for topic, messages in clouds.items():
                if index < len(messages):
                    writer.write_message(topic, CLOUD_TYPE, START_NS + index * period_ns, messages[index])
    return path


def read_clouds(path: Path, topic: str) -> list[Any]:
    """The deserialised messages of a topic."""
    with BagReader(path) as reader:
        return [reader.deserialize(message) for message in reader.messages([topic])]


def run_module(module: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE ...` with one thread."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def path_without(folder: Path, *modules: str) -> str:
    """A PYTHONPATH on which stubs that fail on import stand before the real modules; they are made in a folder."""
    for name in modules:
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name='{name}')\n")
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
