# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: srkd_train -> srkd <- srkd_ros, and srkd needs numpy, torch and safetensors only."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROS = {"rclpy", "rcl_interfaces", "sensor_msgs", "std_msgs", "diagnostic_msgs", "lifecycle_msgs", "builtin_interfaces"}
TRAINING = {"lightning", "pytorch_lightning", "torchmetrics", "trimesh", "embreex", "matplotlib"}

# Imports every module of a package with others hidden, as if they were not installed: those named in BLOCKED or, where
# that is empty, all but ALLOWED, the standard library and what numpy, torch and safetensors bring.
IMPORT_ALL = """
import importlib, importlib.abc, pkgutil, sys

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in BLOCKED or not BLOCKED and top not in ALLOWED:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by the test)", name=name)

import numpy, torch, safetensors.torch
ALLOWED |= {name.partition(".")[0] for name in sys.modules} | set(sys.stdlib_module_names)
sys.meta_path.insert(0, Hide())
package = importlib.import_module(PACKAGE)
names = [module.name for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def import_all(package: str, *, blocked: Collection[str] = (), allowed: Collection[str] = ()) -> int:
    """Number of modules imported in a fresh interpreter where other modules are hidden."""
    given = f"PACKAGE, BLOCKED, ALLOWED = {package!r}, set({sorted(blocked)}), set({sorted(allowed)})"
    ran = subprocess.run([sys.executable, "-c", given + IMPORT_ALL], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return int(ran.stdout)


def imports_of(path: Path) -> Iterator[str]:
    """Top-level names of all imports of a source file, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the full name"
            yield str(node.module).partition(".")[0]


def test_srkd_needs_numpy_torch_and_safetensors_only() -> None:
    assert import_all("srkd", allowed={"srkd"}) >= 10


def test_srkd_train_needs_no_ros() -> None:
    assert import_all("srkd_train", blocked=ROS | {"srkd_ros"}) >= 5


def test_srkd_ros_needs_no_training_packages() -> None:
    pytest.importorskip("rclpy", reason="needs rclpy (the `ros` extra, or a ROS distribution)")
    assert import_all("srkd_ros", blocked=TRAINING | {"srkd_train"}) >= 3


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("srkd", ROS | TRAINING | {"srkd_train", "srkd_ros"}), ("srkd_train", {"srkd_ros"}), ("srkd_ros", {"srkd_train"})],
)
def test_no_import_against_the_arrows_even_inside_functions(package: str, forbidden: set[str]) -> None:
    sources = sorted((ROOT / package).rglob("*.py"))
    assert sources
    wrong = [f"{path.relative_to(ROOT)}: {name}" for path in sources for name in imports_of(path) if name in forbidden]
    assert wrong == []


@pytest.mark.parametrize("command", ["info", "convert", "predict", "logits", "benchmark"])
def test_commands_of_the_runtime_start_without_lightning_and_ros(command: str, tmp_path: Path) -> None:
    """Stubs that fail on import stand before the real modules on the path."""
    for name in ROS | {"lightning", "pytorch_lightning", "torchmetrics", "trimesh", "embreex", "srkd_ros"}:
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name='{name}')\n")
    ran = subprocess.run(
        [sys.executable, "-m", "srkd_train", command, "--help"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, "usage" in ran.stdout.lower()) == (0, True), ran.stderr[-2000:]
