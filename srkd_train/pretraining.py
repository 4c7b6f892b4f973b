# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One pretraining run from its configuration to a scored checkpoint."""

import logging
import pickle
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import lightning
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from srkd.architectures import Network, build_network
from srkd.checkpoint import Header, load_checkpoint, read_header, save_checkpoint
from srkd.errors import CheckpointError, ConfigError
from srkd.labels import LabelScheme
from srkd.progress import Progress
from srkd.segmenter import Segmenter
from srkd_train.callbacks import Clock, Report, Stop
from srkd_train.config import RunConfig
from srkd_train.data.catalog import Part, final_part, training_part, validation_part
from srkd_train.data.loader import (
    EvaluationBatches,
    Loader,
    TrainingBatches,
    evaluation_loader,
    spread_indices,
    training_loader,
)
from srkd_train.evaluation import evaluate
from srkd_train.memory import keep_freed_memory
from srkd_train.metrics import Score
from srkd_train.modules import Segmentation
from srkd_train.runs import RunFolder
from srkd_train.saving import Save

PRECISIONS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    steps: int
    """Optimiser steps behind the weights."""
    minutes: float
    """Training time over all resumptions."""
    weights: Path
    """The newest checkpoint."""
    stopped: str | None
    """Why the schedule was not completed; None if it was."""
    score: Score | None
    """Final evaluation; None where it was switched off or the run stopped early."""
    score_of: str
    """The clouds of that evaluation, in words."""


def pretrain(config: RunConfig, *, command: Sequence[str]) -> Outcome | None:
    """Train as configured; a stopped run returns normally and can be resumed.

    Args:
        config: the whole run.
        command: the command line, for the records.

    Returns:
        What the run came to; None in all but the first process of a distributed run.

    Raises:
        SrkdError: the configuration, the data or the run folder do not allow it.
    """
    folder = RunFolder(Path(config.out))
    first_process = rank_zero_only.rank == 0
    if first_process:
        folder.check(resume=config.resume)
    _quieten()
    if config.trainer.accelerator == "cpu" or not torch.cuda.is_available():
        keep_freed_memory()
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    part = training_part(config.data)
    network = _network(config, part.clouds.scheme)
    command = folder.first_command() or command
    if first_process:
        folder.create(config, command)
    start = _saved_step(folder) if config.resume else 0
    clock = Clock()
    stop = Stop(clock, config.trainer.max_minutes)
    facts = _facts(config, part, command)
    header = Header.of(network, config.model.name, config.data.input, part.clouds.scheme)

    def make_header(step: int, score: Score | None) -> Header:
        metrics = {} if score is None else {"validation_miou": score.to_dict()["miou"]}
        return replace(header, training={**facts, "steps": step, "minutes": round(clock.minutes, 2)}, metrics=metrics)

    save = Save(folder, make_header, config.trainer.save_minutes)
    module = Segmentation(
        network,
        part.clouds.scheme.class_names,
        config.optim,
        max_steps=config.trainer.max_steps,
        loss=config.model.loss,
        seed=config.trainer.seed,
    )
    trainer = _trainer(config, folder, [clock, stop, Report(clock, folder, config.trainer.log_every), save])
    if start < config.trainer.max_steps:
        train, val = _loaders(config, part, network, start=start, rank=trainer.global_rank)
        state = folder.state if config.resume else None
        try:
            trainer.fit(module, train, val, ckpt_path=state, weights_only=True)
        finally:
            for loader in filter(None, (train, val)):
                loader.close()
    if not trainer.is_global_zero:
        return None
    score, described = _finish(config, folder) if stop.reason is None else (None, "")
    return Outcome(max(start, trainer.global_step), clock.minutes, folder.last, stop.reason, score, described)


def _network(config: RunConfig, scheme: LabelScheme) -> Network:
    """Fresh or given weights, drawn from the run's seed."""
    torch.manual_seed(config.trainer.seed)
    network = build_network(config.model.name, scheme.num_classes, len(config.data.input.features))
    if config.model.init is not None:
        loaded, header = load_checkpoint(config.model.init)
        if loaded.config != network.config:
            raise CheckpointError(
                f"{config.model.init} is a {header.architecture} for {header.scheme.name}, the run trains a"
                f" {config.model.name} for {scheme.name}: give a checkpoint of the same network and scheme"
            )
        network.load_state_dict(loaded.state_dict())
    return network.train()


def _loaders(config: RunConfig, part: Part, network: Network, *, start: int, rank: int) -> tuple[Loader, Loader | None]:
    trainer = config.trainer
    batches = TrainingBatches(
        part.clouds,
        config.data.input,
        network.plan_spec,
        config.data.augment,
        batch_size=trainer.batch_size,
        seed=trainer.seed,
        group=part.group,
        shuffle_orders=config.data.shuffle_orders,
        rank=rank,
        world_size=trainer.devices,
    )
    train = training_loader(batches, steps=trainer.max_steps, start=start, num_workers=trainer.num_workers)
    if trainer.val_every == 0:
        return train, None
    clouds = validation_part(config.data).clouds
    indices = spread_indices(len(clouds), trainer.val_limit)
    if len(indices) < trainer.devices:
        raise ConfigError(
            f"trainer.devices={trainer.devices} but {len(indices)} clouds to validate on: validate on more"
        )
    indices = indices[rank :: trainer.devices]
    held = EvaluationBatches(clouds, config.data.input, network.plan_spec, indices)
    return train, evaluation_loader(held, num_workers=min(1, trainer.num_workers))


def _trainer(config: RunConfig, folder: RunFolder, callbacks: list[lightning.Callback]) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator=config.trainer.accelerator,
        devices=config.trainer.devices,
        precision=PRECISIONS[config.trainer.precision],
        max_steps=config.trainer.max_steps,
        max_epochs=-1,
        callbacks=callbacks,
        gradient_clip_val=config.optim.clip_norm,
        val_check_interval=config.trainer.val_every or None,
        check_val_every_n_epoch=None,
        limit_val_batches=None if config.trainer.val_every else 0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder.path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _finish(config: RunConfig, folder: RunFolder) -> tuple[Score | None, str]:
    """Score the last weights, write the score into their header; without validations the last weights are the best."""
    score, described = None, ""
    if config.trainer.final_eval:
        part = final_part(config.data)
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


def _facts(config: RunConfig, part: Part, command: Sequence[str]) -> dict[str, object]:
    """What a checkpoint says about its training, apart from steps and minutes."""
    facts: dict[str, object] = {
        "command": shlex.join(_without_folder(command)),
        "seed": config.trainer.seed,
        "max_steps": config.trainer.max_steps,
        "batch_size": config.trainer.batch_size * config.trainer.devices,
        "precision": config.trainer.precision,
        "data": f"{len(part.clouds)} clouds: {part.described}",
        "started": date.today().isoformat(),
        "torch": torch.__version__,
    }
    if config.model.init is not None:
        facts["init_sha256"] = read_header(config.model.init).weights_sha256
    return facts


def _without_folder(command: Sequence[str]) -> list[str]:
    """A command line less its --out: where somebody keeps runs is nothing for a file that travels."""
    kept, words = [], iter(command)
    for word in words:
        if word == "--out":
            next(words, None)
        elif not word.startswith("--out="):
            kept.append(word)
    return kept


def _saved_step(folder: RunFolder) -> int:
    try:
        return int(torch.load(folder.state, map_location="cpu", weights_only=True, mmap=True)["global_step"])
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{folder.state} cannot be read ({reason}): start the run again in another folder"
        ) from error


def _quieten() -> None:
    """Lightning's tips and its advice on loaders, which are resumed here by step number, are no news to a user."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    for message in (
        "does not have many workers",
        "but have no `val_dataloader`",
        "your dataloader is not resumable",
        "LeafSpec",
    ):
        warnings.filterwarnings("ignore", message=f".*{message}")
