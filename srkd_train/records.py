# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint says about its making: the facts of the run, and the score of the last weights."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import torch

from srkd.checkpoint import load_checkpoint, read_header, save_checkpoint
from srkd.progress import Progress
from srkd.segmenter import Segmenter
from srkd_train.cli import checkpoint_path
from srkd_train.config import RunConfig
from srkd_train.data.catalog import final_part
from srkd_train.data.dense_part import scored_part
from srkd_train.data.order import spread_indices
from srkd_train.data.part import Part
from srkd_train.evaluation import evaluate
from srkd_train.metrics import Score
from srkd_train.runs import RunFolder


def training_facts(config: RunConfig, part: Part, command: Sequence[str]) -> dict[str, object]:
    """What a checkpoint says about its training, apart from steps and minutes."""
    facts: dict[str, object] = {
        "command": shlex.join(without_folder(command)),
        "seed": config.trainer.seed,
        "max_steps": config.trainer.max_steps,
        "batch_size": config.trainer.batch_size * config.trainer.processes,
        "precision": config.trainer.precision,
        "data": f"{len(part.clouds)} clouds: {part.described}",
        "started": date.today().isoformat(),
        "torch": torch.__version__,
    }
    dense = part if part.kind == "dense" else part.dense
    if dense is not None:
        facts["clouds"] = "dense" if dense is part else "raw, the teacher's dense"
        facts["dense_clouds"] = dense.described
        facts["dense_sha256"] = dense.dense_sha256
        facts["scored_on"] = "dense clouds" if config.data.dense_val else "raw clouds"
    if part.digest is not None:
        facts["data_sha256"] = part.digest
    if config.model.init is not None:
        facts["init_sha256"] = read_header(checkpoint_path(config.model.init)).weights_sha256
    return facts


def without_folder(command: Sequence[str]) -> list[str]:
    """A command line less its --out: where somebody keeps runs is nothing for a file that travels."""
    kept, words = [], iter(command)
    for word in words:
        if word == "--out":
            next(words, None)
        elif not word.startswith("--out="):
            kept.append(word)
    return kept


def score_run(config: RunConfig, folder: RunFolder) -> tuple[Score | None, str]:
    """Score the last weights, write the score into their header; without validations the last weights are the best."""
    score, described = None, ""
    if config.trainer.final_eval:
        part = scored_part(config.data, final_part(config.data))
        indices = spread_indices(len(part.clouds), config.trainer.final_eval_limit)
        described = f"{len(indices)} clouds of {part.described}"
        segmenter = Segmenter.load(folder.last, device="cpu" if config.trainer.accelerator == "cpu" else "auto")
        progress = Progress(len(indices), "evaluated")
        score = evaluate(
            segmenter, part.clouds, indices, num_workers=min(1, config.trainer.num_workers), progress=progress
        )
        progress.close()
        facts = score.to_dict()
        kept = {key: facts[key] for key in ("miou", "macc", "all_acc", "iou", "absent", "counted_points")}
        network, header = load_checkpoint(folder.last)
        metrics = {**header.metrics, "clouds": described, "protocol": "single", **kept}
        save_checkpoint(folder.last, network, replace(header, metrics=metrics))
    if not folder.best.exists():
        network, header = load_checkpoint(folder.last)
        save_checkpoint(folder.best, network, header)
    return score, described
