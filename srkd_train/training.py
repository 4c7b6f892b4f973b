# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A training run from its configuration to a scored checkpoint: what pretraining and distillation have in common."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from srkd.errors import ConfigError
from srkd.header import Header
from srkd.labels import LabelScheme
from srkd.plan import PlanSpec
from srkd_train.callbacks import Clock, Report, Stop
from srkd_train.config import RunConfig
from srkd_train.data.bag_part import why_not_scored
from srkd_train.data.catalog import final_part, validation_part
from srkd_train.data.dense_part import run_part, scored_part
from srkd_train.data.loader import (
    EvaluationBatches,
    Loader,
    TrainingBatches,
    evaluation_loader,
    training_loader,
)
from srkd_train.data.order import spread_indices
from srkd_train.data.part import Part
from srkd_train.distributed import convert_sync_batchnorm
from srkd_train.metrics import Score
from srkd_train.modules import Segmentation
from srkd_train.process import prepare_process
from srkd_train.records import score_run, training_facts
from srkd_train.resuming import refuse_other_clouds, saved_step
from srkd_train.runs import RunFolder
from srkd_train.saving import Save
from srkd_train.tensorboard import TensorBoard, is_installed

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


def train(
    config: RunConfig,
    *,
    command: Sequence[str],
    build: Callable[[LabelScheme], Segmentation],
    facts: Mapping[str, object] | None = None,
    taught: LabelScheme | None = None,
) -> Outcome | None:
    """Train as configured; a stopped run returns normally and can be resumed.

    Args:
        config: the whole run.
        command: the command line, for the records.
        build: makes the module to train for the scheme of the data; its network is what is saved.
        facts: more for the checkpoint's header on how it was made.
        taught: what a teacher teaches, for clouds without labels.

    Returns:
        What the run came to; None in all but the first process of a distributed run.

    Raises:
        SrkdError: the configuration, the data or the run folder do not allow it, or the loss is not finite.
    """
    folder = RunFolder(Path(config.out))
    first_process = rank_zero_only.rank == 0
    if first_process:
        folder.check(resume=config.resume)
    prepare_process(config.trainer)
    part = run_part(config, taught)
    module = build(part.clouds.scheme)
    if config.resume:
        refuse_other_clouds(config, folder, part)
    given, config = config, _as_it_can_be(config, part, tell=first_process)
    command = folder.first_command() or command
    start = saved_step(folder) if config.resume else 0
    clock = Clock()
    stop = Stop(clock, config.trainer.max_minutes)
    told = {**training_facts(config, part, command), **(facts or {})}
    header = Header.of(module.network, config.model.name, config.data.input, part.clouds.scheme)

    def make_header(step: int, score: Score | None) -> Header:
        metrics = {} if score is None else {"validation_miou": score.to_dict()["miou"]}
        return replace(header, training={**told, "steps": step, "minutes": round(clock.minutes, 2)}, metrics=metrics)

    callbacks = [
        clock,
        stop,
        Report(clock, folder, module.terms, config.trainer.log_every),
        Save(folder, make_header, config.trainer.save_minutes),
    ]
    if config.trainer.tensorboard and is_installed():
        callbacks.append(TensorBoard(folder.path / "tensorboard", config.trainer.log_every))
    if config.trainer.sync_batchnorm:
        convert_sync_batchnorm(module)
    try:
        trainer = _trainer(config, folder, callbacks)
    except MisconfigurationException as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from error
    train_loader, val_loader = _loaders(config, part, module, start=start, rank=trainer.global_rank)
    if config.trainer.final_eval:
        # Whether it is there: better known now than after the training.
        scored_part(config.data, final_part(config.data))
    if first_process:
        folder.create(given, command)
    if start < config.trainer.max_steps:
        state = folder.state if config.resume else None
        try:
            trainer.fit(module, train_loader, val_loader, ckpt_path=state, weights_only=True)
        finally:
            for loader in filter(None, (train_loader, val_loader)):
                loader.close()
    if not trainer.is_global_zero:
        return None
    score, described = score_run(config, folder) if stop.reason is None else (None, "")
    return Outcome(max(start, trainer.global_step), clock.minutes, folder.last, stop.reason, score, described)


def training_batches(
    config: RunConfig, part: Part, spec: PlanSpec, *, rank: int = 0, dense_spec: PlanSpec | None = None
) -> TrainingBatches:
    """The batches of a run, by step, as a process of it sees them.

    Args:
        config: the run.
        part: its clouds, see `run_part`.
        spec: what the plan must serve.
        rank: number of the process.
        dense_spec: what the plan of dense clouds must serve; None for batches without them.
    """
    dense = part.dense
    return TrainingBatches(
        part.clouds,
        config.data.input,
        spec,
        config.data.augment,
        batch_size=config.trainer.batch_size,
        seed=config.trainer.seed,
        group=part.group,
        mix_p=config.data.mix_p,
        shuffle_orders=config.data.shuffle_orders,
        rank=rank,
        world_size=config.trainer.processes,
        dense=None if dense is None or dense_spec is None else dense.clouds,
        dense_spec=dense_spec,
    )


def _loaders(
    config: RunConfig, part: Part, module: Segmentation, *, start: int, rank: int
) -> tuple[Loader, Loader | None]:
    trainer = config.trainer
    batches = training_batches(config, part, module.plan_spec, rank=rank, dense_spec=module.dense_plan_spec)
    train_loader = training_loader(batches, steps=trainer.max_steps, start=start, num_workers=trainer.num_workers)
    if trainer.val_every == 0:
        return train_loader, None
    clouds = scored_part(config.data, validation_part(config.data)).clouds
    indices = spread_indices(len(clouds), trainer.val_limit)
    if len(indices) < trainer.processes:
        raise ConfigError(
            f"trainer.devices x num_nodes is {trainer.processes} but there are {len(indices)} clouds to validate on:"
            " validate on more"
        )
    indices = indices[rank :: trainer.processes]
    held = EvaluationBatches(clouds, config.data.input, module.network.plan_spec, indices)
    return train_loader, evaluation_loader(held, num_workers=min(1, trainer.num_workers))


def _trainer(config: RunConfig, folder: RunFolder, callbacks: list[lightning.Callback]) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator=config.trainer.accelerator,
        devices=config.trainer.devices,
        num_nodes=config.trainer.num_nodes,
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


def _as_it_can_be(config: RunConfig, part: Part, *, tell: bool) -> RunConfig:
    """The run without the scores for which there is no ground truth."""
    notes = [] if part.note is None else [part.note]
    trainer = config.trainer
    if trainer.final_eval or trainer.val_every:
        why = why_not_scored(config.data, part.clouds.scheme)
        if why is not None:
            notes.append(f"no validation and no final score: {why}")
            config = replace(config, trainer=replace(trainer, final_eval=False, val_every=0))
    if tell:
        sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    return config
