"""Trains one network, epoch by epoch: log, keep the best, stop in time, and go on where it was stopped."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import reduce
from typing import Any, Final

import torch
from lightning_fabric import Fabric
from torch import nn

from fastfer.config import MONITORS, PRECISIONS, TrainConfig
from fastfer.json_files import write_json
from fastfer.models import flops_per_image, parameter_count
from fastfer.torchrun import local_world_size, world_size
from fastfer.training import checkpoint
from fastfer.training.early_stopping import EarlyStopping
from fastfer.training.gpu_use import GpuUse
from fastfer.training.learner import Learner, Stopped
from fastfer.training.log import EpochLog, EpochRow
from fastfer.training.run import BEST_NAME, LAST_NAME, SUMMARY_NAME, Run, environment
from fastfer.training.signals import StopRequest, stop_requests
from fastfer.training.state import EpochProgress, TrainingState
from fastfer.variants import faces_of
from pipelines.buffers import give_back
from pipelines.errors import InputError
from pipelines.loaders import Loader
from pipelines.probe import reset_peaks
from pipelines.progress import Track, untracked

OnEpoch = Callable[[EpochRow], None]
AT_FAULT: Final = {
    "out of memory|can't allocate memory|Unable to allocate": "a batch of {batch} images of {arch} does not fit the "
    "memory of {device}: try a smaller BATCH= with a larger ACCUMULATE=, the same steps in parts, or less IMAGE_SIZE=",
    "more than 1 value per channel": "{arch} normalises over a batch and its pixels, and has one value there to do it "
    "with: try a larger BATCH= or IMAGE_SIZE=",
    "No working C\\+\\+ compiler|Failed to find C compiler": "COMPILE=1 needs a C++ compiler, and there is none here: "
    "install g++, or take COMPILE=0",
}
"""What torch says while it trains when a setting is at fault, as a pattern, and how the user is told."""


def fit(run: Run, *, track: Track = untracked, on_epoch: OnEpoch = lambda _row: None) -> bool:
    """Train until the watched score has stopped rising or the epochs are spent; whether this is the first process.

    Writes `config.json`, `environment.json`, `epochs.csv`, `best.pth` (the best epoch's weights) and `last.pth` into
    the run's folder, and `training.json` at the end. An earlier training that was stopped is gone on with, exactly.
    The test split is not touched. Under torchrun every process calls this; the first one writes.

    Raises:
        InputError: a setting does not fit the records or the memory, the loss left the numbers, or another process
            trains this run.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after `last.pth` was written.
    """
    fabric = start_fabric(run.config)
    with run.held() if fabric.is_global_zero else nullcontext():
        return _fit(run, fabric, track, on_epoch)


def _fit(run: Run, fabric: Fabric, track: Track, on_epoch: OnEpoch) -> bool:
    config = run.config
    fabric.seed_everything(config.seed, verbose=False)
    where: dict[str, Any] = {"rank": fabric.global_rank, "world_size": fabric.world_size}
    if fabric.is_global_zero:
        if not config.resume:
            run.forget()
        write_json(run.folder / "config.json", run.settings)
        write_json(run.folder / "environment.json", environment(fabric.device) | {"processes": fabric.world_size})
    reset_peaks(fabric.device)
    with (
        run.open("train", fabric.device, **where, track=track) as train,
        run.open("val", fabric.device, **where, track=track) as val,
        stop_requests(several_processes=fabric.world_size > 1) as stop,
        _settings_at_fault(config, fabric.device),
    ):
        training = _Training(run, Learner.of(run, fabric, train), stop, on_epoch)
        if not fabric.is_global_zero:
            training.finish(train, val, track, None)
            return False
        with closing(EpochLog(run.folder, len(training.state.rows))) as log:
            training.finish(train, val, track, log)
    return True


class _Training:
    """A learner with what it has come to: new, or taken up from `last.pth`."""

    def __init__(self, run: Run, learner: Learner, stop: StopRequest, on_epoch: OnEpoch) -> None:
        self._run, self._learner, self._stop, self._on_epoch = run, learner, stop, on_epoch
        config = run.config
        if config.resume and run.is_begun:
            content = checkpoint.load(run.folder / LAST_NAME, also={*learner.state(), "training"})
            learner.take_up(content)
            self.state = TrainingState.from_dict(content["training"])
            if self.state.rows and not (run.folder / BEST_NAME).is_file():
                raise InputError(
                    f"{run.folder} has lost {BEST_NAME}, the best of its {len(self.state.rows)} epochs: RESUME=0 "
                    "trains the run anew"
                )
        else:
            self.state = TrainingState(EarlyStopping(config.patience, config.min_delta), EpochProgress(1), [])
        self.state.progress.to(learner.device)

    def finish(self, train: Loader, val: Loader, track: Track, log: EpochLog | None) -> None:
        """All epochs that are left, and the summary. Without a `log` nothing is written."""
        state = self.state
        while state.progress.epoch <= self._run.config.epochs and not state.stopping.exhausted:
            try:
                row = self._learner.epoch(state.progress, train, val, track, self._stop)
            except Stopped:
                self._refuse_bad_loss()
                self._save(LAST_NAME)
                raise KeyboardInterrupt from None
            except RuntimeError:
                # A terminal's Ctrl-C also ends processes that are still starting, a loader's and a compiler's: then
                # theirs is no fault.
                if self._stop():
                    raise KeyboardInterrupt from None
                raise
            self._refuse_bad_loss(row)
            improved = self._take(row)
            give_back()
            if log is not None:
                log.write(state.rows)
                if improved:
                    self._save(BEST_NAME)
                self._save(LAST_NAME)
                self._on_epoch(row)
        if log is not None:
            write_json(self._run.folder / SUMMARY_NAME, self._summary())
        if self._stop():  # in the last validation
            raise KeyboardInterrupt

    def _take(self, row: EpochRow) -> bool:
        """Add an epoch; whether it is the best so far."""
        state = self.state
        state.rows.append(row)
        state.seconds += row.seconds
        state.progress = EpochProgress(row.epoch + 1).to(self._learner.device)
        column, sign = MONITORS[self._run.config.monitor]
        return state.stopping.improves(sign * getattr(row, column))

    def _save(self, name: str) -> None:
        """The best weights with what using them needs; the last ones with all that going on needs."""
        run, learner = self._run, self._learner
        last = name == LAST_NAME
        network: nn.Module = learner.network if last else learner.tested
        content = {
            "model": network.state_dict(),
            "architecture": run.settings["model"],
            "classes": list(run.info.classes),
            "preprocessing": learner.preprocessing.as_dict(),
            "faces": [faces_of(run.config.shards, part.dataset, run.config.trained_variant) for part in run.parts],
            "trained_on": {key: run.settings[key] for key in ("dataset", "variant", "records_sha256")},
            "epoch": len(self.state.rows),
        }
        state = learner.state() | {"training": self.state.as_dict()} if last else {}
        checkpoint.save(run.folder / name, content | state)

    def _refuse_bad_loss(self, row: EpochRow | None = None) -> None:
        """Refuse a training loss, or that of an epoch's validation, that is no number: one look at the device."""
        step = self._learner.first_bad_step(self.state.progress)
        if not math.isfinite(step) and (row is None or math.isfinite(row.val_loss)):
            return
        where = f"batch {step:.0f}" if math.isfinite(step) else "validation"
        kept = (
            f"{self._run.folder / LAST_NAME} holds epoch {len(self.state.rows)}" if self.state.rows else "none is kept"
        )
        raise InputError(
            f"the loss of {self._run.folder.name} left the numbers in epoch {self.state.progress.epoch}, {where}: "
            f"try a lower LR= or PRECISION=32; of the epochs before, {kept}"
        )

    def _summary(self) -> dict[str, Any]:
        settings, info = self._run.settings, self._run.info
        gpu = reduce(GpuUse.plus, (row.gpu_use for row in self.state.rows), GpuUse())
        return {
            "seconds": self.state.seconds,
            "best_epoch": self.state.stopping.best_epoch,
            "epochs_run": self.state.stopping.epoch,
            "parameters": parameter_count(self._learner.network),
            "flops": flops_per_image(
                settings["model"],
                channels=info.channels,
                num_classes=len(info.classes),
                image_size=settings["image_size"],
            ),
            "left_out": {part.dataset: part.left_out for part in self._run.parts},
            "peak_rss_mib": max((row.peak_rss_mib for row in self.state.rows), default=None),
            "peak_gpu_mib": max((row.peak_gpu_mib or 0 for row in self.state.rows), default=0) or None,
            "gpu_memory_mib": gpu.memory_mib,
            "gpu_utilisation": gpu.utilisation,
            "energy_j": gpu.energy_j,
        }


def start_fabric(config: TrainConfig) -> Fabric:
    """One device, or under torchrun one for each process, as DDP."""
    world, here = world_size(), local_world_size()
    fabric = Fabric(
        accelerator="auto",
        devices=here,
        num_nodes=world // here,
        strategy="ddp" if world > 1 else "auto",
        precision=_precision(config.precision),
    )
    if world > 1:
        fabric.launch()
    return fabric


def _precision(asked: str) -> Any:
    """Fabric's name of the precision: as asked, else the fastest mixed one that the device has.

    Raises:
        InputError: there is no device that has it.
    """
    if asked == "fp16" and not torch.cuda.is_available():  # Fabric would take bf16 in its place
        raise InputError("PRECISION=fp16 needs a GPU, and there is none here: take bf16 or 32")
    if (named := PRECISIONS[asked]) is not None:
        return named
    if not torch.cuda.is_available():
        return PRECISIONS["32"]
    return PRECISIONS["bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"]


@contextmanager
def _settings_at_fault(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Say which setting to change, where torch fails at what was asked for (see `AT_FAULT`)."""
    try:
        yield
    except (RuntimeError, ValueError, MemoryError) as error:
        why = next((told for pattern, told in AT_FAULT.items() if re.search(pattern, str(error))), None)
        if why is None:
            raise
        raise InputError(
            why.format(arch=config.arch, batch=config.batch, device="the CPU" if device.type == "cpu" else device)
        ) from None
