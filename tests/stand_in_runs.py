# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the program that experiments start: it takes no steps, but saves, resumes and fails like one.

It lies in a folder that is the working directory of the test, where `python -m srkd_train` finds it first.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PROGRAM = """
import json, os, pathlib, shutil, signal, sys, time
import yaml

words = sys.argv[1:]
verb, value = words[0], dict(zip(words, words[1:]))
held = [os.path.basename(os.readlink(entry)) for entry in pathlib.Path("/proc/self/fd").iterdir() if entry.is_symlink()]
lock = [name for name in held if name.endswith(".lock")]
with open(os.environ["JOURNAL"], "a") as journal:
    journal.write(json.dumps(["start", words, os.environ["OMP_NUM_THREADS"], time.time(), lock]) + "\\n")
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
if verb == "evaluate":
    out = pathlib.Path(value["--output"]).parent
    config = {"trainer": {"max_steps": 0, "seed": 0}, "optim": {"lr": 0.0}}
else:
    out = pathlib.Path(value["--out"])
    config = yaml.safe_load(pathlib.Path(value["--config"]).read_text())
    state = out / "state.ckpt"
    if ("--resume" in words) != state.is_file() or (out.exists() and not state.is_file() and any(out.iterdir())):
        sys.exit("this folder cannot be used")
    out.mkdir(exist_ok=True)
    shutil.copy(value["--config"], out / "config.yaml")
if config["optim"]["lr"] == 13:
    sys.exit("line one\\nthe learning rate brings bad luck")
step = int((out / "state.ckpt").read_text()) if "--resume" in words else 0
rows = ["step,minutes,loss"] + [f"{done + 1},0.1,1.0" for done in range(step)]
while step < config["trainer"]["max_steps"]:
    step += 1
    rows.append(f"{step},0.1,1.0")
    (out / "metrics.csv").write_text("\\n".join(rows) + "\\n")
    time.sleep(0.02)
    minutes = config["trainer"]["max_minutes"]
    if stopped or (minutes is not None and step >= minutes):
        break
if verb != "evaluate":
    (out / "state.ckpt").write_text(str(step))
    shutil.copy(os.environ["CHECKPOINT"], out / "last.safetensors")
if step >= config["trainer"]["max_steps"]:
    miou = 0.5 + 0.01 * config["trainer"]["seed"] + (0.02 if verb == "distill" else 0)
    miou -= float(value.get("--feature-noise", 0)) / 10
    scores = {"clouds": "some clouds", "miou": miou, "macc": miou, "all_acc": miou, "iou": {"road": miou, "bus": None}}
    (out / "evaluation.json").write_text(json.dumps(scores))
with open(os.environ["JOURNAL"], "a") as journal:
    journal.write(json.dumps(["end", words, step, time.time()]) + "\\n")
"""


class StandIn:
    """Where the stand-in works, and what it has noted down."""

    def __init__(self, folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._journal = folder / "journal"
        package = folder / "srkd_train"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(PROGRAM)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("JOURNAL", str(self._journal))
        monkeypatch.setenv("CHECKPOINT", str(checkpoint))

    @property
    def journal(self) -> list[list[object]]:
        """[start or end, words, threads or step, time, lock files held] in order."""
        return [json.loads(line) for line in self._journal.read_text().splitlines()] if self._journal.exists() else []

    @property
    def started(self) -> list[list[str]]:
        """Words of each program that was started."""
        return [entry[1] for entry in self.journal if entry[0] == "start"]  # type: ignore[misc]

    def most_at_once(self) -> int:
        """Largest number of programs that ran at the same time."""
        now = most = 0
        for entry in sorted(self.journal, key=lambda entry: float(str(entry[3]))):
            now += 1 if entry[0] == "start" else -1
            most = max(most, now)
        return most
