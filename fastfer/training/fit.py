"""Trains one network, epoch by epoch: log, keep the best, stop in time."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import torch
from lightning_fabric import Fabric

from fastfer.config import PRECISIONS
from fastfer.models import parameter_count
from fastfer.training import checkpoint
from fastfer.training.early_stopping import EarlyStopping
from fastfer.training.learner import Learner
from fastfer.training.log import EpochLog, EpochRow
from fastfer.training.run import SUMMARY_NAME, Run, environment, write_json
from pipelines.errors import InputError
from pipelines.loaders import open_loader
from pipelines.progress import Track, untracked


def fit(run: Run, *, track: Track = untracked, on_epoch: Callable[[EpochRow], None] = lambda _row: None) -> None:
    """Train until the validation macro-F1 has stopped rising or the epochs are spent.

    Writes `config.json`, `environment.json`, `epochs.csv`, `best.pth` (the best epoch's weights) and `last.pth` into
    the run's folder, and `training.json` at the end. The test split is not touched.

    Raises:
        InputError: a setting does not fit the records, or the loss left the numbers.
    """
    config = run.config
    fabric = Fabric(accelerator="auto", devices=1, precision=_precision(config.precision))
    fabric.seed_everything(config.seed, verbose=False)
    run.folder.mkdir(parents=True, exist_ok=True)
    write_json(run.folder / "config.json", run.settings)
    write_json(run.folder / "environment.json", environment(fabric.device))
    with (
        open_loader(config.loader_config("train", str(fabric.device)), track) as train,
        open_loader(config.loader_config("val", str(fabric.device)), track) as val,
        closing(EpochLog(run.folder, [])) as log,
    ):
        learner = Learner.of(run, fabric, train)
        stopping = EarlyStopping(config.patience, config.min_delta)
        started = time.perf_counter()
        for epoch in range(1, config.epochs + 1):
            row = learner.epoch(epoch, train, val, track)
            log.append(row)
            on_epoch(row)
            if not math.isfinite(row.train_loss):
                raise InputError(f"the loss of {run.folder.name} left the numbers in epoch {epoch}: try a lower LR=")
            improved = stopping.improves(row.val_macro_f1)
            content = learner.checkpoint(run, epoch)
            checkpoint.save(run.folder / "last.pth", content | learner.learning_state())
            if improved:
                checkpoint.save(run.folder / "best.pth", content)
            if stopping.exhausted:
                break
    summary = {
        "seconds": time.perf_counter() - started,
        "best_epoch": stopping.best_epoch,
        "epochs_run": stopping.epoch,
        "parameters": parameter_count(learner.network),
    }
    write_json(run.folder / SUMMARY_NAME, summary)


def _precision(asked: str) -> Any:
    """Fabric's name of the precision: as asked, else the fastest mixed one that the device has."""
    if (named := PRECISIONS[asked]) is not None:
        return named
    if not torch.cuda.is_available():
        return PRECISIONS["32"]
    return PRECISIONS["bf16" if torch.cuda.is_bf16_supported() else "fp16"]
